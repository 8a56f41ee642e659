// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"bytes"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// meter of the plant, with what is wrong with it.
type meter struct {
	cfg    *events.MeterConfig
	link   *link
	mining int64 // of the units behind it, W
	energy counter
	fault  FaultKind
	offset time.Duration // of its clock
	held   events.MeterReading
	heldAt int64
}

// seen is the true power at the meter, W.
func (p *plant) seen(m *meter) int64 {
	switch m.cfg.Measures {
	case events.MeasuresAI:
		return p.ai
	case events.MeasuresHouse:
		return p.house
	case events.MeasuresMining:
		return m.mining
	}
	return p.ai + p.house + p.mining
}

// read publishes one reading and plans the next.
func (p *plant) read(m *meter) {
	w := p.w
	period := time.Duration(m.cfg.PeriodMilliseconds) * time.Millisecond
	w.after(period, func() { p.read(m) })
	if m.fault == FaultSilent {
		return
	}
	p.account()
	counted := m.energy.milliwattHours
	r := events.MeterReading{PowerWatts: p.seen(m), SampledAt: w.wall(m.offset), Quality: events.QualityGood, EnergyMilliwattHours: &counted}
	switch m.fault {
	case FaultFrozen:
		r.PowerWatts, counted = m.held.PowerWatts, m.heldAt
	case FaultNegative:
		r.PowerWatts = -r.PowerWatts
	case FaultThousand:
		r.PowerWatts /= 1000
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
