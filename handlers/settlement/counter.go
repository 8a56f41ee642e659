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

// longestCount bounds the time that a counter can prove.
const longestCount = int64(366 * 24 * time.Hour)

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
	limit := energy.Of(max(m.Max, 0), min(d.Now-m.CounterAt+m.Stale, longestCount)).Floor() + 1
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
// disagreeing figures of one meter the higher is believed. What a power
// reading alone may be wrong by, full range until it is stale, is no
// disagreement; a doubt is kept until it is resolved.
func (d *Decider) judge(m *meter) {
	missing := m.WindowPower.Sub(m.WindowCount).Sub(m.WindowCount)
	doubtful := missing.Sign() > 0
	switch {
	case m.Distrusted:
		m.Distrusted = doubtful
	case missing.Cmp(energy.Of(max(m.Max, 0), m.Stale)) > 0:
		m.Distrusted = true
		// What the counter took away since it was last in order comes back.
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
	case doubtful:
		return
	}
	m.restartWindow(d.Now)
}

// prove replaces what was booked for a meter since its counter last moved by
// what the counter shows. While some of it was estimated, the measured part
// stays and the estimates take the difference. Otherwise intervals that are
// closed stay as they are and the open one takes it. Where neither can be, a
// counter below what would have to stay, everything is scaled.
func (d *Decider) prove(m *meter, count, power energy.Amount) {
	if len(m.Segments) == 1 && !m.Segments[0].Gone {
		d.adjust(&m.Segments[0], count)
		return
	}
	var guess, closed energy.Amount
	var guessNanos int64
	for i := range m.Segments {
		s := &m.Segments[i]
		guess = guess.Add(s.Estimated)
		guessNanos += s.EstimatedNanos
		if d.isClosed(s) {
			closed = closed.Add(s.Energy)
		}
	}
	measured := power.Sub(guess)
	switch {
	case guessNanos > 0 && measured.Cmp(count) <= 0:
		d.distribute(m, count.Sub(measured), func(s *segment) (energy.Amount, energy.Amount, int64) {
			return s.Energy.Sub(s.Estimated), s.Estimated, s.EstimatedNanos
		})
	case guessNanos == 0 && closed.Cmp(count) <= 0 && closed != power:
		d.distribute(m, count.Sub(closed), func(s *segment) (energy.Amount, energy.Amount, int64) {
			if d.isClosed(s) {
				return s.Energy, energy.Amount{}, 0
			}
			return energy.Amount{}, s.Energy, s.Nanos
		})
	case guessNanos == 0 && closed.Cmp(count) <= 0:
		// Nothing but closed intervals, at rest since: the present one takes
		// the difference.
		a := &d.cur.Accounts[m.Account]
		a.Energy = a.Energy.Add(count.Sub(closed))
		if m.Modelled {
			a.Modelled = a.Modelled.Add(count.Sub(closed))
		}
		d.mixAmount(a.Energy)
	default:
		d.distribute(m, count, func(s *segment) (energy.Amount, energy.Amount, int64) {
			return energy.Amount{}, s.Energy, s.Nanos
		})
	}
}

// distribute gives every segment what it keeps and its share of left, in
// proportion to weight or, where nothing weighs anything, to nanos. Shares are
// cumulative and rounded down, so that they add up exactly.
func (d *Decider) distribute(m *meter, left energy.Amount, parts func(*segment) (keeps, weight energy.Amount, nanos int64)) {
	var weights energy.Amount
	var allNanos int64
	last := 0
	for i := range m.Segments {
		_, weight, nanos := parts(&m.Segments[i])
		weights = weights.Add(weight)
		allNanos += nanos
		if weight.Sign() > 0 || nanos > 0 {
			last = i
		}
	}
	var before, done energy.Amount
	var beforeNanos int64
	for i := range m.Segments {
		s := &m.Segments[i]
		keeps, weight, nanos := parts(s)
		before = before.Add(weight)
		beforeNanos += nanos
		upTo := done
		switch {
		case i >= last:
			upTo = left
		case weights.Sign() > 0:
			upTo = left.Share(before, weights)
		case allNanos > 0:
			upTo = left.ShareOf(beforeNanos, allNanos)
		}
		d.adjust(s, keeps.Add(upTo.Sub(done)))
		done = upTo
	}
}

// isClosed reports whether the interval of a segment has been settled.
func (d *Decider) isClosed(s *segment) bool {
	iv := d.intervalByID(s.Interval)
	return s.Gone || iv == nil || iv.Closed
}

// adjust makes the energy booked by a segment what it should be.
func (d *Decider) adjust(s *segment, should energy.Amount) {
	if should == s.Energy && s.EstimatedNanos == 0 {
		return
	}
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
