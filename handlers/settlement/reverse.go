// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"strings"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

var _ decider.Reverser = (*Decider)(nil)

// Reverse undoes a booking whose cause the journal has lost: an accrual with
// the sign turned, a settlement with nothing in it. What stands in their place
// is booked anew from the journal as it is.
func (d *Decider) Reverse(booked *events.Event) (events.Payload, bool) {
	switch p := booked.Data.(type) {
	case *events.RevenueAccrued:
		return turned(p, booked.ID), true
	case *events.EnergySettled:
		return &events.EnergySettled{IntervalStart: p.IntervalStart, IntervalEnd: p.IntervalEnd, Reverses: booked.ID, Key: p.Key}, true
	case *events.RevenueSettled:
		return &events.RevenueSettled{
			IntervalStart: p.IntervalStart, IntervalEnd: p.IntervalEnd, Reverses: booked.ID, Key: p.Key,
			PriceMicrousdPerMWh: p.PriceMicrousdPerMWh, EnergyEventID: decider.ReversalID(p.EnergyEventID),
		}, true
	case *events.CurtailmentSettled:
		return &events.CurtailmentSettled{
			IntervalStart: p.IntervalStart, IntervalEnd: p.IntervalEnd, Reverses: booked.ID, Key: p.Key,
			EnergyEventID: decider.ReversalID(p.EnergyEventID),
		}, true
	}
	return nil, false
}

// turned is the reversal of the accrual id: its figures with the sign turned.
func turned(p *events.RevenueAccrued, id string) *events.RevenueAccrued {
	r := *p
	r.Reverses = id
	r.SharesAccepted, r.ValueMillisats, r.ValueMicrousd = -p.SharesAccepted, -p.ValueMillisats, -p.ValueMicrousd
	r.DifficultySum, r.CarryNumerator = negative(p.DifficultySum), negative(p.CarryNumerator)
	return &r
}

// negative turns the sign of decimal text.
func negative(s string) string {
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		return rest
	}
	if strings.Trim(s, "0.") == "" {
		return s
	}
	return "-" + s
}
