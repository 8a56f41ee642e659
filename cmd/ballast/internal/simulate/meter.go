// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"bytes"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// meter of the plant, with what is wrong with it.
type meter struct {
	cfg   *events.MeterConfig
	place *place
	link  *link
	// part: several meters share the mining at its node, and it sees only that
	// of the units that name it.
	part   bool
	mining int64 // of those units, W
	// energy counted, until then.
	energy counter
	until  time.Duration
	fault  FaultKind
	offset time.Duration // of its clock
	held   events.MeterReading
	heldAt int64
}

// seen is the true power at the meter, W.
func (m *meter) seen() int64 {
	n := m.place
	switch m.cfg.Measures {
	case events.MeasuresAI:
		return n.ai
	case events.MeasuresHouse:
		return n.house
	case events.MeasuresMining:
		if m.part {
			return m.mining
		}
		return n.mining
	}
	return n.ai + n.house + n.mining
}

// count brings the counter up to now.
func (m *meter) count(now time.Duration) {
	if now > m.until {
		m.energy.add(m.seen(), now-m.until)
		m.until = now
	}
}

// hang puts the meters on their places.
func (p *plant) hang() {
	cfg := &p.w.story.Config
	for i := range cfg.Meters {
		c := &cfg.Meters[i]
		n := p.byNode[c.Node]
		m := &meter{cfg: c, place: n, link: newLink(p.w, "meter "+c.Meter, MeterPartitioned)}
		if c.Measures == events.MeasuresMining {
			n.minings = true
			for _, o := range n.meters {
				if o.cfg.Measures == c.Measures && (c.Group == "" || o.cfg.Group != c.Group) {
					o.part, m.part = true, true
				}
			}
		}
		n.meters = append(n.meters, m)
		p.meters = append(p.meters, m)
	}
}

// read publishes one reading and plans the next.
func (p *plant) read(m *meter) {
	w := p.w
	period := time.Duration(m.cfg.PeriodMilliseconds) * time.Millisecond
	w.after(period, func() { p.read(m) })
	if m.fault == FaultSilent {
		w.effects[ReadingsMissing]++
		return
	}
	m.count(w.now)
	counted := m.energy.milliwattHours
	r := events.MeterReading{PowerWatts: m.seen(), SampledAt: w.wall(m.offset), Quality: events.QualityGood, EnergyMilliwattHours: &counted}
	if effect := m.effect(); effect != "" {
		w.effects[effect]++
	}
	switch m.fault {
	case FaultFrozen:
		r.PowerWatts, counted = m.held.PowerWatts, m.heldAt
	case FaultNegative:
		r.PowerWatts = -r.PowerWatts
	case FaultThousand:
		r.PowerWatts /= 1000
	case FaultTimes:
		r.PowerWatts *= 1000
	default:
		m.held, m.heldAt = r, counted
	}
	e := events.New(siteName, m.cfg.Meter, &r).At(r.SampledAt)
	msg := w.encode(e)
	if m.fault == FaultNaN {
		// As a driver that formats a float does; the decoder refuses it.
		at := bytes.Index(msg.Data, []byte(`"power_watts":`))
		rest := bytes.IndexByte(msg.Data[at:], ',')
		msg.Data = append(append(append([]byte(nil), msg.Data[:at]...), `"power_watts":NaN`...), msg.Data[at+rest:]...)
	}
	m.link.carry(toBus, func() {
		if w.bus.up {
			w.bus.store(events.StreamJournal, msg)
		}
	})
}

// effect of what is wrong with a meter on a reading, empty when all is well.
func (m *meter) effect() Effect {
	switch m.fault {
	case FaultFrozen:
		return ReadingsFrozen
	case FaultNaN:
		return ReadingsNaN
	case FaultNegative:
		return ReadingsNegative
	case FaultThousand:
		return ReadingsThousandth
	case FaultTimes:
		return ReadingsThousandfold
	}
	if m.offset != 0 {
		return ReadingsSkewed
	}
	return ""
}
