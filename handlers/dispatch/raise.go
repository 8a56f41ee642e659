// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math/bits"

	"github.com/ballast-energy/ballast/events"
)

// bucket bounds increases: tokens in W, carry in billionths of a watt.
type bucket struct {
	tokens     int64
	carry      uint64
	refilledAt int64
	// maxStep is the largest rise that some unit beneath can only make at once.
	maxStep int64
}

// mayRaise reports whether anything may rise at all at this moment.
func (d *Dispatch) mayRaise() bool {
	return d.site.known && d.tickGen == d.gen && d.now-d.tickAt <= int64(events.MaxStep)
}

// open reports whether n, for itself, lets anything rise beneath it.
func (d *Dispatch) open(n *node) bool { return n.load.Fresh && d.now >= n.restartUntil }

// openUp asks n and all above it.
func (d *Dispatch) openUp(n *node) bool {
	for ; n != nil; n = n.up {
		if !d.open(n) {
			return false
		}
	}
	return true
}

// ready reports whether u may rise now.
func (d *Dispatch) ready(u *unit) bool { return d.bars(u) == "" }

// bars is what about u itself keeps it from rising now, a Reason or a Hold;
// empty when nothing does.
func (d *Dispatch) bars(u *unit) string {
	a := u.agent
	switch {
	case u.fixed:
		return events.HoldLeft
	case u.homeless:
		return events.HoldNode
	case a.gen != d.gen, d.now-a.heard >= d.site.lease:
		return events.HoldSilent
	case !u.healthy:
		return events.HoldUnhealthy
	case u.state == events.PermitLocal:
		return events.HoldLocal
	case u.lowering:
		return events.HoldLowering
	case u.raising:
		return events.HoldRaising
	case u.overdue:
		return events.HoldOverdraw
	case d.now < u.notBefore:
		return events.HoldPause
	case u.set == 0 && u.offSince >= 0 && d.now-u.offSince < d.site.minOff:
		return events.HoldMinOff
	case !d.pays(u):
		return string(events.ReasonEconomics)
	}
	return ""
}

// measureRoom works out what may rise beneath every node, and shuts those
// beneath which nothing may.
func (d *Dispatch) measureRoom() {
	for _, n := range d.nodes {
		n.room = 0
	}
	// From below: draw that no unit explains counts at every node above, too.
	for i := len(d.nodes) - 1; i >= 0; i-- {
		n := d.nodes[i]
		stray := max(d.unexplained(n), n.missing-n.extraSum, n.room)
		if n.up != nil {
			n.up.room += stray
		}
		usable := n.load.Cap - stray
		n.free = usable - n.setSum - n.extraSum
		// What falls still occupies its room; only the unit that falls may
		// rise into it.
		n.room = usable - n.raiseSum
	}
	for _, n := range d.nodes {
		n.shut = n.up != nil && n.up.shut || !d.open(n) || n.free < 0 || n.room < 0
		n.waiting = nil
	}
}

// raise gives free headroom to units that are ready, best first, as far as every
// node above them has room. Where a ramp bucket runs dry nothing worse is raised
// beneath it either. A unit that waits for room while worse ones run takes their
// place.
func (d *Dispatch) raise() {
	d.joining, d.raisedAt = false, d.now
	if !d.mayRaise() || !d.open(d.root) || len(d.order) == 0 {
		return
	}
	d.rankAll()
	d.measureRoom()
	if d.root.shut {
		return
	}
	d.refillAll()
	d.waiting = d.waiting[:0]
	for _, u := range d.order {
		if d.root.dry {
			return
		}
		if u.node.shut {
			continue
		}
		top := u.fit(u.limit())
		if u.set >= top || !d.ready(u) {
			continue
		}
		d.raiseUnit(u, top)
	}
	if d.root.dry {
		return
	}
	for _, u := range d.waiting {
		d.makeWay(u)
	}
}

// raiseUnit raises u as far towards top as the nodes above it let it.
func (d *Dispatch) raiseUnit(u *unit, top int64) {
	room, tokens, free := never, never, true
	tight, short := u.node, -never
	for a := u.node; a != nil; a = a.up {
		if a.dry {
			return
		}
		if a.ramps {
			tokens = min(tokens, a.bucket.tokens)
		}
		room = min(room, a.room)
		free = free && a.free > 0 && a.free >= a.hysteresis
		if s := max(u.least(), a.hysteresis) - a.free; s > short {
			tight, short = a, s
		}
	}
	w := u.set
	if free {
		w = u.fit(min(top, u.raiseBook+room))
	}
	if w <= u.set {
		if tight.waiting == nil && u.set == 0 {
			tight.waiting = u
			d.waiting = append(d.waiting, u)
		}
		return
	}
	if w-u.set > tokens {
		for a := u.node; a != nil; a = a.up {
			a.dry = a.dry || a.ramps && w-u.set > a.bucket.tokens
		}
		w = u.fit(u.set + tokens)
	}
	if w <= u.set {
		return
	}
	rise, booked := w-u.set, u.raiseBook
	u.before = u.set
	d.place(u, w)
	u.tries = 0
	d.ramp(u)
	booked -= u.raiseBook
	for a := u.node; a != nil; a = a.up {
		a.room += booked
		if a.ramps {
			a.bucket.tokens -= rise
			a.dry = a.dry || a.bucket.tokens <= 0
			d.changed(a)
		}
	}
}

// makeWay stops the worst units so that a clearly better one can have their
// power on a later tick: at every node above it that lacks room, those beneath
// that node. That is an economic stop: minimum on-times hold, and it waits until
// nothing else beneath is on its way up or down. Where one of the nodes cannot
// be freed nothing is stopped.
func (d *Dispatch) makeWay(better *unit) {
	picks := d.picks[:0]
	defer func() {
		for i, u := range picks {
			u.picked, picks[i] = false, nil
		}
		d.picks = picks[:0]
	}()
	for a := better.node; a != nil; a = a.up {
		short := max(better.least(), a.hysteresis) - a.free
		if short <= 0 {
			continue
		}
		if d.now < a.settleAt || a.rose {
			return
		}
		freed := int64(0)
		for _, u := range picks { // all of them are beneath a, too
			freed += u.set
		}
		for i := len(a.members); freed < short; {
			if i--; i < 0 {
				return
			}
			u := d.order[a.members[i]]
			if u.merit <= better.merit+better.merit/20 {
				return
			}
			if !u.picked && d.mayStop(u) {
				u.picked = true
				picks = append(picks, u)
				freed += u.set
			}
		}
	}
	for _, u := range picks {
		d.lower(u, 0, events.ReasonEconomics)
		u.wayFor = better
	}
}

func (d *Dispatch) mayStop(u *unit) bool {
	return u.set > 0 && !u.fixed && !u.raising && u.reason == "" && d.now-u.onSince >= max(d.site.minOn, reissueAfter)
}

// ramp notes that u gets a ramp for its present setpoint in this fold.
func (d *Dispatch) ramp(u *unit) {
	u.raising, u.changedAt, u.counter = true, d.now, u.agent.counter
	d.book(u)
	d.raised = append(d.raised, u)
	for a := u.node; a != nil; a = a.up {
		a.rose = true
		a.rogue.Until = d.now + riseGrace
		d.changed(a)
	}
}

// refillAll fills the buckets of all nodes that have one, and says which are
// dry all the same.
func (d *Dispatch) refillAll() {
	for _, n := range d.nodes {
		if n.dry = false; n.ramps {
			d.refill(n)
			n.dry = n.bucket.tokens <= 0
		}
	}
}

// refill adds to the ramp bucket of n what elapsed time brings, to the
// billionth.
//
// The bucket holds at least the largest step of a unit beneath that the node
// could carry, or that unit could never start.
func (d *Dispatch) refill(n *node) {
	d.measureSteps()
	d.changed(n)
	n.bucket.tokens, n.bucket.carry = n.filled(d.now)
	n.bucket.refilledAt = d.now
}

// filled are the tokens and the carry of n's bucket at an elapsed time.
func (n *node) filled(now int64) (tokens int64, carry uint64) {
	b := &n.bucket
	full := max(n.rampBurst, b.maxStep)
	hi, lo := bits.Mul64(uint64(n.rampRate), uint64(max(now-b.refilledAt, 0)))
	lo, c := bits.Add64(lo, b.carry, 0)
	hi += c
	if hi >= uint64(second) {
		return full, 0
	}
	q, r := bits.Div64(hi, lo, uint64(second))
	if q >= uint64(full) || b.tokens+int64(q) >= full {
		return full, 0
	}
	return b.tokens + int64(q), r
}

// measureSteps works out the largest steps anew after units changed.
func (d *Dispatch) measureSteps() {
	if !d.stepsChanged {
		return
	}
	d.stepsChanged = false
	for _, n := range d.nodes {
		n.bucket.maxStep = 0
	}
	for _, u := range d.order {
		s := u.step()
		for n := u.node; n != nil; n = n.up {
			if n.ramps && s <= n.usable {
				n.bucket.maxStep = max(n.bucket.maxStep, s)
			}
		}
	}
}
