// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// Times by which things are expected, ns.
const (
	// answerGrace is how long a command and the status that answers it may
	// travel, over and above the unit's own fall time.
	answerGrace = 5 * second
	// reissueAfter is when a raise that has not been applied is sent again.
	reissueAfter = 4 * second
	// maxTries of a raise before the unit is taken to be unable.
	maxTries = 3
	// unablePause is how long such a unit is left alone.
	unablePause = 60 * second
	// unhealthyGrace is how long a unit may be unhealthy before its power is
	// given to others.
	unhealthyGrace = 10 * second
	// forgetUnit is when a unit that its living agent no longer mentions is
	// forgotten, and forgetAgent when a silent agent is.
	forgetUnit  = 60 * second
	forgetAgent = 3600 * second
)

// unit is what is known of one controllable unit, and what it may draw.
type unit struct {
	id    string
	agent *agent
	caps  events.Capabilities
	fall  int64 // ns
	// steps of its power curve, worse and worse, and last, where it has one,
	// the level at which it sleeps; merit is that of the first. levels are the
	// setpoints at which it hashes, nil for any from caps.MinWatts on.
	steps  []step
	only   [1]step // that of a unit with one
	merit  int64
	levels []int64
	// asleep is what it draws asleep, 0 when it sleeps not; sleepFor is how long
	// that saves more than it costs, ns.
	asleep, sleepFor int64
	// capsHash stands for caps in the digest.
	capsHash uint64

	// set is the setpoint permitted, key the command that gave it, changedAt
	// and counter when that was in elapsed time and in the agent's statuses.
	set       int64
	key       events.OrderKey
	changedAt int64
	counter   uint64
	// lowering and raising: the last change is not confirmed yet.
	lowering, raising bool
	tries             int64
	// inflight is the highest setpoint that the unit may still obey.
	inflight int64
	// While it falls: allow is what it may still draw, until fallBy, and due
	// what it must be down to then; allow is 0 when it does not fall.
	allow, due, fallBy int64
	// held is what a process that was replaced without a goodbye may still
	// draw under its last lease, until heldUntil.
	held, heldUntil int64
	// onSince it hashes, offSince it sleeps or is off, −1 for not; notBefore
	// bars a start.
	onSince, offSince, notBefore int64

	// starting: it has started and still boots; starts are what it has spent.
	starting bool
	starts   starts

	// As reported.
	state       events.PermitState
	setpoint    int64
	power       int64
	applied     events.OrderKey
	hasApplied  bool
	local       int64 // −1 for none
	healthy     bool
	unhealthyAt int64
	heard       int64
	followAlert bool
	overdue     bool
	// part of the verification of its last reduction, what it is asked to fall
	// by for it, and whether its acknowledgement is still waited for.
	part  *proof
	asked int64
	// changed is by how much its own word has changed since it is in the part,
	// risenBy by how much it has been raised since. Part of the part's digest.
	changed, risenBy int64
	waiting          bool
	// answers is the oldest part that it left for a newer one before a meter had
	// shown it: it stays under suspicion there, or a unit that ignores its orders
	// would get a new deadline with each of them.
	answers *proof
	// answering: it is in Dispatch.answering.
	answering bool
	// toil is what accepted shares prove of it.
	toil toil
	// esc is how far the escalation has come, nil while it follows.
	esc *escalation
	// Derived: what it is booked with while others want to rise, and what it
	// draws beyond set after its time to fall.
	raiseBook, extra int64
	// fallBook is what it may still draw beyond raiseBook while it falls.
	fallBook int64
	// outlet that feeds it, empty for none known; cut: it is off, so u gets no
	// permit.
	outlet string
	cut    bool
	// seen is what it says to draw, or is about to.
	seen    int64
	fixed   bool
	counted bool
	// node on which it hangs; homeless: nobody knows on which, so it is booked
	// at the point of connection and gets no permit.
	node      *node
	homeless  bool
	homeAlert bool
	// reason for which it was lowered within the present fold, and before
	// that its setpoint.
	reason events.Reason
	before int64
	// binds is why it rises no further in the present fold, and tight where.
	binds events.Reason
	tight *node
	// bound is the node for whose sake that was; wayFor the unit that it makes
	// way for.
	bound  *node
	wayFor *unit
	group  int
	// risen within the present fold.
	risen bool
	h     uint64
}

func (u *unit) hash() uint64 {
	var g digest
	g.uint(u.agent.idHash)
	g.text(u.id)
	g.uint(u.capsHash)
	g.int(u.set)
	g.key(u.key)
	g.int(u.changedAt)
	g.uint(u.counter)
	g.int(u.tries)
	g.int(u.inflight)
	g.int(u.allow)
	g.int(u.due)
	g.int(u.fallBy)
	g.int(u.held)
	g.int(u.heldUntil)
	g.int(u.onSince)
	g.int(u.offSince)
	g.int(u.notBefore)
	g.int(u.setpoint)
	g.int(u.power)
	g.key(u.applied)
	g.int(u.local)
	g.int(u.unhealthyAt)
	g.int(u.heard)
	var flags uint64
	for i, f := range [...]bool{u.lowering, u.raising, u.hasApplied, u.healthy, u.followAlert, u.overdue, u.homeAlert} {
		if f {
			flags |= 1 << i
		}
	}
	if u.starting {
		flags |= 1 << 16
	}
	g.uint(flags | uint64(stateCode(u.state))<<8)
	if u.starts != (starts{}) {
		g.uint(u.starts.hash())
	}
	g.uint(u.toil.hash())
	if u.esc != nil {
		g.uint(u.esc.hash())
	}
	return g.sum()
}

func stateCode(s events.PermitState) int {
	switch s {
	case events.PermitBoot:
		return 1
	case events.PermitLimited:
		return 2
	case events.PermitRunning:
		return 3
	case events.PermitFailsafe:
		return 4
	case events.PermitLocal:
		return 5
	}
	return 0
}

// knownState returns the constant of a state, so that no memory of the event
// is kept; an unknown one counts as failsafe.
func knownState(s events.PermitState) events.PermitState {
	switch stateCode(s) {
	case 1:
		return events.PermitBoot
	case 2:
		return events.PermitLimited
	case 3:
		return events.PermitRunning
	case 5:
		return events.PermitLocal
	}
	return events.PermitFailsafe
}

// touchUnit brings the digest up to date after a change of u.
func (d *Dispatch) touchUnit(u *unit) {
	h := u.hash()
	d.entries += h - u.h
	u.h = h
}

// usableCaps are capabilities made safe to calculate with.
func usableCaps(c *events.Capabilities) events.Capabilities {
	o := events.Capabilities{
		Class:                  strings.Clone(c.Class),
		NameplateWatts:         watts(c.NameplateWatts),
		MinWatts:               watts(c.MinWatts),
		MillijoulesPerTerahash: max(c.MillijoulesPerTerahash, 0),
		FallMilliseconds:       clamp(c.FallMilliseconds, 0, 600_000),
		BootMilliseconds:       clamp(c.BootMilliseconds, 0, 3_600_000),
		Meter:                  strings.Clone(c.Meter),
		Node:                   strings.Clone(c.Node),
	}
	o.FailsafeWatts = clamp(c.FailsafeWatts, 0, o.NameplateWatts)
	for _, l := range c.LevelsWatts[:min(len(c.LevelsWatts), 64)] {
		if l > 0 && l <= o.NameplateWatts {
			o.LevelsWatts = append(o.LevelsWatts, l)
		}
	}
	slices.Sort(o.LevelsWatts)
	o.Levels = usableLevels(c, o.NameplateWatts)
	return o
}

// learn takes over usable capabilities.
func (u *unit) learn(c events.Capabilities) {
	u.caps = c
	u.capsHash = hashJSON(&u.caps)
	u.fall = u.caps.FallMilliseconds * milli
	u.climb()
}

// fit is the highest setpoint of u at which it hashes and that is not above w,
// or 0.
func (u *unit) fit(w int64) int64 {
	w = min(w, u.caps.NameplateWatts)
	if w <= 0 {
		return 0
	}
	if !u.discrete() {
		if w < u.caps.MinWatts {
			return 0
		}
		return w
	}
	best := int64(0)
	for _, l := range u.levels {
		if l > w {
			break
		}
		best = l
	}
	return best
}

// least is the lowest setpoint at which u does anything.
func (u *unit) least() int64 {
	if u.discrete() {
		return u.levels[0]
	}
	return max(u.caps.MinWatts, 1)
}

// step is the largest rise that u can only make at once.
func (u *unit) step() int64 {
	if !u.discrete() {
		return u.least()
	}
	s, last := int64(0), int64(0)
	for _, l := range u.levels {
		s, last = max(s, l-last), l
	}
	return s
}

// limit is the most that u may be set to by its own nature.
func (u *unit) limit() int64 {
	w := u.caps.NameplateWatts
	if u.local >= 0 {
		w = min(w, u.local)
	}
	return w
}

// tolerance of a draw above the setpoint that is no disobedience.
func (u *unit) tolerance() int64 { return max(u.caps.NameplateWatts/20, 20) }

// book brings the sums up to date after a change of u or of time, and the alert
// about it.
func (d *Dispatch) book(u *unit) {
	d.passTime(u)
	was := u.overdue
	if d.bookAs(u, u.late()); u.overdue != was {
		d.unescalated = true
		d.judge(u)
	}
}

// late reports whether u draws more than it may after its time to fall.
func (u *unit) late() bool { return u.drawn() > max(u.set, u.allow)+u.tolerance() }

// fall gives u the time it needs to come down from so many watts. A further
// reduction within that time prolongs it not: it gets a time of its own behind
// it, or a load that changes with every reading would excuse any draw for ever.
func (d *Dispatch) fall(u *unit, from int64) {
	if u.allow > 0 && from <= u.allow {
		return
	}
	u.allow, u.due, u.fallBy = from, u.set, d.now+u.fallTime()
}

// fallTime is how long u takes from a decision to a status that proves it.
func (u *unit) fallTime() int64 { return u.fall + answerGrace }

// passTime ends for u what ends by time alone, and reports whether anything
// did.
func (d *Dispatch) passTime(u *unit) bool {
	passed := false
	if u.allow > 0 && d.now >= u.fallBy {
		passed = true
		if u.allow = 0; u.set < u.due {
			u.allow, u.due, u.fallBy = u.due, u.set, d.now+u.fallTime()
		}
	}
	if u.held > 0 && d.now >= u.heldUntil {
		u.held, passed = 0, true
	}
	return passed
}

func (d *Dispatch) bookAs(u *unit, overdue bool) {
	extra := int64(0)
	if overdue {
		extra = max(u.drawn()-max(u.set, u.allow), 0)
	}
	raise := max(u.set, u.drawn(), u.setpoint, u.inflight, u.held)
	u.toil.Top = max(u.toil.Top, u.admitted())
	falling := max(u.allow-raise, 0)
	if u.esc != nil && u.esc.Rung >= rungShed {
		// Others make room for all that a meter still sees: that it was told
		// again to fall excuses it no longer.
		falling = 0
	}
	u.overdue = overdue
	if b := (books{extraSum: extra - u.extra, raiseSum: raise - u.raiseBook, fallSum: falling - u.fallBook}); b != (books{}) {
		d.add(u.node, b)
	}
	if u.caps.Meter != "" {
		for m := d.site.byID[u.caps.Meter]; m != nil; m = m.wider {
			m.booked += raise - u.raiseBook
			m.extra += extra - u.extra
		}
	}
	u.extra, u.raiseBook, u.fallBook = extra, raise, falling
	d.see(u)
	if low := u.lowering; low != u.counted {
		if u.counted = low; low {
			u.agent.lowering++
		} else {
			u.agent.lowering--
		}
	}
}

// place sets the setpoint of u in the books.
func (d *Dispatch) place(u *unit, w int64) {
	if b := (books{setSum: w - u.set}); b.setSum != 0 {
		if u.fixed {
			b.fixedSum = b.setSum
		}
		d.add(u.node, b)
	}
	switch {
	case u.hashes(w):
		if !u.hashes(u.set) {
			u.onSince, u.offSince = d.now, -1
			u.starts.Since, u.starts.Seen, u.starts.Account = 0, 0, 0
			d.kindle(u)
		}
	case w != u.set && (w == 0 || u.hashes(u.set)):
		u.offSince, u.onSince = d.now, -1
		u.starts.Since, u.starts.Seen, u.starts.Account = 0, 0, 0
		d.finish(u)
	}
	if u.set = w; u.allow > 0 {
		u.due = max(u.due, w)
	}
	d.showSet(u)
}

// fix says whether u is beyond command (leaving, lost).
func (d *Dispatch) fix(u *unit, fixed bool) {
	if u.fixed == fixed {
		return
	}
	u.fixed = fixed
	if fixed {
		d.add(u.node, books{fixedSum: u.set})
	} else {
		d.add(u.node, books{fixedSum: -u.set})
	}
	d.showSet(u)
}

// drop forgets the permit of u: it is taken to be at its failsafe setpoint.
func (d *Dispatch) drop(u *unit) { d.yield(u, u.caps.FailsafeWatts) }

// yield takes u to be at a setpoint for which no command is needed.
func (d *Dispatch) yield(u *unit, w int64) {
	from := max(u.raiseBook, u.set, w)
	if u.set > w {
		d.place(u, w)
	}
	u.raising, u.tries, u.inflight = false, 0, 0
	d.fall(u, from)
	d.settle(u.node, d.now+u.fallTime())
}

// byMerit orders units best first, totally.
func byMerit(a, b *unit) int {
	if a.merit != b.merit {
		if a.merit < b.merit {
			return -1
		}
		return 1
	}
	if c := strings.Compare(a.id, b.id); c != 0 {
		return c
	}
	return strings.Compare(a.agent.id, b.agent.id)
}
