// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/ledger"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

// What is booked and taken back comes to nothing, and each reversal is a valid
// event.
func TestReversalsComeToNothing(t *testing.T) {
	d, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC)
	end := start.Add(5 * time.Minute)
	key := events.OrderKey{Epoch: 1, Sequence: 7}
	booked := []events.Payload{
		&events.RevenueAccrued{
			From: start, Until: end, Payout: events.Payout{Pool: "p", NBits: "17034219", RewardSats: 312_500_000, Scheme: events.SchemeFPPS, Basis: events.BasisPractice},
			SharesAccepted: 3, DifficultySum: "0.75", ValueMillisats: 100, CarryNumerator: "12", CarryDenominator: work.DenominatorText,
			BTCPriceMicrousd: 90_000_000_000, ValueMicrousd: 90, Key: key,
		},
		&events.EnergySettled{IntervalStart: start, IntervalEnd: end, ContractedMilliwattHours: 10, AIMilliwattHours: 4, MiningMilliwattHours: 6, WitnessMilliwattHours: 5, Key: key},
		&events.RevenueSettled{
			IntervalStart: start, IntervalEnd: end, EnergyCostMicrousd: 20, MarginMicrousd: 70, PriceMicrousdPerMWh: 40_000_000, EnergyEventID: "tx1/settlement/1/7/1", Key: key,
			Totals: []events.BasisTotal{{Basis: events.BasisPractice, SharesAccepted: 3, RevenueMillisats: 100, RevenueMicrousd: 90}},
		},
		&events.CurtailmentSettled{
			IntervalStart: start, IntervalEnd: end, NameplateMilliwattHours: 9, EnergyEventID: "tx1/settlement/1/7/1", Key: key,
			Lines: []events.CurtailmentLine{{Basis: events.BasisPractice, Reason: events.ReasonHeadroom, MilliwattHours: 3, Hashes: "7", AvoidedCostMicrousd: 2, NetMicrousd: -2}},
		},
	}
	var l ledger.Ledger
	for i, p := range booked {
		e := events.New("tx1", events.SiteSource, p).WithID([]string{"tx1/settlement/1/7/0", "tx1/settlement/1/7/1", "tx1/settlement/1/7/2", "tx1/settlement/1/7/3"}[i])
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		l.Add(e)
		r, ok := d.Reverse(e)
		if !ok {
			t.Fatalf("%s cannot be taken back", e.Type)
		}
		if err := r.Validate(); err != nil {
			t.Errorf("reversal of %s: %v", e.Type, err)
		}
		l.Add(events.New("tx1", events.SiteSource, r).WithID("tx1/settlement/lost/" + e.ID[len("tx1/settlement/"):]))
	}
	got := l.Totals()
	if a := got.Accrued[events.BasisPractice]; a.Shares != 0 || a.Millisats != 0 || a.Microusd != 0 || a.Difficulty != "0" {
		t.Errorf("accrued %+v", a)
	}
	if e := got.Energy; e.Contracted != 0 || e.Mining != 0 || e.Witness != 0 {
		t.Errorf("energy %+v", e)
	}
	if m := got.Money; m.Margin != 0 || m.EnergyCost != 0 || len(m.Bases) != 0 {
		t.Errorf("money %+v", m)
	}
	if f := got.Forgone; f.Nameplate != 0 || len(f.Lines) != 0 {
		t.Errorf("forgone %+v", f)
	}
	if _, ok := d.Reverse(events.New("tx1", events.SiteSource, &events.AlertRaised{})); ok {
		t.Error("an alert is taken back")
	}
}
