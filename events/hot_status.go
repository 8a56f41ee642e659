// SPDX-License-Identifier: Apache-2.0

package events

var statusFields = [...]string{"boot_id", "counter", "announce", "leaving", "units"}

func readStatus(s *scanner, w *WorkerStatus, room *hotRoom) {
	var units []UnitStatus
	if room != nil {
		units = w.Units[:0]
	}
	*w = WorkerStatus{}
	if !s.open('{', "an object") {
		return
	}
	var f fields
	for n := 0; s.more(n, '}'); n++ {
		switch string(s.key()) {
		case "boot_id":
			if f.take(s, 0) {
				w.BootID = s.name()
			}
		case "counter":
			if f.take(s, 1) {
				w.Counter = s.uint64()
			}
		case "announce":
			if f.take(s, 2) {
				w.Announce = s.bool()
			}
		case "leaving":
			if f.take(s, 3) {
				w.Leaving = s.bool()
			}
		case "units":
			if f.take(s, 4) {
				w.Units = readUnits(s, units, room)
			}
		default:
			s.skip(0)
		}
	}
	f.need(s, 1<<0|1<<1|1<<4, func(i int) string { return statusFields[i] })
}

func readUnits(s *scanner, us []UnitStatus, room *hotRoom) []UnitStatus {
	if us == nil {
		us = []UnitStatus{}
	}
	if !s.open('[', "an array") {
		return us
	}
	for n := 0; s.more(n, ']'); n++ {
		us = append(us, UnitStatus{})
		var r *statusRoom
		if room != nil {
			if n == len(room.units) {
				room.units = append(room.units, new(statusRoom))
			}
			r = room.units[n]
		}
		readUnit(s, &us[n], r)
	}
	return us
}

var unitFields = [...]string{"unit", "state", "setpoint_watts", "power_watts", "hashrate_mhs", "hashes", "applied",
	"lease_milliseconds", "local_limit_watts", "reason", "signal_id", "healthy", "modelled", "power_modelled", "capabilities"}

const unitRequired = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<4 | 1<<7 | 1<<11

// readUnit fills u; r is the memory behind its pointers, nil for fresh memory.
func readUnit(s *scanner, u *UnitStatus, r *statusRoom) {
	if !s.open('{', "an object") {
		return
	}
	var f fields
	for n := 0; s.more(n, '}'); n++ {
		switch string(s.key()) {
		case "unit":
			if f.take(s, 0) {
				u.Unit = s.name()
			}
		case "state":
			if f.take(s, 1) {
				u.State = PermitState(s.word())
			}
		case "setpoint_watts":
			if f.take(s, 2) {
				u.SetpointWatts = s.int64()
			}
		case "power_watts":
			if f.take(s, 3) {
				u.PowerWatts = s.int64()
			}
		case "hashrate_mhs":
			if f.take(s, 4) {
				u.HashrateMHs = s.int64()
			}
		case "hashes":
			if f.take(s, 5) {
				u.Hashes = s.string()
			}
		case "applied":
			if f.take(s, 6) {
				if r != nil {
					u.Applied = &r.applied
				} else {
					u.Applied = new(OrderKey)
				}
				readOrderKey(s, u.Applied)
			}
		case "lease_milliseconds":
			if f.take(s, 7) {
				u.LeaseMilliseconds = s.int64()
			}
		case "local_limit_watts":
			if f.take(s, 8) {
				if r != nil {
					u.LocalLimitWatts = &r.limit
				} else {
					u.LocalLimitWatts = new(int64)
				}
				*u.LocalLimitWatts = s.int64()
			}
		case "reason":
			if f.take(s, 9) {
				u.Reason = Reason(s.name())
			}
		case "signal_id":
			if f.take(s, 10) {
				u.SignalID = s.name()
			}
		case "healthy":
			if f.take(s, 11) {
				u.Healthy = s.bool()
			}
		case "modelled":
			if f.take(s, 12) {
				u.Modelled = s.bool()
			}
		case "power_modelled":
			if f.take(s, 13) {
				u.PowerModelled = s.bool()
			}
		case "capabilities":
			if f.take(s, 14) {
				var levels []int64
				var named []PowerLevel
				if r != nil {
					u.Capabilities, levels, named = &r.caps, r.levels, r.named
				} else {
					u.Capabilities = new(Capabilities)
				}
				readCapabilities(s, u.Capabilities, levels, named)
				if r != nil && u.Capabilities.LevelsWatts != nil {
					r.levels = u.Capabilities.LevelsWatts[:0]
				}
				if r != nil && u.Capabilities.Levels != nil {
					r.named = u.Capabilities.Levels[:0]
				}
			}
		default:
			s.skip(0)
		}
	}
	f.need(s, unitRequired, func(i int) string { return unitFields[i] })
}

var capabilityFields = [...]string{"class", "nameplate_watts", "levels_watts", "min_watts", "failsafe_watts",
	"millijoules_per_terahash", "fall_milliseconds", "boot_milliseconds", "meter", "node", "levels"}

const capabilityRequired = (1<<8 - 1) &^ (1 << 2)

func readCapabilities(s *scanner, k *Capabilities, levels []int64, named []PowerLevel) {
	*k = Capabilities{}
	if !s.open('{', "an object") {
		return
	}
	var f fields
	for n := 0; s.more(n, '}'); n++ {
		switch string(s.key()) {
		case "class":
			if f.take(s, 0) {
				k.Class = s.name()
			}
		case "nameplate_watts":
			if f.take(s, 1) {
				k.NameplateWatts = s.int64()
			}
		case "levels_watts":
			if f.take(s, 2) {
				k.LevelsWatts = readLevels(s, levels)
			}
		case "min_watts":
			if f.take(s, 3) {
				k.MinWatts = s.int64()
			}
		case "failsafe_watts":
			if f.take(s, 4) {
				k.FailsafeWatts = s.int64()
			}
		case "millijoules_per_terahash":
			if f.take(s, 5) {
				k.MillijoulesPerTerahash = s.int64()
			}
		case "fall_milliseconds":
			if f.take(s, 6) {
				k.FallMilliseconds = s.int64()
			}
		case "boot_milliseconds":
			if f.take(s, 7) {
				k.BootMilliseconds = s.int64()
			}
		case "meter":
			if f.take(s, 8) {
				k.Meter = s.name()
			}
		case "node":
			if f.take(s, 9) {
				k.Node = s.name()
			}
		case "levels":
			if f.take(s, 10) {
				k.Levels = readPowerLevels(s, named)
			}
		default:
			s.skip(0)
		}
	}
	f.need(s, capabilityRequired, func(i int) string { return capabilityFields[i] })
}

func readLevels(s *scanner, levels []int64) []int64 {
	if levels == nil {
		levels = []int64{}
	}
	if !s.open('[', "an array") {
		return levels
	}
	for n := 0; s.more(n, ']'); n++ {
		levels = append(levels, s.int64())
	}
	return levels
}

var powerLevelFields = [...]string{"name", "watts", "millijoules_per_terahash", "boot_milliseconds"}

func readPowerLevels(s *scanner, ls []PowerLevel) []PowerLevel {
	if ls == nil {
		ls = []PowerLevel{}
	}
	if !s.open('[', "an array") {
		return ls
	}
	for n := 0; s.more(n, ']'); n++ {
		ls = append(ls, PowerLevel{})
		readPowerLevel(s, &ls[n])
	}
	return ls
}

func readPowerLevel(s *scanner, l *PowerLevel) {
	if !s.open('{', "an object") {
		return
	}
	var f fields
	for n := 0; s.more(n, '}'); n++ {
		switch string(s.key()) {
		case "name":
			if f.take(s, 0) {
				l.Name = s.name()
			}
		case "watts":
			if f.take(s, 1) {
				l.Watts = s.int64()
			}
		case "millijoules_per_terahash":
			if f.take(s, 2) {
				l.MillijoulesPerTerahash = s.int64()
			}
		case "boot_milliseconds":
			if f.take(s, 3) {
				l.BootMilliseconds = s.int64()
			}
		default:
			s.skip(0)
		}
	}
	f.need(s, 1<<0|1<<1, func(i int) string { return powerLevelFields[i] })
}
