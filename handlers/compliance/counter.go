// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
)

// segment is what was booked for a meter between two cuts since its counter
// last moved.
type segment struct {
	Cut            uint64
	From           int64 // Unix ns
	Nanos          int64
	Energy         energy.Amount
	Estimated      energy.Amount
	EstimatedNanos int64
}

// longestCount bounds the time that a counter can prove.
const longestCount = 366 * day

// held notes energy booked from power.
func (m *meter) held(cut uint64, from, dt int64, e energy.Amount, estimated int64) {
	n := len(m.Segments)
	if n > 0 && m.Segments[n-1].Cut == cut {
		m.Segments[n-1].add(dt, e, estimated)
		return
	}
	if n == maxSegments {
		// The oldest two become one, at the time of the newer.
		first := m.Segments[0]
		m.Segments = append(m.Segments[:0], m.Segments[1:]...)
		s := &m.Segments[0]
		s.Nanos += first.Nanos
		s.Energy, s.Estimated = s.Energy.Add(first.Energy), s.Estimated.Add(first.Estimated)
		s.EstimatedNanos += first.EstimatedNanos
	}
	m.Segments = append(m.Segments, segment{Cut: cut, From: from})
	m.Segments[len(m.Segments)-1].add(dt, e, estimated)
}

func (s *segment) add(dt int64, e energy.Amount, estimated int64) {
	s.Nanos += dt
	s.Energy = s.Energy.Add(e)
	if estimated > 0 {
		s.Estimated = s.Estimated.Add(e)
		s.EstimatedNanos += estimated
	}
}

// anchor starts counting afresh from c.
func (m *meter) anchor(c, now int64) {
	m.HasCounter, m.Counter, m.CounterAt = true, c, now
	m.Segments = m.Segments[:0]
}

// count folds a counter value: what it advanced by since it last moved is the
// truth about the energy of that time, unless it cannot be. The load is now W.
func (d *Decider) count(m *meter, c, now int64) {
	if c < 0 || m.Modulus > 0 && c >= m.Modulus {
		return
	}
	d.flushChannel(m.Channel)
	if !m.HasCounter {
		m.anchor(c, d.Now)
		return
	}
	delta := c - m.Counter
	if delta < 0 && m.Modulus > 0 {
		delta += m.Modulus
	}
	if len(m.Segments) == 0 {
		return // no time since
	}
	var power, guess energy.Amount
	var nanos, guessed int64
	for i := range m.Segments {
		s := &m.Segments[i]
		power, guess = power.Add(s.Energy), guess.Add(s.Estimated)
		nanos, guessed = nanos+s.Nanos, guessed+s.EstimatedNanos
	}
	// A counter that stands still is stuck or shows too little, and the power
	// stands; but a load that is off after a silence was off in it.
	if delta == 0 && (guessed == 0 || now > m.Max/1000) {
		return
	}
	count := energy.Milliwatthours(delta)
	if delta >= 0 && d.plausible(m, count, power, guessed) {
		d.mix(uint64(delta))
		d.prove(m, count, power, guess, nanos, guessed)
	}
	m.anchor(c, d.Now)
}

// plausible reports whether a counter can be right: not beyond what the meter
// can measure, and not far from its own power readings.
func (d *Decider) plausible(m *meter, count, power energy.Amount, guessed int64) bool {
	span := min(d.Now-m.CounterAt+m.Stale, longestCount)
	most := energy.Of(max(m.Max, 0), span).Add(energy.Milliwatthours(1))
	if count.Cmp(most) > 0 {
		return false
	}
	if guessed > 0 || d.Now-m.CounterAt < minute {
		return true
	}
	// A meter may read out its power as late as it goes stale.
	slack := energy.Of(max(m.Max, 0), m.Stale)
	return count.Cmp(power.Add(power).Add(slack)) <= 0 && power.Cmp(count.Add(count).Add(slack)) <= 0
}

// prove replaces what was booked since the counter last moved by what it shows.
// Where some of it was estimated and the measured part fits, that part stays
// and the estimates take the difference by time; otherwise everything is scaled
// to the count, by energy, or by time where there was none. Shares are
// cumulative and rounded down, so that they add up exactly.
func (d *Decider) prove(m *meter, count, power, guess energy.Amount, nanos, guessed int64) {
	measured := power.Sub(guess)
	estimates := guessed > 0 && measured.Cmp(count) <= 0
	left, weight := count, energy.Amount{}
	if estimates {
		left = count.Sub(measured)
	}
	var doneNanos int64
	var done energy.Amount
	for i := range m.Segments {
		s := &m.Segments[i]
		var upTo energy.Amount
		keeps := energy.Amount{}
		switch {
		case estimates:
			keeps = s.Energy.Sub(s.Estimated)
			doneNanos += s.EstimatedNanos
			upTo = left.ShareOf(doneNanos, guessed)
		case power.Sign() > 0:
			weight = weight.Add(s.Energy)
			upTo = left.Share(weight, power)
		default:
			doneNanos += s.Nanos
			upTo = left.ShareOf(doneNanos, nanos)
		}
		should := keeps.Add(upTo.Sub(done))
		done = upTo
		d.adjust(m, s, should.Sub(s.Energy), s.EstimatedNanos)
	}
}

// adjust corrects every series that a segment is part of.
func (d *Decider) adjust(m *meter, s *segment, by energy.Amount, proven int64) {
	if by.Sign() == 0 && proven == 0 {
		return
	}
	for _, u := range d.usersOf[m.Channel] {
		p := d.Points[u.point]
		d.flushPoint(u.point)
		diff := by
		if u.sign < 0 {
			diff = by.Neg()
		}
		fix := func(c *cell) {
			c.Energy = c.Energy.Add(diff)
			if d.single[u.point][u.kind] {
				c.Estimated = max(c.Estimated-proven, 0)
			}
		}
		if u.kind != kindAI {
			at := &p.Open
			if i := s.From / d.Terms.Step; i != p.Open.Index {
				at = p.History.find(i)
			}
			if at != nil {
				if u.kind == kindTotal {
					fix(&at.Total)
				} else {
					fix(&at.Mining)
				}
			}
		}
		for _, ev := range d.Events {
			if ev.Point == u.point {
				if l := ev.lineAt(s.From); l != nil {
					fix(&l.Load[u.kind])
				}
			}
		}
	}
	d.mixAmount(by)
}
