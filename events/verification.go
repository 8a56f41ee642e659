// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// MaxCurtailmentWitnesses is the most witnesses that one curtailment.metered
// lists.
const MaxCurtailmentWitnesses = 64

// MeteredOutcome is what became of a reduction according to meters.
type MeteredOutcome string

// Outcomes, from the best to the worst.
const (
	// OutcomeMet: metered down within the deadline.
	OutcomeMet MeteredOutcome = "met"
	// OutcomeLate: metered down after the deadline.
	OutcomeLate MeteredOutcome = "late"
	// OutcomeUnmetered: no mining meter that is believed sees the units; all
	// that is known is what they acknowledged.
	OutcomeUnmetered MeteredOutcome = "unmetered"
	// OutcomeShort: not metered down when the last rung of the escalation was
	// reached.
	OutcomeShort MeteredOutcome = "short"
)

// CurtailmentMetered (curtailment.metered) ends the verification of a
// reduction: what the mining meters showed of it, and when. One event per
// decision that lowered anything; where more verifications are open at once
// than are kept apart, one stands for several decisions.
type CurtailmentMetered struct {
	// Key of the first command that lowered, as in command.curtail.
	Key OrderKey `json:"key"`
	// CauseID and CauseType of the event that led to it.
	CauseID   string `json:"cause_id"`
	CauseType Type   `json:"cause_type"`
	// Reason of the first command, and the grid signal behind it, if there is
	// one.
	Reason   Reason `json:"reason"`
	SignalID string `json:"signal_id,omitempty"`
	// IssuedAt is the arrival of the cause in the journal.
	IssuedAt time.Time `json:"issued_at"`
	// Decisions that this verification stands for, 1 unless many were open.
	Decisions int64 `json:"decisions"`
	// Units that were lowered; UnitsApplied of them acknowledged it. A unit
	// that is lowered twice counts twice.
	Units        int64 `json:"units"`
	UnitsApplied int64 `json:"units_applied"`
	// AskedWatts is by how much the metered power was to fall: what the units
	// drew beyond their new setpoints. AchievedWatts is by how much it had
	// fallen, at most what was asked; without a meter, what the units that
	// acknowledged were to fall by. ShortfallWatts is what is missing. W.
	AskedWatts     int64 `json:"asked_watts"`
	AchievedWatts  int64 `json:"achieved_watts"`
	ShortfallWatts int64 `json:"shortfall_watts"`
	// ResponseMilliseconds from IssuedAt to the arrival of the reading that
	// showed all of it (unmetered: of the last acknowledgement); absent when
	// none did. Elapsed journal time. ms.
	ResponseMilliseconds *int64 `json:"response_milliseconds,omitempty"`
	// DeadlineMilliseconds from IssuedAt within which it was to be shown: the
	// longest time to fall, the period of the meter, and 5 s for command and
	// answer to travel. ms.
	DeadlineMilliseconds int64 `json:"deadline_milliseconds"`
	// Outcome is the worst of all witnesses.
	Outcome MeteredOutcome `json:"outcome"`
	// WitnessesTotal is how many meters or nodes were asked; Witnesses lists
	// the worst of them, by outcome, then shortfall.
	WitnessesTotal int64                `json:"witnesses_total"`
	Witnesses      []CurtailmentWitness `json:"witnesses"`
}

// CurtailmentWitness is what one meter, or the mining meters of one node, told
// of a reduction.
type CurtailmentWitness struct {
	// Node of the power tree whose mining meters told, RootNode for the point
	// of connection; of a witness without meter the point of connection.
	Node string `json:"node"`
	// Meter, where the units have one of their own; else the meters of Node.
	Meter string `json:"meter,omitempty"`
	// Units lowered under it.
	Units int64 `json:"units"`
	// BeforeWatts is what it read at the decision or right after it, AfterWatts
	// at the end; both absent when it is unmetered. W.
	BeforeWatts *int64 `json:"before_watts,omitempty"`
	AfterWatts  *int64 `json:"after_watts,omitempty"`
	// AskedWatts, AchievedWatts and ShortfallWatts as above. W.
	AskedWatts     int64 `json:"asked_watts"`
	AchievedWatts  int64 `json:"achieved_watts"`
	ShortfallWatts int64 `json:"shortfall_watts"`
	// ResponseMilliseconds as above. ms.
	ResponseMilliseconds *int64 `json:"response_milliseconds,omitempty"`
	// Outcome of this witness.
	Outcome MeteredOutcome `json:"outcome"`
}

// EventType implements Payload.
func (*CurtailmentMetered) EventType() Type { return TypeCurtailmentMetered }

// Validate implements Payload.
func (k *CurtailmentMetered) Validate() error {
	var c checker
	c.key(&k.Key, "key.epoch", "key.sequence")
	c.eventID("cause_id", k.CauseID)
	if !isTypeName(string(k.CauseType)) {
		c.fail("cause_type", "%s is no event type", quote(string(k.CauseType)))
	}
	c.reason("reason", k.Reason)
	c.optionalEventID("signal_id", k.SignalID)
	c.when("issued_at", k.IssuedAt)
	c.between("decisions", k.Decisions, 1, MaxInteger)
	c.count("units", k.Units)
	c.count("units_applied", k.UnitsApplied)
	c.count("asked_watts", k.AskedWatts)
	c.count("achieved_watts", k.AchievedWatts)
	c.count("shortfall_watts", k.ShortfallWatts)
	c.optionalCount("response_milliseconds", k.ResponseMilliseconds)
	c.count("deadline_milliseconds", k.DeadlineMilliseconds)
	c.outcome(k.Outcome)
	c.count("witnesses_total", k.WitnessesTotal)
	if n := len(k.Witnesses); n == 0 || n > MaxCurtailmentWitnesses {
		c.fail("witnesses", "%d given; 1 to %d are possible", n, MaxCurtailmentWitnesses)
		return c.err
	}
	c.in = "witnesses"
	for i := range k.Witnesses {
		w := &k.Witnesses[i]
		c.at = i
		c.token("node", w.Node)
		if w.Meter != "" {
			c.token("meter", w.Meter)
		}
		c.count("units", w.Units)
		if w.BeforeWatts != nil {
			c.signed("before_watts", *w.BeforeWatts)
		}
		if w.AfterWatts != nil {
			c.signed("after_watts", *w.AfterWatts)
		}
		c.count("asked_watts", w.AskedWatts)
		c.count("achieved_watts", w.AchievedWatts)
		c.count("shortfall_watts", w.ShortfallWatts)
		c.optionalCount("response_milliseconds", w.ResponseMilliseconds)
		c.outcome(w.Outcome)
	}
	return c.err
}

func (c *checker) outcome(o MeteredOutcome) {
	switch o {
	case OutcomeMet, OutcomeLate, OutcomeUnmetered, OutcomeShort:
	default:
		c.fail("outcome", "%s is none of met, late, unmetered, short", quote(string(o)))
	}
}

// optionalCount is like count for a field that may be absent.
func (c *checker) optionalCount(field string, v *int64) {
	if v != nil {
		c.count(field, *v)
	}
}
