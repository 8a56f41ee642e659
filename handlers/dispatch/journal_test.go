// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// chooser gives numbers below n, from a seed or from the bytes of a fuzzer.
type chooser interface{ below(n int) int }

type seeded struct{ *rand.Rand }

func (s seeded) below(n int) int { return s.IntN(n) }

type bytewise struct {
	b []byte
	i int
}

func (b *bytewise) below(n int) int {
	v := 0
	for k := 1; k < n; k *= 256 {
		if b.i < len(b.b) {
			v = v<<8 | int(b.b[b.i])
			b.i++
		}
	}
	return v % n
}

// world invents a journal: a site that works, units that mostly obey, and
// whatever else a bus may carry.
type world struct {
	c       chooser
	hostile int // chance of nonsense per event, in percent
	// wild lets nonsense through that no reader would let through.
	wild bool
	// jobs: a scheduler tells of its jobs, and rises are learned.
	jobs bool
	// tree: the site has nodes, and some of the units know theirs.
	tree bool
	// thrifty: starts have a price and a pace.
	thrifty bool
	at      time.Time
	seq     uint64
	epoch   uint64
	ai      int64
	rigs    []*mock
	heard   map[string]*mock
	second  int64
	// lie: some units acknowledge and draw on.
	lie bool
	// switched are commands for outlets that are not answered yet.
	switched []*events.CommandOutlet
}

type mock struct {
	id      string
	boot    int
	counter uint64
	known   bool
	units   []*mockUnit
}

type mockUnit struct {
	id         string
	caps       events.Capabilities
	set, power int64
	state      events.PermitState
	applied    events.OrderKey
	obeyed     bool
	// deaf: it draws on whatever it is told; dark: its outlet is off.
	deaf, dark bool
}

func newWorld(c chooser, hostile int) *world {
	w := &world{c: c, hostile: hostile, at: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), epoch: 1, ai: 4_000_000, heard: map[string]*mock{}}
	for i := range 12 {
		r := &mock{id: fmt.Sprintf("rig-%d", i), boot: 1}
		for k := range 1 + i%4 {
			full := int64(1+c.below(8)) * 100_000
			u := &mockUnit{id: fmt.Sprintf("%s-%d", r.id, k), state: events.PermitBoot, caps: events.Capabilities{
				Class: "m", NameplateWatts: full, MillijoulesPerTerahash: int64(15_000 + 500*c.below(30)), FallMilliseconds: 5_000}}
			u.caps.Meter = []string{"", "", "mine", "mine-a1", "mine-b"}[(i+2*k)%5]
			switch c.below(5) {
			case 3:
				u.caps.Levels = mockLevels(c, full, u.caps.MillijoulesPerTerahash)
			case 0:
				u.caps.LevelsWatts = []int64{full / 2, full}
			case 1:
				u.caps.LevelsWatts = []int64{full}
			}
			r.units = append(r.units, u)
		}
		w.rigs = append(w.rigs, r)
		w.heard[r.id] = r
	}
	return w
}

func (w *world) config() *events.SiteConfig {
	c := w.plainConfig()
	if w.tree {
		w.grow(c)
	}
	if w.jobs {
		w.hire(c)
	}
	if w.c != nil {
		c.Programmes = w.programmes()
	}
	if w.thrifty {
		p := &c.Policy
		p.StartWearMicrousdPerMW, p.MaxStartsPerDay, p.RampDownWattsPerSecond = 50_000, 5, 300_000
		p.MaxStartsAtOnce, p.StartWindowMilliseconds, p.StartJitterMilliseconds = 8, 2_000, 1_500
		if w.tree {
			c.Nodes[1].MaxStartsAtOnce, c.Nodes[1].RampDownWattsPerSecond = 2, 100_000
		}
	}
	return c
}

func (w *world) plainConfig() *events.SiteConfig {
	return &events.SiteConfig{
		LimitWatts: 10_000_000, ContinuousFactorPPM: 950_000, ContractedWatts: 10_000_000, AINameplateWatts: 9_000_000, HouseWatts: 50_000,
		Reserve: events.ReserveConfig{FloorWatts: 300_000, UnlearnedWatts: 800_000, MarginWatts: 100_000, EnvelopeSeconds: 60},
		Meters: []events.MeterConfig{
			{Meter: "ai", Measures: events.MeasuresAI, PeriodMilliseconds: 1000, StaleMilliseconds: 5000, MaxWatts: 12_000_000},
			{Meter: "total", Measures: events.MeasuresTotal, PeriodMilliseconds: 1000, StaleMilliseconds: 5000, MaxWatts: 20_000_000},
			{Meter: "mine", Measures: events.MeasuresMining, PeriodMilliseconds: 1000, StaleMilliseconds: 5000, StuckMilliseconds: 10_000, MaxWatts: 20_000_000},
		},
		Policy: events.PolicyConfig{LeaseMilliseconds: 12_000, DeadMilliseconds: 30_000, GuaranteedWatts: 200_000, RestartDelayMilliseconds: 3_000,
			RampWattsPerSecond: 500_000, RampBurstWatts: 2_000_000, MinOffMilliseconds: 4_000, MinOnMilliseconds: 4_000,
			HysteresisWatts: 10_000, Economics: true, StrikeAdderMicrousdPerMWh: 5_000_000},
		Tariff: events.TariffConfig{EnergyPriceMicrousdPerMWh: 40_000_000, PoolFeePPM: 10_000},
		Outlets: []events.OutletConfig{
			{Outlet: "o-1", Controller: "pdu-1", Agent: "rig-1"}, {Outlet: "o-2", Controller: "pdu-1", Agent: "rig-2", Unit: "rig-2-0"},
			{Outlet: "o-3", Controller: "pdu-1", Agent: "rig-3"}, {Outlet: "o-4", Controller: "pdu-2", Agent: "rig-4"},
			{Outlet: "o-4", Controller: "pdu-2", Agent: "rig-5"}, {Outlet: "o-6", Controller: "pdu-2", Agent: "rig-6", Unit: "rig-6-1"},
		},
	}
}

// obey lets the mock units hear what was decided, unless it got lost.
func (w *world) obey(p events.Payload, source string) {
	if w.c.below(20) == 0 {
		return
	}
	switch c := p.(type) {
	case *events.CommandOutlet:
		w.switched = append(w.switched, c)
	case *events.CommandCurtail:
		for _, r := range w.rigs {
			if source != events.BroadcastSource && r.id != source {
				continue
			}
			for _, u := range r.units {
				if c.AllUnitsWatts != nil {
					u.set, u.applied, u.obeyed = min(u.set, *c.AllUnitsWatts), c.Key, true
				}
				for _, s := range c.Units {
					if s.Unit == u.id {
						u.set, u.applied, u.obeyed = min(u.set, s.SetpointWatts), c.Key, true
					}
				}
			}
		}
	case *events.CommandRamp:
		if r := w.heard[source]; r != nil && c.BootID == fmt.Sprint(r.id, "-b", r.boot) {
			for _, u := range r.units {
				for _, s := range c.Units {
					if s.Unit == u.id {
						u.set, u.applied, u.obeyed, u.state = s.SetpointWatts, c.Key, true, events.PermitLimited
					}
				}
			}
		}
	}
}

func (w *world) event(source string, p events.Payload) *events.Event {
	w.seq++
	e := events.New("demo", source, p)
	e.Sequence, e.Epoch, e.Arrived = w.seq, w.epoch, w.at
	e.ID = events.DefaultID("JOURNAL", w.epoch, w.seq)
	return e
}

func (w *world) mining() int64 {
	s := int64(0)
	for _, r := range w.rigs {
		for _, u := range r.units {
			s += u.power
		}
	}
	return s
}

// next invents the next event of the journal.
func (w *world) next() *events.Event {
	w.at = w.at.Add(time.Duration(1+w.c.below(60)) * time.Millisecond)
	if w.seq == 0 {
		return w.event("site", w.config())
	}
	if w.c.below(100) < w.hostile {
		e := w.nonsense()
		for range 50 {
			if w.wild || e.Data.Validate() == nil {
				return e
			}
			w.seq--
			e = w.nonsense()
		}
		w.seq--
	}
	if s := w.at.Unix(); s > w.second {
		w.second = s
		return w.event("site", &events.ClockTick{Second: s})
	}
	for _, r := range w.rigs {
		for _, u := range r.units {
			if w.lie && w.c.below(3_000) == 0 {
				u.deaf = !u.deaf
			}
			if u.dark {
				u.power = 0
			} else if u.power < u.set {
				u.power = u.set
			} else if !u.deaf && u.power > u.set {
				u.power = max(u.set, u.power-u.caps.NameplateWatts/20)
			}
		}
	}
	switch k := w.c.below(20); {
	case k < 5:
		w.ai = min(max(w.ai+int64(w.c.below(300_001)-150_000), 1_000_000), 9_000_000)
		return w.event("ai", &events.MeterReading{PowerWatts: w.ai, SampledAt: w.at, Quality: events.QualityGood})
	case k < 7:
		return w.event("total", &events.MeterReading{PowerWatts: w.ai + 50_000 + w.mining(), SampledAt: w.at, Quality: events.QualityGood})
	case k < 9:
		return w.event("mine", &events.MeterReading{PowerWatts: w.mining(), SampledAt: w.at, Quality: events.QualityGood})
	case w.jobs && k < 8 && w.c.below(10) == 0:
		return w.event([]string{"scheduler", "scheduler", "other", "operator"}[w.c.below(4)], w.job())
	case k < 10 && w.c.below(40) == 0:
		return w.event("grid", w.signal())
	case k < 11 && w.c.below(20) == 0:
		return w.event("market", &events.MarketQuote{NBits: "17034219", SubsidySats: 312_500_000, BTCPriceMicrousd: int64(30+w.c.below(60)) * 1_000_000_000, QuotedAt: w.at})
	case k < 13 && w.c.below(4) == 0:
		return w.share([]string{"4096", "65536", "1000000"}[w.c.below(3)])
	}
	if len(w.switched) > 0 && w.c.below(4) == 0 {
		return w.switchOutlet()
	}
	if w.lie && w.c.below(300) == 0 {
		return w.event(events.OperatorSource, &events.OutletRequested{Outlet: fmt.Sprint("o-", w.c.below(8)), Off: w.c.below(4) == 0})
	}
	if w.tree && w.c.below(5) < 3 {
		return w.nodeReading()
	}
	return w.status(w.rigs[w.c.below(len(w.rigs))])
}

// share of work that some unit is said to have done.
func (w *world) share(difficulty string) *events.Event {
	r := w.rigs[w.c.below(len(w.rigs))]
	u := r.units[w.c.below(len(r.units))]
	p := events.Payout{Pool: "p", NBits: "17034219", RewardSats: 1, Scheme: events.SchemeFPPS, Basis: events.BasisLive}
	if w.c.below(10) == 0 {
		p.Basis = events.BasisPractice
	}
	return w.event("gw", &events.ShareAccepted{ShareID: fmt.Sprintf("%064d", w.seq), JobID: "j", Agent: r.id, Unit: u.id, Difficulty: difficulty, Payout: p, JudgedAt: w.at})
}

// switchOutlet lets the controller of an outlet answer, as it does most times.
func (w *world) switchOutlet() *events.Event {
	k := w.switched[0]
	w.switched = w.switched[1:]
	st := &events.OutletStatus{Outlet: k.Outlet, State: events.OutletOn, Applied: &k.Key}
	if k.Off {
		st.State = events.OutletOff
	}
	if w.c.below(5) == 0 {
		st.State, st.Applied, st.Error = events.OutletUnknown, nil, "the outlet does not answer"
		return w.event(k.Controller, st)
	}
	for _, r := range w.rigs {
		for _, u := range r.units {
			if r.id == k.Agent && (u.id == k.Unit || k.Unit == "") {
				u.dark = k.Off
			}
		}
	}
	return w.event(k.Controller, st)
}

func (w *world) status(r *mock) *events.Event {
	st := &events.WorkerStatus{}
	if w.c.below(200) == 0 {
		r.boot++
		r.counter, r.known = 0, false
		for _, u := range r.units {
			u.set, u.state, u.obeyed = 0, events.PermitBoot, false
		}
	}
	r.counter++
	st.BootID, st.Counter, st.Announce = fmt.Sprint(r.id, "-b", r.boot), r.counter, !r.known || w.c.below(50) == 0
	r.known = true
	for _, u := range r.units {
		if w.c.below(400) == 0 {
			u.state, u.set = events.PermitFailsafe, 0
		}
		us := events.UnitStatus{Unit: u.id, State: u.state, SetpointWatts: u.set, PowerWatts: u.power, Healthy: w.c.below(50) != 0}
		if u.deaf && w.c.below(3) > 0 {
			us.PowerWatts = u.set
		}
		if u.obeyed {
			k := u.applied
			us.Applied = &k
		}
		if st.Announce {
			c := u.caps
			if w.tree {
				c.Node = []string{"", "feed-a", "pdu-a1", "pdu-a2", "rack-1", "rack-2", "feed-b", "site", "unheard-of"}[int(r.id[len(r.id)-1])%9]
				if w.c.below(10) == 0 {
					c.Node = "rack-2"
				}
			}
			us.Capabilities = &c
		}
		st.Units = append(st.Units, us)
	}
	return w.event(r.id, st)
}

var strange = []int64{0, -1, 1, math.MaxInt64, math.MinInt64, 1 << 53, -(1 << 53), 1 << 62, 3500, 1_000_000, 9_999_999}

func (w *world) odd() int64 { return strange[w.c.below(len(strange))] }

func (w *world) signal() *events.GridSignal {
	kinds := []events.SignalKind{events.SignalCurtail, events.SignalRestore, events.SignalSetpoint, events.SignalImportLimit,
		events.SignalEmergency, events.SignalPrice, events.SignalStop, "unheard-of"}
	g := &events.GridSignal{Kind: kinds[w.c.below(len(kinds))], SignalID: fmt.Sprint("s", w.c.below(6)), DurationSeconds: int64(w.c.below(20)),
		Priority: w.c.below(3), Test: w.c.below(8) == 0}
	if g.Kind == events.SignalStop && w.c.below(4) != 0 {
		g.Kind = events.SignalRestore
	}
	p := int64(w.c.below(6)) * 1_000_000
	g.PowerWatts = &p
	c := int64(w.c.below(200)-50) * 1_000_000
	g.PriceMicrousdPerMWh = &c
	if w.c.below(3) == 0 {
		t := w.at.Add(time.Duration(w.c.below(20)-8) * time.Second)
		g.StartsAt = &t
	}
	if w.c.below(3) == 0 {
		g.Supersedes = fmt.Sprint("s", w.c.below(6))
	}
	if w.c.below(2) == 0 {
		g.Cancels = fmt.Sprint("s", w.c.below(6))
	}
	w.enrol(g)
	return g
}

// nonsense is what hostile or broken publishers send: valid in form only.
func (w *world) nonsense() *events.Event {
	src := []string{"ai", "total", "mine", "grid", "operator", "rig-1", "rig-2", "nobody", "site"}[w.c.below(9)]
	odd := w.odd()
	times := []time.Time{w.at, {}, w.at.Add(-time.Hour), w.at.Add(time.Hour), time.Unix(1<<40, 0), time.Unix(-1<<40, 0), w.at.Add(-time.Second)}
	when := times[w.c.below(len(times))]
	kinds := 11
	if w.lie {
		kinds = 12
	}
	switch w.c.below(kinds) {
	case 11:
		return w.share([]string{"1e-30", "0", "", "1e29", "999999999999999", "x", "0.000001"}[w.c.below(7)])
	case 9:
		j := w.job()
		j.PeakWatts, j.StartsAt = w.odd(), &when
		return w.event(src, j)
	case 10:
		return w.event([]string{"pdu-1", "pdu-2", "rig-1"}[w.c.below(3)], &events.OutletStatus{Outlet: fmt.Sprint("o-", w.c.below(8)),
			State: []events.OutletState{"on", "off", "unknown", "?"}[w.c.below(4)], Applied: &events.OrderKey{Epoch: uint64(w.odd())},
			Error: []string{"", "refused", string(make([]byte, 600))}[w.c.below(3)]})
	case 0:
		return w.event(src, &events.MeterReading{PowerWatts: odd, SampledAt: when, Quality: []events.Quality{"good", "bad", "suspect", "?"}[w.c.below(4)]})
	case 1:
		g := w.signal()
		g.PowerWatts, g.PriceMicrousdPerMWh, g.DurationSeconds, g.StartsAt = &odd, &odd, w.odd(), &when
		if w.c.below(3) == 0 {
			g.PowerWatts, g.PriceMicrousdPerMWh = nil, nil
		}
		return w.event(src, g)
	case 2:
		return w.event(src, &events.ClockTick{Second: odd})
	case 3:
		st := &events.WorkerStatus{BootID: "x", Counter: uint64(odd), Announce: true, Leaving: w.c.below(4) == 0}
		for range w.c.below(3) {
			l := w.odd()
			st.Units = append(st.Units, events.UnitStatus{Unit: fmt.Sprint(src, "-", w.c.below(3)), State: "?", SetpointWatts: w.odd(), PowerWatts: w.odd(),
				Applied: &events.OrderKey{Epoch: uint64(w.odd())}, LocalLimitWatts: &l, Healthy: true,
				Capabilities: &events.Capabilities{NameplateWatts: w.odd(), MinWatts: w.odd(), FailsafeWatts: w.odd(), LevelsWatts: []int64{w.odd(), w.odd()},
					MillijoulesPerTerahash: w.odd(), FallMilliseconds: w.odd(), BootMilliseconds: w.odd(), Levels: w.oddLevels(), Meter: []string{"mine", "mine-a1"}[len(st.Units)%2]}})
		}
		return w.event(src, st)
	case 4:
		return w.event("market", &events.MarketQuote{NBits: []string{"17034219", "zz", "", "00000000", "ff7fffff", "207fffff"}[w.c.below(6)],
			SubsidySats: odd, FeesSats: w.odd(), BTCPriceMicrousd: w.odd()})
	case 5:
		if w.c.below(10) != 0 {
			return w.event("site", &events.ClockTick{Second: w.at.Unix()})
		}
		c := w.config()
		c.LimitWatts, c.ContinuousFactorPPM, c.Reserve.EnvelopeSeconds = w.odd(), w.odd(), w.odd()
		c.Policy.RampWattsPerSecond, c.Policy.LeaseMilliseconds, c.Policy.MinOffMilliseconds = w.odd(), w.odd(), w.odd()
		c.Policy.StartWearMicrousdPerMW, c.Policy.MaxStartsPerDay, c.Policy.RampDownWattsPerSecond = w.odd(), w.odd(), w.odd()
		c.Policy.SwapHorizonMilliseconds, c.Policy.MaxStartsAtOnce, c.Policy.StartWindowMilliseconds, c.Policy.StartJitterMilliseconds = w.odd(), w.odd(), w.odd(), w.odd()
		c.Meters[0].MaxWatts, c.Meters[1].PeriodMilliseconds, c.Meters[2].StaleMilliseconds = w.odd(), w.odd(), w.odd()
		w.graft(c)
		return w.event("site", c)
	case 6:
		w.at = w.at.Add(time.Duration(w.c.below(20)-8) * time.Second)
		return w.event("site", &events.ClockTick{Second: w.at.Unix()})
	case 7:
		if w.c.below(5) == 0 {
			w.epoch++
		}
		return w.event("site", &events.JournalOpened{Epoch: w.epoch})
	}
	return w.event("site", w.config())
}
