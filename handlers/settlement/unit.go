// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"slices"
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// maxUnits bounds how many units a site may announce.
const maxUnits = 1 << 17

// agent speaks for units.
type agent struct {
	ID     string
	Heard  int64 // arrival of its newest status
	Silent bool  // its permits have run out
	Lost   bool  // for so long that its units are not waited for
}

// unit is what its agent says of it.
type unit struct {
	ID                     string
	Agent                  int32
	Watts, Failsafe        int64
	Meter                  string
	MillijoulesPerTerahash int64
	// Modelled: its power is not measured but comes from a model of the whole
	// machine or of its draw alone.
	Modelled bool
	// Account its power counts in, and how much of it is in the sum.
	Account int32
	Counted int64

	// Nameplate power, and why the unit uses less of it, by its own word.
	Nameplate int64
	Basis     int
	Why       events.Reason
	Signal    string
	// InView: it counts among the units that could hash. Waits is the power
	// that it does not use, W, booked on Line of the interval up to Since; Rest
	// of the hashes, over its efficiency, is carried. Alone: its agent is
	// silent.
	InView bool
	Alone  bool
	Waits  int64
	Line   int32
	Since  int64
	Rest   uint64
}

// status folds what an agent says of its units.
func (d *Decider) status(source string, s *events.WorkerStatus) {
	ai, ok := d.agentOf[source]
	if s.Leaving {
		if ok {
			d.forget(ai)
			d.showUnits()
		}
		return
	}
	if !ok {
		ai = int32(len(d.Agents))
		d.Agents = append(d.Agents, agent{ID: source})
		d.agentOf[source] = ai
	}
	a := &d.Agents[ai]
	a.Heard = d.Now
	back := a.Silent
	a.Silent, a.Lost = false, false
	for i := range s.Units {
		d.unitSays(ai, &s.Units[i])
	}
	if back {
		d.recount(ai)
	}
	if d.Config == nil {
		return
	}
	if due := d.Now + d.Config.AgentHold; due < d.nextSilent {
		d.nextSilent = due
		d.setBreak()
	}
	d.showUnits()
}

func (d *Decider) unitSays(ai int32, s *events.UnitStatus) {
	i, ok := d.unitOf[s.Unit]
	if !ok {
		if len(d.Units) >= maxUnits {
			d.raise("settlement-units", events.SeverityCritical,
				"more than 131072 units announced themselves; the others are not booked",
				"find the agent that announces units that do not exist; give large fleets a meter")
			return
		}
		i = int32(len(d.Units))
		d.Units = append(d.Units, unit{ID: s.Unit, Account: -1, Line: -1, Basis: basisUnproven})
		d.unitOf[s.Unit] = i
	}
	u := &d.Units[i]
	modelled := s.Modelled || s.PowerModelled
	moved := u.Account < 0 || u.Modelled != modelled
	d.flushUnit(u)
	u.Agent, u.Watts, u.Modelled = ai, bound(s.PowerWatts, 0, maxWatts), modelled
	if c := s.Capabilities; c != nil {
		moved = moved || u.Meter != c.Meter
		u.Failsafe, u.Meter = bound(c.FailsafeWatts, 0, maxWatts), c.Meter
		d.resize(u, bound(c.NameplateWatts, 0, maxWatts), max(c.MillijoulesPerTerahash, 0))
		d.mix(uint64(u.MillijoulesPerTerahash))
		d.mix(uint64(u.Failsafe))
		d.mixText(u.Meter)
	}
	d.excuse(u, s)
	d.mix(uint64(u.Watts)<<1 | flag(u.Modelled))
	d.mix(uint64(i)<<32 | uint64(ai))
	if d.Config == nil {
		return
	}
	if moved {
		d.place(u)
		return
	}
	d.weigh(u)
}

// place finds the account of a unit and counts its power there.
func (d *Decider) place(u *unit) {
	if u.Account >= 0 && int(u.Account) < len(d.UnitWatts) {
		d.UnitWatts[u.Account] -= u.Counted
	}
	u.Counted = 0
	u.Account = accountUnits
	if u.Modelled {
		u.Account = accountUnitsModelled
	}
	if i, ok := d.meterOf[d.seenBy(u.Meter)]; ok && u.Meter != "" && d.Meters[i].Kind == kindMining {
		u.Account = d.Meters[i].Group
	}
	d.weigh(u)
}

// seenBy is the meter that counts for what meter sees: one further up the power
// tree, if there is one.
func (d *Decider) seenBy(meter string) string {
	if d.Config == nil || len(d.Config.Covered) == 0 {
		return meter
	}
	i, ok := slices.BinarySearchFunc(d.Config.Covered, meter, func(c cover, m string) int { return strings.Compare(c.Meter, m) })
	if !ok {
		return meter
	}
	return d.Config.Covered[i].By
}

// weigh brings a unit's share of its account's sum up to date.
func (d *Decider) weigh(u *unit) {
	watts := u.Watts
	if d.Agents[u.Agent].Silent {
		watts = u.Failsafe
	}
	d.UnitWatts[u.Account] += watts - u.Counted
	u.Counted = watts
	d.spareOf(u, watts)
}

// recount weighs every unit of an agent.
func (d *Decider) recount(ai int32) {
	if d.Config == nil {
		return
	}
	for i := range d.Units {
		if d.Units[i].Agent == ai {
			d.weigh(&d.Units[i])
		}
	}
}

// showUnits brings the flows that rest on units up to date.
func (d *Decider) showUnits() {
	if d.Config == nil {
		return
	}
	d.setFlow(accountUnits, d.UnitWatts[accountUnits], true, false)
	d.setFlow(accountUnitsModelled, d.UnitWatts[accountUnitsModelled], true, true)
	d.estimate()
}

// unitsOf is what the units behind a mining meter say they draw; known is
// false when no unit ever named the meter.
func (d *Decider) unitsOf(group int) (watts int64, known bool) {
	watts = d.UnitWatts[group]
	if watts > 0 {
		return watts, true
	}
	for i := range d.Units {
		if int(d.Units[i].Account) == group {
			return watts, true
		}
	}
	return 0, false
}

// expireAgents takes the units of silent agents to be at their failsafe power,
// and those that stay silent to be gone.
func (d *Decider) expireAgents() {
	d.nextSilent = never
	changed := false
	for i := range d.Agents {
		a := &d.Agents[i]
		if a.Lost {
			continue
		}
		if a.Silent {
			if due := a.Heard + d.Config.AgentHold + keepView; due > d.Now {
				d.nextSilent = min(d.nextSilent, due)
				continue
			}
			a.Lost = true
			d.mix(uint64(i))
			d.recount(int32(i))
			continue
		}
		if due := a.Heard + d.Config.AgentHold; due > d.Now {
			d.nextSilent = min(d.nextSilent, due)
			continue
		}
		a.Silent = true
		d.nextSilent = min(d.nextSilent, a.Heard+d.Config.AgentHold+keepView)
		d.mix(uint64(i))
		d.recount(int32(i))
		changed = true
	}
	if changed {
		d.showUnits()
	}
}

// forget drops an agent and its units; the last ones take the free places.
func (d *Decider) forget(ai int32) {
	for i := 0; i < len(d.Units); {
		u := &d.Units[i]
		if u.Agent != ai {
			i++
			continue
		}
		if d.Config != nil && u.Account >= 0 {
			d.UnitWatts[u.Account] -= u.Counted
		}
		d.leave(u)
		delete(d.unitOf, u.ID)
		last := len(d.Units) - 1
		if i != last {
			d.Units[i] = d.Units[last]
			d.unitOf[d.Units[i].ID] = int32(i)
		}
		d.Units[last] = unit{}
		d.Units = d.Units[:last]
	}
	delete(d.agentOf, d.Agents[ai].ID)
	last := int32(len(d.Agents) - 1)
	if ai != last {
		d.Agents[ai] = d.Agents[last]
		d.agentOf[d.Agents[ai].ID] = ai
		for i := range d.Units {
			if d.Units[i].Agent == last {
				d.Units[i].Agent = ai
			}
		}
	}
	d.Agents = d.Agents[:last]
	d.mix(uint64(last))
}
