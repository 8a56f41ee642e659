// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Least contents of a story made from a seed.
const (
	storyLength = 10 * time.Minute
	leastUnits  = 8
	leastFaults = 5
)

// NewStory makes the story of a seed: ten minutes, or two more where a unit defies
// its orders at the end, at least eight units behind several agents, six meters,
// two hosts, five faults.
func NewStory(seed uint64) *Story {
	g := &generator{r: rand.New(rand.NewPCG(seed, 0x62616c6c617374))}
	g.s = &Story{Seed: seed, Length: storyLength, Hosts: []Host{{Name: "host-a"}, {Name: "host-b"}}}
	if g.one(4) {
		g.s.Hosts[1].Version = "next"
	}
	g.site()
	g.fleet()
	if g.one(4) {
		g.s.House = []HouseLoad{{Watts: g.part(10, 30)}}
	} else {
		g.tree()
	}
	g.load()
	if g.one(3) {
		g.changes()
	}
	g.signals()
	g.faults()
	g.announce()
	g.jobs()
	g.defy()
	return g.s
}

type generator struct {
	r *rand.Rand
	s *Story
	// Limit of the site and what of it is usable, W.
	limit, usable int64
}

func (g *generator) one(in int) bool { return g.r.IntN(in) == 0 }

func (g *generator) between(lo, hi int64) int64 { return lo + g.r.Int64N(hi-lo+1) }

// part of the limit in per mille, whole hundreds of watts.
func (g *generator) part(lo, hi int64) int64 { return g.limit * g.between(lo, hi) / 1000 / 100 * 100 }

func (g *generator) seconds(lo, hi int64) time.Duration {
	return time.Duration(g.between(lo, hi)) * time.Second
}

// moment between two times, to the tenth of a second.
func (g *generator) moment(lo, hi time.Duration) time.Duration {
	return (lo + time.Duration(g.r.Int64N(int64(hi-lo)))).Truncate(100 * time.Millisecond)
}

func (g *generator) site() {
	g.limit = g.between(100, 2000) * 1000
	c := &g.s.Config
	c.LimitWatts, c.ContractedWatts = g.limit, g.limit
	c.ContinuousFactorPPM = []int64{800_000, 900_000, 1_000_000}[g.r.IntN(3)]
	g.usable = g.limit / 1_000_000 * c.ContinuousFactorPPM
	if g.usable == 0 {
		g.usable = g.limit / 1000 * c.ContinuousFactorPPM / 1000
	}
	c.AINameplateWatts = g.usable * 95 / 100 / 1000 * 1000
	c.Reserve = events.ReserveConfig{FloorWatts: g.part(40, 80), MarginWatts: g.part(0, 20)}
	if g.one(2) {
		c.Reserve.EnvelopeSeconds, c.Reserve.UnlearnedWatts = g.between(20, 60), g.part(0, 60)
	}
	rate := g.part(20, 200)
	c.Policy = events.PolicyConfig{
		LeaseMilliseconds: g.between(10, 15) * 1000, DeadMilliseconds: g.between(15, 60) * 1000,
		RestartDelayMilliseconds: g.between(0, 20) * 1000, RampWattsPerSecond: rate, RampBurstWatts: rate * g.between(1, 3),
		MinOffMilliseconds: g.between(0, 40) * 1000, HysteresisWatts: g.part(0, 10),
	}
	c.Tariff = events.TariffConfig{IntervalSeconds: 60, GraceSeconds: 5, AccrualSeconds: 30, EnergyPriceMicrousdPerMWh: 50_000_000, Scheme: events.SchemeFPPS}
	meter := func(id string, what events.Measures, group string, most int64) {
		m := events.MeterConfig{Meter: id, Measures: what, Group: group, PeriodMilliseconds: 1000, StaleMilliseconds: 5000, MaxWatts: most}
		if what != events.MeasuresAI && what != events.MeasuresTotal && g.one(2) {
			m.PeriodMilliseconds = 2000
		}
		if what == events.MeasuresAI && g.one(2) {
			m.StuckMilliseconds = 20_000
		}
		c.Meters = append(c.Meters, m)
	}
	meter("ai-a", events.MeasuresAI, "ai", 2*g.limit)
	if g.one(3) {
		c.Meters[0].Group = ""
		meter("house-b", events.MeasuresHouse, "house", g.limit)
		meter("house-a", events.MeasuresHouse, "house", g.limit)
	} else {
		meter("ai-b", events.MeasuresAI, "ai", 2*g.limit)
		meter("house-a", events.MeasuresHouse, "", g.limit)
	}
	meter("total", events.MeasuresTotal, "", 3*g.limit)
	meter("mine-1", events.MeasuresMining, "", 2*g.limit)
	meter("mine-2", events.MeasuresMining, "", 2*g.limit)
}

func (g *generator) fleet() {
	agents := 2 + g.r.IntN(3)
	units := leastUnits + g.r.IntN(5)
	each := g.part(450, 800) / int64(units) / 100 * 100
	for i := range agents {
		n := units / (agents - i)
		units -= n
		c := events.Capabilities{
			Class: "asic", NameplateWatts: each, MinWatts: each / g.between(1, 3), MillijoulesPerTerahash: g.between(15, 35) * 1000,
			FallMilliseconds: g.between(1, 8) * 1000, BootMilliseconds: 60_000, Meter: fmt.Sprintf("mine-%d", 1+i%2),
		}
		if g.one(3) {
			c.LevelsWatts = []int64{each * g.between(300, 600) / 1000, each * g.between(700, 900) / 1000, each}[g.r.IntN(2):]
			c.MinWatts = c.LevelsWatts[0]
		}
		g.s.Agents = append(g.s.Agents, Agent{Name: fmt.Sprintf("rig-%d", i+1), Units: n, Caps: c})
	}
}

// load moves the AI load wherever some hangs, and brings it down before the end.
func (g *generator) load() {
	g.loadAt("", g.s.Config.AINameplateWatts*100/95)
	for i := range g.s.Config.Nodes {
		n := &g.s.Config.Nodes[i]
		g.loadAt(n.Node, n.AINameplateWatts)
	}
	slices.SortStableFunc(g.s.Load, func(a, b Step) int { return int(a.At - b.At) })
}

func (g *generator) loadAt(node string, most int64) {
	if most == 0 {
		return
	}
	calm := g.s.Length - calmEnd
	step := func(t time.Duration, lo, hi int64) {
		g.s.Load = append(g.s.Load, Step{At: t, Node: node, Watts: most * g.between(lo, hi) / 1000 / 100 * 100})
	}
	for t := time.Duration(0); t < calm-10*time.Second; t += g.moment(5*time.Second, 70*time.Second) {
		step(t, 250, 850)
	}
	step(calm-5*time.Second, 250, 450)
}

func (g *generator) signals() {
	calm := g.s.Length - calmEnd
	for i := range g.r.IntN(4) {
		at := g.moment(40*time.Second, calm-2*time.Minute)
		s := Signal{At: at, Source: "grid", Grid: events.GridSignal{SignalID: fmt.Sprintf("s%d", i+1), DurationSeconds: g.between(20, 110)}}
		some := g.part(0, 400)
		switch g.r.IntN(5) {
		case 0:
			s.Grid.Kind = events.SignalEmergency
		case 1:
			s.Grid.Kind = events.SignalImportLimit
			some = g.usable * g.between(600, 950) / 1000 / 100 * 100
			s.Grid.PowerWatts = &some
		case 2:
			s.Grid.Kind, s.Grid.DurationSeconds, s.Source = events.SignalStop, 0, events.OperatorSource
			lift := Signal{At: at + g.seconds(20, 110), Source: events.OperatorSource,
				Grid: events.GridSignal{SignalID: fmt.Sprintf("lift-s%d", i+1), Kind: events.SignalRestore, Cancels: s.Grid.SignalID}}
			g.s.Signals = append(g.s.Signals, lift)
		default:
			s.Grid.Kind, s.Grid.PowerWatts = events.SignalCurtail, &some
		}
		g.place(&s)
		g.s.Signals = append(g.s.Signals, s)
	}
	slices.SortStableFunc(g.s.Signals, func(a, b Signal) int { return int(a.At - b.At) })
}

// announce gives notice of some windows, along whose ramp power comes down. Where
// clocks jump nobody knows when such a window begins.
func (g *generator) announce() {
	if slices.ContainsFunc(g.s.Faults, func(f Fault) bool { return f.Kind == FaultClock }) {
		return
	}
	for i := range g.s.Signals {
		s := &g.s.Signals[i]
		if s.Grid.DurationSeconds == 0 || !g.one(3) {
			continue
		}
		if s.Notice = g.seconds(5, 60); s.Grid.PowerWatts != nil && g.one(2) {
			ramp := g.between(5, 20)
			s.Grid.RampSeconds = &ramp
		}
	}
}

// place puts some signals at a node, and cancels some early.
func (g *generator) place(s *Signal) {
	if s.Grid.Kind == events.SignalStop {
		return
	}
	if nodes := g.s.Config.Nodes; len(nodes) > 0 && g.one(2) {
		n := &nodes[g.r.IntN(len(nodes))]
		if s.Grid.Node = n.Node; s.Grid.PowerWatts != nil {
			w := usableAt(n) * g.between(100, 900) / 1000 / 100 * 100
			s.Grid.PowerWatts = &w
		}
	}
	if s.Grid.Kind != events.SignalEmergency && g.one(4) {
		g.s.Signals = append(g.s.Signals, Signal{At: s.At + g.seconds(5, 60), Source: s.Source,
			Grid: events.GridSignal{SignalID: "end-" + s.Grid.SignalID, Kind: events.SignalRestore, Cancels: s.Grid.SignalID}})
	}
}

// faults that can be told apart: while one meter lies believably, no other one
// has anything. Everything else goes together as it comes.
func (g *generator) faults() {
	n := leastFaults + g.r.IntN(4)
	for tries := 0; len(g.s.Faults) < n && tries < 200; tries++ {
		f := g.fault()
		if f.Until = f.At + g.seconds(5, 60); f.Until > g.s.Length-calmEnd-time.Second {
			continue
		}
		if !slices.ContainsFunc(g.s.Faults, func(o Fault) bool { return g.clash(&f, &o) }) {
			g.s.Faults = append(g.s.Faults, f)
		}
	}
	slices.SortStableFunc(g.s.Faults, func(a, b Fault) int { return int(a.At - b.At) })
}

// clash reports whether two faults may not be near each other in time.
func (g *generator) clash(a, b *Fault) bool {
	near := a.At < b.Until+20*time.Second && b.At < a.Until+20*time.Second
	if !near {
		return false
	}
	if a.Who == b.Who || a.Kind == FaultRestart && b.Kind == a.Kind || a.Kind == FaultActivate && b.Kind == a.Kind {
		return true
	}
	clocks := func(f *Fault) bool { return f.Kind == FaultClock }
	if clocks(a) && clocks(b) {
		return true
	}
	return (a.lies() || b.lies()) && g.touchesMeters(a) && g.touchesMeters(b)
}

func (g *generator) touchesMeters(f *Fault) bool {
	return g.isMeter(f.Who) || f.Kind == FaultClock || f.Who == TheBus
}

func (g *generator) isMeter(id string) bool {
	return slices.ContainsFunc(g.s.Config.Meters, func(m events.MeterConfig) bool { return m.Meter == id })
}

func (g *generator) meter() string { return g.s.Config.Meters[g.r.IntN(len(g.s.Config.Meters))].Meter }

func (g *generator) host() string { return g.s.Hosts[g.r.IntN(len(g.s.Hosts))].Name }

func (g *generator) agent() *Agent { return &g.s.Agents[g.r.IntN(len(g.s.Agents))] }

// party on the bus: a host, an agent, now and then a meter.
func (g *generator) party() string {
	switch g.r.IntN(5) {
	case 0, 1:
		return g.host()
	case 2:
		return g.meter()
	}
	return g.agent().Name
}

func (g *generator) fault() Fault {
	f := Fault{At: g.moment(40*time.Second, g.s.Length-calmEnd-10*time.Second), Point: PointNow}
	switch g.r.IntN(16) {
	case 0:
		f.Kind, f.Who, f.Thousandths = FaultLoses, g.party(), int(g.between(5, 80))*10
	case 1:
		f.Kind, f.Who, f.Thousandths = FaultRepeats, g.party(), int(g.between(5, 80))*10
	case 2:
		f.Kind, f.Who, f.By = FaultDelays, g.party(), g.moment(100*time.Millisecond, 4*time.Second)
	case 3:
		f.Kind, f.Who, f.By = FaultMixes, g.party(), g.moment(100*time.Millisecond, 3*time.Second)
	case 4:
		f.Kind, f.Who = FaultCutOff, g.party()
	case 5:
		f.Kind, f.Who = FaultHeldUp, g.party()
	case 6, 7, 8:
		f.Kind, f.Who = FaultCrash, g.host()
		f.Point = []Point{PointNow, PointPublish, PointAck, PointSnapshot, PointFold}[g.r.IntN(5)]
		f.Every = f.Point != PointNow && g.one(3)
	case 9:
		f.Kind, f.Who, f.By = FaultCrash, TheBus, g.moment(100*time.Millisecond, 3*time.Second)
	case 10:
		f.Kind, f.Who = FaultCrash, g.agent().Name
	case 11:
		f.Kind, f.Who = FaultOrphan, g.agent().Name
	case 12:
		a := g.agent()
		f.Kind, f.Who = FaultIgnores, fmt.Sprintf("%s-%d", a.Name, 1+g.r.IntN(a.Units))
	case 13, 14:
		f.Kind, f.Who = []FaultKind{FaultSilent, FaultFrozen, FaultNaN, FaultNegative, FaultThousand, FaultTimes, FaultSkewed}[g.r.IntN(7)], g.meter()
		if f.lies() && !g.witnessed(f.Who) {
			f.Kind = []FaultKind{FaultSilent, FaultNaN}[g.r.IntN(2)]
		}
		if f.Kind == FaultSkewed {
			f.By = g.either(g.seconds(1, 120))
		}
	default:
		switch g.r.IntN(3) {
		case 0:
			f.Kind, f.Who = FaultRestart, Everything
		case 1:
			f.Kind, f.Who, f.By = FaultClock, Everything, g.either(g.seconds(10, 4*3600))
			if g.one(2) {
				f.Who = []string{TheBus, g.host(), g.agent().Name}[g.r.IntN(3)]
			}
		default:
			f.Kind, f.Who = FaultActivate, g.s.Hosts[1].Name
		}
	}
	return f
}

// either way of the clock.
func (g *generator) either(d time.Duration) time.Duration {
	if g.one(2) {
		return -d
	}
	return d
}
