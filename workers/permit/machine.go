// SPDX-License-Identifier: Apache-2.0

package permit

import (
	"math"

	"github.com/ballast-energy/ballast/events"
)

// MaxDeciders is how many deciders may speak to one unit. A further one can
// only lower.
const MaxDeciders = 8

// unlimited stands for a limit that nobody set.
const unlimited = math.MaxInt64

// Refusal is why a command, or the raise in it, was not obeyed.
type Refusal uint8

// Refusals.
const (
	// Obeyed: nothing was refused.
	Obeyed Refusal = iota
	// RefusedCopy: this very command was folded before.
	RefusedCopy
	// RefusedOld: a higher key of the same decider came first.
	RefusedOld
	// RefusedWire: a raise that was not heard as stored.
	RefusedWire
	// RefusedNoLease: the status named was not sent by this boot, is not
	// remembered, or its lease is over already.
	RefusedNoLease
	// RefusedExpired: a raise after its valid_until.
	RefusedExpired
	// RefusedFailsafe: a raise decided without knowledge of the unit's
	// failsafe.
	RefusedFailsafe
	// RefusedDecider: a raise by a decider beyond MaxDeciders.
	RefusedDecider
	refusals
)

// String names the refusal in one word, for logs and metrics.
func (r Refusal) String() string {
	switch r {
	case Obeyed:
		return "obeyed"
	case RefusedCopy:
		return "copy"
	case RefusedOld:
		return "old"
	case RefusedWire:
		return "wire"
	case RefusedNoLease:
		return "no-lease"
	case RefusedExpired:
		return "expired"
	case RefusedFailsafe:
		return "failsafe"
	case RefusedDecider:
		return "decider"
	}
	return "unknown"
}

// Effect is what one input did to one machine.
type Effect struct {
	// Changed: the setpoint is another one.
	Changed bool
	// Telling: the unit has news for its next status (setpoint, state, or
	// the command applied).
	Telling bool
	// Refused says why, when a command or its raise was not obeyed.
	Refused Refusal
}

// Cause is why a command was given: its reason, and the grid signal behind it,
// if there is one. The zero value is a cause that nobody named.
type Cause struct {
	Reason   events.Reason
	SignalID string
}

// Grant is one unit's part of a ramp or renewal.
type Grant struct {
	// Decider that speaks, and its key.
	Decider string
	Key     events.OrderKey
	// Watts the unit may draw.
	Watts int64
	// Cause of a ramp; a renewal has none.
	Cause Cause
	// Counter of the status that the grant answers.
	Counter uint64
	// Expires is the end of the lease; 0 when there is none (wrong boot,
	// unknown counter).
	Expires Instant
	// Stored: heard as stored in COMMANDS. InTime: valid_until is not past.
	// Renewals need neither.
	Stored, InTime bool
}

// origin is what one decider has said about the unit.
type origin struct {
	decider string
	// command is the key of its newest command obeyed, if any; ramp that of
	// its newest ramp heard, obeyed or not.
	command   events.OrderKey
	commanded bool
	ramp      events.OrderKey
	ramped    bool
	// renewal is the key of its newest renewal and what it said, if any.
	renewal      events.OrderKey
	renewalWatts int64
	renewed      bool
	// limit in force; unlimited until it has said something lower. cause is
	// that of the command which set it, or the end of the lease.
	limit int64
	cause Cause
	// lease ends there while granted; lapsed is true from the end of a lease
	// to the next grant.
	lease   Instant
	granted bool
	lapsed  bool
}

// Machine is the permit state of one unit: a fold without clock or side
// effect. Make one with NewMachine; copying it copies nothing but the state of
// its first decider, so pass pointers.
type Machine struct {
	full, failsafe int64
	// levels that the unit can hold, rising, the last one full; nil for any.
	levels     []int64
	local      int64
	setpoint   int64
	cause      Cause
	state      events.PermitState
	applied    events.OrderKey
	hasApplied bool
	// told is the counter of the first status that spoke of the present
	// failsafe; 0 while none has.
	told    uint64
	origins []origin
}

// NewMachine returns a machine in state boot. full is what the unit draws at
// most and failsafe what it may draw without a permit, W; failsafe is brought
// into 0…full.
func NewMachine(full, failsafe int64) Machine {
	full = max(full, 0)
	m := Machine{full: full, failsafe: min(max(failsafe, 0), full), local: unlimited}
	m.settle()
	return m
}

// Hold makes the machine round its setpoint down to what the unit can hold: one
// of these levels, rising, its failsafe setpoint, or 0 W. An empty list lets it
// hold any power. The slice is kept.
func (m *Machine) Hold(levels []int64) {
	m.levels = levels
	m.settle()
}

// held is the highest power that the unit can hold and that is not above watts.
func (m *Machine) held(watts int64) int64 {
	if len(m.levels) == 0 || watts == m.full {
		return watts
	}
	best := int64(0)
	if m.failsafe <= watts {
		best = m.failsafe
	}
	for _, l := range m.levels {
		if l > watts {
			break
		}
		best = max(best, l)
	}
	return best
}

// Setpoint is what the unit may draw as of the last fold, W.
func (m *Machine) Setpoint() int64 { return m.setpoint }

// Cause is why the unit may draw less than its full power as of the last fold:
// that of the command which set the setpoint in force, or who else holds it
// down. It is the zero Cause at full power, and where no command that said why
// has been heard.
func (m *Machine) Cause() Cause { return m.cause }

// State of the machine as of the last fold.
func (m *Machine) State() events.PermitState { return m.state }

// Applied is the key of the newest command obeyed, and false when none was.
func (m *Machine) Applied() (events.OrderKey, bool) { return m.applied, m.hasApplied }

// Local is the limit set on site, and false when there is none.
func (m *Machine) Local() (int64, bool) { return m.local, m.local != unlimited }

// Lease is the end of the earliest living lease, and false when none lives.
func (m *Machine) Lease() (Instant, bool) {
	end, live := Instant(math.MaxInt64), false
	for i := range m.origins {
		if o := &m.origins[i]; o.granted {
			end, live = min(end, o.lease), true
		}
	}
	return end, live
}

// Tick ends the leases that are over.
func (m *Machine) Tick(now Instant) Effect {
	if !m.expire(now) {
		return Effect{}
	}
	return m.effect(Obeyed, true)
}

// Curtail lowers the unit to watts at most, for a cause.
func (m *Machine) Curtail(now Instant, decider string, key events.OrderKey, watts int64, why Cause) Effect {
	lapsed := m.expire(now)
	watts = max(watts, 0)
	o := m.origin(decider)
	if o == nil {
		// Nowhere to keep its limit apart: it counts as everybody's, and any
		// later ramp of theirs may lift it.
		for i := range m.origins {
			m.origins[i].lower(watts, why)
		}
		return m.effect(Obeyed, true)
	}
	if r := order(key, o.command, o.commanded); r != Obeyed {
		return m.effect(r, lapsed)
	}
	o.command, o.commanded = key, true
	o.lower(watts, why)
	m.apply(key)
	return m.effect(Obeyed, true)
}

// Ramp sets the unit to the grant's watts. Down it always goes; up only if
// every condition of the package's rules holds.
func (m *Machine) Ramp(now Instant, g Grant) Effect {
	lapsed := m.expire(now)
	if !g.Stored {
		// Its key must not count either: the stored copy is still to come.
		return m.effect(RefusedWire, lapsed)
	}
	o := m.origin(g.Decider)
	if o == nil {
		return m.effect(RefusedDecider, lapsed)
	}
	if r := order(g.Key, o.command, o.commanded); r != Obeyed {
		return m.effect(r, lapsed)
	}
	watts := min(max(g.Watts, 0), m.full)
	if o.renewed && causes(o.renewal, g.Key) > 0 {
		watts = min(watts, o.renewalWatts)
	}
	refused := order(g.Key, o.ramp, o.ramped)
	if refused == Obeyed {
		o.ramp, o.ramped = g.Key, true
		refused = m.mayRaise(now, g)
	}
	switch {
	case refused == Obeyed:
		o.limit, o.cause = watts, g.Cause
		o.lease = max(o.lease, g.Expires)
		o.granted, o.lapsed = true, false
		o.command, o.commanded = g.Key, true
	case watts < o.limit:
		// Its raise was refused, so reductions before it still count.
		o.lower(watts, g.Cause)
	default:
		return m.effect(refused, lapsed)
	}
	m.apply(g.Key)
	return m.effect(refused, true)
}

// mayRaise reports why the grant must not raise, or Obeyed.
func (m *Machine) mayRaise(now Instant, g Grant) Refusal {
	switch {
	case !g.InTime:
		return RefusedExpired
	case g.Expires <= now:
		return RefusedNoLease
	case m.lapsed() && (m.told == 0 || g.Counter < m.told):
		return RefusedFailsafe
	}
	return Obeyed
}

// Renew prolongs a living lease and lowers the unit if the renewal says less.
func (m *Machine) Renew(now Instant, g Grant) Effect {
	lapsed := m.expire(now)
	o := m.origin(g.Decider)
	if o == nil {
		return m.effect(RefusedDecider, lapsed)
	}
	if o.renewed && causes(g.Key, o.renewal) < 0 || o.commanded && causes(g.Key, o.command) < 0 {
		return m.effect(RefusedOld, lapsed)
	}
	watts := min(max(g.Watts, 0), m.full)
	o.renewal, o.renewalWatts, o.renewed = g.Key, watts, true
	lowered := false
	if watts < o.limit && (!o.commanded || causes(g.Key, o.command) > 0) {
		// The reduction that said why got lost, or is still to come.
		o.lower(watts, Cause{})
		lowered = true
		m.apply(g.Key)
	}
	if o.granted {
		o.lease = max(o.lease, g.Expires)
	}
	return m.effect(Obeyed, lapsed || lowered)
}

// Limit sets the limit of a person on site; the lowest limit rules.
func (m *Machine) Limit(now Instant, watts int64) Effect {
	m.expire(now)
	m.local = max(watts, 0)
	return m.effect(Obeyed, true)
}

// Unlimit lifts the limit of a person on site. What the deciders have
// permitted, as long as their leases live, is in force again.
func (m *Machine) Unlimit(now Instant) Effect {
	m.expire(now)
	m.local = unlimited
	return m.effect(Obeyed, true)
}

// Told notes that the status with that counter speaks of this unit.
func (m *Machine) Told(counter uint64) {
	if m.told == 0 && m.lapsed() {
		m.told = counter
	}
}

// apply notes the newest command obeyed. A command that is overtaken by the
// renewal of its own cause leaves the renewal's key.
func (m *Machine) apply(key events.OrderKey) {
	if !m.hasApplied || key.Compare(m.applied) > 0 {
		m.applied, m.hasApplied = key, true
	}
}

// expire ends the leases that are over and reports whether there were any.
func (m *Machine) expire(now Instant) bool {
	any := false
	for i := range m.origins {
		o := &m.origins[i]
		if o.granted && o.lease <= now {
			o.granted, o.lapsed = false, true
			o.lower(m.failsafe, Cause{Reason: events.ReasonLease})
			m.told, any = 0, true
		}
	}
	return any
}

// lapsed reports whether a lease has ended and not been granted anew.
func (m *Machine) lapsed() bool {
	for i := range m.origins {
		if m.origins[i].lapsed {
			return true
		}
	}
	return false
}

// settle computes setpoint and state from the rest.
func (m *Machine) settle() {
	watts, why, live, lapsed := m.full, Cause{}, false, false
	for i := range m.origins {
		o := &m.origins[i]
		// Of several that hold it at the same power the one that did so before
		// is the cause: the others take nothing away.
		if o.limit < watts || o.limit == watts && watts < m.full && o.cause == m.cause {
			watts, why = o.limit, o.cause
		}
		live = live || o.granted
		lapsed = lapsed || o.lapsed
	}
	switch {
	case live || m.failsafe == m.full:
	case lapsed && m.failsafe < watts:
		watts, why = m.failsafe, Cause{Reason: events.ReasonLease}
	case !lapsed && m.failsafe <= watts:
		// A reduction to what it may draw anyhow takes nothing from it.
		watts, why = m.failsafe, Cause{Reason: events.ReasonBoot}
	}
	if m.local < watts || m.local == watts && watts < m.full && m.cause.Reason == events.ReasonLocal {
		watts, why = m.local, Cause{Reason: events.ReasonLocal}
	}
	m.setpoint, m.cause = m.held(watts), why
	switch {
	case lapsed:
		m.state = events.PermitFailsafe
	case !live:
		m.state = events.PermitBoot
	case m.local != unlimited:
		m.state = events.PermitLocal
	case m.setpoint == m.full:
		m.state = events.PermitRunning
	default:
		m.state = events.PermitLimited
	}
}

// lower brings the limit down to watts at most. A reduction that takes nothing
// away leaves the cause, unless nobody has named one yet.
func (o *origin) lower(watts int64, why Cause) {
	if watts < o.limit || watts == o.limit && o.cause == (Cause{}) {
		o.limit, o.cause = watts, why
	}
}

// effect settles the machine and reports what became of the input.
func (m *Machine) effect(refused Refusal, telling bool) Effect {
	before, why := m.setpoint, m.cause
	m.settle()
	changed := m.setpoint != before
	return Effect{Changed: changed, Telling: telling || changed || m.cause != why, Refused: refused}
}

// origin returns the place of a decider, a new one if need be, and nil when
// there is no room.
func (m *Machine) origin(decider string) *origin {
	for i := range m.origins {
		if m.origins[i].decider == decider {
			return &m.origins[i]
		}
	}
	if len(m.origins) == MaxDeciders {
		return nil
	}
	m.origins = append(m.origins, origin{decider: decider, limit: unlimited})
	return &m.origins[len(m.origins)-1]
}

// order judges a key against the newest one, if there is any.
func order(key, newest events.OrderKey, any bool) Refusal {
	if !any {
		return Obeyed
	}
	switch key.Compare(newest) {
	case -1:
		return RefusedOld
	case 0:
		return RefusedCopy
	}
	return Obeyed
}

// causes compares keys by their causes, without the ordinal.
func causes(a, b events.OrderKey) int {
	a.Ordinal, b.Ordinal = 0, 0
	return a.Compare(b)
}
