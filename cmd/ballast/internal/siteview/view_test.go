// SPDX-License-Identifier: Apache-2.0

package siteview

import (
	"testing"
	"time"

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

func TestSignalsComeAndGo(t *testing.T) {
	v := New("demo", nil)
	w := int64(0)
	feed(v, 0, "grid", &events.GridSignal{SignalID: "a", Kind: events.SignalCurtail, PowerWatts: &w})
	feed(v, 0, "grid", &events.GridSignal{SignalID: "b", Kind: events.SignalCurtail, PowerWatts: &w, Test: true})
	feed(v, 0, "operator", &events.GridSignal{SignalID: "c", Kind: events.SignalStop})
	if s := v.Picture().Signals; len(s) != 2 || s[0] != "curtail a" || s[1] != "stop c" {
		t.Errorf("in force: %v", s)
	}
	feed(v, 0, "grid", &events.GridSignal{Kind: events.SignalRestore})
	feed(v, 0, "operator", &events.GridSignal{Kind: events.SignalRestore, Cancels: "c"})
	if s := v.Picture().Signals; len(s) != 0 {
		t.Errorf("in force after restore and cancel: %v", s)
	}
}
