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
	case u.cut:
		return events.HoldOutlet
	case u.overdue, u.esc != nil, d.overrun(u.part) > 0, d.overrun(u.answers) > 0:
		return events.HoldOverdraw
	case d.now < u.notBefore:
		return events.HoldPause
	case u.set == 0 && u.offSince >= 0 && d.now-u.offSince < d.site.minOff:
		return events.HoldMinOff
	case !u.hashes(u.set) && d.spent(u):
		return events.HoldStarts
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
		usable := n.load.Cap - stray - d.sagging(n)
		n.free = usable - n.setSum - n.extraSum
		// What falls still occupies its room; only the unit that falls may
		// rise into it.
		n.room = min(usable-n.raiseSum, d.leaves(n))
		n.left = n.free
	}
	for _, n := range d.nodes {
		n.shut = n.up != nil && n.up.shut || !d.open(n) || n.free < 0 || n.room < 0
		n.waiting, n.wanting = nil, nil
	}
}

// raise gives free headroom to units that are ready, step by step, best first,
// as far as every node above them has room. Where a ramp bucket runs dry nothing
// worse is raised beneath it either. A step that waits for room while worse ones
// are held takes their place.
func (d *Dispatch) raise() {
	d.joining, d.raisedAt = false, d.now
	if !d.mayRaise() || !d.open(d.root) || len(d.order) == 0 {
		return
	}
	d.rankAll()
	d.measureRoom()
	d.lookAhead()
	if d.root.shut {
		return
	}
	d.refillAll()
	d.waiting = d.waiting[:0]
	for rank, s := range d.steps {
		if d.root.dry {
			return
		}
		if s.sleeps {
			break // nothing falls asleep upwards, and only such steps follow
		}
		if d.sets[rank] >= s.top-s.floor {
			continue
		}
		u := s.u
		if u.node.shut || u.set < s.floor {
			continue
		}
		top := u.fit(min(s.top, u.limit()))
		if u.set >= top || !u.risen && !d.ready(u) || !d.pays(s) {
			continue
		}
		d.raiseStep(s, top)
	}
	if d.root.dry {
		return
	}
	for _, s := range d.waiting {
		d.makeWay(s)
	}
}

// raiseStep raises the unit of s as far towards top as the nodes above it let
// it.
func (d *Dispatch) raiseStep(s *step, top int64) {
	u := s.u
	need := u.above() - u.set
	room, left, tokens, free := never, never, never, true
	tight, short := u.node, -never
	for a := u.node; a != nil; a = a.up {
		if a.dry {
			return
		}
		if a.ramps {
			tokens = min(tokens, a.bucket.tokens)
		}
		room, left = min(room, a.room), min(left, a.left)
		free = free && a.free > 0 && a.free >= a.hysteresis
		if lack := max(need, a.hysteresis) - a.free; lack > short {
			tight, short = a, lack
		}
	}
	w := u.set
	if free {
		w = u.fit(min(top, u.raiseBook+room, u.set+left))
	}
	if w > u.set && !u.hashes(u.set) {
		if w = u.fit(min(w, u.set+d.soonRoom(u))); w <= u.set || !u.hashes(w) {
			return // a reduction that is near would stop it again
		}
	}
	if w <= u.set {
		d.await(s, tight)
		if free && left >= need && d.falls(u, need) {
			// Only what still falls is in its way: nothing worse takes the room
			// that it waits for.
			for a := u.node; a != nil; a = a.up {
				a.left -= need
			}
		}
		return
	}
	if !u.hashes(u.set) && !d.ripe(s, w) {
		// It will start here before long: nothing worse takes its place.
		for a := u.node; a != nil; a = a.up {
			a.room -= max(w-u.raiseBook, 0)
			a.left -= w - u.set
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
	if u.risen {
		d.place(u, w)
		d.book(u)
	} else {
		u.before, u.tries, u.risen = u.set, 0, true
		d.place(u, w)
		d.ramp(u)
	}
	d.relax(u, rise)
	booked -= u.raiseBook
	for a := u.node; a != nil; a = a.up {
		a.room += booked
		a.raised.add(d.now, -booked)
		a.left -= rise
		if a.ramps {
			a.bucket.tokens -= rise
			a.dry = a.dry || a.bucket.tokens <= 0
			d.changed(a)
		}
	}
}

// falls reports whether, wherever u lacks room for need, something has not had
// the time to fall yet.
func (d *Dispatch) falls(u *unit, need int64) bool {
	for a := u.node; a != nil; a = a.up {
		if u.raiseBook+a.room < u.set+need && d.now >= a.settleAt {
			return false
		}
	}
	return true
}

// await notes the best start, and the best step of a unit that runs, that lack
// room at n.
func (d *Dispatch) await(s *step, n *node) {
	at := &n.waiting
	if s.u.hashes(s.u.set) {
		if at = &n.wanting; !s.u.discrete() {
			return
		}
	}
	if *at == nil {
		*at = s
		d.waiting = append(d.waiting, s)
	}
}

// makeWay takes the worst steps from units so that a clearly better one can have
// their power on a later tick: at every node above it that lacks room, those
// beneath that node. Where that stops a unit it is an economic stop: minimum
// on-times hold. It waits until nothing else beneath is on its way up or down.
// Where one of the nodes cannot be freed nothing is taken.
func (d *Dispatch) makeWay(better *step) {
	for a := better.u.node; a != nil; a = a.up {
		if a.sig.soon >= 0 {
			return // shortly before a reduction nothing changes places
		}
	}
	picks := d.picks[:0]
	defer func() {
		for i, s := range picks {
			s.picked, picks[i] = false, nil
		}
		d.picks = picks[:0]
	}()
	need := better.u.above() - better.u.set
	for a := better.u.node; a != nil; a = a.up {
		short := max(need, a.hysteresis) - a.free
		if short <= 0 {
			continue
		}
		if d.now < a.settleAt || a.rose {
			return
		}
		for _, s := range picks { // all of them are beneath a, too
			short -= d.sets[s.rank] - s.keep
		}
		for i := len(a.members); short > 0; {
			if i--; i < 0 {
				return
			}
			s := d.steps[a.members[i]]
			if !s.sleeps && s.merit <= better.merit+better.merit/20 {
				return
			}
			if s.u == better.u || !d.mayTake(s) {
				continue
			}
			was := d.sets[s.rank]
			if s.picked {
				was = s.keep
			}
			keep, ok := d.spare(s, was, short)
			if !ok {
				continue
			}
			if short -= was - keep; !s.picked {
				s.picked = true
				picks = append(picks, s)
			}
			s.keep = keep
		}
	}
	if !d.earns(better, need, picks) {
		return
	}
	fall := int64(0)
	for _, s := range picks {
		if w := s.floor + s.keep; s.u.set > w && d.thrift(s.u, w) {
			s.u.wayFor = better.u
			fall = max(fall, s.u.fallTime())
		}
	}
	if u := better.u; fall > 0 && !u.hashes(u.set) {
		u.starts.Promised = d.now + fall + promiseLife
		d.touchUnit(u)
	}
}

// spare is what the unit of s, which holds so many watts on it, can keep of them
// when short watts are wanted: as much as it can hash with, else what it sleeps
// with; and whether anything is gained.
func (d *Dispatch) spare(s *step, held, short int64) (keep int64, ok bool) {
	u := s.u
	if s.sleeps {
		return 0, held > 0
	}
	if part := u.fit(s.floor + max(held-short, 0)); part > s.floor {
		return part - s.floor, part-s.floor < held
	}
	if s.index == 0 {
		if d.now-u.onSince < max(d.site.minOn, reissueAfter) {
			return 0, false
		}
		keep = u.down(u.asleep)
	}
	return keep, keep < held
}

// mayTake reports whether s can be taken from its unit for the sake of a better
// one.
func (d *Dispatch) mayTake(s *step) bool {
	u := s.u
	return d.sets[s.rank] > 0 && !u.fixed && !u.raising && u.reason == "" && d.now-u.changedAt >= reissueAfter
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
	d.longestBoot = 0
	for _, u := range d.order {
		d.longestBoot = max(d.longestBoot, u.caps.BootMilliseconds*milli)
		s := u.step()
		for n := u.node; n != nil; n = n.up {
			if n.ramps && s <= n.usable {
				n.bucket.maxStep = max(n.bucket.maxStep, s)
			}
		}
	}
}
