// SPDX-License-Identifier: Apache-2.0

package signals

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

var begin = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// at is an instant so many seconds after the beginning.
func at(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }

func whenever(s int) *time.Time {
	t := at(s)
	return &t
}

func (b *Book) feed(s int, source string, p events.Payload) {
	ev := events.New("demo", source, p)
	ev.Arrived = at(s)
	b.Fold(ev)
}

func curtail(id string, change func(*events.GridSignal)) *events.GridSignal {
	w := int64(0)
	g := &events.GridSignal{SignalID: id, Kind: events.SignalCurtail, PowerWatts: &w}
	if change != nil {
		change(g)
	}
	return g
}

func site(ps ...events.ProgrammeConfig) *events.SiteConfig {
	return &events.SiteConfig{Programmes: ps}
}

// states of the signal of that id at these seconds.
func (b *Book) states(id string, seconds ...int) (out []State) {
	for _, s := range seconds {
		found := State("gone")
		for _, r := range b.Rows(at(s)) {
			if r.ID == id {
				found = r.State
			}
		}
		out = append(out, found)
	}
	return out
}

func expect(t *testing.T, got []State, want ...State) {
	t.Helper()
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("states %q, want %q", got, want)
		}
	}
}

func TestALifeWithRampMinimumAndRecovery(t *testing.T) {
	b := &Book{KeepOver: true}
	b.feed(0, "operator", site(events.ProgrammeConfig{Programme: "ers", Node: "ups-a", NoticeSeconds: 60, RampSeconds: 10, MinDurationSeconds: 60,
		ReturnDelaySeconds: 5, RecoverySeconds: 15}))
	b.feed(0, "grid", curtail("a", func(g *events.GridSignal) { g.Programme, g.StartsAt = "ers", whenever(30) }))
	b.feed(45, "grid", &events.GridSignal{Kind: events.SignalRestore, Programme: "ers"})
	expect(t, b.states("a", 0, 19, 20, 29, 30, 45, 89, 90, 109, 110), Announced, Announced, Ramping, Ramping, InForce, InForce, InForce, Recovering, Recovering, Restored)
	r := b.Rows(at(120))[0]
	if r.Node != "ups-a" || !r.ShortNotice || !r.RampAt.Equal(at(20)) || !r.EndsAt.Equal(at(90)) || !r.RecoveredAt.Equal(at(110)) {
		t.Errorf("the signal reads as %+v", r)
	}
}

func TestTheOperatorEndsEverything(t *testing.T) {
	b := &Book{KeepOver: true}
	b.feed(0, "operator", site(events.ProgrammeConfig{Programme: "ers", MinDurationSeconds: 60, RecoverySeconds: 15}))
	b.feed(0, "grid", curtail("a", func(g *events.GridSignal) { g.Programme = "ers" }))
	b.feed(10, "operator", &events.GridSignal{Kind: events.SignalRestore, Cancels: "a"})
	expect(t, b.states("a", 10, 24), Recovering, Recovering)
	b.feed(20, "operator", &events.GridSignal{Kind: events.SignalRestore, Cancels: "a"})
	expect(t, b.states("a", 20), Cancelled)
}

func TestWhoMayEndWhat(t *testing.T) {
	b := &Book{}
	b.feed(0, "grid", curtail("a", nil))
	b.feed(0, "grid", &events.GridSignal{SignalID: "s", Kind: events.SignalStop})
	b.feed(1, "other", &events.GridSignal{Kind: events.SignalRestore, Cancels: "a"})
	b.feed(1, "grid", &events.GridSignal{Kind: events.SignalRestore, Cancels: "s"})
	b.feed(2, "grid", curtail("drill", func(g *events.GridSignal) { g.Test, g.DurationSeconds = true, 60 }))
	b.feed(3, "grid", &events.GridSignal{Kind: events.SignalRestore, Cancels: "a", Test: true})
	expect(t, b.states("a", 5), InForce)
	expect(t, b.states("s", 5), InForce)
	expect(t, b.states("drill", 5, 62), Drill, "gone")
	b.feed(70, "grid", curtail("b", func(g *events.GridSignal) { g.Supersedes, g.DurationSeconds = "a", 10 }))
	expect(t, b.states("a", 70), "gone")
	expect(t, b.states("b", 79, 80), InForce, "gone")
	b.feed(90, "operator", &events.GridSignal{Kind: events.SignalRestore, Cancels: "s"})
	if rows := b.Rows(at(91)); len(rows) != 0 {
		t.Errorf("left: %+v", rows)
	}
}

func TestBasePointsAndPrices(t *testing.T) {
	b := &Book{}
	point := func(start int) *events.GridSignal {
		w := int64(1000)
		return &events.GridSignal{SignalID: "bp", Kind: events.SignalSetpoint, PowerWatts: &w, StartsAt: whenever(start)}
	}
	b.feed(0, "qse", point(0))
	b.feed(10, "qse", point(20)) // the present one holds until then
	rows := b.Rows(at(15))
	if len(rows) != 2 || rows[0].State != InForce || rows[1].State != Announced {
		t.Fatalf("%+v", rows)
	}
	if rows = b.Rows(at(20)); len(rows) != 1 || rows[0].State != InForce {
		t.Fatalf("%+v", rows)
	}
	p := int64(5)
	b.feed(30, "market", &events.GridSignal{SignalID: "p1", Kind: events.SignalPrice, PriceMicrousdPerMWh: &p})
	b.feed(31, "market", &events.GridSignal{SignalID: "p2", Kind: events.SignalPrice, PriceMicrousdPerMWh: &p})
	expect(t, b.states("p1", 32), "gone")
	expect(t, b.states("p2", 32), InForce)
}

func TestProgrammes(t *testing.T) {
	b := &Book{}
	b.feed(0, "operator", site(
		events.ProgrammeConfig{Programme: "target", Silence: &events.SilenceConfig{Source: "broker", AfterSeconds: 30}},
		events.ProgrammeConfig{Programme: "ers", Tests: events.TestObey}))
	state := func(s int) []Programme { return b.Programmes(at(s)) }
	if ps := state(1); len(ps) != 2 || !ps[0].Silent || !ps[0].HeardAt.IsZero() {
		t.Fatalf("%+v", ps)
	}
	say := func(s, issued int, source string) {
		b.feed(s, source, curtail("t", func(g *events.GridSignal) {
			g.Programme, g.IssuedAt, g.DurationSeconds = "target", whenever(issued), 60
		}))
	}
	say(10, 10, "broker")
	say(20, 20, "somebody")
	say(25, 10, "broker") // said again
	if ps := state(39); ps[0].Silent || !ps[0].HeardAt.Equal(at(10)) || ps[0].State != InForce || len(ps[0].Signals) != 2 {
		t.Errorf("%+v", ps[0])
	}
	if ps := state(40); !ps[0].Silent {
		t.Error("30 s later it is not silent")
	}
	b.feed(50, "grid", curtail("d", func(g *events.GridSignal) { g.Programme, g.Test = "ers", true }))
	if ps := state(51); ps[1].State != InForce {
		t.Errorf("a test that is carried out: %+v", ps[1])
	}
}

func TestManySignalsAreForgotten(t *testing.T) {
	b := &Book{}
	for i := range 5_000 {
		b.feed(30*i, "broker", curtail("", func(g *events.GridSignal) { g.DurationSeconds = 60 }))
	}
	if n := len(b.rows) + len(b.over); n > 4 {
		t.Errorf("%d signals are kept", n)
	}
}
