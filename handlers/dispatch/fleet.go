// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/ballast-energy/ballast/events"
)

// Bounds on the fleet of one site.
const (
	// MaxAgents and MaxUnits are how many workers are known at once; further
	// ones get no permit, and an alert says so.
	MaxAgents = 20_000
	MaxUnits  = 50_000
	// MaxAgentUnits of one agent: what one command can name.
	MaxAgentUnits = events.MaxCommandUnits
	// MaxMeters of one site.
	MaxMeters = events.MaxMeters
)

// agent is one speaker for units.
type agent struct {
	id     string
	idHash uint64
	boot   string
	// counter of the newest status folded, when that was in elapsed time, and
	// the discontinuity count then.
	counter uint64
	heard   int64
	gen     uint64
	// renewed is the counter that the last renewal answered, renewedAt when.
	renewed   uint64
	renewedAt int64
	// leaving: it has said goodbye, at leftAt. lost: silent for so long that
	// its units are in failsafe.
	leaving, lost bool
	leftAt        int64
	silentAlert   bool

	units []*unit // by id
	// Derived.
	lowering int64
	urged    int64 // when it was last to be renewed for the sake of a unit
	cursor   int
	phase    int64
	index    map[string]*unit
	h        uint64
}

func newAgent(id string) *agent {
	a := &agent{id: id, idHash: xxhash.Sum64String(id), renewedAt: -never / 2, urged: -1}
	a.phase = int64(a.idHash % 60)
	return a
}

func (a *agent) hash() uint64 {
	var g digest
	g.uint(a.idHash)
	g.text(a.boot)
	g.uint(a.counter)
	g.int(a.heard)
	g.uint(a.gen)
	g.uint(a.renewed)
	g.int(a.renewedAt)
	g.int(a.leftAt)
	g.bool(a.leaving)
	g.bool(a.lost)
	g.bool(a.silentAlert)
	return g.sum()
}

func (d *Dispatch) touchAgent(a *agent) {
	h := a.hash()
	d.entries += h - a.h
	a.h = h
}

// find returns the unit of that id. Agents list their units in the same order
// in every status, so the one behind the last found is tried first.
func (a *agent) find(id string) *unit {
	if a.cursor < len(a.units) && a.units[a.cursor].id == id {
		a.cursor++
		return a.units[a.cursor-1]
	}
	if len(a.units) > 0 && a.units[0].id == id {
		a.cursor = 1
		return a.units[0]
	}
	if a.index == nil {
		a.reindex()
	}
	return a.index[id]
}

func (a *agent) reindex() {
	a.index = make(map[string]*unit, len(a.units))
	for _, u := range a.units {
		a.index[u.id] = u
	}
}

// onStatus folds what an agent says.
func (d *Dispatch) onStatus(source string, s *events.WorkerStatus) {
	a := d.agents[source]
	if a == nil {
		if !s.Announce || s.Leaving || len(s.Units) == 0 {
			return
		}
		if len(d.roster) >= MaxAgents {
			d.crowded()
			return
		}
		a = newAgent(strings.Clone(source))
		d.agents[a.id] = a
		i, _ := slices.BinarySearchFunc(d.roster, a.id, func(x *agent, id string) int { return strings.Compare(x.id, id) })
		d.roster = slices.Insert(d.roster, i, a)
	}
	refix := a.lost
	switch {
	case a.boot != s.BootID:
		d.reboot(a, strings.Clone(s.BootID))
	case s.Counter <= a.counter:
		return // late or repeated: it says nothing new
	}
	a.counter, a.heard, a.gen = s.Counter, d.now, d.gen
	if a.leaving != s.Leaving {
		a.leaving, a.leftAt, refix = s.Leaving, d.now, true
	}
	if refix {
		a.lost = false
		for _, u := range a.units {
			d.fix(u, a.leaving)
		}
	}
	for i := range s.Units {
		st := &s.Units[i]
		u := a.find(st.Unit)
		if u == nil {
			if st.Capabilities == nil || a.leaving {
				continue
			}
			if u = d.join(a, st); u == nil {
				continue
			}
		} else if st.Capabilities != nil && !u.sameCaps(st.Capabilities) {
			if c := usableCaps(st.Capabilities); !u.sameCaps(&c) {
				d.relearn(u, c)
			}
		}
		d.report(u, st)
		d.shedUnit(u)
	}
	if a.silentAlert {
		d.clearAlert(&d.alarms.Silent, &a.silentAlert, alarmSilent, a.id, "the agent is heard again")
	}
	d.touchAgent(a)
}

// reboot takes a new process behind the same id: whatever the old one was
// permitted is gone.
func (d *Dispatch) reboot(a *agent, boot string) {
	// Unless the old one said goodbye it may run on elsewhere, cut off, until
	// its last lease ends.
	alive := !a.leaving && !a.lost
	a.boot, a.counter, a.renewed = boot, 0, 0
	for _, u := range a.units {
		if until := a.heard + d.site.lease + u.fallTime(); alive && until > d.now {
			u.held, u.heldUntil = max(u.set, u.inflight, u.held), max(u.heldUntil, until)
		}
		d.drop(u)
		u.lowering, u.hasApplied, u.applied = false, false, events.OrderKey{}
		u.state = events.PermitBoot
		d.book(u)
		d.touchUnit(u)
	}
}

// join makes a unit known, at its failsafe setpoint.
func (d *Dispatch) join(a *agent, st *events.UnitStatus) *unit {
	if len(a.units) >= MaxAgentUnits {
		return nil // no agent of ours starts with so many
	}
	if len(d.order) >= MaxUnits {
		d.crowded()
		return nil
	}
	u := &unit{id: strings.Clone(st.Unit), agent: a, local: -1, unhealthyAt: -1, onSince: -1, offSince: -1, state: events.PermitBoot}
	u.learn(usableCaps(st.Capabilities))
	d.unranked = true
	d.settleIn(u)
	d.plug(u)
	d.place(u, u.caps.FailsafeWatts)
	d.fall(u, max(u.caps.FailsafeWatts, clamp(st.PowerWatts, 0, u.caps.NameplateWatts)))
	u.changedAt = d.now
	i, _ := slices.BinarySearchFunc(a.units, u.id, func(x *unit, id string) int { return strings.Compare(x.id, id) })
	a.units = slices.Insert(a.units, i, u)
	if a.index != nil {
		a.index[u.id] = u
	}
	a.cursor = i + 1
	d.rank(u)
	d.meet(u, 1)
	d.joining = true
	return u
}

func (d *Dispatch) crowded() {
	d.raiseAlert(&d.alarms.Crowd, &d.crowd, alarmCrowd, "site", events.SeverityWarning,
		"more workers announce themselves than one site can hold: the rest get no permit",
		"find the source of the announcements, or split the site")
}

// rank inserts u into the merit order.
func (d *Dispatch) rank(u *unit) {
	i, _ := slices.BinarySearchFunc(d.order, u, byMerit)
	d.order = slices.Insert(d.order, i, u)
	d.stepsChanged, d.fallsChanged, d.unranked = true, true, true
}

func (d *Dispatch) unrank(u *unit) {
	if i, ok := slices.BinarySearchFunc(d.order, u, byMerit); ok {
		d.order = slices.Delete(d.order, i, i+1)
	}
	d.stepsChanged, d.fallsChanged, d.unranked = true, true, true
}

// meet counts u at the meters that see it, or no more with n = −1.
func (d *Dispatch) meet(u *unit, n int) {
	for m := d.site.byID[u.caps.Meter]; m != nil; m = m.wider {
		m.units += n
		m.seen += int64(n) * u.seen
		m.extra += int64(n) * u.extra
		m.booked += int64(n) * u.raiseBook
	}
}

func (u *unit) sameCaps(c *events.Capabilities) bool {
	o := &u.caps
	return o.Class == c.Class && o.NameplateWatts == c.NameplateWatts && o.MinWatts == c.MinWatts &&
		o.FailsafeWatts == c.FailsafeWatts && o.MillijoulesPerTerahash == c.MillijoulesPerTerahash &&
		o.FallMilliseconds == c.FallMilliseconds && o.BootMilliseconds == c.BootMilliseconds &&
		o.Meter == c.Meter && o.Node == c.Node && slices.Equal(o.LevelsWatts, c.LevelsWatts) && slices.Equal(o.Levels, c.Levels)
}

func (d *Dispatch) relearn(u *unit, c events.Capabilities) {
	d.meet(u, -1)
	i, ok := slices.BinarySearchFunc(d.order, u, byMerit)
	if ok {
		d.order = slices.Delete(d.order, i, i+1)
	}
	d.add(u.node, booksOf(u).negative())
	u.learn(c)
	d.settleIn(u)
	d.add(u.node, booksOf(u))
	d.rank(u)
	d.meet(u, 1)
	d.joining = true
}

// report folds one unit's condition.
func (d *Dispatch) report(u *unit, st *events.UnitStatus) {
	most := 2 * u.caps.NameplateWatts // nobody draws more; a lie stays small
	was := u.state
	u.heard = d.now
	u.state = knownState(st.State)
	u.setpoint = clamp(st.SetpointWatts, 0, most)
	u.power = clamp(st.PowerWatts, 0, most)
	if st.Applied != nil {
		u.applied, u.hasApplied = *st.Applied, true
	} else {
		u.applied, u.hasApplied = events.OrderKey{}, false
	}
	u.local = -1
	if st.LocalLimitWatts != nil {
		u.local = watts(*st.LocalLimitWatts)
	}
	switch {
	case st.Healthy:
		if !u.healthy {
			d.joining = true
		}
		u.healthy, u.unhealthyAt = true, -1
	case u.unhealthyAt < 0:
		u.healthy, u.unhealthyAt = false, d.now
	}
	if u.state == events.PermitFailsafe && was != events.PermitFailsafe {
		// Its lease ran out after everything that was sent so far: only a
		// ramp that answers this status can raise it again.
		d.drop(u)
		u.notBefore = max(u.notBefore, d.now+d.site.restart)
	}
	d.confirm(u)
	if u.ahead() {
		d.yield(u, u.down(u.setpoint))
	}
	d.book(u)
	d.touchUnit(u)
}

// ahead reports whether u obeys an order to fall that is newer than any this fold
// knows of: what it was given for is lost with the end of the journal. Then it may
// draw what it says, and must earn the rest again; taken for permitted it would
// never get it.
func (u *unit) ahead() bool {
	return !u.lowering && !u.raising && !u.fixed && u.agent.counter > u.counter &&
		u.hasApplied && u.applied.Compare(u.key) > 0 && u.setpoint < min(u.set, u.limit())
}

// confirm notes what the newest status proves about the last change.
func (d *Dispatch) confirm(u *unit) {
	if u.agent.counter <= u.counter {
		return
	}
	obeyed := u.hasApplied && u.applied.Compare(u.key) >= 0
	if u.lowering && u.setpoint <= u.set && (obeyed || d.now >= u.fallBy) {
		u.lowering, u.inflight = false, 0
		d.acknowledge(u)
	}
	if u.raising && u.setpoint >= min(u.set, u.limit()) {
		u.raising, u.tries = false, 0
		if u.followAlert && !u.overdue {
			d.judge(u)
		}
	}
}

// judge raises or clears the alert about a unit that draws more than it may
// long after it should have fallen.
func (d *Dispatch) judge(u *unit) {
	what := u.agent.id + "/" + u.id
	if u.overdue {
		message := "the unit draws more than its setpoint although its time to fall is over; its draw is booked, others are lowered for it, and it is told again"
		if u.toil.Watts > u.power {
			message = u.workAlert()
		}
		d.raiseAlert(&d.alarms.Follow, &u.followAlert, alarmFollow, what, events.SeverityWarning, message,
			"look at its agent; if it goes on, its outlet is cut, and alert "+alarmPage+" says what people must do")
	} else {
		d.clearAlert(&d.alarms.Follow, &u.followAlert, alarmFollow, what, "the unit follows its setpoint again")
	}
}
