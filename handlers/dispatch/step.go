// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// step is one entry of the merit order: a straight piece of the curve of a
// unit's hash rate over its power. Units whose levels differ in efficiency have
// several, each worse than the one below it, so whoever takes steps in merit
// order takes those of one unit from the bottom up.
type step struct {
	u *unit
	// floor and top of the piece, W.
	floor, top int64
	// merit is the energy of one more terahash on this piece, mJ/TH.
	merit int64
	// index in unit.steps, rank in Dispatch.steps.
	index, rank int
	// sleeps: the unit draws its standby power and hashes nothing. That takes
	// only what no step of any unit that hashes can use.
	sleeps bool
	// picked to make way for a better one, but for what it may keep, W.
	picked bool
	keep   int64
}

// byStep orders steps best first, totally.
func byStep(a, b *step) int {
	if a.sleeps != b.sleeps {
		if b.sleeps {
			return -1
		}
		return 1
	}
	if a.merit != b.merit {
		if a.merit < b.merit {
			return -1
		}
		return 1
	}
	return cmp.Or(strings.Compare(a.u.id, b.u.id), strings.Compare(a.u.agent.id, b.u.agent.id), cmp.Compare(a.index, b.index))
}

// usableLevels are levels made safe to calculate with, rising; nil when none of
// them hashes.
func usableLevels(c *events.Capabilities, nameplate int64) []events.PowerLevel {
	var ls []events.PowerLevel
	for _, l := range c.Levels[:min(len(c.Levels), 64)] {
		if l.Watts > 0 && l.Watts <= nameplate {
			ls = append(ls, events.PowerLevel{Name: strings.Clone(l.Name), Watts: l.Watts,
				MillijoulesPerTerahash: clamp(l.MillijoulesPerTerahash, 0, maxWatts), BootMilliseconds: clamp(l.BootMilliseconds, 0, 3_600_000)})
		}
	}
	slices.SortStableFunc(ls, func(a, b events.PowerLevel) int { return cmp.Compare(a.Watts, b.Watts) })
	ls = slices.CompactFunc(ls, func(a, b events.PowerLevel) bool { return a.Watts == b.Watts })
	// Only the lowest may sleep.
	kept := ls[:0]
	hashes := false
	for i, l := range ls {
		if l.Sleeps() && i > 0 {
			continue
		}
		hashes = hashes || !l.Sleeps()
		kept = append(kept, l)
	}
	if !hashes {
		return nil
	}
	return kept
}

// climb works out the steps of u from its capabilities.
func (u *unit) climb() {
	u.steps, u.levels, u.asleep, u.sleepFor = nil, u.caps.LevelsWatts, 0, 0
	if len(u.caps.Levels) == 0 {
		merit := u.caps.MillijoulesPerTerahash
		if merit == 0 {
			merit = math.MaxInt64 // unknown efficiency comes last
		}
		u.only[0] = step{u: u, top: u.caps.NameplateWatts, merit: merit}
		u.steps, u.merit = u.only[:], merit
		return
	}
	hashing := u.caps.Levels
	if l := &hashing[0]; l.Sleeps() {
		hashing = hashing[1:]
		// Asleep it saves the difference of two boots: longer than that is
		// worth it sleeps not.
		saved := u.caps.NameplateWatts * max(u.caps.BootMilliseconds-l.BootMilliseconds, 0) // at most 1 TW × 1 h in ms
		if u.sleepFor = min(saved/l.Watts, never/milli) * milli; u.sleepFor > 0 {
			u.asleep = l.Watts
		}
	}
	u.levels, u.steps = u.hull(hashing)
	u.merit = u.steps[0].merit
	if u.asleep > 0 {
		u.steps = append(u.steps, step{u: u, index: len(u.steps), top: u.asleep, merit: math.MaxInt64, sleeps: true})
	}
}

// hull is the concave hull of hash rate over power: the levels on it, and its
// straight pieces. A level beneath it, which a higher and a lower one together
// would beat, is left out: merit order is exact on what is left.
func (u *unit) hull(levels []events.PowerLevel) ([]int64, []step) {
	type point struct {
		watts int64
		rate  *big.Rat // TH/s × 1000
		slope *big.Rat // energy of one more terahash since the point below
	}
	pts := []point{{rate: new(big.Rat)}}
	for _, l := range levels {
		p := point{watts: l.Watts, rate: big.NewRat(l.Watts, l.MillijoulesPerTerahash)}
		for len(pts) > 0 {
			last := &pts[len(pts)-1]
			more := new(big.Rat).Sub(p.rate, last.rate)
			if more.Sign() <= 0 {
				p.slope = nil // more power and no more hashing
				break
			}
			p.slope = more.Quo(big.NewRat(p.watts-last.watts, 1), more)
			if len(pts) == 1 || p.slope.Cmp(last.slope) >= 0 {
				break
			}
			pts = pts[:len(pts)-1]
		}
		if p.slope != nil {
			pts = append(pts, p)
		}
	}
	var ws []int64
	var steps []step
	floor := int64(0)
	for _, p := range pts[1:] {
		ws = append(ws, p.watts)
		merit := new(big.Int).Quo(p.slope.Num(), p.slope.Denom())
		m := int64(math.MaxInt64 - 1)
		if merit.IsInt64() {
			m = min(m, merit.Int64())
		}
		if n := len(steps); n > 0 && steps[n-1].merit == m {
			steps[n-1].top = p.watts
		} else {
			steps = append(steps, step{u: u, index: n, floor: floor, top: p.watts, merit: m})
		}
		floor = p.watts
	}
	return ws, steps
}

// hashes reports whether a setpoint lets u hash.
func (u *unit) hashes(w int64) bool { return w > u.asleep }

// holds is the part of the setpoint of u that lies on s. Those of all its steps
// add up to the setpoint.
func (u *unit) holds(s *step) int64 {
	switch {
	case s.sleeps == u.hashes(u.set):
		return 0
	case s.sleeps:
		return u.set
	case s.index == len(u.steps)-1 || u.steps[s.index+1].sleeps:
		return max(u.set-s.floor, 0) // a failsafe setpoint may lie above the last
	}
	return clamp(u.set-s.floor, 0, s.top-s.floor)
}

// down is the highest setpoint, not above w, to which u can be lowered: asleep
// rather than off where that is worth it.
func (u *unit) down(w int64) int64 {
	to := u.fit(w)
	if to == 0 && u.asleep > 0 && u.asleep <= w && u.set >= u.asleep {
		return u.asleep
	}
	return to
}

// above is the lowest setpoint at which u hashes more than now, 0 when there is
// none.
func (u *unit) above() int64 {
	if u.discrete() {
		for _, l := range u.levels {
			if l > u.set {
				return l
			}
		}
		return 0
	}
	if u.set >= u.caps.NameplateWatts {
		return 0
	}
	return max(u.caps.MinWatts, u.set+1)
}

// discrete reports whether u holds certain powers only.
func (u *unit) discrete() bool { return len(u.levels) > 0 }

// rankAll makes the compact arrays anew after units came, went or changed in
// merit: the steps of all units in merit order, by rank in it the watts on each
// that can be lowered, and by node the ranks of the steps beneath it.
func (d *Dispatch) rankAll() {
	if !d.unranked {
		return
	}
	d.unranked = false
	for _, n := range d.nodes {
		n.members = n.members[:0]
	}
	was := len(d.steps)
	d.steps = d.steps[:0]
	several := false
	for _, u := range d.order {
		for i := range u.steps {
			d.steps = append(d.steps, &u.steps[i])
		}
		several = several || len(u.steps) > 1
	}
	if n := len(d.steps); n < was {
		clear(d.steps[n:was])
	}
	if several { // else they stand as their units do
		slices.SortFunc(d.steps, byStep)
	}
	d.sets = slices.Grow(d.sets[:0], len(d.steps))[:len(d.steps)]
	for i, s := range d.steps {
		s.rank = i
		for n := s.u.node; n != nil; n = n.up {
			n.members = append(n.members, int32(i))
		}
	}
	for _, u := range d.order {
		d.showSet(u)
	}
}

// showSet keeps the array of setpoints in step with u.
func (d *Dispatch) showSet(u *unit) {
	if d.unranked {
		return
	}
	for i := range u.steps {
		s := &u.steps[i]
		if d.sets[s.rank] = 0; !u.fixed {
			d.sets[s.rank] = u.holds(s)
		}
	}
}
