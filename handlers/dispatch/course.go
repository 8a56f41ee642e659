// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math/bits"

	"github.com/ballast-energy/ballast/events"
)

// stepEvery is how often a limit that moves along a line is worked out anew: at
// whole seconds of elapsed time.
const stepEvery = second

// course is how a reduction comes, how long it stays, and how it goes.
type course struct {
	// Level is the limit at this moment, W; −1 while there is none.
	Level int64 `json:"level"`
	// Shed: Asked W less than Reference, which is taken at the beginning and
	// −1 before it.
	Shed      bool  `json:"shed,omitempty"`
	Asked     int64 `json:"asked,omitempty"`
	Reference int64 `json:"reference"`
	// Begin is when it begins to limit by the wall clock, Deadline when the
	// full reduction is due, Unix ns. Ramp is over how long it is spread, ns.
	Begin    int64 `json:"begin"`
	Deadline int64 `json:"deadline,omitempty"`
	Ramp     int64 `json:"ramp,omitempty"`
	// The line along which Level moves, by elapsed time; ToAt 0 for none.
	From   int64 `json:"from,omitempty"`
	FromAt int64 `json:"from_at,omitempty"`
	To     int64 `json:"to,omitempty"`
	ToAt   int64 `json:"to_at,omitempty"`
	// Minimum is how long it lasts from the beginning of its window, ns, and
	// MinUntil when that is over by elapsed time.
	Minimum  int64 `json:"minimum,omitempty"`
	MinUntil int64 `json:"min_until,omitempty"`
	// Delay and Recovery are how it goes, ns.
	Delay    int64 `json:"delay,omitempty"`
	Recovery int64 `json:"recovery,omitempty"`
	// Rate at which a setpoint rises from a lower one, W/min.
	Rate int64 `json:"rate,omitempty"`
	// Recovering: it is over, and its limit rises.
	Recovering bool `json:"recovering,omitempty"`
	// Silence: nobody sent it; it holds while an issuer is silent.
	Silence bool `json:"silence,omitempty"`
}

func (c *course) digest() uint64 {
	var g digest
	g.int(c.Level)
	g.bool(c.Shed)
	g.int(c.Asked)
	g.int(c.Reference)
	g.int(c.Begin)
	g.int(c.Deadline)
	g.int(c.Ramp)
	g.int(c.From)
	g.int(c.FromAt)
	g.int(c.To)
	g.int(c.ToAt)
	g.int(c.Minimum)
	g.int(c.MinUntil)
	g.int(c.Delay)
	g.int(c.Recovery)
	g.int(c.Rate)
	g.bool(c.Recovering)
	g.bool(c.Silence)
	return g.sum()
}

// seconds makes a duration of an event safe: at most most, in ns.
func seconds(v, most int64) int64 { return clamp(v, 0, most) * second }

func given(own *int64, programme int64) int64 {
	if own != nil {
		return *own
	}
	return programme
}

// chart works out how a signal of a programme, which may be nil, comes, stays
// and goes.
func (d *Dispatch) chart(s *signal, g *events.GridSignal, p *events.ProgrammeConfig) {
	c := &s.Course
	c.Level, c.Reference, c.Begin = -1, -1, s.Start
	if p == nil {
		p = &events.ProgrammeConfig{Measures: events.MeasuresMining}
	}
	powered := false
	switch s.Kind {
	case events.SignalCurtail, events.SignalImportLimit:
		powered, c.Shed = true, p.LimitIs == events.LimitIsShed
	case events.SignalSetpoint:
		powered, c.Rate = true, watts(g.RampWattsPerMinute)
	case events.SignalEmergency:
	default:
		return // stops last until somebody lifts them, prices limit nothing
	}
	if s.Node = g.Node; s.Node == "" {
		s.Node = p.Node
	}
	s.Node = nodeName(s.Node)
	if c.Shed {
		c.Asked, s.Watts = s.Watts, 0
	}
	s.Total = s.Kind == events.SignalImportLimit || powered && p.Measures != events.MeasuresMining
	c.Minimum = seconds(given(g.MinDurationSeconds, p.MinDurationSeconds), events.MaxSignalSeconds)
	if c.Minimum > 0 {
		c.MinUntil = d.elapsedAt(s.Start + c.Minimum)
	}
	c.Delay = seconds(p.ReturnDelaySeconds, 86_400)
	c.Recovery = seconds(given(g.RecoverySeconds, p.RecoverySeconds), 86_400)
	if s.Rank <= events.PrecedenceGridEmergency.Rank() || !powered {
		return
	}
	if c.Ramp = seconds(given(g.RampSeconds, p.RampSeconds), 86_400); c.Ramp == 0 {
		return
	}
	issued := d.wall
	if g.IssuedAt != nil && g.IssuedAt.Unix() < d.wall/second {
		issued = max(g.IssuedAt.Unix(), 0) * second
	}
	c.Deadline = max(s.Start, issued+seconds(p.ResponseSeconds, 86_400))
	c.Begin = max(min(s.Start, c.Deadline-c.Ramp), 0)
}

// takeEffect lets a reduction limit from now on: along a ramp where it may take its
// time and can be followed, else all at once.
func (d *Dispatch) takeEffect(s *signal) {
	c := &s.Course
	if isPrice(s.Kind) || s.Kind == events.SignalRestore {
		return
	}
	n := s.at
	if c.Shed {
		d.refer(s)
	}
	c.Level = s.Watts
	if s.Kind == events.SignalSetpoint && c.Rate > 0 {
		low := d.lowerSetpoint(s)
		if s.after > 0 {
			low = s.after - 1
		}
		if low >= 0 && low < s.Watts {
			c.Level = low
			c.line(d.now, low, d.now+riseTime(s.Watts-low, c.Rate), s.Watts)
			return
		}
	}
	if c.Ramp == 0 || !n.load.Fresh || !d.mayRaise() {
		return
	}
	present := n.setSum
	if s.Total {
		present += n.load.AI + n.load.House
	}
	done := min(c.Deadline-d.slowest(n)-d.wall, c.Ramp)
	if present <= s.Watts || done <= 0 {
		return
	}
	c.line(d.now, present, d.now+min(done, never-d.now), s.Watts)
	c.step(d.now)
}

// refer works out the limit of a reduction by so many watts: less than at the
// moment, by permits or meters, whatever is lower. Where what flows through the
// node is not believed, mining bears all of it.
func (d *Dispatch) refer(s *signal) {
	c, n := &s.Course, s.at
	if c.Reference < 0 {
		c.Reference = n.setSum
		if n.load.Mining >= 0 {
			c.Reference = min(c.Reference, n.load.Mining)
		}
		if s.Total = s.Total && n.load.Fresh; s.Total {
			c.Reference += n.load.AI + n.load.House
		}
	}
	s.Watts = max(c.Reference-c.Asked, 0)
}

// riseTime is how long so many watts take at a rate per minute, ns.
func riseTime(w, perMinute int64) int64 {
	hi, lo := bits.Mul64(uint64(w), uint64(60*second))
	if hi >= uint64(perMinute) {
		return never / 2
	}
	q, _ := bits.Div64(hi, lo, uint64(perMinute))
	return int64(min(q, uint64(never/2)))
}

// slowest is how long the slowest machine beneath n takes to fall.
func (d *Dispatch) slowest(n *node) int64 {
	most := int64(0)
	for _, u := range d.order {
		if u.fall > most && u.beneath(n) {
			most = u.fall
		}
	}
	return most
}

func (u *unit) beneath(n *node) bool { return u.node == n || u.node.beneath(n) }

// line lets Level move from one value to another.
func (c *course) line(from int64, w int64, to int64, target int64) {
	c.From, c.FromAt, c.To, c.ToAt = w, from, target, to
}

func (c *course) straight() { c.From, c.FromAt, c.To, c.ToAt = 0, 0, 0, 0 }

// falls reports whether Level moves down a ramp.
func (c *course) falls() bool { return c.ToAt != 0 && c.To < c.From }

// step moves Level along its line. A falling one is ahead of it by a step, so
// that the limit is never above the line before the next one.
func (c *course) step(now int64) {
	if c.ToAt == 0 {
		return
	}
	if c.falls() {
		now += stepEvery
	}
	switch {
	case now >= c.ToAt:
		c.Level = c.To
		c.straight()
	case now <= c.FromAt:
		c.Level = c.From
	case c.falls():
		c.Level = c.From - portion(c.From-c.To, now-c.FromAt, c.ToAt-c.FromAt, true)
	default:
		c.Level = c.From + portion(c.To-c.From, now-c.FromAt, c.ToAt-c.FromAt, false)
	}
}

// wait keeps Level where it is on a line that rises: what is left of the line
// begins now, so that nothing is caught up with at once afterwards.
func (c *course) wait(now int64) {
	if now <= c.FromAt {
		return
	}
	rest := c.ToAt - c.FromAt
	if c.Level > c.From {
		rest = portion(rest, c.To-c.Level, c.To-c.From, true)
	}
	c.From, c.FromAt, c.ToAt = c.Level, now, now+min(rest, never-now)
}

// portion is w × done ÷ all, rounded up or down; 0 ≤ done < all.
func portion(w, done, all int64, up bool) int64 {
	hi, lo := bits.Mul64(uint64(w), uint64(done))
	q, r := bits.Div64(hi, lo, uint64(all))
	if up && r > 0 {
		q++
	}
	return int64(q)
}

// jump is what a discontinuity does: how long it took is unknown, so a ramp
// down is over, and nothing else ends or rises because of it.
func (c *course) jump(step int64) {
	if c.MinUntil > 0 {
		c.MinUntil += step
	}
	switch {
	case c.falls():
		c.Level = c.To
		c.straight()
	case c.ToAt != 0:
		c.FromAt, c.ToAt = c.FromAt+step, c.ToAt+step
	}
}

// lowerSetpoint is the limit of the lowest setpoint that s comes after, by
// issuer, programme and place, −1 when there is none.
func (d *Dispatch) lowerSetpoint(s *signal) int64 {
	low := int64(-1)
	for _, o := range d.signals.live {
		if o != s && o.Kind == events.SignalSetpoint && o.owner() == s.owner() && o.at == s.at && o.Total == s.Total &&
			o.Course.Level >= 0 && (low < 0 || o.Course.Level < low) {
			low = o.Course.Level
		}
	}
	return low
}

// owner is who can end a signal with a restore that names none.
type owner struct{ source, programme string }

func (s *signal) owner() owner { return owner{s.Source, s.Programme} }

// release ends the reductions that match: those that have lasted as long as
// they must. One that has a way back goes it, and the operator may cut that
// short, too.
func (d *Dispatch) release(operator bool, match func(*signal) bool) {
	var back []*signal
	d.endSignals(func(s *signal) bool {
		if !match(s) {
			return false
		}
		c := &s.Course
		switch {
		case isPrice(s.Kind) || c.Level < 0:
			return true
		case c.Recovering:
			return operator
		case !operator && d.now < c.MinUntil && d.wall >= s.Start:
			d.alter(s, func() {
				s.End, s.EndElapsed = max(d.wall, s.Start+c.Minimum), c.MinUntil
			})
			return false
		case s.Merged || c.Delay == 0 && c.Recovery == 0:
			return true
		}
		back = append(back, s)
		return false
	})
	for _, s := range back {
		d.comeBack(s)
	}
}

// comeBack lets the limit of a reduction that is over rise to all that can be
// drawn there.
func (d *Dispatch) comeBack(s *signal) {
	c, top := &s.Course, int64(0)
	if s.Total {
		top = s.at.usable
	} else {
		for _, u := range d.order {
			if u.beneath(s.at) {
				top += u.caps.NameplateWatts
			}
		}
	}
	if top <= c.Level {
		d.endSignals(func(o *signal) bool { return o == s })
		return
	}
	d.alter(s, func() {
		c.Recovering, s.End, s.EndElapsed = true, 0, 0
		from := d.now + min(c.Delay, never/2-d.now)
		c.line(from, c.Level, from+max(c.Recovery, 1), top)
	})
	d.mergeRecovery(s)
}

// mergeRecovery keeps one way back for each issuer, programme and place: the
// lower and slower of two.
func (d *Dispatch) mergeRecovery(s *signal) {
	c := &s.Course
	d.endSignals(func(o *signal) bool {
		if o == s || !o.Course.Recovering || o.owner() != s.owner() || o.at != s.at || o.Total != s.Total {
			return false
		}
		d.alter(s, func() {
			c.Level, c.From = min(c.Level, o.Course.Level), min(c.From, o.Course.Level)
			c.FromAt, c.ToAt = max(c.FromAt, o.Course.FromAt), max(c.ToAt, o.Course.ToAt)
			c.To = min(c.To, o.Course.To)
		})
		return true
	})
}

// alter changes a live signal in step with the digest.
func (d *Dispatch) alter(s *signal, change func()) {
	d.entries -= s.hash()
	change()
	d.entries += s.hash()
}

// stepSignals moves what moves along a line, ends what has come back, and lets a
// ramp fall at once that can no longer be followed.
func (d *Dispatch) stepSignals() {
	done := false
	for _, s := range d.signals.live {
		c := &s.Course
		if c.ToAt == 0 {
			continue
		}
		if !c.falls() && d.silent(s.Programme) {
			d.alter(s, func() { c.wait(d.now) })
			continue
		}
		d.alter(s, func() {
			if c.falls() && !s.at.load.Fresh {
				c.Level = c.To
				c.straight()
				return
			}
			c.step(d.now)
		})
		done = done || c.Recovering && c.ToAt == 0
	}
	if done {
		d.endSignals(func(s *signal) bool { return s.Course.Recovering && s.Course.ToAt == 0 })
	}
}
