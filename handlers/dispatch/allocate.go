// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math/bits"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// raiseGap is the least time between two looks for what may rise, besides
// those of ticks.
const raiseGap = 100 * milli

// decide lowers what must fall, raises what may rise, and writes it all down:
// reductions, ramps, renewals, alerts, and last the reasons.
func (d *Dispatch) decide(e *events.Event, out *decider.Outbox, before int64, tick bool) {
	if d.recheck {
		d.shedOwn()
		d.recheck = false
	}
	d.shed()
	if tick {
		d.visit()
		d.shed()
	}
	if tick || d.joining && d.now-d.raisedAt >= raiseGap {
		d.raise()
	}
	d.writeCurtails(e, out)
	d.writeRamps(e, out)
	if tick {
		d.renew(out)
	}
	for _, n := range d.notes {
		out.Put(Name, n)
	}
	if len(d.lowered) > 0 || !d.onlyRepeats() {
		d.writeDecision(e, out, before)
	}
	clear(d.lowered)
	clear(d.raised)
	clear(d.notes)
	d.lowered, d.raised, d.notes = d.lowered[:0], d.raised[:0], d.notes[:0]
}

// onlyRepeats reports whether no setpoint rose: every ramp repeats one that
// got lost.
func (d *Dispatch) onlyRepeats() bool {
	for _, u := range d.raised {
		if u.before != u.set {
			return false
		}
	}
	return true
}

// shedOwn lowers every unit that must fall for reasons of its own.
func (d *Dispatch) shedOwn() {
	if d.setSum == 0 {
		return
	}
	for _, u := range d.order {
		d.shedUnit(u)
	}
}

// shedUnit lowers u for a reason of its own: a limit set on site, economics,
// or ill health that lasts.
func (d *Dispatch) shedUnit(u *unit) {
	if u.set == 0 || u.fixed {
		return
	}
	if u.set > u.limit() {
		d.lower(u, u.fit(u.limit()), events.ReasonWorker)
	}
	if u.set > 0 && u.unhealthyAt >= 0 && d.now-u.unhealthyAt >= unhealthyGrace {
		d.lower(u, 0, events.ReasonWorker)
	}
	if u.set > 0 && !d.pays(u) && d.now-u.onSince >= d.site.minOn {
		d.lower(u, 0, events.ReasonEconomics)
	}
}

// shed brings the sum of all setpoints, and of the draw that should have ended,
// under the cap: best units keep their place, a unit that does not fit falls
// to the level that does. Minimum times and tokens are not asked.
func (d *Dispatch) shed() {
	free := d.setSum - d.fixedSum
	if free == 0 {
		return
	}
	room := d.load.ShedCap
	if !d.unsafe {
		room -= d.excess(d.fallSum)
	}
	if d.setSum+d.extraSum <= room {
		return
	}
	room -= d.fixedSum + d.extraSum
	for _, u := range d.order {
		if u.fixed || u.set == 0 {
			continue
		}
		if u.set > room {
			d.lower(u, u.fit(min(room, u.set)), d.load.Reason)
		}
		room -= u.set
	}
}

// lower permits u less from now on.
func (d *Dispatch) lower(u *unit, w int64, why events.Reason) {
	if u.reason == "" {
		u.before = u.set
		d.lowered = append(d.lowered, u)
	}
	u.reason = why
	u.inflight = max(u.inflight, u.set, u.setpoint)
	from := u.set
	d.place(u, w)
	d.fall(u, from)
	u.lowering, u.raising, u.tries = true, false, 0
	u.changedAt, u.counter = d.now, u.agent.counter
	d.settleAt = max(d.settleAt, d.now+u.fallTime())
	d.book(u)
}

// mayRaise reports whether anything may rise at all at this moment.
func (d *Dispatch) mayRaise() bool {
	return d.site.known && d.load.Fresh && d.tickGen == d.gen && d.now-d.tickAt <= int64(events.MaxStep) && d.now >= d.restartUntil
}

// ready reports whether u may rise now.
func (d *Dispatch) ready(u *unit) bool {
	a := u.agent
	switch {
	case u.fixed, a.gen != d.gen, d.now-a.heard >= d.site.lease,
		!u.healthy, u.state == events.PermitLocal, u.lowering, u.raising, u.overdue, d.now < u.notBefore:
		return false
	case u.set == 0 && u.offSince >= 0 && d.now-u.offSince < d.site.minOff:
		return false
	}
	return d.pays(u)
}

// raise gives free headroom to units that are ready, best first. Where the
// ramp bucket runs dry nothing worse is raised either. A unit that waits for
// room while worse ones run takes their place.
func (d *Dispatch) raise() {
	d.joining, d.raisedAt = false, d.now
	if !d.mayRaise() || len(d.order) == 0 {
		return
	}
	usable := d.load.Cap - d.excess(0)
	free := usable - d.setSum - d.extraSum
	// What falls still occupies its room; only the unit that falls may rise
	// into it.
	room := usable - d.raiseSum
	if free < 0 || room < 0 {
		return
	}
	d.refill()
	var waiting *unit
	short := int64(0)
	for _, u := range d.order {
		if d.tokens <= 0 {
			return
		}
		top := u.fit(u.limit())
		if u.set >= top || !d.ready(u) {
			continue
		}
		w := u.set
		if free > 0 && free >= d.site.hysteresis {
			w = u.fit(min(top, u.raiseBook+room))
		}
		if w <= u.set {
			if waiting == nil && u.set == 0 {
				waiting, short = u, max(u.least(), d.site.hysteresis)-free
			}
			continue
		}
		dry := false
		if w-u.set > d.tokens {
			w, dry = u.fit(u.set+d.tokens), true
		}
		if w > u.set {
			room += u.raiseBook
			d.tokens -= w - u.set
			u.before = u.set
			d.place(u, w)
			u.tries = 0
			d.ramp(u)
			room -= u.raiseBook
		}
		if dry {
			return
		}
	}
	if waiting != nil && len(d.raised) == 0 {
		d.makeWay(waiting, short)
	}
}

// makeWay stops the worst units so that a clearly better one can have their
// power on a later tick. That is an economic stop: minimum on-times hold, and
// it waits until nothing else is on its way down.
func (d *Dispatch) makeWay(better *unit, short int64) {
	if short <= 0 || d.now < d.settleAt {
		return
	}
	from := len(d.order)
	for freed := int64(0); freed < short; {
		if from--; from < 0 || d.order[from].merit <= better.merit+better.merit/20 {
			return
		}
		if u := d.order[from]; d.mayStop(u) {
			freed += u.set
		}
	}
	for i := len(d.order) - 1; i >= from; i-- {
		if u := d.order[i]; d.mayStop(u) {
			d.lower(u, 0, events.ReasonEconomics)
		}
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
}

// refill adds to the ramp bucket what elapsed time brings, to the billionth.
//
// The bucket holds at least the largest step of a unit that the site could
// carry, or that unit could never start.
func (d *Dispatch) refill() {
	if d.stepsChanged {
		d.stepsChanged, d.maxStep = false, 0
		for _, u := range d.order {
			if s := u.step(); s <= d.site.usable {
				d.maxStep = max(d.maxStep, s)
			}
		}
	}
	full := max(d.site.rampBurst, d.maxStep)
	hi, lo := bits.Mul64(uint64(d.site.rampRate), uint64(max(d.now-d.refilledAt, 0)))
	lo, c := bits.Add64(lo, d.tokenCarry, 0)
	hi += c
	d.refilledAt = d.now
	if hi >= uint64(second) {
		d.tokens, d.tokenCarry = full, 0
		return
	}
	q, r := bits.Div64(hi, lo, uint64(second))
	if q >= uint64(full) || d.tokens+int64(q) >= full {
		d.tokens, d.tokenCarry = full, 0
		return
	}
	d.tokens, d.tokenCarry = d.tokens+int64(q), r
}
