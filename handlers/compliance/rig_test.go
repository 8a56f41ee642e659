// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// rig feeds a decider second by second and keeps what it says.
type rig struct {
	t    *testing.T
	d    *Decider
	r    *decider.Runner
	seq  uint64
	now  time.Time
	said []*events.ProgrammePerformed
	ids  []string
	rest []events.Payload
	// Power at the meters and their counters, mWh and the watt-seconds above.
	total, mining int64
	counters      bool
	counted       [2]int64 // watt-seconds
	silent        map[string]bool
	history       []*events.Event
}

// start of all tests: a Friday afternoon.
var start = time.Date(2026, 3, 20, 13, 0, 0, 0, time.UTC)

func newRig(t *testing.T, cfg *events.SiteConfig) *rig {
	t.Helper()
	d, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := decider.NewRunner("ballast", "tx1", d)
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{t: t, d: d, r: r, now: start, silent: map[string]bool{}}
	if cfg != nil {
		g.feed("site", cfg)
	}
	return g
}

// site has a total and a mining meter.
func site(ps ...events.ProgrammeConfig) *events.SiteConfig {
	return &events.SiteConfig{
		LimitWatts: 100_000_000, ContractedWatts: 100_000_000, ContinuousFactorPPM: 1_000_000,
		Meters: []events.MeterConfig{
			{Meter: "main", Measures: events.MeasuresTotal, PeriodMilliseconds: 1000, StaleMilliseconds: 5000, MaxWatts: 200_000_000},
			{Meter: "mine", Measures: events.MeasuresMining, PeriodMilliseconds: 1000, StaleMilliseconds: 5000, MaxWatts: 200_000_000},
		},
		Policy:     events.PolicyConfig{LeaseMilliseconds: 12_000},
		Tariff:     events.TariffConfig{IntervalSeconds: 900, GraceSeconds: 5},
		Programmes: ps,
	}
}

// ers is a programme of ten minutes.
func ers() events.ProgrammeConfig {
	return events.ProgrammeConfig{Programme: "ers-10", Product: "ERS-10", Market: "ERCOT", Measures: events.MeasuresMining, LimitIs: events.LimitIsCap,
		ResponseSeconds: 600, TolerancePPM: 50_000, Baselines: []events.BaselineMethod{events.BaselineMiddleEightOfTen}}
}

func (g *rig) feed(source string, p events.Payload) {
	g.t.Helper()
	g.seq++
	e := events.New("tx1", source, p)
	e.Arrived, e.Sequence = g.now, g.seq
	g.take(e)
}

func (g *rig) take(e *events.Event) {
	g.t.Helper()
	kept := *e
	g.history = append(g.history, &kept)
	step, err := g.r.FeedEvent(e)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, o := range step.Outputs {
		if err := o.Data.Validate(); err != nil {
			g.t.Fatalf("at %s: %s: %v", g.now, o.Data.EventType(), err)
		}
		if p, ok := o.Data.(*events.ProgrammePerformed); ok {
			g.said = append(g.said, p)
			g.ids = append(g.ids, decider.MessageID("tx1", Name, events.OrderKey{Epoch: step.Event.Epoch, Sequence: step.Event.Sequence, Ordinal: o.Ordinal}))
		} else {
			g.rest = append(g.rest, o.Data)
		}
	}
}

// second lets one second pass: readings, then the tick.
func (g *rig) second() {
	g.now = g.now.Add(time.Second)
	g.counted[0] += g.total
	g.counted[1] += g.mining
	for i, m := range []struct {
		id    string
		watts int64
	}{{"main", g.total}, {"mine", g.mining}} {
		if g.silent[m.id] {
			continue
		}
		r := &events.MeterReading{PowerWatts: m.watts, SampledAt: g.now, Quality: events.QualityGood}
		if g.counters {
			c := g.counted[i] * 10 / 36
			r.EnergyMilliwattHours = &c
		}
		g.feed(m.id, r)
	}
	g.feed("host-1", &events.ClockTick{Second: g.now.Unix()})
}

func (g *rig) run(d time.Duration) {
	for range int64(d / time.Second) {
		g.second()
	}
}

// set the power at the meters.
func (g *rig) set(total, mining int64) { g.total, g.mining = total, mining }

// last word of the decider.
func (g *rig) last() *events.ProgrammePerformed {
	g.t.Helper()
	if len(g.said) == 0 {
		g.t.Fatal("nothing was said")
	}
	return g.said[len(g.said)-1]
}

func value(t *testing.T, what string, v *int64) int64 {
	t.Helper()
	if v == nil {
		t.Fatalf("%s is not said", what)
	}
	return *v
}

func power(w int64) *int64      { return &w }
func at(t time.Time) *time.Time { return &t }

// replay folds everything again, with a snapshot and restore at every n-th
// event, and compares the state hashes and snapshots.
func (g *rig) replay(n int) {
	g.t.Helper()
	d, _ := New(Config{})
	r, _ := decider.NewRunner("ballast", "tx1", d)
	said := 0
	for i, e := range g.history {
		kept := *e
		step, err := r.FeedEvent(&kept)
		if err != nil {
			g.t.Fatal(err)
		}
		for _, o := range step.Outputs {
			if p, ok := o.Data.(*events.ProgrammePerformed); ok {
				a, _ := json.Marshal(p)
				b, _ := json.Marshal(g.said[said])
				if !bytes.Equal(a, b) {
					g.t.Fatalf("output %d differs after a restore:\n%s\n%s", said, a, b)
				}
				said++
			}
		}
		if i%n != n-1 {
			continue
		}
		b, err := r.Snapshot(nil)
		if err != nil {
			g.t.Fatal(err)
		}
		before := d.StateHash()
		d, _ = New(Config{})
		r, _ = decider.NewRunner("ballast", "tx1", d)
		if _, err := r.Restore(b); err != nil {
			g.t.Fatal(err)
		}
		again, err := r.Snapshot(nil)
		if err != nil || !bytes.Equal(again, b) || d.StateHash() != before {
			g.t.Fatalf("snapshot after event %d is not itself after a restore (%v)", i, err)
		}
	}
	if said != len(g.said) || d.StateHash() != g.d.StateHash() {
		g.t.Fatalf("%d outputs and state %x, want %d and %x", said, d.StateHash(), len(g.said), g.d.StateHash())
	}
}
