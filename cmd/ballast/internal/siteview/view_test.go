// SPDX-License-Identifier: Apache-2.0

package siteview

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/signals"
	"github.com/ballast-energy/ballast/events"
)

var begin = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// feed gives a view an event that arrived so long after begin.
func feed(v *View, after time.Duration, source string, p events.Payload) {
	ev := events.New("demo", source, p)
	ev.Arrived = begin.Add(after)
	v.take(ev)
}

func config() *events.SiteConfig {
	return &events.SiteConfig{LimitWatts: 1000, ContinuousFactorPPM: 1_000_000, ContractedWatts: 1000, Meters: []events.MeterConfig{
		{Meter: "ai-a", Measures: events.MeasuresAI, Group: "feeder"}, {Meter: "ai-b", Measures: events.MeasuresAI, Group: "feeder"},
		{Meter: "m", Measures: events.MeasuresMining},
	}}
}

func TestWhoExceedsTheLimit(t *testing.T) {
	v := New("demo", nil)
	feed(v, 0, "operator", config())
	feed(v, 0, "ai-a", &events.MeterReading{PowerWatts: 500, Quality: events.QualityGood})
	feed(v, 0, "ai-b", &events.MeterReading{PowerWatts: 600, Quality: events.QualityGood}) // the higher of a group
	feed(v, 0, "m", &events.MeterReading{PowerWatts: 300, Quality: events.QualityGood})
	feed(v, time.Second, "m", &events.MeterReading{PowerWatts: 500, Quality: events.QualityGood})       // 1 s within
	feed(v, 3*time.Second, "ai-b", &events.MeterReading{PowerWatts: 1100, Quality: events.QualityGood}) // 2 s over by mining
	feed(v, 4*time.Second, "m", &events.MeterReading{Quality: events.QualityGood})                      // 1 s over, AI alone exceeds
	feed(v, 5*time.Second, "clock", &events.ClockTick{})
	p := v.Picture()
	if p.OverByMining != 2*time.Second || p.OverLimit != 4*time.Second || p.OverMaxWatts != 500 {
		t.Errorf("over by mining %v, in all %v, at most %d W; want 2s, 4s, 500", p.OverByMining, p.OverLimit, p.OverMaxWatts)
	}
	if p.AIWatts != 1100 || p.MiningWatts != 0 {
		t.Errorf("AI %d, mining %d", p.AIWatts, p.MiningWatts)
	}
}

func TestUnitsCountOnce(t *testing.T) {
	v := New("demo", nil)
	feed(v, 0, "operator", config())
	metered := events.UnitStatus{Unit: "a", PowerWatts: 100, Capabilities: &events.Capabilities{Meter: "m"}}
	alone := events.UnitStatus{Unit: "b", PowerWatts: 7, Capabilities: &events.Capabilities{}}
	unknown := events.UnitStatus{Unit: "c", PowerWatts: 1000}
	feed(v, 0, "agent", &events.WorkerStatus{Units: []events.UnitStatus{metered, alone, unknown}})
	feed(v, 0, "m", &events.MeterReading{PowerWatts: 110, Quality: events.QualityGood})
	if got := v.Picture().MiningWatts; got != 117 {
		t.Errorf("mining %d W, want the meter's 110 and the 7 that no meter sees", got)
	}
	feed(v, 0, "agent", &events.WorkerStatus{Leaving: true, Units: []events.UnitStatus{metered, alone, unknown}})
	if p := v.Picture(); p.Units != 0 || p.MiningWatts != 110 {
		t.Errorf("after leaving: %d units, mining %d W", p.Units, p.MiningWatts)
	}
}

func TestAppliedLatencyNeedsEveryUnit(t *testing.T) {
	v := New("demo", nil)
	key := events.OrderKey{Epoch: 1, Sequence: 10}
	feed(v, 0, "agent", &events.WorkerStatus{Units: []events.UnitStatus{{Unit: "a"}, {Unit: "b"}}})
	feed(v, 5*time.Millisecond, events.BroadcastSource, &events.CommandCurtail{Key: key, IssuedAt: begin})
	feed(v, 8*time.Millisecond, "agent", &events.WorkerStatus{Units: []events.UnitStatus{{Unit: "a", Applied: &key}}})
	if n := v.Picture().Applied.Count(); n != 0 {
		t.Fatalf("%d commands count as applied with one unit missing", n)
	}
	feed(v, 9*time.Millisecond, "agent", &events.WorkerStatus{Units: []events.UnitStatus{{Unit: "b", Applied: &key}}})
	p := v.Picture()
	if p.Decision.Percentile(50) != 5*time.Millisecond || p.Applied.Percentile(50) != 9*time.Millisecond {
		t.Errorf("decided after %v, applied after %v; want 5ms and 9ms", p.Decision.Percentile(50), p.Applied.Percentile(50))
	}
}

func TestModelledMiningIsCounted(t *testing.T) {
	v := New("demo", nil)
	c := config()
	c.Meters = append(c.Meters, events.MeterConfig{Meter: "p", Measures: events.MeasuresMining, Group: "hall"},
		events.MeterConfig{Meter: "q", Measures: events.MeasuresMining, Group: "hall"})
	feed(v, 0, "operator", c)
	caps, behind := &events.Capabilities{}, &events.Capabilities{Meter: "m"}
	feed(v, 0, "agent", &events.WorkerStatus{Announce: true, Units: []events.UnitStatus{
		{Unit: "machine", PowerWatts: 20, HashrateMHs: 2_000_000, Modelled: true, Capabilities: caps},
		{Unit: "cpu", PowerWatts: 3, HashrateMHs: 10, PowerModelled: true, Capabilities: caps},
		{Unit: "measured", PowerWatts: 5, HashrateMHs: 11, Capabilities: caps},
		{Unit: "metered", PowerWatts: 50, HashrateMHs: 12, PowerModelled: true, Capabilities: behind}, // its meter counts
	}})
	feed(v, 0, "m", &events.MeterReading{PowerWatts: 60, Quality: events.QualityGood})
	feed(v, 0, "p", &events.MeterReading{PowerWatts: 100, Quality: events.QualityGood, Modelled: true}) // the highest of the group
	feed(v, 0, "q", &events.MeterReading{PowerWatts: 90, Quality: events.QualityGood})
	p := v.Picture()
	if p.MiningWatts != 188 || p.ModelledWatts != 123 || p.HashrateMHs != 2_000_033 || p.ModelledMHs != 2_000_000 {
		t.Errorf("mining %d W, %d of it modelled; %d MH/s, %d of it modelled; want 188, 123, 2000033, 2000000",
			p.MiningWatts, p.ModelledWatts, p.HashrateMHs, p.ModelledMHs)
	}
	feed(v, time.Second, "q", &events.MeterReading{PowerWatts: 100, Quality: events.QualityGood}) // a measurement says the same
	if got := v.Picture().ModelledWatts; got != 23 {
		t.Errorf("%d W modelled although a measurement says as much, want 23", got)
	}
	for s := 2; s <= 37; s++ { // a step is never longer than events.MaxStep
		feed(v, time.Duration(s)*time.Second, "clock", &events.ClockTick{})
	}
	// 1 s of 188 W, 123 of them modelled, then 36 s of 188 W, 23 of them.
	if e := v.Picture().Energy; e.Mining != 188*37*1000/3600 || e.Modelled != (123+23*36)*1000/3600 {
		t.Errorf("mining %d mWh, %d of it modelled", e.Mining, e.Modelled)
	}
}

func TestStatusMayBeReadBeforeItsCommand(t *testing.T) {
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	key := func(n uint64) *events.OrderKey { return &events.OrderKey{Epoch: 1, Sequence: n} }
	says := func(unit string, k *events.OrderKey) *events.WorkerStatus {
		return &events.WorkerStatus{Units: []events.UnitStatus{{Unit: unit, Applied: k}}}
	}
	both := []events.UnitSetpoint{{Unit: "a"}, {Unit: "b"}}
	for _, c := range []struct {
		name string
		feed func(v *View)
		want time.Duration
	}{
		{"all before: the last first status counts", func(v *View) {
			feed(v, at(7), "a", says("a", key(10)))
			feed(v, at(9), "b", says("b", key(10)))
			feed(v, at(2000), "a", says("a", key(10)))
			feed(v, at(2000), "b", says("b", key(10)))
			feed(v, at(5), "agent", &events.CommandRamp{Key: *key(10), IssuedAt: begin, Units: both})
		}, at(9)},
		{"one before, one after", func(v *View) {
			feed(v, at(7), "a", says("a", key(11))) // a later command includes it
			feed(v, at(5), "agent", &events.CommandCurtail{Key: *key(10), IssuedAt: begin, Units: both})
			feed(v, at(12), "b", says("b", key(10)))
		}, at(12)},
		{"the one after arrived earlier", func(v *View) {
			feed(v, at(8), "a", says("a", key(10)))
			feed(v, at(5), "agent", &events.CommandCurtail{Key: *key(10), IssuedAt: begin, Units: both})
			feed(v, at(6), "b", says("b", key(10)))
		}, at(8)},
		{"a broadcast", func(v *View) {
			feed(v, at(7), "a", says("a", key(10)))
			feed(v, at(8), "b", says("b", key(10)))
			feed(v, at(5), events.BroadcastSource, &events.CommandCurtail{Key: *key(10), IssuedAt: begin})
		}, at(8)},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := New("demo", nil)
			c.feed(v)
			p := v.Picture()
			if p.Applied.Count() != 1 || p.Applied.Percentile(100) != c.want || len(v.pending) != 0 {
				t.Errorf("%d applied, after %v, %d pending; want 1, %v, 0", p.Applied.Count(), p.Applied.Percentile(100), len(v.pending), c.want)
			}
		})
	}
	v := New("demo", nil)
	feed(v, at(7), "a", says("a", key(9))) // an older command only
	feed(v, at(8), "agent", &events.CommandCurtail{Key: *key(10), IssuedAt: begin, Units: both[:1]})
	if p := v.Picture(); p.Applied.Count() != 0 || len(v.pending) != 1 {
		t.Errorf("an older command counts: %d applied, %d pending", p.Applied.Count(), len(v.pending))
	}
}

func TestSignalsComeAndGo(t *testing.T) {
	v := New("demo", nil)
	w := int64(0)
	feed(v, 0, "grid", &events.GridSignal{SignalID: "a", Kind: events.SignalCurtail, PowerWatts: &w})
	feed(v, 0, "grid", &events.GridSignal{SignalID: "b", Kind: events.SignalCurtail, PowerWatts: &w, Test: true})
	feed(v, 0, "operator", &events.GridSignal{SignalID: "c", Kind: events.SignalStop})
	if s := v.Picture().Signals; len(s) != 2 || s[0].ID != "a" || s[0].State != signals.InForce || s[1].ID != "c" {
		t.Errorf("in force: %v", s)
	}
	feed(v, 0, "grid", &events.GridSignal{Kind: events.SignalRestore})
	feed(v, 0, "operator", &events.GridSignal{Kind: events.SignalRestore, Cancels: "c"})
	if s := v.Picture().Signals; len(s) != 0 {
		t.Errorf("in force after restore and cancel: %v", s)
	}
}
