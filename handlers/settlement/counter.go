// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
)

// segment is what has been booked for a meter in one period since its counter
// last moved.
type segment struct {
	Interval  uint64
	Period    uint64
	Account   int32
	Energy    energy.Amount
	Estimated energy.Amount
	Modelled  energy.Amount
	Nanos     int64
	// EstimatedNanos of them rest on no reading.
	EstimatedNanos int64
	// Gone: the period can no longer be corrected.
	Gone bool
}

// counterWindow is how long a counter may disagree with its meter's power.
const counterWindow = int64(time.Minute)

// held notes energy booked from power.
func (m *meter) held(interval, period uint64, account int32, f *flow, e energy.Amount, dt int64) {
	n := len(m.Segments)
	if n == 0 || m.Segments[n-1].Period != period || m.Segments[n-1].Account != account || m.Segments[n-1].Gone {
		m.Segments = append(m.Segments, segment{Interval: interval, Period: period, Account: account})
		n++
	}
	s := &m.Segments[n-1]
	s.Energy = s.Energy.Add(e)
	s.Nanos += dt
	if f.Estimated {
		s.Estimated = s.Estimated.Add(e)
		s.EstimatedNanos += dt
	}
	if f.Modelled {
		s.Modelled = s.Modelled.Add(e)
	}
}

// anchor starts counting afresh from c.
func (m *meter) anchor(c, now int64) {
	m.HasCounter, m.Counter, m.CounterAt = true, c, now
	m.Segments = m.Segments[:0]
}

// count folds a counter value: what it advanced by since it last moved is the
// truth about the energy of that time.
func (d *Decider) count(m *meter, c int64) {
	if c < 0 || m.Modulus > 0 && c >= m.Modulus {
		return
	}
	d.flush(int(m.Account))
	if !m.HasCounter {
		m.anchor(c, d.Now)
		m.restartWindow(d.Now)
		return
	}
	delta := c - m.Counter
	if delta == 0 {
		return // too little to show, or stuck: the power stands
	}
	// The last reading may have been as old as the meter may be stale, so
	// the counter may hold that much more than the span.
	limit := energy.Of(max(m.Max, 0), d.Now-m.CounterAt+m.Stale).Floor() + 1
	switch wrapped := delta + m.Modulus; {
	case delta > 0 && delta <= limit:
	case delta < 0 && m.Modulus > 0 && wrapped >= 0 && wrapped <= limit:
		delta = wrapped
	case delta < 0: // started anew
		m.anchor(c, d.Now)
		m.restartWindow(d.Now)
		return
	default:
		d.raise("settlement-counter/"+m.ID, events.SeverityWarning,
			"the energy counter of meter "+m.ID+" jumped further than its range allows and is not believed",
			"check max_watts and counter_modulus_milliwatt_hours of the meter and the scale of its counter")
		m.anchor(c, d.Now)
		m.restartWindow(d.Now)
		return
	}
	d.mix(uint64(delta))
	var power, guess energy.Amount
	for i := range m.Segments {
		power = power.Add(m.Segments[i].Energy)
		guess = guess.Add(m.Segments[i].Estimated)
	}
	count := energy.Milliwatthours(delta)
	if guess.Sign() == 0 {
		m.WindowPower = m.WindowPower.Add(power)
		m.WindowCount = m.WindowCount.Add(count)
	}
	if !m.Distrusted {
		d.prove(m, count, power)
	}
	m.anchor(c, d.Now)
	if d.Now-m.WindowStart >= counterWindow {
		d.judge(m)
	}
}

func (m *meter) restartWindow(now int64) {
	m.WindowStart = now
	m.WindowPower, m.WindowCount = energy.Amount{}, energy.Amount{}
}

// judge decides once a minute whether the counter can be right: of two
// disagreeing figures of one meter the higher is believed.
func (d *Decider) judge(m *meter) {
	low := m.WindowCount.Add(m.WindowCount).Cmp(m.WindowPower) < 0 && m.WindowPower.Floor() > 0
	if low && !m.Distrusted {
		// What the counter took away in this window comes back.
		a := &d.cur.Accounts[m.Account]
		back := m.WindowPower.Sub(m.WindowCount)
		a.Energy = a.Energy.Add(back)
		if m.Modelled {
			a.Modelled = a.Modelled.Add(back)
		}
		d.mixAmount(a.Energy)
		d.raise("settlement-counter/"+m.ID, events.SeverityWarning,
			"the energy counter of meter "+m.ID+" shows less than half of the energy of its power readings; the power is believed",
			"check the scale of the counter and of the power of the meter")
	}
	m.Distrusted = low
	m.restartWindow(d.Now)
}

// prove replaces what was booked for a meter since its counter last moved by
// what the counter shows. Energy that rested on readings in a closed interval
// stays as it is if the rest can take the difference; estimates never stay.
func (d *Decider) prove(m *meter, count, power energy.Amount) {
	if len(m.Segments) == 1 && !m.Segments[0].Gone {
		d.adjust(&m.Segments[0], count)
		return
	}
	var fixed energy.Amount
	for i := range m.Segments {
		if s := &m.Segments[i]; d.isFixed(s) {
			fixed = fixed.Add(s.Energy)
		}
	}
	all := fixed.Cmp(count) > 0
	if all {
		fixed = energy.Amount{}
	}
	left, base := count.Sub(fixed), power.Sub(fixed)
	var nanos int64
	last := -1
	for i := range m.Segments {
		if s := &m.Segments[i]; all || !d.isFixed(s) {
			nanos += s.Nanos
			last = i
		}
	}
	if last < 0 {
		// Nothing was booked that is still open: a boundary fell on this very
		// instant. The present period takes it.
		a := &d.cur.Accounts[m.Account]
		a.Energy = a.Energy.Add(left)
		if m.Modelled {
			a.Modelled = a.Modelled.Add(left)
		}
		d.mixAmount(a.Energy)
		return
	}
	// Cumulative shares, each rounded down, so that they add up exactly.
	var before, done energy.Amount
	var beforeNanos int64
	for i := range m.Segments {
		s := &m.Segments[i]
		if !all && d.isFixed(s) {
			continue
		}
		before = before.Add(s.Energy)
		beforeNanos += s.Nanos
		upTo := left
		switch {
		case i == last:
		case base.Sign() > 0:
			upTo = left.Share(before, base)
		case nanos > 0:
			upTo = left.ShareOf(beforeNanos, nanos)
		}
		d.adjust(s, upTo.Sub(done))
		done = upTo
	}
}

// isFixed reports whether a segment is final: measured, in a closed interval.
func (d *Decider) isFixed(s *segment) bool {
	if s.EstimatedNanos > 0 {
		return false
	}
	iv := d.intervalByID(s.Interval)
	return iv == nil || iv.Closed
}

// adjust makes the energy booked by a segment what it should be.
func (d *Decider) adjust(s *segment, should energy.Amount) {
	p := d.periodByID(s.Period)
	if s.Gone || p == nil {
		if diff := should.Sub(s.Energy); diff.Sign() != 0 {
			d.tooLate(diff)
		}
		return
	}
	a := &p.Accounts[s.Account]
	a.Energy = a.Energy.Add(should.Sub(s.Energy))
	a.Estimated = a.Estimated.Sub(s.Estimated)
	a.EstimatedNanos -= s.EstimatedNanos
	if s.Modelled.Sign() > 0 {
		a.Modelled = a.Modelled.Add(should.Sub(s.Energy))
	}
	d.mixAmount(a.Energy)
	if iv := d.intervalByID(s.Interval); iv != nil && iv.Closed {
		iv.Dirty = true
	}
}
