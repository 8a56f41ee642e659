// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
)

// sum of all intervals of a point, and of the one under way.
func (g *rig) sum(k kind) energy.Amount {
	g.d.flushAll()
	p := g.d.Points[0]
	of := func(s *slot) energy.Amount {
		if k == kindTotal {
			return s.Total.Energy
		}
		return s.Mining.Energy
	}
	sum := of(&p.Open)
	for i := range p.History.Slots {
		sum = sum.Add(of(&p.History.Slots[i]))
	}
	return sum
}

// TestIntervalsAddUpToTheCounter: whatever a load does between readings, and
// however long its meter is silent, all intervals together are what the counter
// moved by, to the milliwatt-hour; and the lines of an event are what their time
// drew.
func TestIntervalsAddUpToTheCounter(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 9))
		g := newRig(t, site(ers()))
		g.counters = true
		g.set(60*mw, 40*mw)
		g.second()
		before := [2]energy.Amount{g.sum(kindTotal), g.sum(kindMining)}
		count := [2]int64{g.counted[0] * 10 / 36, g.counted[1] * 10 / 36}
		for n := range 40 {
			mining := r.Int64N(50 * mw)
			g.set(mining+r.Int64N(40*mw)+1, mining)
			g.silent["mine"] = r.IntN(6) == 0
			g.silent["main"] = r.IntN(6) == 0
			g.run(time.Duration(1+r.IntN(300)) * time.Second)
			if n == 20 {
				g.feed("ercot", &events.GridSignal{SignalID: "e1", Kind: events.SignalCurtail, Programme: "ers-10", PowerWatts: power(mw), DurationSeconds: 1000})
			}
		}
		g.silent = map[string]bool{}
		g.second()
		g.second()
		for i, k := range []kind{kindTotal, kindMining} {
			got := g.sum(k).Sub(before[i])
			want := energy.Milliwatthours(g.counted[i]*10/36 - count[i])
			if got != want {
				t.Errorf("seed %d, %d: the intervals add up to %+v, the counter moved by %+v", seed, k, got, want)
			}
		}
		g.replay(1201)
	}
}

// TestCountersThatCannotBeRight do not move what the power says.
func TestCountersThatCannotBeRight(t *testing.T) {
	for name, c := range map[string]struct {
		counter func(n int64) int64
		modulus int64
		wrong   bool
	}{
		"right":                     {func(n int64) int64 { return n }, 0, false},
		"rolls over":                {func(n int64) int64 { return n % 50_000_000 }, 50_000_000, false},
		"reset half way":            {func(n int64) int64 { return n % 1_000_000_000 }, 0, false},
		"a thousand times too high": {func(n int64) int64 { return n * 1000 }, 0, true},
		"stuck":                     {func(int64) int64 { return 12 }, 0, true},
		"noise":                     {func(n int64) int64 { return n * 2_654_435_761 % 9_007_199_254_740_991 }, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := site()
			cfg.Meters[1].CounterModulusMilliwattHours = c.modulus
			g := newRig(t, cfg)
			g.mining = 40 * mw
			var n int64
			g.silent["mine"], g.silent["main"] = true, true
			for range 600 {
				n += 40 * mw * 10 / 36
				v := c.counter(n)
				g.now = g.now.Add(time.Second)
				g.feed("mine", &events.MeterReading{PowerWatts: 40 * mw, EnergyMilliwattHours: &v, SampledAt: g.now, Quality: events.QualityGood})
				g.feed("main", &events.MeterReading{PowerWatts: 60 * mw, SampledAt: g.now, Quality: events.QualityGood})
				g.feed("h", &events.ClockTick{Second: g.now.Unix()})
			}
			want := energy.Of(40*mw, 599*second)
			diff := g.sum(kindMining).Sub(want).Floor()
			if slack := int64(50 * mw / 3); diff > slack || diff < -slack {
				t.Errorf("%d mWh away from %d", diff, want.Floor())
			}
		})
	}
}

// TestBaselinesOfASeason: three weeks of a steady load with its own price
// curtailment, then an event: the history gives the baselines that can be
// worked out by hand.
func TestBaselinesOfASeason(t *testing.T) {
	cfg := site(ers())
	for i := range cfg.Meters {
		cfg.Meters[i].StaleMilliseconds = 1_200_000
	}
	cfg.Policy.LeaseMilliseconds = 0
	cfg.Policy.LeaseMilliseconds = 900_000
	g := newRig(t, cfg)
	g.now = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	g = newRig(t, nil)
	g.now = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	g.feed("site", cfg)
	status := func(idle bool) {
		u := events.UnitStatus{Unit: "u1", State: events.PermitRunning, SetpointWatts: 30 * mw, PowerWatts: 30 * mw, Healthy: true,
			Capabilities: &events.Capabilities{Class: "s21", NameplateWatts: 30 * mw}}
		if idle {
			u.PowerWatts, u.SetpointWatts, u.State, u.Reason = 0, 0, events.PermitLimited, events.ReasonEconomics
		}
		g.feed("rig", &events.WorkerStatus{BootID: "0123456789abcdef0123456789abcdef", Counter: 1, Announce: true, Units: []events.UnitStatus{u}})
	}
	begin := time.Date(2026, 3, 20, 14, 0, 0, 0, time.UTC)
	for g.now.Before(begin) {
		// On 10 and 11 March energy is dear from 14:00 to 15:00: no mining.
		dear := (g.now.Day() == 10 || g.now.Day() == 11) && g.now.Hour() == 14
		g.set(60*mw, 30*mw)
		if dear {
			g.set(30*mw, 0)
		}
		for i, id := range []string{"main", "mine"} {
			g.feed(id, &events.MeterReading{PowerWatts: []int64{g.total, g.mining}[i], SampledAt: g.now, Quality: events.QualityGood})
		}
		status(dear)
		g.feed("h", &events.ClockTick{Second: g.now.Unix()})
		g.now = g.now.Add(5 * time.Minute)
	}
	g.feed("ercot", &events.GridSignal{SignalID: "e1", Kind: events.SignalCurtail, Programme: "ers-10", PowerWatts: power(0), DurationSeconds: 1800})
	g.set(30*mw, 0)
	g.run(31 * time.Minute)
	p := g.last()
	want := map[events.BaselineMethod]int64{
		// Ten weekdays before 20 March are 6 to 19; two of them lost half an hour
		// of 30 MW: (8·30 + 2·0)/10.
		events.BaselineTenInTen: 24 * mw, events.BaselineMiddleEightOfTen: 26_250_000, events.BaselineNearestDay: 30 * mw,
		events.BaselineMeterBeforeAfter: 30 * mw, events.BaselineMaximumBaseLoad: 0,
	}
	lowered := map[events.BaselineMethod]int64{events.BaselineTenInTen: 6 * mw, events.BaselineMiddleEightOfTen: 3_750_000}
	seen := 0
	for _, b := range p.Baselines {
		w, ok := want[b.Method]
		if !ok {
			continue
		}
		seen++
		if b.Unavailable != "" {
			t.Errorf("%s: %s", b.Method, b.Unavailable)
			continue
		}
		for i := range b.Watts {
			if b.Watts[i] != w {
				t.Errorf("%s: line %d: %d W, want %d", b.Method, i, b.Watts[i], w)
			}
		}
		if b.PriceLoweredWatts != lowered[b.Method] {
			t.Errorf("%s: price had lowered it by %d W, want %d", b.Method, b.PriceLoweredWatts, lowered[b.Method])
		}
	}
	if seen != len(want) {
		t.Errorf("%d of %d baselines", seen, len(want))
	}
	if len(p.LikeDays) < 10 || p.LikeDays[0].Date != "2026-03-19" {
		t.Errorf("like days %+v", p.LikeDays)
	}
	g.replay(3001)
}

// TestNodesOfATree: an event at a node is measured there, and only days of that
// branch are marked.
func TestNodesOfATree(t *testing.T) {
	p := ers()
	p.Node = "ups-a"
	cfg := site(p)
	cfg.Nodes = []events.NodeConfig{{Node: "ups-a", LimitWatts: 50 * mw, ContinuousFactorPPM: 1_000_000, HouseWatts: mw}, {Node: "ups-b", LimitWatts: 50 * mw, ContinuousFactorPPM: 1_000_000},
		{Node: "pdu-1", Parent: "ups-a", LimitWatts: 20 * mw, ContinuousFactorPPM: 1_000_000}}
	meter := func(id, node string, m events.Measures) events.MeterConfig {
		return events.MeterConfig{Meter: id, Node: node, Measures: m, PeriodMilliseconds: 1000, StaleMilliseconds: 5000, MaxWatts: 100 * mw}
	}
	cfg.Meters = []events.MeterConfig{
		meter("a-ai", "ups-a", events.MeasuresAI), meter("a-mine", "ups-a", events.MeasuresMining), meter("p1-mine", "pdu-1", events.MeasuresMining),
		meter("b-ai", "ups-b", events.MeasuresAI), meter("b-mine", "ups-b", events.MeasuresMining),
	}
	g := newRig(t, cfg)
	feed := func(n int, ws ...int64) {
		for range n {
			g.now = g.now.Add(time.Second)
			for i, id := range []string{"a-ai", "a-mine", "p1-mine", "b-ai", "b-mine"} {
				g.feed(id, &events.MeterReading{PowerWatts: ws[i] * mw, SampledAt: g.now, Quality: events.QualityGood})
			}
			g.feed("h", &events.ClockTick{Second: g.now.Unix()})
		}
	}
	feed(400, 10, 8, 3, 20, 5)
	for node, want := range map[string][3]int64{"": {43, 13, 30}, "ups-a": {19, 8, 10}} { // 1 MW of house load hangs at ups-a
		l := g.d.LoadAt(node)
		for i, v := range []*int64{l.Total, l.Mining, l.AI} {
			if w := want[i] * mw; value(t, node, v) != w && !(node == "" && i == 0 && *v == 44*mw) {
				t.Errorf("%q: %d is %d W, want %d", node, i, *v, w)
			}
		}
	}
	if l := g.d.LoadAt("ups-b"); l.Total != nil {
		t.Error("a node that nobody asks for is measured")
	}
	g.feed("ercot", &events.GridSignal{SignalID: "e1", Kind: events.SignalCurtail, Programme: "ers-10", PowerWatts: power(2 * mw), DurationSeconds: 900})
	feed(910, 10, 2, 0, 20, 5)
	q := g.last()
	if q.Node != "ups-a" || q.Outcome != events.PerformanceMet || value(t, "before", q.BeforeWatts) != 8*mw {
		t.Errorf("%s at %s, before %v", q.Outcome, q.Node, q.BeforeWatts)
	}
	// A signal may name a node that no programme does: it is measured from then on.
	g.feed("ercot", &events.GridSignal{SignalID: "e2", Kind: events.SignalCurtail, Node: "ups-b", PowerWatts: power(0), DurationSeconds: 120})
	feed(130, 10, 2, 0, 20, 0)
	if q := g.last(); q.SignalID != "e2" || q.Node != "ups-b" || q.Outcome != events.PerformanceMet {
		t.Errorf("%s %s at %s", q.SignalID, q.Outcome, q.Node)
	}
	if l := g.d.LoadAt("ups-b"); value(t, "mining at ups-b", l.Mining) != 0 || value(t, "total at ups-b", l.Total) != 20*mw {
		t.Errorf("%v", l)
	}
	// The next configuration forgets it.
	g.feed("site", cfg)
	feed(1000, 10, 2, 0, 20, 0)
	g.feed("site", cfg)
	if l := g.d.LoadAt("ups-b"); l.Total != nil || len(g.d.Points) != 2 {
		t.Errorf("%d points", len(g.d.Points))
	}
	g.replay(1703)
}

// TestLocalDaysAndTheContractsOrder: with a calendar the days compared are local
// ones, and the methods that the programme names come first.
func TestLocalDaysAndTheContractsOrder(t *testing.T) {
	p := ers()
	p.Baselines = []events.BaselineMethod{events.BaselineTenInTenAdjusted, events.BaselineMeterBeforeAfter}
	cfg := site(p)
	for i := range cfg.Meters {
		cfg.Meters[i].StaleMilliseconds = 1_200_000
	}
	cfg.Calendar = &events.CalendarConfig{TimeZone: "America/Chicago", Holidays: []string{"2026-03-18"},
		UTCOffsets: []events.UTCOffset{{From: time.Date(2025, 11, 2, 7, 0, 0, 0, time.UTC), Seconds: -6 * 3600}, {From: time.Date(2026, 3, 8, 8, 0, 0, 0, time.UTC), Seconds: -5 * 3600}}}
	g := newRig(t, nil)
	g.now = time.Date(2026, 2, 20, 0, 0, 0, 0, time.UTC)
	g.feed("site", cfg)
	// Saturday 02:00 UTC is Friday 21:00 in Chicago. Until 8 March the same
	// local hour comes an hour later in UTC.
	begin := time.Date(2026, 3, 21, 2, 0, 0, 0, time.UTC)
	for g.now.Before(begin) {
		hour := 2
		if g.now.Before(time.Date(2026, 3, 8, 8, 0, 0, 0, time.UTC)) {
			hour = 3
		}
		g.set(60*mw, 10*mw)
		if g.now.Hour() == hour {
			g.set(60*mw, 30*mw)
		}
		for i, id := range []string{"main", "mine"} {
			g.feed(id, &events.MeterReading{PowerWatts: []int64{g.total, g.mining}[i], SampledAt: g.now, Quality: events.QualityGood})
		}
		g.feed("h", &events.ClockTick{Second: g.now.Unix()})
		g.now = g.now.Add(5 * time.Minute)
	}
	g.feed("ercot", &events.GridSignal{SignalID: "e1", Kind: events.SignalCurtail, Programme: "ers-10", PowerWatts: power(0), DurationSeconds: 900})
	g.set(30*mw, 0)
	g.run(16 * time.Minute)
	q := g.last()
	if q.UTCOffsetSeconds != -5*3600 {
		t.Errorf("%d s ahead of UTC", q.UTCOffsetSeconds)
	}
	var order []events.BaselineMethod
	for i, b := range q.Baselines {
		order = append(order, b.Method)
		if b.Contract != (i == 0) {
			t.Errorf("%d, %s: contract %v", i, b.Method, b.Contract)
		}
		if b.Method != events.BaselineTenInTen {
			continue
		}
		if b.Unavailable != "" || b.Watts[0] != 30*mw || len(b.Days) != 10 || b.Days[0] != "2026-03-19" || b.Days[1] != "2026-03-17" {
			t.Errorf("%s %v over %v", b.Unavailable, b.Watts, b.Days)
		}
	}
	if order[0] != events.BaselineTenInTenAdjusted || order[1] != events.BaselineTenInTenAdjusted || order[2] != events.BaselineMeterBeforeAfter || len(order) != 8 {
		t.Errorf("order %v", order)
	}
}
