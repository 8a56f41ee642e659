// SPDX-License-Identifier: Apache-2.0

package events

import (
	"cmp"
	"strings"
)

// Validate implements Payload. Every line must come out exactly, and all of
// them together within what the units could draw.
func (e *CurtailmentSettled) Validate() error {
	var c checker
	c.span("interval_start", e.IntervalStart, "interval_end", e.IntervalEnd)
	c.count("nameplate_milliwatt_hours", e.NameplateMilliwattHours)
	if len(e.Lines) > MaxCurtailmentLines {
		c.fail("lines", "%d given; at most %d", len(e.Lines), MaxCurtailmentLines)
	}
	rest := e.NameplateMilliwattHours
	c.in = "lines"
	for i := range e.Lines {
		l := &e.Lines[i]
		c.at = i
		c.curtailmentLine(l)
		if i > 0 && e.Lines[i-1].Compare(l) >= 0 {
			c.fail("reason", "basis, reason and signal are twice or out of order")
		}
		if c.err != nil {
			return c.err
		}
		if l.MilliwattHours > rest {
			c.fail("milliwatt_hours", "all lines together are above nameplate_milliwatt_hours %d", e.NameplateMilliwattHours)
		}
		rest -= l.MilliwattHours
	}
	c.in = "rates"
	last := -1
	for i := range e.Rates {
		r := &e.Rates[i]
		c.at = i
		c.payout(&r.Payout)
		if r.ShareDifficulty != "" {
			c.difficulty("share_difficulty", r.ShareDifficulty)
		}
		c.count("btc_price_microusd", r.BTCPriceMicrousd)
		if place := basisOrder(r.Payout.Basis); place <= last {
			c.fail("payout.basis", "%s is twice or out of order; list live, practice, modelled", quote(string(r.Payout.Basis)))
		} else {
			last = place
		}
	}
	c.in = ""
	c.eventID("energy_event_id", e.EnergyEventID)
	c.optionalEventID("reverses", e.Reverses)
	c.key(&e.Key, "key.epoch", "key.sequence")
	return c.err
}

func (c *checker) curtailmentLine(l *CurtailmentLine) {
	c.basis("basis", l.Basis)
	switch l.Reason {
	case ReasonMachine, ReasonUnsaid:
	default:
		c.unitReason("reason", l.Reason)
	}
	c.optionalEventID("signal_id", l.SignalID)
	c.count("milliwatt_hours", l.MilliwattHours)
	c.count("modelled_milliwatt_hours", l.ModelledMilliwattHours)
	if l.ModelledMilliwattHours > l.MilliwattHours {
		c.fail("modelled_milliwatt_hours", "%d is above milliwatt_hours %d", l.ModelledMilliwattHours, l.MilliwattHours)
	}
	if !isWhole(l.Hashes, 40) {
		c.fail("hashes", "%s must be a whole number of at most 40 digits", quote(l.Hashes))
	}
	c.count("forgone_millisats", l.ForgoneMillisats)
	c.count("forgone_microusd", l.ForgoneMicrousd)
	c.signed("avoided_cost_microusd", l.AvoidedCostMicrousd)
	c.signed("net_microusd", l.NetMicrousd)
	if net := l.ForgoneMicrousd - l.AvoidedCostMicrousd; net != l.NetMicrousd {
		c.fail("net_microusd", "%d is not forgone − avoided cost = %d", l.NetMicrousd, net)
	}
}

// Compare is the order of lines: by basis, reason and signal.
func (l *CurtailmentLine) Compare(o *CurtailmentLine) int {
	return cmp.Or(
		cmp.Compare(basisOrder(l.Basis), basisOrder(o.Basis)),
		strings.Compare(string(l.Reason), string(o.Reason)),
		strings.Compare(l.SignalID, o.SignalID),
	)
}
