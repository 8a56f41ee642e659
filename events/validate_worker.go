// SPDX-License-Identifier: Apache-2.0

package events

const maxLevels = 64

// Validate implements Payload.
func (s *WorkerStatus) Validate() error {
	var c checker
	c.name("boot_id", s.BootID)
	c.position("counter", s.Counter, 1)
	if len(s.Units) == 0 || len(s.Units) > MaxStatusUnits {
		c.fail("units", "%d given; 1 to %d are possible, a larger agent sends several statuses", len(s.Units), MaxStatusUnits)
		return c.err
	}
	c.in = "units"
	for i := range s.Units {
		u := &s.Units[i]
		c.at = i
		c.unit(u)
		switch {
		case s.Announce && u.Capabilities == nil:
			c.fail("capabilities", "are missing; a status that announces gives them for every unit")
		case !s.Announce && u.Capabilities != nil:
			c.fail("capabilities", "are given without announce; set announce")
		}
		if c.err != nil {
			return c.err
		}
	}
	c.distinct(len(s.Units), func(i int) string { return s.Units[i].Unit })
	return c.err
}

func (c *checker) unit(u *UnitStatus) {
	c.token("unit", u.Unit)
	switch u.State {
	case PermitBoot, PermitLimited, PermitRunning, PermitFailsafe, PermitLocal:
	default:
		c.fail("state", "%s is none of boot, limited, running, failsafe, local", quote(string(u.State)))
	}
	c.watts("setpoint_watts", u.SetpointWatts)
	c.watts("power_watts", u.PowerWatts)
	c.count("hashrate_mhs", u.HashrateMHs)
	if u.Hashes != "" && !isWhole(u.Hashes, 40) {
		c.fail("hashes", "%s must be a whole number of at most 40 digits", quote(u.Hashes))
	}
	if u.Applied != nil {
		c.key(u.Applied, "applied.epoch", "applied.sequence")
	}
	c.between("lease_milliseconds", u.LeaseMilliseconds, 0, MaxLeaseMilliseconds)
	c.optionalWatts("local_limit_watts", u.LocalLimitWatts)
	if u.Reason != "" {
		c.unitReason("reason", u.Reason)
	}
	c.optionalEventID("signal_id", u.SignalID)
	if u.Capabilities != nil {
		c.capabilities(u.Capabilities)
	}
}

func (c *checker) capabilities(k *Capabilities) {
	c.text("capabilities.class", k.Class, maxLabel)
	c.between("capabilities.nameplate_watts", k.NameplateWatts, 1, MaxWatts)
	if len(k.LevelsWatts) > maxLevels {
		c.fail("capabilities.levels_watts", "%d given; at most %d", len(k.LevelsWatts), maxLevels)
	}
	last := int64(0)
	for _, w := range k.LevelsWatts {
		c.between("capabilities.levels_watts", w, 1, MaxWatts)
		if w <= last {
			c.fail("capabilities.levels_watts", "%d follows %d; list the levels rising", w, last)
		}
		last = w
	}
	if len(k.LevelsWatts) > 0 && last != k.NameplateWatts {
		c.fail("capabilities.levels_watts", "the last level %d is not nameplate_watts %d", last, k.NameplateWatts)
	}
	c.levels(k)
	c.watts("capabilities.min_watts", k.MinWatts)
	if k.MinWatts > k.NameplateWatts {
		c.fail("capabilities.min_watts", "%d is above nameplate_watts %d", k.MinWatts, k.NameplateWatts)
	}
	c.watts("capabilities.failsafe_watts", k.FailsafeWatts)
	if k.FailsafeWatts > k.NameplateWatts {
		c.fail("capabilities.failsafe_watts", "%d is above nameplate_watts %d", k.FailsafeWatts, k.NameplateWatts)
	}
	c.between("capabilities.millijoules_per_terahash", k.MillijoulesPerTerahash, 1, MaxInteger)
	c.between("capabilities.fall_milliseconds", k.FallMilliseconds, 0, maxHour)
	c.between("capabilities.boot_milliseconds", k.BootMilliseconds, 0, maxHour)
	if k.Meter != "" {
		c.token("capabilities.meter", k.Meter)
	}
	if k.Node != "" {
		c.token("capabilities.node", k.Node)
	}
}

// distinct fails when two of n names are the same. Short lists, the usual
// case, are compared without allocating.
func (c *checker) distinct(n int, name func(int) string) {
	if c.err != nil || n < 2 {
		return
	}
	if n <= 16 {
		for i := 1; i < n; i++ {
			for j := range i {
				if name(i) == name(j) {
					c.at = i
					c.fail("unit", "%s is listed twice", quote(name(i)))
					return
				}
			}
		}
		return
	}
	seen := make(map[string]struct{}, n)
	for i := range n {
		if _, twice := seen[name(i)]; twice {
			c.at = i
			c.fail("unit", "%s is listed twice", quote(name(i)))
			return
		}
		seen[name(i)] = struct{}{}
	}
}

// isWhole reports a decimal integer without sign or leading zeros.
func isWhole(s string, digits int) bool {
	if s == "" || len(s) > digits || s[0] == '0' && len(s) > 1 {
		return false
	}
	return madeOf(s, &digitBytes)
}
