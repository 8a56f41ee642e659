// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// terms of a balance in the order of the identity.
func figuresOf(e *events.EnergySettled) [7]int64 {
	return [7]int64{
		e.ContractedMilliwattHours, e.OverdrawnMilliwattHours, e.AIMilliwattHours, e.HouseMilliwattHours,
		e.MiningMilliwattHours, e.ResoldMilliwattHours, e.UnusedMilliwattHours,
	}
}

func TestAnHour(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI), meterOf("mine", events.MeasuresMining)))
	j.fold("market", &events.MarketQuote{BTCPriceMicrousd: 86_000_000_000})
	j.run(midnight.Add(hour+30*time.Second), func() {
		j.read("ai", 400_000)
		j.read("mine", 300_000)
		if j.now.Equal(midnight.Add(30 * time.Minute)) {
			for range 1000 {
				j.share(j.now, livePayout(), "1048576")
			}
		}
	})
	if len(j.settled) != 1 || len(j.revenue) != 1 {
		t.Fatalf("%d energy and %d revenue settlements", len(j.settled), len(j.revenue))
	}
	e, r := j.settled[0], j.revenue[0]
	if want := [7]int64{1e9, 0, 4e8, 0, 3e8, 0, 3e8}; figuresOf(e) != want {
		t.Errorf("balance = %v, want %v", figuresOf(e), want)
	}
	if !e.IntervalStart.Equal(midnight) || !e.IntervalEnd.Equal(midnight.Add(hour)) || e.EstimatedMilliwattHours != 0 {
		t.Errorf("settled %+v", e)
	}
	// 300 kWh at 5 cents are 15 dollars; 3776 sat at 86000 dollars 3.25.
	if r.EnergyCostMicrousd != 15_000_000 || r.PriceMicrousdPerMWh != 50_000_000 || r.MarginMicrousd != 3_247_968-15_000_000 {
		t.Errorf("money %+v", r)
	}
	want := events.BasisTotal{Basis: events.BasisLive, SharesAccepted: 1000, RevenueMillisats: 3_776_708, RevenueMicrousd: 3_247_968}
	if len(r.Totals) != 1 || r.Totals[0] != want {
		t.Errorf("totals %+v, want %+v", r.Totals, want)
	}
	if len(j.accrued) != 1 || j.accrued[0].DifficultySum != "1048576000" ||
		!j.accrued[0].From.Equal(midnight.Add(30*time.Minute)) || !j.accrued[0].Until.Equal(midnight.Add(31*time.Minute)) {
		t.Errorf("accrued %+v", j.accrued)
	}
	if len(j.raised) != 0 {
		t.Errorf("alerts %v", j.raised)
	}
}
