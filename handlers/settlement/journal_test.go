// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"fmt"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// midnight is where test journals begin.
var midnight = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

const hour = time.Hour

// journal writes events to a decider as a host would and keeps what comes out.
type journal struct {
	t   testing.TB
	d   *Decider
	seq uint64
	now time.Time
	out decider.Outbox

	settled    []*events.EnergySettled
	revenue    []*events.RevenueSettled
	accrued    []*events.RevenueAccrued
	raised     []string
	reconciled []*events.RevenueReconciled
	curtailed  []*events.CurtailmentSettled
	cleared    []string
	ids        []string // of settled, in order
	encoded    []string
	onOutput   func(*events.Event)
	shares     int
}

func newJournal(t testing.TB) *journal {
	t.Helper()
	d, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &journal{t: t, d: d, now: midnight}
}

// fold delivers one payload now.
func (j *journal) fold(source string, p events.Payload) {
	e := events.New("tx1", source, p)
	e.ID = fmt.Sprintf("e%d", j.seq)
	j.foldEvent(e)
}

func (j *journal) foldEvent(e *events.Event) {
	j.t.Helper()
	j.seq++
	e.Epoch, e.Sequence, e.Arrived = 1, j.seq, j.now
	j.out.Begin(e)
	j.d.Fold(e, &j.out)
	for _, o := range j.out.Outputs() {
		id := fmt.Sprintf("tx1/settlement/%d/%d/%d", e.Epoch, e.Sequence, o.Ordinal)
		if err := o.Data.Validate(); err != nil {
			j.t.Errorf("output %s %s is not valid: %v", id, o.Data.EventType(), err)
		}
		m, err := decider.Message(events.DefaultPrefix, Name, e, &o)
		if err != nil {
			j.t.Fatal(err)
		}
		if got := m.Header.Get(events.HeaderMsgID); got != id {
			j.t.Errorf("message id %q, want %q", got, id)
		}
		j.encoded = append(j.encoded, id+" "+m.Subject+" "+string(m.Data))
		switch p := o.Data.(type) {
		case *events.EnergySettled:
			j.checkBalance(p)
			j.settled = append(j.settled, p)
			j.ids = append(j.ids, id)
		case *events.RevenueSettled:
			if p.EnergyEventID != j.ids[len(j.ids)-1] {
				j.t.Errorf("revenue rests on %s, want %s", p.EnergyEventID, j.ids[len(j.ids)-1])
			}
			j.revenue = append(j.revenue, p)
		case *events.RevenueAccrued:
			if p.ValueMillisats < 0 && p.Reverses == "" || !p.From.Before(p.Until) {
				j.t.Errorf("accrual %+v", p)
			}
			j.accrued = append(j.accrued, p)
		case *events.RevenueReconciled:
			j.reconciled = append(j.reconciled, p)
		case *events.CurtailmentSettled:
			if p.EnergyEventID != j.ids[len(j.ids)-1] {
				j.t.Errorf("curtailment rests on %s, want %s", p.EnergyEventID, j.ids[len(j.ids)-1])
			}
			j.curtailed = append(j.curtailed, p)
		case *events.AlertRaised:
			j.raised = append(j.raised, p.Alert)
		case *events.AlertCleared:
			j.cleared = append(j.cleared, p.Alert)
		}
		if j.onOutput != nil {
			out := events.New(e.Site, o.Source, o.Data)
			out.ID = id
			j.onOutput(out)
		}
	}
}

func (j *journal) checkBalance(e *events.EnergySettled) {
	j.t.Helper()
	left := e.ContractedMilliwattHours + e.OverdrawnMilliwattHours
	right := e.AIMilliwattHours + e.HouseMilliwattHours + e.MiningMilliwattHours + e.ResoldMilliwattHours + e.UnusedMilliwattHours
	if left != right {
		j.t.Errorf("interval %v: %d ≠ %d mWh", e.IntervalStart, left, right)
	}
	for name, v := range map[string]int64{
		"contracted": e.ContractedMilliwattHours, "overdrawn": e.OverdrawnMilliwattHours,
		"ai": e.AIMilliwattHours, "house": e.HouseMilliwattHours, "mining": e.MiningMilliwattHours,
		"resold": e.ResoldMilliwattHours, "unused": e.UnusedMilliwattHours, "estimated": e.EstimatedMilliwattHours,
		"modelled": e.ModelledMilliwattHours, "witness": e.WitnessMilliwattHours,
		"over": e.OverLimitMilliseconds, "by mining": e.OverLimitByMiningMilliseconds,
	} {
		if v < 0 {
			j.t.Errorf("interval %v: %s = %d", e.IntervalStart, name, v)
		}
	}
	if e.EstimatedMilliwattHours > right || e.ModelledMilliwattHours > e.MiningMilliwattHours {
		j.t.Errorf("interval %v: parts above their whole: %+v", e.IntervalStart, e)
	}
}

// at moves time; events folded next arrive then.
func (j *journal) at(t time.Time) *journal { j.now = t; return j }

func (j *journal) tick() { j.fold("site", &events.ClockTick{Second: j.now.Unix()}) }

// run folds once a second from now to until: each runs first, then the tick.
func (j *journal) run(until time.Time, each func()) {
	for ; !j.now.After(until); j.now = j.now.Add(time.Second) {
		if each != nil {
			each()
		}
		j.tick()
	}
	j.now = until
}

func (j *journal) read(meter string, watts int64) {
	j.fold(meter, &events.MeterReading{PowerWatts: watts, SampledAt: j.now, Quality: events.QualityGood})
}

func (j *journal) count(meter string, watts, mwh int64) {
	j.fold(meter, &events.MeterReading{PowerWatts: watts, EnergyMilliwattHours: &mwh, SampledAt: j.now, Quality: events.QualityGood})
}

func (j *journal) share(at time.Time, payout events.Payout, difficulty string) {
	j.shares++
	e := events.New("tx1", "gw-1", &events.ShareAccepted{
		ShareID: fmt.Sprintf("%064x", j.shares), JobID: "j", Agent: "rig", Unit: "rig",
		Difficulty: difficulty, Payout: payout, JudgedAt: at,
	})
	e.OriginArrived = at
	j.foldEvent(e)
}

func livePayout() events.Payout {
	return events.Payout{Pool: "p", NBits: "17034219", RewardSats: 317_500_000, FeePPM: 20_000, Scheme: events.SchemeFPPS, Basis: events.BasisLive}
}

func meterOf(id string, m events.Measures) events.MeterConfig {
	return events.MeterConfig{Meter: id, Measures: m, PeriodMilliseconds: 1000, StaleMilliseconds: 5000, MaxWatts: 2_000_000}
}

// siteConfig is 1 MW contracted, hourly intervals, $50 per MWh.
func siteConfig(meters ...events.MeterConfig) *events.SiteConfig {
	return &events.SiteConfig{
		LimitWatts: 1_000_000, ContinuousFactorPPM: 1_000_000, ContractedWatts: 1_000_000, AINameplateWatts: 800_000,
		Meters: meters,
		Policy: events.PolicyConfig{LeaseMilliseconds: 12_000},
		Tariff: events.TariffConfig{
			IntervalSeconds: 3600, GraceSeconds: 30, AccrualSeconds: 60, EnergyPriceMicrousdPerMWh: 50_000_000,
			Scheme: events.SchemeFPPS,
		},
	}
}

func (j *journal) lastSettled() *events.EnergySettled {
	j.t.Helper()
	if len(j.settled) == 0 {
		j.t.Fatal("nothing was settled")
	}
	return j.settled[len(j.settled)-1]
}
