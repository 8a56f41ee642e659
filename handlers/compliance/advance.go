// SPDX-License-Identifier: Apache-2.0

package compliance

import "github.com/ballast-energy/ballast/handlers/settlement/energy"

// Time that runs backwards stands still until it has caught up, but not for
// longer than turnBack; time that leaps by more than a day brings nothing in
// between.
const turnBack = hour

// advance folds time up to t: minutes, intervals, meters that go stale, events
// that begin and end, each at its own instant.
func (d *Decider) advance(t int64) {
	switch {
	case d.Now == 0 || t < d.Now-turnBack || t > d.Now+day:
		d.leap(t)
		return
	case t <= d.Now:
		return
	}
	if d.Terms == nil {
		d.Now = t
		return
	}
	for {
		due := min(d.nextMinute, d.nextStale, d.nextEvent)
		if due > t {
			break
		}
		d.Now = max(d.Now, due)
		if d.nextStale <= d.Now {
			d.expire()
		}
		if d.nextEvent <= d.Now {
			d.runEvents()
		}
		if d.nextMinute <= d.Now {
			d.roll()
		}
	}
	d.Now = t
}

// leap goes to another time: nothing is known of what lies between.
func (d *Decider) leap(t int64) {
	back := t < d.Now
	if d.Terms != nil && d.Now > 0 && !back {
		d.flushAll()
	}
	d.Now = t
	d.mix(uint64(t))
	if d.Terms == nil {
		return
	}
	for i := range d.Meters {
		m := &d.Meters[i]
		m.Fresh, m.Arrived, m.Sampled, m.HasCounter, m.Segments = false, 0, 0, false, nil
	}
	for i := range d.Channels {
		d.Channels[i].Since = t
	}
	for _, p := range d.Points {
		if p.Open.Index != t/d.Terms.Step {
			p.keep()
			p.Open = slot{Index: t / d.Terms.Step}
		}
		if back {
			p.History.forgetFrom(t / d.Terms.Step)
			p.Open = slot{Index: t / d.Terms.Step}
		}
		p.Since, p.OpenMinute, p.Minutes = t, minuteLoad{}, [beforeMinutes]minuteLoad{}
	}
	for i := range d.Channels {
		d.show(i)
	}
	for i := range d.Agents {
		d.Agents[i].Heard = 0
	}
	d.priceAgain()
	for _, e := range d.Events {
		if back && e.Phase == phaseRunning {
			e.Lines = nil
			e.newLine(t)
			e.PartStart = t
		}
	}
	d.Cut++
	d.nextMinute, d.nextStale, d.nextEvent = nextAfter(t, minute), never, t
	d.runEvents()
}

// nextAfter is the first multiple of step later than t.
func nextAfter(t, step int64) int64 { return (t/step + 1) * step }

// cut parts the time before now from that after it.
func (d *Decider) cut() {
	d.flushAll()
	d.Cut++
	d.nextEvent = d.Now
}

// roll ends a minute and, at its border, an interval.
func (d *Decider) roll() {
	border := d.Now%d.Terms.Step == 0
	if border {
		d.cut()
	} else {
		for i := range d.Points {
			d.flushPoint(i)
		}
	}
	d.hush()
	for _, p := range d.Points {
		copy(p.Minutes[1:], p.Minutes[:])
		p.Minutes[0], p.OpenMinute = p.OpenMinute, minuteLoad{}
		if i := d.Now / d.Terms.Step; i != p.Open.Index {
			p.keep()
			p.Open = slot{Index: i}
		}
	}
	if border {
		for _, ev := range d.Events {
			if ev.Phase == phaseRunning {
				ev.newLine(d.Now)
			}
		}
		d.markEvents()
	}
	d.nextMinute = nextAfter(d.Now, minute)
}

// keep stores the interval under way.
func (p *point) keep() {
	if p.Open.Nanos > 0 {
		p.History.keep(p.Open)
	}
}

// markEvents notes in the intervals under way that an event is in force.
func (d *Decider) markEvents() {
	for _, ev := range d.Events {
		if ev.Phase != phaseRunning || !ev.Marks {
			continue
		}
		for _, p := range d.Points {
			if d.related(ev.Node, p.Node) {
				p.Open.Event = true
			}
		}
	}
}

// sum of an energy that must not be negative in an event.
func whole(e energy.Amount) int64 { return max(e.Floor(), 0) }
