// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// invent makes an event out of random words: valid or not, at any time.
func invent(r *rand.Rand, g *rig) {
	any := func() int64 {
		return []int64{0, 1, -1, 5 * mw, 40 * mw, r.Int64N(100 * mw), math.MaxInt64, math.MinInt64, 1 << 53}[r.IntN(9)]
	}
	id := fmt.Sprint("e", r.IntN(6))
	when := func() *time.Time {
		t := g.now.Add(time.Duration(r.Int64N(int64(4*time.Hour))) - 2*time.Hour)
		if r.IntN(20) == 0 {
			t = time.Unix(any()>>8, 0)
		}
		return &t
	}
	switch n := r.IntN(100); {
	case n < 40:
		c := any()
		e := &events.MeterReading{PowerWatts: r.Int64N(60 * mw), SampledAt: g.now, Quality: events.QualityGood}
		if r.IntN(3) == 0 {
			e.EnergyMilliwattHours = &c
		}
		if r.IntN(10) == 0 {
			e.PowerWatts, e.Quality, e.SampledAt = any(), events.Quality("odd"), *when()
		}
		g.feed([]string{"main", "mine", "x"}[r.IntN(3)], e)
	case n < 70:
		g.feed("h", &events.ClockTick{Second: g.now.Unix()})
	case n < 85:
		s := &events.GridSignal{SignalID: id, Kind: events.SignalKind([]string{"curtail", "restore", "setpoint", "import-limit", "emergency", "price", "stop", "odd"}[r.IntN(8)]),
			Programme: []string{"", "ers-10", "odd"}[r.IntN(3)], Test: r.IntN(8) == 0, DurationSeconds: []int64{0, 5, 60, 900, any()}[r.IntN(5)]}
		if r.IntN(4) > 0 {
			w := any()
			s.PowerWatts = &w
		}
		if r.IntN(3) == 0 {
			s.StartsAt = when()
		}
		if r.IntN(3) == 0 {
			s.IssuedAt = when()
		}
		if r.IntN(4) == 0 {
			s.Supersedes = fmt.Sprint("e", r.IntN(6))
		}
		if r.IntN(4) == 0 {
			s.Cancels = fmt.Sprint("e", r.IntN(6))
		}
		if r.IntN(5) == 0 {
			v := any()
			s.RampSeconds, s.MinDurationSeconds = &v, &v
		}
		if r.IntN(6) == 0 {
			s.Node = []string{"ups", "odd", "site"}[r.IntN(3)]
		}
		g.feed([]string{"ercot", "operator", "caiso"}[r.IntN(3)], s)
	case n < 95:
		u := events.UnitStatus{Unit: fmt.Sprint("u", r.IntN(5)), PowerWatts: any(), Reason: events.ReasonEconomics}
		if r.IntN(2) == 0 {
			u.Capabilities = &events.Capabilities{NameplateWatts: any(), Node: []string{"", "ups", "odd"}[r.IntN(3)]}
		}
		g.feed(fmt.Sprint("rig", r.IntN(3)), &events.WorkerStatus{Leaving: r.IntN(9) == 0, Units: []events.UnitStatus{u}})
	case n < 97:
		c := site(ers())
		c.Tariff.IntervalSeconds = []int64{0, 60, 300, 900, 3600, 86_400}[r.IntN(6)]
		if r.IntN(2) == 0 {
			c.Nodes = []events.NodeConfig{{Node: "ups", LimitWatts: mw}, {Node: "loop", Parent: "loop2"}, {Node: "loop2", Parent: "loop"}}
			c.Meters[1].Node = "ups"
			c.Programmes[0].Node = []string{"", "ups", "loop"}[r.IntN(3)]
		}
		g.feed("site", c)
	}
	switch r.IntN(40) {
	case 0:
		g.now = g.now.Add(time.Duration(r.Int64N(int64(3 * time.Hour))))
	case 1:
		g.now = g.now.Add(-time.Duration(r.Int64N(int64(3 * time.Hour))))
	case 2:
		if r.IntN(10) == 0 {
			g.now = g.now.Add(time.Duration(r.Int64N(int64(60*24*time.Hour))) - 20*24*time.Hour)
		}
	default:
		g.now = g.now.Add(time.Duration(r.Int64N(int64(3 * time.Second))))
	}
}

// TestWhateverComes: hostile journals give valid outputs, a bounded state, and
// the same again from any snapshot.
func TestWhateverComes(t *testing.T) {
	said := 0
	for seed := range uint64(16) {
		r := rand.New(rand.NewPCG(seed, 11))
		g := newRig(t, site(ers()))
		for range 1500 {
			invent(r, g)
		}
		if n := len(g.d.Events); n > MaxEvents {
			t.Fatalf("seed %d: %d events", seed, n)
		}
		said += len(g.said)
		g.replay(211)
	}
	if said < 30 {
		t.Errorf("only %d words in all", said)
	}
}

// TestFlood: more events than can be measured are told of, once.
func TestFlood(t *testing.T) {
	g := newRig(t, site())
	g.set(60*mw, 40*mw)
	g.run(2 * time.Minute)
	for i := range MaxEvents + 50 {
		g.feed("ercot", &events.GridSignal{SignalID: fmt.Sprint("f", i), Kind: events.SignalCurtail, PowerWatts: power(0), DurationSeconds: 60})
	}
	g.run(2 * time.Minute)
	raised := 0
	for _, p := range g.rest {
		if a, ok := p.(*events.AlertRaised); ok && a.Alert == "compliance-events" {
			raised++
		}
	}
	if raised != 1 || len(g.said) != MaxEvents {
		t.Errorf("%d alerts, %d events told", raised, len(g.said))
	}
	g.run(16 * time.Minute)
	if _, cleared := g.rest[len(g.rest)-1].(*events.AlertCleared); !cleared || len(g.d.Events) != 0 {
		t.Errorf("%d events left, last %T", len(g.d.Events), g.rest[len(g.rest)-1])
	}
}

// TestReverse takes back what was booked, without figures.
func TestReverse(t *testing.T) {
	g := newRig(t, site(ers()))
	g.set(60*mw, 40*mw)
	g.run(2 * time.Minute)
	g.feed("ercot", &events.GridSignal{SignalID: "e1", Kind: events.SignalCurtail, PowerWatts: power(0), DurationSeconds: 60})
	g.run(2 * time.Minute)
	e := events.New("tx1", "site", g.last()).WithID("tx1/compliance/1/2/0")
	p, ok := g.d.Reverse(e)
	v, _ := p.(*events.ProgrammePerformed)
	if !ok || v.Outcome != events.PerformanceVoid || v.Reverses != e.ID || len(v.Lines) != 0 || v.Validate() != nil {
		t.Errorf("%+v, %v", p, v.Validate())
	}
	if _, ok := g.d.Reverse(events.New("tx1", "site", &events.AlertCleared{})); ok {
		t.Error("an alert is reversed")
	}
}

func FuzzHistory(f *testing.F) {
	f.Add([]byte(`"gKCUpY0G"`))
	f.Add([]byte(`""`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h history
		if h.UnmarshalJSON(b) != nil {
			return
		}
		text, err := h.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var again history
		if err := again.UnmarshalJSON(text); err != nil {
			t.Fatal(err)
		}
		if back, _ := again.MarshalJSON(); string(back) != string(text) {
			t.Errorf("%s comes back as %s", text, back)
		}
	})
}
