// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// plain is what an event is without grid programmes.
func plain(e *events.Event) *events.Event {
	o := *e
	switch p := e.Data.(type) {
	case *events.SiteConfig:
		c := *p
		c.Programmes = nil
		o.Data = &c
	case *events.GridSignal:
		g := *p
		g.RampSeconds, g.MinDurationSeconds, g.RecoverySeconds, g.RampWattsPerMinute = nil, nil, nil, 0
		o.Data = &g
	}
	return &o
}

func lowest(limits ...int64) int64 {
	w := never
	for _, l := range limits {
		if l >= 0 {
			w = min(w, l)
		}
	}
	return w
}

func levelOf(s *signal) int64 {
	if s == nil {
		return -1
	}
	return s.Course.Level
}

// TestProgrammesOnlyLower: whatever comes, the limits in force at every node are
// nowhere above those that the same signals give without programmes, unless a
// programme spreads its reductions or says that they are sheds. So no reduction
// comes later, and none ends sooner.
func TestProgrammesOnlyLower(t *testing.T) {
	for seed := range 40 {
		w := newWorld(seeded{rand.New(rand.NewPCG(uint64(seed), 70))}, []int{0, 3, 20}[seed%3])
		w.tree = seed%2 == 0
		d, bare := New(Config{}), New(Config{})
		var out decider.Outbox
		lower := 0
		for n := range 3_000 {
			e := w.next()
			switch p := e.Data.(type) {
			case *events.GridSignal:
				p.RampSeconds = nil
				if at := p.StartsAt; at != nil && p.DurationSeconds > 0 && !at.Add(time.Duration(p.DurationSeconds)*time.Second).After(e.Arrived) {
					// Over before it came, it changes nothing; the minimum of a
					// programme would let it take the place of an older version.
					p.StartsAt = nil
				}
				// Only programmes hear drills, which replace and end instructions, too.
				p.Test = false
			case *events.SiteConfig:
				for i := range p.Programmes {
					q := &p.Programmes[i]
					q.RampSeconds, q.LimitIs, q.Node = 0, events.LimitIsCap, ""
				}
			}
			out.Begin(plain(e))
			bare.Fold(plain(e), &out)
			out.Begin(e)
			d.Fold(e, &out)
			for i, x := range d.nodes {
				y := bare.nodes[i]
				mining, total := levelOf(x.sig.mining), levelOf(x.sig.total)
				if lowest(mining, total) > lowest(levelOf(y.sig.mining)) || lowest(total) > lowest(levelOf(y.sig.total)) {
					t.Fatalf("seed %d, event %d (%s of %s): %s is limited to %d W of mining and %d W in all, without programmes to %d W and %d W",
						seed, n, e.Type, e.Source, x.id, mining, total, levelOf(y.sig.mining), levelOf(y.sig.total))
				}
				if lowest(mining, total) < lowest(levelOf(y.sig.mining), levelOf(y.sig.total)) {
					lower++
				}
			}
			for _, o := range out.Outputs() {
				w.obey(o.Data, o.Source)
			}
		}
		if seed == 0 && lower == 0 {
			t.Error("the programmes never lowered anything")
		}
	}
}

// asked is one instruction in the reference model.
type asked struct {
	source, id, programme string
	g                     *events.GridSignal
	p                     *events.ProgrammeConfig
	start, due, end       time.Time // end zero: open
	node                  string
	total                 bool
	gone                  bool
}

// model is what signals ask for, without a decider: a list.
type model struct {
	site *events.SiteConfig
	all  []*asked
}

func (m *model) fold(e *events.Event, g *events.GridSignal) {
	p := m.site.FindProgramme(g.Programme)
	if g.Kind == events.SignalRestore {
		for _, a := range m.all {
			if a.gone || a.source != e.Source {
				continue
			}
			if g.Cancels != "" && a.id == g.Cancels || g.Cancels == "" && a.programme == g.Programme {
				m.end(a, e.Arrived)
			}
		}
		return
	}
	a := &asked{source: e.Source, id: g.SignalID, programme: g.Programme, g: g, p: p, start: e.Arrived}
	if g.StartsAt != nil {
		a.start = *g.StartsAt
	}
	a.due = a.start
	if p != nil {
		if by := e.Arrived.Add(time.Duration(p.ResponseSeconds) * time.Second); p.RampSeconds > 0 && by.After(a.start) {
			a.due = by
		}
		a.node, a.total = p.Node, p.Measures == events.MeasuresTotal
	}
	if g.Node != "" {
		a.node = g.Node
	}
	a.total = a.total || g.Kind == events.SignalImportLimit
	if g.DurationSeconds > 0 {
		a.end = a.start.Add(time.Duration(g.DurationSeconds) * time.Second)
		if m := a.minimum(); m.After(a.end) {
			a.end = m
		}
	}
	for _, o := range m.all {
		if !o.gone && o.source == a.source && o.id == a.id {
			m.end(o, e.Arrived)
		}
	}
	m.all = append(m.all, a)
}

func (a *asked) minimum() time.Time {
	if a.p == nil {
		return a.start
	}
	return a.start.Add(time.Duration(a.p.MinDurationSeconds) * time.Second)
}

// end takes an instruction back: one that has begun stays its minimum.
func (m *model) end(a *asked, at time.Time) {
	if u := a.minimum(); at.Before(a.start) || !u.After(at) {
		a.gone = true
	} else if a.end.IsZero() || u.Before(a.end) {
		a.end = u
	}
}

// most is what the instructions that are due leave at a node itself.
func (m *model) most(node string, total bool, at time.Time) int64 {
	w := never
	for _, a := range m.all {
		if a.gone || at.Before(a.due) || !a.end.IsZero() && !at.Before(a.end) {
			continue
		}
		if a.node == node && (a.total || !total) {
			w = min(w, *a.g.PowerWatts)
		}
	}
	return w
}

// TestLimitsAgainstAReferenceModel: with programmes of every shape, overlapping,
// replaced and taken back, the limit at every node is never above the least of
// all that is due there.
func TestLimitsAgainstAReferenceModel(t *testing.T) {
	for seed := range 60 {
		c := seeded{rand.New(rand.NewPCG(uint64(seed), 71))}
		w := newWorld(c, 0)
		w.tree = true
		site := w.config()
		site.Programmes = nil
		for i := range 4 {
			p := events.ProgrammeConfig{Programme: fmt.Sprint("p", i), LimitIs: events.LimitIsCap, Measures: events.MeasuresMining,
				ResponseSeconds: int64(c.below(30)), RampSeconds: int64(c.below(3) * c.below(30)), MinDurationSeconds: int64(c.below(2) * c.below(30)),
				ReturnDelaySeconds: int64(c.below(2) * c.below(10)), RecoverySeconds: int64(c.below(2) * c.below(30))}
			if c.below(3) == 0 {
				p.Measures = events.MeasuresTotal
			}
			p.Node = []string{"", "feed-a", "rack-1"}[c.below(3)]
			site.Programmes = append(site.Programmes, p)
		}
		d, m := New(Config{}), &model{site: site}
		var out decider.Outbox
		fold := func(source string, p events.Payload) *events.Event {
			w.at = w.at.Add(time.Duration(1+c.below(300)) * time.Millisecond)
			e := w.event(source, p)
			if g, ok := p.(*events.GridSignal); ok {
				m.fold(e, g)
			}
			if err := checked(d, e, &out, false); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for _, n := range d.nodes {
				id := n.id
				if n.up == nil {
					id = ""
				}
				mining, total := levelOf(n.sig.mining), levelOf(n.sig.total)
				if most := m.most(id, false, e.Arrived); lowest(mining, total) > most {
					t.Fatalf("seed %d, %s: mining at %s is limited to %d W, what is due leaves %d W", seed, e.Arrived, n.id, lowest(mining, total), most)
				}
				if most := m.most(id, true, e.Arrived); lowest(total) > most {
					t.Fatalf("seed %d, %s: %s is limited to %d W, what is due leaves %d W", seed, e.Arrived, n.id, total, most)
				}
			}
			return e
		}
		fold("site", site)
		for _, r := range w.rigs {
			fold(r.id, w.status(r).Data)
		}
		for i := range 400 {
			switch c.below(6) {
			case 0:
				g := &events.GridSignal{SignalID: fmt.Sprint("s", c.below(8)), Kind: events.SignalCurtail, Programme: fmt.Sprint("p", c.below(5)),
					DurationSeconds: int64(c.below(2) * c.below(40))}
				watts := int64(c.below(20)) * 100_000
				g.PowerWatts = &watts
				if c.below(4) == 0 {
					g.Kind = events.SignalImportLimit
				}
				if c.below(3) == 0 {
					at := w.at.Add(time.Duration(c.below(40)) * time.Second)
					g.StartsAt = &at
				}
				if c.below(3) == 0 {
					g.Node = []string{"pdu-a1", "feed-b"}[c.below(2)]
				}
				fold([]string{"grid", "market"}[c.below(2)], g)
			case 1:
				g := &events.GridSignal{SignalID: fmt.Sprint("r", i), Kind: events.SignalRestore, Programme: fmt.Sprint("p", c.below(5))}
				if c.below(2) == 0 {
					g.Cancels = fmt.Sprint("s", c.below(8))
				}
				fold([]string{"grid", "market"}[c.below(2)], g)
			case 2:
				fold("ai", &events.MeterReading{PowerWatts: 2_000_000 + int64(c.below(1_000_000)), SampledAt: w.at, Quality: events.QualityGood})
			default:
				fold("site", &events.ClockTick{Second: w.at.Unix()})
			}
		}
	}
}

// TestManySignalsWithWaysBack: however many reductions come and go, each with a
// way back of its own, what is remembered of them is bounded, and so is what an
// issuer can take from others.
func TestManySignalsWithWaysBack(t *testing.T) {
	s := newStranger(t)
	minute := int64(60)
	most := 0
	for i := range 2_000 {
		w := int64(1_000_000 + i)
		source := fmt.Sprint("issuer-", i%40)
		s.fold(source, &events.GridSignal{SignalID: fmt.Sprint("c", i), Kind: events.SignalCurtail, PowerWatts: &w,
			Programme: fmt.Sprint("p", i), RecoverySeconds: &minute, MinDurationSeconds: new(int64)})
		s.fold(source, &events.GridSignal{SignalID: fmt.Sprint("r", i), Kind: events.SignalRestore, Programme: fmt.Sprint("p", i)})
		most = max(most, len(s.d.signals.live))
	}
	if most > MaxSignals+2*maxMerged {
		t.Errorf("%d signals were live", most)
	}
	zero := int64(0)
	s.fold("ercot", &events.GridSignal{SignalID: "now", Kind: events.SignalCurtail, PowerWatts: &zero})
	if w := s.d.root.load.Ceiling; w != 0 {
		t.Errorf("after the flood a reduction to 0 W leaves %d W", w)
	}
}

// TestAFloodKeepsTheMinimum: what is merged from a flood lasts as long as the
// longest of it must.
func TestAFloodKeepsTheMinimum(t *testing.T) {
	s := newStranger(t)
	w, minimum := int64(0), int64(30)
	for i := range MaxSignalsPerSource + 2 {
		s.fold("grid", &events.GridSignal{SignalID: fmt.Sprint("c", i), Kind: events.SignalCurtail, PowerWatts: &w, MinDurationSeconds: &minimum})
	}
	s.fold("grid", &events.GridSignal{SignalID: "r", Kind: events.SignalRestore})
	for i := range 40 {
		s.tick()
		if ceiling := s.d.root.load.Ceiling; i < 28 && ceiling != 0 || i > 31 && ceiling >= 0 {
			t.Fatalf("%d s after the restore mining is limited to %d W", i, ceiling)
		}
	}
}

// TestSilenceFollowsTheConfiguration: a longer patience ends silence, and what
// held because of it; a rule that is gone takes its limit and alert with it.
func TestSilenceFollowsTheConfiguration(t *testing.T) {
	s := newStranger(t)
	config := func(after int64) {
		c := (&world{}).config()
		if after > 0 {
			c.Programmes = []events.ProgrammeConfig{{Programme: "target", Measures: events.MeasuresMining, LimitIs: events.LimitIsCap,
				Silence: &events.SilenceConfig{Source: "broker", AfterSeconds: after, OnSilence: events.SilenceLimit, LimitWatts: 7}}}
		}
		s.fold("site", c)
	}
	expect := func(when string, ceiling int64, alert int64) {
		t.Helper()
		if s.d.root.load.Ceiling != ceiling || s.d.alarms.Programme.Open != alert {
			t.Fatalf("%s: mining is limited to %d W, %d alerts", when, s.d.root.load.Ceiling, s.d.alarms.Programme.Open)
		}
	}
	config(5)
	expect("before the first word", 7, 0)
	s.fold("broker", &events.GridSignal{SignalID: "a", Kind: events.SignalPrice, PriceMicrousdPerMWh: new(int64), Programme: "target"})
	expect("heard", -1, 0)
	for range 6 {
		s.tick()
	}
	expect("silent", 7, 1)
	config(60)
	expect("more patient", -1, 0)
	config(5)
	expect("less patient", 7, 1)
	config(0)
	expect("without a rule", -1, 0)
}

// TestRestoreStoredAgainIsASignOfLife: it ends nothing a second time, but its
// issuer speaks: silence and what held for it end at once, and when he falls
// silent again that is noticed, by the decider that folded all and by one that
// goes on from its snapshot alike.
func TestRestoreStoredAgainIsASignOfLife(t *testing.T) {
	s := newStranger(t)
	c := (&world{}).config()
	c.Programmes = []events.ProgrammeConfig{{Programme: "target", Measures: events.MeasuresMining, LimitIs: events.LimitIsCap,
		Silence: &events.SilenceConfig{Source: "broker", AfterSeconds: 5, OnSilence: events.SilenceLimit, LimitWatts: 7}}}
	s.fold("site", c)
	expect := func(when string, ceiling int64, alert int64) {
		t.Helper()
		if s.d.root.load.Ceiling != ceiling || s.d.alarms.Programme.Open != alert {
			t.Fatalf("%s: mining is limited to %d W, %d alerts", when, s.d.root.load.Ceiling, s.d.alarms.Programme.Open)
		}
	}
	restore := &events.GridSignal{SignalID: "r", Kind: events.SignalRestore, Programme: "target"}
	s.fold("broker", restore)
	expect("heard", -1, 0)
	for range 6 {
		s.tick()
	}
	expect("silent", 7, 1)
	s.fold("broker", restore)
	expect("heard again", -1, 0)
	twin := restored(t, s.d)
	for range 6 {
		s.w.at = s.w.at.Add(time.Second)
		e := s.w.event("site", &events.ClockTick{Second: s.w.at.Unix()})
		if err := checked(s.d, e, &s.out, true); err != nil {
			t.Fatal(err)
		}
		s.out.Begin(e)
		twin.Fold(e, &s.out)
		if twin.StateHash() != s.d.StateHash() {
			t.Fatal("restored, it goes another way")
		}
	}
	expect("silent again", 7, 1)
}

// TestSilenceFallsDueInAJump: an issuer that has never spoken is reported though
// the moment at which that is due falls into a jump of the clock and nothing else
// is in force.
func TestSilenceFallsDueInAJump(t *testing.T) {
	s := newStranger(t)
	c := (&world{}).config()
	c.Programmes = []events.ProgrammeConfig{{Programme: "held", Measures: events.MeasuresMining, LimitIs: events.LimitIsCap,
		Silence: &events.SilenceConfig{Source: "broker", AfterSeconds: 5, OnSilence: events.SilenceHold}}}
	s.fold("site", c)
	for range 3 {
		s.tick()
	}
	s.w.at = s.w.at.Add(time.Hour)
	s.tick()
	if s.d.alarms.Programme.Open != 1 {
		t.Error("nobody is told that the issuer is silent")
	}
}

// TestManySilentIssuers: alerts about them are bounded, and so is what they cost
// once all is said.
func TestManySilentIssuers(t *testing.T) {
	s := newStranger(t)
	c := (&world{}).config()
	for i := range events.MaxProgrammes {
		c.Programmes = append(c.Programmes, events.ProgrammeConfig{Programme: fmt.Sprint("p", i), Measures: events.MeasuresMining, LimitIs: events.LimitIsCap,
			Silence: &events.SilenceConfig{Source: "broker", AfterSeconds: 2, OnSilence: events.SilenceLimit}})
	}
	s.fold("site", c)
	for range 5 {
		s.tick()
	}
	if n := s.d.alarms.Programme; n.Open != maxOpenAlerts || !n.Many || s.d.root.load.Ceiling != 0 {
		t.Errorf("%+v, mining is limited to %d W", n, s.d.root.load.Ceiling)
	}
	if s.d.signalsDue() {
		t.Error("all has been said, and yet every event looks for more")
	}
}

// TestShedWithoutBelievedMeters: where what flows through the node is not
// believed, mining bears the reduction alone.
func TestShedWithoutBelievedMeters(t *testing.T) {
	s := newStranger(t)
	c := (&world{}).config()
	c.Programmes = []events.ProgrammeConfig{{Programme: "dr", Measures: events.MeasuresTotal, LimitIs: events.LimitIsShed}}
	s.fold("site", c)
	w := int64(100_000)
	s.fold("grid", &events.GridSignal{SignalID: "x", Kind: events.SignalCurtail, Programme: "dr", PowerWatts: &w})
	if l := &s.d.root.load; l.Ceiling != 0 || s.d.root.sig.total != nil {
		t.Errorf("mining is limited to %d W", l.Ceiling)
	}
}
