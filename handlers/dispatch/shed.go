// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// shed brings, at every node where something changed, the sum of all setpoints
// beneath it, and of the draw that should have ended, under its cap: best units
// keep their place, a unit that does not fit falls to the level that does.
// Minimum times and tokens are not asked. Where nothing changed, all is well
// from the last time.
func (d *Dispatch) shed() {
	if len(d.dirty) == 0 {
		return
	}
	if len(d.dirty) > 1 {
		slices.SortFunc(d.dirty, func(a, b *node) int { return b.index - a.index })
	}
	for _, n := range d.dirty { // those beneath come first
		n.dirty = false
		if !d.unsafe {
			x := max(n.excess(n.fallSum), n.missing-n.extraSum, n.strayBelow)
			if n.up != nil {
				n.up.strayBelow += x - n.stray
			}
			n.stray = x
		}
		n.room = n.load.ShedCap - n.stray
		if n.setSum != n.fixedSum && n.setSum+n.extraSum > n.room {
			n.over = true
			d.over = append(d.over, n)
		}
	}
	clear(d.dirty)
	d.dirty = d.dirty[:0]
	if len(d.over) > 0 {
		d.relieve()
		for i, n := range d.over {
			n.over, d.over[i] = false, nil
		}
		d.over = d.over[:0]
	}
}

// relieve lowers what does not fit at the nodes over their cap. Under each of
// them that has none such above it, one walk in merit order books every unit at
// all of them that feed it. What lies before the first unit that does not fit
// keeps its place, so the walk begins there: it is found from the worst end, and
// costs what changes.
func (d *Dispatch) relieve() {
	d.rankAll()
	for _, n := range d.over {
		n.room -= n.fixedSum + n.extraSum
		fit, i := n.setSum-n.fixedSum, len(n.members)
		for i > 0 && fit > n.room {
			i--
			fit -= d.sets[n.members[i]]
		}
		n.from, n.free = i, fit // the best i fit, with so many watts
		n.start = never
		if i < len(n.members) {
			n.start = int64(n.members[i])
		}
	}
	for _, n := range d.over {
		if top := n.topmost(); top != n {
			top.start = min(top.start, n.start)
		}
	}
	for _, n := range d.over {
		start := n.topmost().start
		for n.from > 0 && int64(n.members[n.from-1]) >= start {
			n.from--
			n.free -= d.sets[n.members[n.from]]
		}
		n.room -= n.free
	}
	for _, n := range d.over {
		if n.topmost() == n {
			d.walk(n)
		}
	}
}

// topmost is the highest node over its cap from n upwards.
func (n *node) topmost() *node {
	top := n
	for a := n.up; a != nil; a = a.up {
		if a.over {
			top = a
		}
	}
	return top
}

// walk books the units beneath top, from where the first does not fit, at every
// node over its cap.
func (d *Dispatch) walk(top *node) {
	for _, rank := range top.members[top.from:] {
		set := d.sets[rank]
		if set == 0 {
			continue
		}
		s := d.steps[rank]
		u := s.u
		tight := top
		for a := u.node; a != top; a = a.up {
			if a.over && a.room < tight.room {
				tight = a
			}
		}
		if set > tight.room {
			// Its better steps fit, and stand in the order before this one; at a
			// level at which it sleeps it is asked again after all that hash.
			to := s.floor + clamp(tight.room, 0, set)
			if s.sleeps {
				to = 0
			}
			d.lower(u, u.down(to), tight.load.Reason)
			u.bound = tight
			set = d.sets[rank]
		}
		for a := u.node; ; a = a.up {
			if a.over {
				a.room -= set
			}
			if a == top {
				break
			}
		}
	}
}

// shedOwn lowers every unit that must fall for reasons of its own.
func (d *Dispatch) shedOwn() {
	if d.root.setSum == 0 {
		return
	}
	for _, u := range d.order {
		d.shedUnit(u)
	}
}

// shedUnit lowers u for a reason of its own: a limit set on site, no known
// place in the power tree, or ill health that lasts.
func (d *Dispatch) shedUnit(u *unit) {
	if u.set == 0 || u.fixed {
		return
	}
	if u.set > u.limit() {
		d.lower(u, u.down(u.limit()), events.ReasonWorker)
	}
	if u.set > 0 && u.homeless {
		d.lower(u, 0, events.ReasonWorker)
	}
	if u.set > 0 && u.unhealthyAt >= 0 && d.now-u.unhealthyAt >= unhealthyGrace {
		d.lower(u, 0, events.ReasonWorker)
	}
}

// lower permits u less from now on.
func (d *Dispatch) lower(u *unit, w int64, why events.Reason) {
	if u.reason == "" {
		u.before = u.set
		d.lowered = append(d.lowered, u)
	}
	u.reason, u.bound, u.wayFor = why, nil, nil
	u.inflight = max(u.inflight, u.set, u.setpoint)
	from := u.set
	d.place(u, w)
	d.fall(u, from)
	u.lowering, u.raising, u.tries = true, false, 0
	u.changedAt, u.counter = d.now, u.agent.counter
	d.settle(u.node, d.now+u.fallTime())
	d.book(u)
}
