// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

const (
	// renewEvery is how many ticks lie between two renewals of an agent at
	// most; a quarter of the lease, if that is less.
	renewEvery = 3
	// tickGap is the least elapsed time between two ticks that are acted on.
	tickGap = 250 * milli
	// maxUnitsPerMessage bounds one command or renewal.
	maxUnitsPerMessage = 500
)

// onTick takes time from the journal. It reports whether the tick is to be
// acted on: once a second is enough.
func (d *Dispatch) onTick(t *events.ClockTick) bool {
	skew := never
	if t.Second >= 0 && t.Second <= maxUnix {
		skew = max(d.wall-t.Second*second, t.Second*second-d.wall)
	}
	if skew > int64(events.MaxStep) {
		d.raiseAlert(&d.alarms.Clock, &d.skewed, alarmClock, "tick", events.SeverityCritical,
			"clock.tick and the arrival times of the bus differ by more than five seconds: nothing rises and no permit is renewed",
			"synchronise the clocks of the dispatcher hosts and of the bus")
		return false
	}
	d.clearAlert(&d.alarms.Clock, &d.skewed, alarmClock, "tick", "the clocks agree again")
	fresh := d.tickGen != d.gen
	if t.Second == d.tickSecond && !fresh || d.now-d.tickAt < tickGap && !fresh {
		return false
	}
	d.tickGen, d.tickSecond, d.tickAt = d.gen, t.Second, d.now
	d.refill(d.root)
	d.measureResponses()
	d.visitJobs()
	d.lookAll()
	d.watchMeters(nil)
	return true
}

// visit looks after every agent, unit and metered draw once per tick.
func (d *Dispatch) visit() {
	d.visitAgents()
	may := d.mayRaise() && d.open(d.root)
	for _, u := range d.order {
		if d.passTime(u) || u.overdue != u.late() {
			d.book(u)
			d.touchUnit(u)
		}
		if u.fixed {
			continue
		}
		d.shedUnit(u)
		d.retire(u)
		if d.started(u) {
			d.finish(u)
			d.touchUnit(u)
		}
		if u.raising && u.agent.counter > u.counter && d.now-u.changedAt >= reissueAfter && u.reason == "" {
			d.reissue(u, may)
		}
	}
	d.visitMeters()
	d.visitParts()
	d.visitStrangers()
	d.visitNodes()
	d.visitWork()
	if d.crowd && len(d.roster) < MaxAgents && len(d.order) < MaxUnits {
		d.clearAlert(&d.alarms.Crowd, &d.crowd, alarmCrowd, "site", "there is room for workers again")
	}
}

// reissue repeats a ramp that newer statuses show to be lost, and gives up
// after a few.
func (d *Dispatch) reissue(u *unit, may bool) {
	if u.tries >= maxTries {
		u.notBefore = max(u.notBefore, d.now+unablePause)
		d.raiseAlert(&d.alarms.Follow, &u.followAlert, alarmFollow, u.agent.id+"/"+u.id, events.SeverityWarning,
			"the unit did not apply a ramp that was sent four times; its power goes to others",
			"look at the agent's log: clock, stream permissions, local limit")
		d.lower(u, u.down(min(u.setpoint, u.set)), events.ReasonWorker)
		return
	}
	if !may || u.homeless || !d.openUp(u.node) || u.agent.gen != d.gen || d.now-u.agent.heard >= d.site.lease || !u.healthy || d.now < u.notBefore {
		return
	}
	u.tries++
	u.before = u.set
	d.ramp(u)
}

// visitAgents lets silent agents fall to failsafe in the books and forgets
// those that have left.
func (d *Dispatch) visitAgents() {
	d.roster = slices.DeleteFunc(d.roster, func(a *agent) bool {
		silent := d.now - a.heard
		if silent < d.site.lease && !a.leaving {
			d.forgetSilentUnits(a)
			if len(a.units) > 0 {
				return false
			}
			d.forget(a)
			return true
		}
		fall := d.site.lease + answerGrace
		for _, u := range a.units {
			fall = max(fall, d.site.lease+u.fall+answerGrace)
		}
		switch {
		case a.leaving:
			if d.now-a.leftAt > fall {
				d.forget(a)
				return true
			}
			return false
		case silent > forgetAgent:
			d.forget(a)
			return true
		case silent > fall && !a.lost:
			a.lost = true
			for _, u := range a.units {
				d.drop(u)
				u.setpoint, u.power = u.caps.FailsafeWatts, u.caps.FailsafeWatts
				u.lowering = false
				d.bookAs(u, false) // silence clears no alert
				d.fix(u, true)
				d.touchUnit(u)
			}
		}
		if silent > d.site.lease {
			d.raiseAlert(&d.alarms.Silent, &a.silentAlert, alarmSilent, a.id, events.SeverityWarning,
				"no status for longer than a lease: its units are taken to be at their failsafe setpoint",
				"check the agent's process and its connection to the bus")
		}
		d.touchAgent(a)
		return false
	})
}

// forgetSilentUnits forgets units that their living agent no longer mentions.
func (d *Dispatch) forgetSilentUnits(a *agent) {
	if len(a.units) == 1 && d.now-a.units[0].heard < forgetUnit {
		return
	}
	gone := false
	for _, u := range a.units {
		if d.now-u.heard < forgetUnit {
			continue
		}
		if u.set > 0 {
			if u.reason == "" {
				d.lower(u, 0, events.ReasonWorker)
			}
			continue
		}
		if d.now-max(u.heard, u.changedAt) >= forgetUnit {
			gone = true
		}
	}
	if !gone {
		return
	}
	a.units = slices.DeleteFunc(a.units, func(u *unit) bool {
		if u.set > 0 || d.now-max(u.heard, u.changedAt) < forgetUnit {
			return false
		}
		d.forgetUnit(u)
		return true
	})
	a.index, a.cursor = nil, 0
}

// forget drops an agent and everything booked for it.
func (d *Dispatch) forget(a *agent) {
	for _, u := range a.units {
		d.forgetUnit(u)
	}
	a.units = nil
	d.clearAlert(&d.alarms.Silent, &a.silentAlert, alarmSilent, a.id, "the agent is forgotten")
	d.entries -= a.h
	delete(d.agents, a.id)
}

func (d *Dispatch) forgetUnit(u *unit) {
	u.power, u.setpoint, u.inflight, u.lowering, u.allow, u.held = 0, 0, 0, false, 0, 0
	u.toil = toil{}
	d.leavePart(u, 0)
	d.acquit(u)
	d.standDown(u, "the unit is forgotten")
	d.fix(u, false)
	d.place(u, 0)
	d.book(u)
	d.meet(u, -1)
	d.clearAlert(&d.alarms.Follow, &u.followAlert, alarmFollow, u.agent.id+"/"+u.id, "the unit is forgotten")
	d.clearAlert(&d.alarms.Home, &u.homeAlert, alarmHome, u.agent.id+"/"+u.id, "the unit is forgotten")
	d.unrank(u)
	d.entries -= u.h
	u.h = 0
}

// visitMeters compares what meters of single units see with what those units
// are booked with: a unit that says 0 W while its meter says 3 kW.
func (d *Dispatch) visitMeters() {
	for _, n := range d.nodes {
		for i := range n.minings {
			for _, m := range n.minings[i].meters {
				d.visitMeter(m)
			}
		}
	}
}

func (d *Dispatch) visitMeter(m *meter) {
	over := m.units > 0 && !m.shared && d.rung(m) == rungFresh && m.watts > m.booked+m.booked/20+50
	was, flag := m.over, m.overAlert
	switch {
	case !over:
		m.over = -1
		d.clearAlert(&d.alarms.Metered, &m.overAlert, alarmMetered, m.cfg.Meter, "the metered draw is explained again")
	case m.over < 0:
		m.over = d.now
	case d.now-m.over >= 2*answerGrace:
		d.raiseAlert(&d.alarms.Metered, &m.overAlert, alarmMetered, m.cfg.Meter, events.SeverityCritical,
			"the meter reads more than the units behind it admit; the difference is booked and others are lowered for it",
			"cut the outlet or the breaker of the units behind this meter, then look at their agents")
	}
	if was != m.over || flag != m.overAlert {
		d.touchMeter(m)
	}
}

// renew prolongs the permits of the agents whose turn it is, and repeats
// reductions that are not applied yet.
func (d *Dispatch) renew(out *decider.Outbox) {
	units, count := 0, 0
	for _, a := range d.roster {
		if d.renewable(a) {
			units += len(a.units)
			count += (len(a.units) + maxUnitsPerMessage - 1) / maxUnitsPerMessage
		}
	}
	if count == 0 {
		return
	}
	permits := make([]events.PermitRenewed, 0, count)
	points := make([]events.UnitSetpoint, 0, units)
	lease := d.site.lease / milli
	key := out.Key()
	for _, a := range d.roster {
		if !d.renewable(a) {
			continue
		}
		from := len(points)
		for _, u := range a.units {
			points = append(points, events.UnitSetpoint{Unit: u.id, SetpointWatts: u.set})
		}
		for from < len(points) {
			to := min(from+maxUnitsPerMessage, len(points))
			permits = append(permits, events.PermitRenewed{Decider: Name, Key: key, BootID: a.boot, Counter: a.counter,
				LeaseMilliseconds: lease, Units: points[from:to:to]})
			out.Send(a.id, &permits[len(permits)-1])
			from = to
		}
		a.renewed, a.renewedAt = a.counter, d.now
		d.touchAgent(a)
	}
}

// renewable reports whether a gets a renewal on this tick.
func (d *Dispatch) renewable(a *agent) bool {
	if a.gen != d.gen || a.leaving || len(a.units) == 0 || d.now-a.heard >= d.site.lease {
		return false
	}
	if a.lowering > 0 || a.urged == d.now {
		return true
	}
	if a.counter <= a.renewed {
		return false
	}
	every := clamp(d.site.lease/(4*second), 1, renewEvery)
	return (d.tickSecond+a.phase)%every == 0 || d.now-a.renewedAt >= (every+1)*second
}
