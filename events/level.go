// SPDX-License-Identifier: Apache-2.0

package events

// PowerLevel is one power that a unit can hold besides 0 W: asleep, at reduced
// power, at full power.
type PowerLevel struct {
	// Name for people: "sleep", "eco", "full"; [a-z0-9-]{1,64}.
	Name string `json:"name"`
	// Watts drawn at the meter. W.
	Watts int64 `json:"watts"`
	// MillijoulesPerTerahash at this level, at the meter. 0 for a level that
	// hashes nothing: the unit sleeps. Only the lowest level may do so.
	MillijoulesPerTerahash int64 `json:"millijoules_per_terahash,omitempty"`
	// BootMilliseconds of power without shares after a start from sleep, in
	// place of Capabilities.BootMilliseconds, which is that of a start from
	// 0 W. For a level that hashes nothing only. ms.
	BootMilliseconds int64 `json:"boot_milliseconds,omitempty"`
}

// Sleeps reports whether the level hashes nothing.
func (l *PowerLevel) Sleeps() bool { return l.MillijoulesPerTerahash == 0 }

// Setpoints are the powers above 0 W that the unit can hold, rising, W; nil for
// one that holds any power between MinWatts and NameplateWatts.
func (k *Capabilities) Setpoints() []int64 {
	if len(k.Levels) == 0 {
		return k.LevelsWatts
	}
	w := make([]int64, len(k.Levels))
	for i := range k.Levels {
		w[i] = k.Levels[i].Watts
	}
	return w
}

// levels checks Levels and that LevelsWatts, where both are given, says the
// same.
func (c *checker) levels(k *Capabilities) {
	if len(k.Levels) > maxLevels {
		c.fail("capabilities.levels", "%d given; at most %d", len(k.Levels), maxLevels)
		return
	}
	last, hashing := int64(0), 0
	for i := range k.Levels {
		l := &k.Levels[i]
		c.token("capabilities.levels.name", l.Name)
		c.between("capabilities.levels.watts", l.Watts, 1, MaxWatts)
		c.count("capabilities.levels.millijoules_per_terahash", l.MillijoulesPerTerahash)
		c.between("capabilities.levels.boot_milliseconds", l.BootMilliseconds, 0, maxHour)
		if l.Watts <= last {
			c.fail("capabilities.levels", "%d W follows %d W; list the levels rising", l.Watts, last)
		}
		last = l.Watts
		if l.Sleeps() {
			if i > 0 || len(k.Levels) == 1 {
				c.fail("capabilities.levels", "%s hashes nothing; only the lowest of several levels may sleep: give millijoules_per_terahash", quote(l.Name))
			}
			continue
		}
		if l.BootMilliseconds != 0 {
			c.fail("capabilities.levels.boot_milliseconds", "%d belongs to a level that hashes nothing; %s hashes", l.BootMilliseconds, quote(l.Name))
		}
		if len(k.LevelsWatts) > 0 && (hashing >= len(k.LevelsWatts) || k.LevelsWatts[hashing] != l.Watts) {
			c.fail("capabilities.levels_watts", "are not the watts of the levels that hash; make them so or leave them out")
		}
		hashing++
	}
	if len(k.Levels) == 0 {
		return
	}
	top := &k.Levels[len(k.Levels)-1]
	if top.Watts != k.NameplateWatts {
		c.fail("capabilities.levels", "the last level %d is not nameplate_watts %d", top.Watts, k.NameplateWatts)
	}
	if top.MillijoulesPerTerahash != k.MillijoulesPerTerahash {
		c.fail("capabilities.levels", "the last level has %d mJ/TH, millijoules_per_terahash says %d; give that of full power in both", top.MillijoulesPerTerahash, k.MillijoulesPerTerahash)
	}
	if len(k.LevelsWatts) > hashing {
		c.fail("capabilities.levels_watts", "are not the watts of the levels that hash; make them so or leave them out")
	}
}
