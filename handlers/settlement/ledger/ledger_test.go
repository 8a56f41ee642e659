// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/ledger"
)

var start = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

func energy(id, reverses string, hour int, mining int64) *events.Event {
	at := start.Add(time.Duration(hour) * time.Hour)
	return events.New("tx1", "site", &events.EnergySettled{
		IntervalStart: at, IntervalEnd: at.Add(time.Hour),
		ContractedMilliwattHours: 1000, MiningMilliwattHours: mining, UnusedMilliwattHours: 1000 - mining,
		Reverses: reverses,
	}).WithID(id)
}

func revenue(id, reverses string, microusd int64) *events.Event {
	return events.New("tx1", "site", &events.RevenueSettled{
		Totals:             []events.BasisTotal{{Basis: events.BasisModelled, SharesAccepted: 1, RevenueMicrousd: microusd}},
		EnergyCostMicrousd: 3, MarginMicrousd: microusd - 3, Reverses: reverses,
	}).WithID(id)
}

func accrual(id, reverses string, sign int64) *events.Event {
	sum := "1.5"
	if sign < 0 {
		sum = "-1.5"
	}
	return events.New("tx1", "site", &events.RevenueAccrued{
		Payout:         events.Payout{Basis: events.BasisLive},
		SharesAccepted: 2 * sign, DifficultySum: sum, ValueMillisats: 10 * sign, ValueMicrousd: 7 * sign, Reverses: reverses,
	}).WithID(id)
}

// forgone mWh for one reason twice as much as for the other, or nothing.
func forgone(id, reverses string, mwh int64) *events.Event {
	c := &events.CurtailmentSettled{NameplateMilliwattHours: 4 * mwh, Reverses: reverses}
	if mwh > 0 {
		c.Lines = []events.CurtailmentLine{
			{Basis: events.BasisLive, Reason: events.ReasonGridCurtail, SignalID: "s", MilliwattHours: 2 * mwh, Hashes: "18446744073709551615", ForgoneMillisats: 9, ForgoneMicrousd: 8, AvoidedCostMicrousd: 7, NetMicrousd: 1},
			{Basis: events.BasisLive, Reason: events.ReasonHeadroom, MilliwattHours: mwh, ModelledMilliwattHours: mwh, Hashes: "5", AvoidedCostMicrousd: -3, NetMicrousd: 3},
		}
	}
	return events.New("tx1", "site", c).WithID(id)
}

func TestTotals(t *testing.T) {
	list := []*events.Event{
		energy("e0", "", 0, 100), revenue("r0", "", 20),
		energy("e1", "", 1, 200), revenue("r1", "", 30),
		energy("e2", "e0", 0, 150), revenue("r2", "r0", 21),
		energy("e3", "e2", 0, 160), revenue("r3", "r2", 22),
		accrual("a0", "", 1), accrual("a1", "", 1), accrual("a2", "a0", -1),
		energy("e1", "", 1, 200), accrual("a1", "", 1), // delivered twice
		forgone("c0", "", 50), forgone("c1", "", 70), forgone("c1", "", 70), forgone("tx1/settlement/lost/1/2/3", "c0", 0),
		forgone("c2", "", 30),
		events.New("tx1", "site", &events.ClockTick{Second: 1}),
	}
	want := ledger.Totals{
		Accrued: map[events.Basis]ledger.Accruals{
			events.BasisLive: {Events: 3, Shares: 2, Difficulty: "1.5", Millisats: 10, Microusd: 7},
		},
		Energy: ledger.Energy{
			Contracted: 2000, Mining: 360, Unused: 1640, Intervals: 2, Corrections: 2,
			From: start, Until: start.Add(2 * time.Hour),
		},
		Money: ledger.Money{
			Bases:      []events.BasisTotal{{Basis: events.BasisModelled, SharesAccepted: 2, RevenueMicrousd: 52}},
			EnergyCost: 6, Margin: 46, Intervals: 2, Corrections: 2,
		},
		Forgone: ledger.Forgone{Nameplate: 400, Intervals: 2, Lines: []events.CurtailmentLine{
			{Basis: events.BasisLive, Reason: events.ReasonGridCurtail, SignalID: "s", MilliwattHours: 200, Hashes: "36893488147419103230", ForgoneMillisats: 18, ForgoneMicrousd: 16, AvoidedCostMicrousd: 14, NetMicrousd: 2},
			{Basis: events.BasisLive, Reason: events.ReasonHeadroom, MilliwattHours: 100, ModelledMilliwattHours: 100, Hashes: "10", AvoidedCostMicrousd: -6, NetMicrousd: 6},
		}},
	}
	for seed := range uint64(50) {
		shuffled := append([]*events.Event(nil), list...)
		if seed > 0 {
			rand.New(rand.NewPCG(seed, 0)).Shuffle(len(shuffled), func(i, k int) {
				shuffled[i], shuffled[k] = shuffled[k], shuffled[i]
			})
		}
		var l ledger.Ledger
		for _, e := range shuffled {
			l.Add(e)
		}
		if got := l.Totals(); !reflect.DeepEqual(got, want) {
			t.Fatalf("order %d:\n%+v, want\n%+v", seed, got, want)
		}
	}
}

func TestReversalOfSomethingUnseen(t *testing.T) {
	var l ledger.Ledger
	l.Add(energy("e9", "e8", 0, 100))
	l.Add(accrual("a9", "a8", -1))
	got := l.Totals()
	if got.Energy.Mining != 100 || got.Accrued[events.BasisLive].Difficulty != "-1.5" {
		t.Errorf("totals %+v", got)
	}
}

func TestEmpty(t *testing.T) {
	var l ledger.Ledger
	if got := l.Totals(); len(got.Accrued) != 0 || got.Energy != (ledger.Energy{}) {
		t.Errorf("totals %+v", got)
	}
}

func ExampleLedger() {
	var l ledger.Ledger
	l.Add(energy("first", "", 0, 100))
	l.Add(energy("corrected", "first", 0, 90))
	fmt.Println(l.Totals().Energy.Mining, "mWh")
	// Output: 90 mWh
}
