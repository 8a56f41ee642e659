// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Rung of the escalation against a unit that does not follow.
type Rung string

// Rungs, from the first to the last, and the end of it.
const (
	// RungRetry: the reduction is commanded again, and every renewal repeats
	// it.
	RungRetry Rung = "retry"
	// RungShed: what the unit draws is booked at its place in the power tree,
	// and others under the tightest node are lowered for it.
	RungShed Rung = "shed"
	// RungOutlet: its outlet is switched off.
	RungOutlet Rung = "outlet"
	// RungPage: people must act.
	RungPage Rung = "page"
	// RungFollowed: the meters show that it follows again; the escalation is
	// over. An outlet that was cut stays off.
	RungFollowed Rung = "followed"
)

// UnitEscalated (unit.escalated) says that dispatch took the next step against
// a unit that draws more than it may after its time to fall, and by when that
// step must show at the meter.
type UnitEscalated struct {
	// Agent and Unit concerned, and the Node on which it hangs.
	Agent string `json:"agent"`
	Unit  string `json:"unit"`
	Node  string `json:"node"`
	// Rung reached.
	Rung Rung `json:"rung"`
	// Witness is the meter or node whose mining meters say so; empty when the
	// unit says so itself.
	Witness string `json:"witness,omitempty"`
	// AllowedWatts is what the unit may draw. ExcessWatts is draw beyond that:
	// of the unit by its own word, else all that the witness sees too much. W.
	AllowedWatts int64 `json:"allowed_watts"`
	ExcessWatts  int64 `json:"excess_watts"`
	// BookedWatts is what is booked at Node for draw that should have ended: so
	// much less room is left for others there, and at every node above. W.
	BookedWatts int64 `json:"booked_watts"`
	// Tries is how often the reduction has been sent by now, renewals
	// included.
	Tries int64 `json:"tries"`
	// Outlet that feeds the unit; empty when none is known.
	Outlet string `json:"outlet,omitempty"`
	// SinceMilliseconds since it should have followed, and until the next rung
	// if it does not follow by then; 0 on the last one. ms.
	SinceMilliseconds    int64 `json:"since_milliseconds"`
	DeadlineMilliseconds int64 `json:"deadline_milliseconds"`
}

// EventType implements Payload.
func (*UnitEscalated) EventType() Type { return TypeUnitEscalated }

// Validate implements Payload.
func (u *UnitEscalated) Validate() error {
	var c checker
	c.token("agent", u.Agent)
	c.token("unit", u.Unit)
	c.token("node", u.Node)
	switch u.Rung {
	case RungRetry, RungShed, RungOutlet, RungPage, RungFollowed:
	default:
		c.fail("rung", "%s is none of retry, shed, outlet, page, followed", quote(string(u.Rung)))
	}
	if u.Witness != "" {
		c.token("witness", u.Witness)
	}
	c.count("allowed_watts", u.AllowedWatts)
	c.count("excess_watts", u.ExcessWatts)
	c.count("booked_watts", u.BookedWatts)
	c.count("tries", u.Tries)
	if u.Outlet != "" {
		c.token("outlet", u.Outlet)
	}
	c.count("since_milliseconds", u.SinceMilliseconds)
	c.count("deadline_milliseconds", u.DeadlineMilliseconds)
	return c.err
}

// OutletReason is why an outlet is switched, as a code.
type OutletReason string

// Reasons to switch an outlet.
const (
	// OutletNotFollowing: the unit behind it draws more than it may.
	OutletNotFollowing OutletReason = "not-following"
	// OutletOperator: a person asked for it (outlet.requested).
	OutletOperator OutletReason = "operator"
)

// CommandOutlet (command.outlet) switches the outlet that feeds a unit. The
// source token of the subject is the controller of the outlet. Off may be
// obeyed straight from the wire and however late; on only as stored in COMMANDS
// and before ValidUntil. At a controller the key of an outlet only rises.
type CommandOutlet struct {
	// Decider that speaks.
	Decider string `json:"decider"`
	// Key orders the command.
	Key OrderKey `json:"key"`
	// Controller addressed.
	Controller string `json:"controller"`
	// Outlet id, unique in the site.
	Outlet string `json:"outlet"`
	// Off: without power. False switches it on, which permits no unit to draw
	// more: that takes a permit as ever.
	Off bool `json:"off"`
	// Agent and Unit behind it, where the site has only one there.
	Agent string `json:"agent,omitempty"`
	Unit  string `json:"unit,omitempty"`
	// Reason code.
	Reason OutletReason `json:"reason"`
	// IssuedAt is the arrival of the cause in the journal.
	IssuedAt time.Time `json:"issued_at"`
	// ValidUntil bounds the command where it switches on; for the record
	// where it switches off.
	ValidUntil time.Time `json:"valid_until"`
}

// EventType implements Payload.
func (*CommandOutlet) EventType() Type { return TypeCommandOutlet }

// Validate implements Payload.
func (k *CommandOutlet) Validate() error {
	var c checker
	c.token("decider", k.Decider)
	c.key(&k.Key, "key.epoch", "key.sequence")
	c.token("controller", k.Controller)
	c.token("outlet", k.Outlet)
	if k.Agent != "" {
		c.token("agent", k.Agent)
	}
	if k.Unit != "" {
		c.token("unit", k.Unit)
	}
	switch k.Reason {
	case OutletNotFollowing, OutletOperator:
	default:
		c.fail("reason", "%s is none of not-following, operator", quote(string(k.Reason)))
	}
	c.validity(k.IssuedAt, k.ValidUntil)
	return c.err
}

// OutletState is what a controller knows of an outlet.
type OutletState string

// States of an outlet.
const (
	OutletOn      OutletState = "on"
	OutletOff     OutletState = "off"
	OutletUnknown OutletState = "unknown"
)

// OutletStatus (outlet.status) is what the controller of an outlet did. The
// source token of the subject is the controller's id. It is published after
// every command and, for every outlet that was commanded, every half minute.
type OutletStatus struct {
	// Outlet id.
	Outlet string `json:"outlet"`
	// State as last switched, or as the device tells.
	State OutletState `json:"state"`
	// Applied is the key of the newest command carried out.
	Applied *OrderKey `json:"applied,omitempty"`
	// Error says why the newest command could not be carried out; empty when
	// it was.
	Error string `json:"error,omitempty"`
	// Modelled: no real outlet stands behind it.
	Modelled bool `json:"modelled,omitempty"`
}

// EventType implements Payload.
func (*OutletStatus) EventType() Type { return TypeOutletStatus }

// Validate implements Payload.
func (s *OutletStatus) Validate() error {
	var c checker
	c.token("outlet", s.Outlet)
	switch s.State {
	case OutletOn, OutletOff, OutletUnknown:
	default:
		c.fail("state", "%s is none of on, off, unknown", quote(string(s.State)))
	}
	if s.Applied != nil {
		c.key(s.Applied, "applied.epoch", "applied.sequence")
	}
	c.optionalText("error", s.Error, MaxText)
	return c.err
}

// OutletRequested (outlet.requested) is a person's order for an outlet. Only an
// operator may publish it (source token OperatorSource). An outlet that dispatch
// has cut is switched on again in no other way.
type OutletRequested struct {
	// Outlet id.
	Outlet string `json:"outlet"`
	// Off: cut it; false restores it.
	Off bool `json:"off"`
	// Reason for people and reports.
	Reason string `json:"reason,omitempty"`
}

// EventType implements Payload.
func (*OutletRequested) EventType() Type { return TypeOutletRequested }

// Validate implements Payload.
func (r *OutletRequested) Validate() error {
	var c checker
	c.token("outlet", r.Outlet)
	c.optionalText("reason", r.Reason, MaxText)
	return c.err
}
