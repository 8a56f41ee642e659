// SPDX-License-Identifier: Apache-2.0

package modelled

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/agent"
)

// shelf keeps what is published.
type shelf struct {
	mu  sync.Mutex
	evs []*events.Event
	err error
}

func (s *shelf) Publish(_ context.Context, evs ...*events.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.evs = append(s.evs, evs...)
	return nil
}

func (s *shelf) of(t events.Type) []*events.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*events.Event
	for _, e := range s.evs {
		if e.Type == t {
			out = append(out, e)
		}
	}
	return out
}

// clock is a virtual one.
type clock struct{ now int64 }

func (c *clock) advance(d time.Duration) { c.now += int64(d) }

var epoch = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func newPlant(t testing.TB, seed uint64) (*Plant, *clock, *shelf) {
	t.Helper()
	c, s := new(clock), new(shelf)
	p, err := NewPlant(PlantConfig{
		Site: "demo", Seed: seed, Clock: func() int64 { return c.now },
		Wall: func() time.Time { return epoch.Add(time.Duration(c.now)) },
	}, s)
	if err != nil {
		t.Fatal(err)
	}
	return p, c, s
}

func newFleet(t testing.TB, p *Plant, cfg FleetConfig) *Fleet {
	t.Helper()
	f, err := p.NewFleet(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func status(f *Fleet, unit int) events.UnitStatus {
	var s events.UnitStatus
	f.Measure(unit, &s)
	return s
}

func TestMachineFallsAndBoots(t *testing.T) {
	p, c, _ := newPlant(t, 1)
	f := newFleet(t, p, FleetConfig{Agent: "rig", Count: 1, Class: AntminerS21, Meter: "m"})
	check := func(what string, watts, ghs int64) {
		t.Helper()
		if s := status(f, 0); s.PowerWatts != watts || s.HashrateMHs != ghs*1000 || !s.Modelled || !s.PowerModelled {
			t.Fatalf("%s: %d W, %d MH/s, modelled %v, power modelled %v; want %d W, %d GH/s, both modelled", what, s.PowerWatts, s.HashrateMHs, s.Modelled, s.PowerModelled, watts, ghs)
		}
	}
	set := func(watts int64) { f.Drive([]agent.Order{{Unit: 0, Watts: watts}}) }
	check("off", 0, 0)
	set(3499)
	check("booting at the level below", 1750, 0)
	c.advance(59 * time.Second)
	check("still booting", 1750, 0)
	c.advance(time.Second)
	check("hashing", 1750, 100_000)
	set(3500)
	check("up a level needs no boot", 3500, 200_000)
	c.advance(time.Second)
	set(1749)
	check("hashing stops at once", 3500, 0)
	c.advance(2500 * time.Millisecond)
	check("half way down", 1750, 0)
	set(1750)
	check("caught on the way down, to boot again", 1750, 0)
	set(0)
	c.advance(5 * time.Second)
	check("off again", 0, 0)
	// 60 s at 100 TH/s is not hashed while booting; then 1 s at 200 TH/s.
	if h := status(f, 0).Hashes; h != "200000000000000" {
		t.Fatalf("hashes %s", h)
	}
}

func TestMeterIsExact(t *testing.T) {
	p, c, _ := newPlant(t, 1)
	f := newFleet(t, p, FleetConfig{Agent: "rig", Count: 10, Class: AntminerS21, Meter: "mining-a"})
	g := newFleet(t, p, FleetConfig{Agent: "rig-b", Count: 1, Class: BitaxeGamma, Meter: "mining-b"})
	newFleet(t, p, FleetConfig{Agent: "dark", Count: 1, Class: BitaxeGamma})
	all := func(n int, watts int64) []agent.Order {
		var o []agent.Order
		for i := range n {
			o = append(o, agent.Order{Unit: i, Watts: watts})
		}
		return o
	}
	read := func(i int, meter string, watts, mwh int64) {
		t.Helper()
		evs := p.Step()
		if len(evs) != 2 || evs[i].Source != meter {
			t.Fatalf("%d readings, %v", len(evs), evs)
		}
		r := evs[i].Data.(*events.MeterReading)
		if r.PowerWatts != watts || *r.EnergyMilliwattHours != mwh || !r.Modelled || r.Quality != events.QualityGood {
			t.Fatalf("%s reads %d W, %d mWh, want %d W, %d mWh", meter, r.PowerWatts, *r.EnergyMilliwattHours, watts, mwh)
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	f.Drive(all(10, 3500))
	g.Drive(all(1, 18))
	read(0, "mining-a", 35000, 0)
	c.advance(36 * time.Second)
	read(0, "mining-a", 35000, 350_000) // 35 kW × 36 s = 350 Wh
	read(1, "mining-b", 18, 180)
	f.Drive(all(10, 0))
	c.advance(5 * time.Second)
	// A straight fall from 35 kW within 5 s: 24.305… Wh.
	read(0, "mining-a", 0, 374_305)
	c.advance(time.Hour)
	read(0, "mining-a", 0, 374_305)
	// The remainder is kept: it is not lost in the next milliwatt-hours.
	f.Drive(all(1, 3500))
	for range 1000 {
		c.advance(7200 * time.Microsecond)
		p.Step()
	}
	read(0, "mining-a", 3500, 374_305+7000) // 0.555… + 7000 = …,305.55
}

func TestEnergyDoesNotDependOnSteps(t *testing.T) {
	energy := func(step time.Duration) int64 {
		p, c, _ := newPlant(t, 3)
		f := newFleet(t, p, FleetConfig{Agent: "rig", Count: 7, Class: AntminerS21XP, Meter: "m"})
		for n := range 7 {
			f.Drive([]agent.Order{{Unit: n, Watts: int64(700 * (n + 1))}})
		}
		for range int(20 * time.Second / step) {
			c.advance(step)
			p.Step()
		}
		f.Drive([]agent.Order{{Unit: 6, Watts: 0}, {Unit: 5, Watts: 0}})
		for range int(20 * time.Second / step) {
			c.advance(step)
			p.Step()
		}
		return *p.Step()[0].Data.(*events.MeterReading).EnergyMilliwattHours
	}
	coarse, fine := energy(5*time.Second), energy(10*time.Millisecond)
	if d := coarse - fine; d < -2 || d > 2 { // whole watts on a slope
		t.Fatalf("%d mWh in steps of 5 s, %d mWh in steps of 10 ms", coarse, fine)
	}
}

func work(job, difficulty string) *events.WorkAssigned {
	return &events.WorkAssigned{JobID: job, Gateway: "pool", ShareDifficulty: difficulty}
}

func TestSharesFollowHashRateAndDifficulty(t *testing.T) {
	p, c, _ := newPlant(t, 5)
	f := newFleet(t, p, FleetConfig{Agent: "rig", Count: 100, Class: AntminerS21, TrimPPM: 20_000})
	for n := range 100 {
		f.Drive([]agent.Order{{Unit: n, Watts: 3500}})
	}
	// 20 PH/s at most; one share per second at this difficulty.
	f.Work(work("j", "4656539"))
	c.advance(time.Minute) // boot
	p.Step()
	booting := p.outbox.Waiting()
	if booting > 5 {
		t.Fatalf("%d shares while booting", booting)
	}
	const seconds = 2000
	for range seconds {
		c.advance(time.Second)
		p.Step()
	}
	got := float64(p.outbox.Waiting() - booting)
	if want := 0.99 * seconds; math.Abs(got-want) > 5*math.Sqrt(want) {
		t.Fatalf("%g shares, expected %g", got, want)
	}
	seen, byUnit := map[string]bool{}, map[string]int{}
	for _, e := range p.outbox.Next(math.MaxInt) {
		s := e.Data.(*events.ShareFound)
		if seen[s.ShareID] || e.ID != s.ShareID || !e.Dedup {
			t.Fatalf("share %s is not unique", s.ShareID)
		}
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		seen[s.ShareID] = true
		byUnit[s.Unit]++
	}
	if len(byUnit) < 95 {
		t.Fatalf("shares of %d units only", len(byUnit))
	}
}

func TestSameSeedSameFleet(t *testing.T) {
	run := func(seed uint64) string {
		p, c, _ := newPlant(t, seed)
		f := newFleet(t, p, FleetConfig{Agent: "rig", Count: 50, Class: AntminerS21, Meter: "m", TrimPPM: 50_000})
		f.Work(work("j", "100000"))
		for n := range 50 {
			f.Drive([]agent.Order{{Unit: n, Watts: 3500}})
		}
		out := ""
		for range 100 {
			c.advance(time.Second)
			r := p.Step()[0].Data.(*events.MeterReading)
			out += fmt.Sprintln(r.PowerWatts, *r.EnergyMilliwattHours, p.outbox.Waiting())
		}
		return out
	}
	first, again, other := run(1), run(1), run(2)
	if first != again {
		t.Fatal("the same seed gave another fleet")
	}
	if first == other {
		t.Fatal("the seed changes nothing")
	}
}

func TestNoMachineDrawsMoreThanItWasTold(t *testing.T) {
	p, c, _ := newPlant(t, 9)
	f := newFleet(t, p, FleetConfig{Agent: "rig", Count: 200, Class: WhatsMinerM66SPlus, Meter: "m", TrimPPM: MaxTrimPPM})
	for n := range 200 {
		f.Drive([]agent.Order{{Unit: n, Watts: int64(30 * n)}})
	}
	c.advance(10 * time.Second)
	for n := range 200 {
		if s := status(f, n); s.PowerWatts > int64(30*n) {
			t.Fatalf("told %d W, draws %d W", 30*n, s.PowerWatts)
		}
	}
}

func TestFaults(t *testing.T) {
	p, c, _ := newPlant(t, 1)
	f := newFleet(t, p, FleetConfig{Agent: "rig", Count: 2, Class: AntminerS21, Meter: "m"})
	f.Drive([]agent.Order{{Unit: 0, Watts: 3500}, {Unit: 1, Watts: 3500}})
	c.advance(time.Minute)
	f.SetFault(0, FaultIgnores)
	f.SetFault(1, FaultBroken)
	f.Drive([]agent.Order{{Unit: 0, Watts: 0}, {Unit: 1, Watts: 3500}})
	c.advance(10 * time.Second)
	liar, broken := status(f, 0), status(f, 1)
	if liar.PowerWatts != 0 || liar.HashrateMHs != 0 || !liar.Healthy {
		t.Fatalf("the liar says %+v", liar)
	}
	if broken.PowerWatts != 0 || broken.Healthy {
		t.Fatalf("the broken one says %+v", broken)
	}
	if r := p.Step()[0].Data.(*events.MeterReading); r.PowerWatts != 3500 {
		t.Fatalf("the meter sees %d W", r.PowerWatts)
	}
	if f.Watts() != 3500 {
		t.Fatalf("%d W", f.Watts())
	}
	f.SetFault(0, FaultNone)
	f.SetFault(1, FaultNone)
	c.advance(10 * time.Second)
	if r := p.Step()[0].Data.(*events.MeterReading); r.PowerWatts != 3500 {
		t.Fatalf("healed: the meter sees %d W", r.PowerWatts)
	}
	if s := status(f, 1); s.PowerWatts != 3500 || !s.Healthy {
		t.Fatalf("healed: %+v", s)
	}
	if !p.Freeze("m", true) || p.Freeze("x", true) {
		t.Fatal("freeze does not know its meters")
	}
	f.Drive([]agent.Order{{Unit: 1, Watts: 0}})
	c.advance(10 * time.Second)
	if r := p.Step()[0].Data.(*events.MeterReading); r.PowerWatts != 3500 {
		t.Fatalf("frozen: %d W", r.PowerWatts)
	}
	p.Freeze("m", false)
	if r := p.Step()[0].Data.(*events.MeterReading); r.PowerWatts != 0 {
		t.Fatalf("thawed: %d W", r.PowerWatts)
	}
}

// await looks again and again until ok holds.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	again, deadline := time.NewTicker(time.Millisecond), time.After(30*time.Second)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestPlantPublishesReadingsAndLosesNoShare(t *testing.T) {
	s := &shelf{}
	p, err := NewPlant(PlantConfig{Site: "demo", Period: 10 * time.Millisecond}, s)
	if err != nil {
		t.Fatal(err)
	}
	class := AntminerS21
	class.Boot = 0
	f := newFleet(t, p, FleetConfig{Agent: "rig", Count: 10, Class: class, Meter: "m"})
	for n := range 10 {
		f.Drive([]agent.Order{{Unit: n, Watts: 3500}})
	}
	f.Work(work("j", "1000"))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s.err = errors.New("the bus is away")
	go func() { done <- p.Run(ctx) }()
	await(t, "shares that wait", func() bool { return p.outbox.Waiting() >= 20 })
	s.mu.Lock()
	s.err = nil
	s.mu.Unlock()
	await(t, "readings", func() bool { return len(s.of(events.TypeMeterReading)) >= 5 })
	f.Drive([]agent.Order{{Unit: 0, Watts: 0}})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := len(s.of(events.TypeShareFound)); n < 20 || uint64(n) != f.ordinal {
		t.Fatalf("%d shares found, %d published", f.ordinal, n)
	}
}

func TestClasses(t *testing.T) {
	for name, want := range map[string]int64{"s21xp": 13500, "s21": 17500, "m66s-plus": 17000, "bitaxe-gamma": 15000} {
		c, ok := Classes()[name]
		if !ok {
			t.Errorf("no class %s", name)
			continue
		}
		if got := c.MillijoulesPerTerahash(); got != want {
			t.Errorf("%s: %d mJ/TH, want %d", name, got, want)
		}
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestRefusals(t *testing.T) {
	p, _, _ := newPlant(t, 1)
	newFleet(t, p, FleetConfig{Agent: "rig", Count: 1, Class: AntminerS21})
	falling := AntminerS21
	falling.Levels = []Level{{Watts: 3500, HashrateGHs: 200}, {Watts: 1750, HashrateGHs: 100}}
	for name, cfg := range map[string]FleetConfig{
		"no agent": {Count: 1, Class: AntminerS21}, "no machines": {Agent: "a", Class: AntminerS21},
		"no class": {Agent: "a", Count: 1}, "falling levels": {Agent: "a", Count: 1, Class: falling},
		"failsafe above full": {Agent: "a", Count: 1, Class: AntminerS21, FailsafeWatts: 4000},
		"standby of a level":  {Agent: "a", Count: 1, Class: AntminerS21, StandbyWatts: 1750},
		"trim":                {Agent: "a", Count: 1, Class: AntminerS21, TrimPPM: MaxTrimPPM + 1},
		"meter":               {Agent: "a", Count: 1, Class: AntminerS21, Meter: "M 1"},
		"twin":                {Agent: "rig", Count: 1, Class: AntminerS21},
	} {
		if _, err := p.NewFleet(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, cfg := range map[string]PlantConfig{"no site": {}, "period": {Site: "demo", Period: time.Hour}} {
		if _, err := NewPlant(cfg, new(shelf)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	p, c, _ := newPlant(b, 1)
	f := newFleet(b, p, FleetConfig{Agent: "rig", Count: 10_000, Class: AntminerS21, Meter: "m"})
	for n := range 10_000 {
		f.Drive([]agent.Order{{Unit: n, Watts: 3500}})
	}
	for b.Loop() {
		c.advance(time.Second)
		p.Step()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/machine")
}
