// SPDX-License-Identifier: Apache-2.0

package events

// The types below make up nearly all of the journal, so their JSON is read by
// hand. Each reader takes exactly what the plan of its struct would take; the
// tests and fuzz targets of this package hold the two together.

// statusRoom is the memory behind the pointers and slices of one unit.
type statusRoom struct {
	applied OrderKey
	limit   int64
	caps    Capabilities
	levels  []int64
	named   []PowerLevel
}

// hotRoom is the memory behind the hot payloads. A Decoder has one and fills
// it again and again.
type hotRoom struct {
	reading MeterReading
	energy  int64
	tick    ClockTick
	status  WorkerStatus
	units   []*statusRoom
	permit  PermitRenewed
	found   ShareFound
}

// payload is the reused payload of a type, nil when it has none.
func (r *hotRoom) payload(t Type) Payload {
	switch t {
	case TypeMeterReading:
		return &r.reading
	case TypeWorkerStatus:
		return &r.status
	case TypeClockTick:
		return &r.tick
	case TypePermitRenewed:
		return &r.permit
	case TypeShareFound:
		return &r.found
	}
	return nil
}

// readHot reads p by hand if its type has a reader, reusing the memory of room
// unless it is nil.
func readHot(s *scanner, p Payload, room *hotRoom) bool {
	switch p := p.(type) {
	case *MeterReading:
		var energy *int64
		if room != nil {
			energy = &room.energy
		}
		readReading(s, p, energy)
	case *WorkerStatus:
		readStatus(s, p, room)
	case *ClockTick:
		readTick(s, p)
	case *PermitRenewed:
		var units []UnitSetpoint
		if room != nil {
			units = p.Units[:0]
		}
		readPermit(s, p, units)
	case *ShareFound:
		readFound(s, p)
	default:
		return false
	}
	return true
}

var readingFields = [...]string{"power_watts", "energy_milliwatt_hours", "sampled_at", "quality", "modelled"}

func readReading(s *scanner, m *MeterReading, energy *int64) {
	*m = MeterReading{}
	if !s.open('{', "an object") {
		return
	}
	var f fields
	for n := 0; s.more(n, '}'); n++ {
		switch string(s.key()) {
		case "power_watts":
			if f.take(s, 0) {
				m.PowerWatts = s.int64()
			}
		case "energy_milliwatt_hours":
			if f.take(s, 1) {
				if energy == nil {
					energy = new(int64)
				}
				*energy = s.int64()
				m.EnergyMilliwattHours = energy
			}
		case "sampled_at":
			if f.take(s, 2) {
				m.SampledAt = s.time()
			}
		case "quality":
			if f.take(s, 3) {
				m.Quality = Quality(s.word())
			}
		case "modelled":
			if f.take(s, 4) {
				m.Modelled = s.bool()
			}
		default:
			s.skip(0)
		}
	}
	f.need(s, 1<<0|1<<2|1<<3, func(i int) string { return readingFields[i] })
}

// word reads a code of the contract. The usual codes cost no look-up.
func (s *scanner) word() string {
	b := s.stringBytes()
	switch string(b) {
	case "good":
		return "good"
	case "running":
		return "running"
	case "limited":
		return "limited"
	case "boot":
		return "boot"
	case "failsafe":
		return "failsafe"
	}
	return string(b)
}

func readTick(s *scanner, t *ClockTick) {
	*t = ClockTick{}
	if !s.open('{', "an object") {
		return
	}
	var f fields
	for n := 0; s.more(n, '}'); n++ {
		switch string(s.key()) {
		case "second":
			if f.take(s, 0) {
				t.Second = s.int64()
			}
		default:
			s.skip(0)
		}
	}
	f.need(s, 1, func(int) string { return "second" })
}

var orderKeyFields = [...]string{"epoch", "sequence", "ordinal"}

func readOrderKey(s *scanner, k *OrderKey) {
	*k = OrderKey{}
	if !s.open('{', "an object") {
		return
	}
	var f fields
	for n := 0; s.more(n, '}'); n++ {
		switch string(s.key()) {
		case "epoch":
			if f.take(s, 0) {
				k.Epoch = s.uint64()
			}
		case "sequence":
			if f.take(s, 1) {
				k.Sequence = s.uint64()
			}
		case "ordinal":
			if f.take(s, 2) {
				k.Ordinal = s.uint32()
			}
		default:
			s.skip(0)
		}
	}
	f.need(s, 1<<0|1<<1|1<<2, func(i int) string { return orderKeyFields[i] })
}

var permitFields = [...]string{"decider", "key", "boot_id", "counter", "lease_milliseconds", "units"}

func readPermit(s *scanner, p *PermitRenewed, units []UnitSetpoint) {
	*p = PermitRenewed{}
	if !s.open('{', "an object") {
		return
	}
	var f fields
	for n := 0; s.more(n, '}'); n++ {
		switch string(s.key()) {
		case "decider":
			if f.take(s, 0) {
				p.Decider = s.name()
			}
		case "key":
			if f.take(s, 1) {
				readOrderKey(s, &p.Key)
			}
		case "boot_id":
			if f.take(s, 2) {
				p.BootID = s.name()
			}
		case "counter":
			if f.take(s, 3) {
				p.Counter = s.uint64()
			}
		case "lease_milliseconds":
			if f.take(s, 4) {
				p.LeaseMilliseconds = s.int64()
			}
		case "units":
			if f.take(s, 5) {
				p.Units = readSetpoints(s, units)
			}
		default:
			s.skip(0)
		}
	}
	f.need(s, 1<<6-1, func(i int) string { return permitFields[i] })
}

func readSetpoints(s *scanner, us []UnitSetpoint) []UnitSetpoint {
	if us == nil {
		us = []UnitSetpoint{}
	}
	if !s.open('[', "an array") {
		return us
	}
	for n := 0; s.more(n, ']'); n++ {
		var u UnitSetpoint
		readSetpoint(s, &u)
		us = append(us, u)
	}
	return us
}

func readSetpoint(s *scanner, u *UnitSetpoint) {
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
		case "setpoint_watts":
			if f.take(s, 1) {
				u.SetpointWatts = s.int64()
			}
		default:
			s.skip(0)
		}
	}
	f.need(s, 1<<0|1<<1, func(i int) string { return [...]string{"unit", "setpoint_watts"}[i] })
}

var foundFields = [...]string{"share_id", "job_id", "gateway", "unit", "version", "ntime", "nonce",
	"extranonce", "difficulty", "found_at", "modelled"}

func readFound(s *scanner, p *ShareFound) {
	*p = ShareFound{}
	if !s.open('{', "an object") {
		return
	}
	var f fields
	for n := 0; s.more(n, '}'); n++ {
		switch string(s.key()) {
		case "share_id":
			if f.take(s, 0) {
				p.ShareID = s.string()
			}
		case "job_id":
			if f.take(s, 1) {
				p.JobID = s.name()
			}
		case "gateway":
			if f.take(s, 2) {
				p.Gateway = s.name()
			}
		case "unit":
			if f.take(s, 3) {
				p.Unit = s.name()
			}
		case "version":
			if f.take(s, 4) {
				p.Version = s.string()
			}
		case "ntime":
			if f.take(s, 5) {
				p.NTime = s.int64()
			}
		case "nonce":
			if f.take(s, 6) {
				p.Nonce = s.string()
			}
		case "extranonce":
			if f.take(s, 7) {
				p.Extranonce = s.string()
			}
		case "difficulty":
			if f.take(s, 8) {
				p.Difficulty = s.name()
			}
		case "found_at":
			if f.take(s, 9) {
				p.FoundAt = s.time()
			}
		case "modelled":
			if f.take(s, 10) {
				p.Modelled = s.bool()
			}
		default:
			s.skip(0)
		}
	}
	f.need(s, 1<<0|1<<1|1<<2|1<<3|1<<8|1<<9, func(i int) string { return foundFields[i] })
}
