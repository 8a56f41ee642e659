// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

const mw = 1_000_000

// TestEventOfATenMinuteProgramme follows one event from the instruction to the
// last word. 40 MW of mining; the instruction is a second old when it arrives;
// the load starts to fall after two seconds and is there after nine.
func TestEventOfATenMinuteProgramme(t *testing.T) {
	g := newRig(t, site(ers()))
	g.set(60*mw, 40*mw)
	g.run(20 * time.Minute)
	issued := g.now.Add(-time.Second)
	arrived := g.now
	g.feed("ercot", &events.GridSignal{SignalID: "EEA2-7", Kind: events.SignalCurtail, Programme: "ers-10", Reason: "EEA2",
		PowerWatts: power(5 * mw), IssuedAt: &issued, DurationSeconds: 1800})
	g.run(2 * time.Second)
	g.set(45*mw, 25*mw)
	g.run(6 * time.Second)
	g.set(24*mw, 4*mw)
	g.run(30*time.Minute - 8*time.Second)
	if len(g.said) != 0 {
		t.Fatal("said before it was over")
	}
	g.run(3 * time.Minute)
	g.set(60*mw, 40*mw)
	if len(g.said) != 1 {
		t.Fatalf("%d words after the grace", len(g.said))
	}
	p := g.last()
	if p.Outcome != events.PerformanceMet || p.Final || p.Ending != events.EndingElapsed || p.Reverses != "" {
		t.Errorf("%s, final %v, %s", p.Outcome, p.Final, p.Ending)
	}
	if p.Product != "ERS-10" || p.Market != "ERCOT" || p.Node != "site" || p.Measures != events.MeasuresMining || !p.Obeyed {
		t.Errorf("%+v", p)
	}
	if !p.IssuedAt.Equal(issued) || !p.ArrivedAt.Equal(arrived) || !p.BeganAt.Equal(arrived) || !p.DeadlineAt.Equal(issued.Add(10*time.Minute)) {
		t.Errorf("issued %s arrived %s began %s due %s", p.IssuedAt, p.ArrivedAt, p.BeganAt, p.DeadlineAt)
	}
	if got := value(t, "response", p.ResponseMilliseconds); got != 10_000 {
		t.Errorf("response %d ms, want 10000: readings at 3 s and 9 s after the arrival", got)
	}
	if got := value(t, "response from arrival", p.ArrivalResponseMilliseconds); got != 9_000 {
		t.Errorf("response from arrival %d ms", got)
	}
	if p.FellAt == nil || p.FellAt.Sub(arrived) != 3*time.Second {
		t.Errorf("fell at %v", p.FellAt)
	}
	if got := value(t, "before", p.BeforeWatts); got != 40*mw {
		t.Errorf("before %d W", got)
	}
	if value(t, "requested", p.RequestedReductionWatts) != 35*mw || value(t, "achieved", p.AchievedReductionWatts) != 36*mw || p.ToleranceWatts != 1_750_000 {
		t.Errorf("requested %d achieved %d tolerance %d", *p.RequestedReductionWatts, *p.AchievedReductionWatts, p.ToleranceWatts)
	}
	// From the deadline, 9:59 after the arrival, to the end: 20:01 at 4 MW.
	if p.HoldMilliseconds != 1_201_000 || p.HeldMilliseconds != 1_201_000 || p.ShortfallMilliwattHours != 0 {
		t.Errorf("hold %d held %d shortfall %d", p.HoldMilliseconds, p.HeldMilliseconds, p.ShortfallMilliwattHours)
	}
	if want := int64(1201) * mw * 10 / 36; p.OverDeliveryMilliwattHours != want {
		t.Errorf("over-delivery %d mWh, want %d", p.OverDeliveryMilliwattHours, want)
	}
	// Three lines: to 13:30, to 13:45, to 13:50.
	if len(p.Lines) != 3 || !p.Lines[0].Start.Equal(arrived) || !p.Lines[2].End.Equal(arrived.Add(30*time.Minute)) {
		t.Fatalf("lines %+v", p.Lines)
	}
	if got, want := *p.Lines[1].MiningMilliwattHours, int64(1_000_000_000); got != want {
		t.Errorf("4 MW for a quarter of an hour are %d mWh, want %d", got, want)
	}
	if got, want := *p.Lines[1].AIMilliwattHours, int64(5_000_000_000); got != want {
		t.Errorf("AI, the rest of the total: %d mWh, want %d", got, want)
	}
	for _, b := range p.Baselines {
		if b.Method == events.BaselineMeterBeforeAfter {
			// 40 MW for half an hour less what was drawn.
			var drawn int64
			for _, l := range p.Lines {
				drawn += *l.MiningMilliwattHours
			}
			if b.MilliwattHours != 20_000_000_000 || b.DeliveredMilliwattHours != b.MilliwattHours-drawn {
				t.Errorf("meter before: %d, delivered %d", b.MilliwattHours, b.DeliveredMilliwattHours)
			}
		}
		if b.Contract != (b.Method == events.BaselineMiddleEightOfTen) {
			t.Errorf("%s: contract %v", b.Method, b.Contract)
		}
	}
	g.run(13 * time.Minute)
	p = g.last()
	if len(g.said) != 2 || !p.Final || p.Reverses != g.ids[0] || p.Outcome != events.PerformanceMet {
		t.Fatalf("%d words, the last final %v reverses %q (%s), %s", len(g.said), p.Final, p.Reverses, g.ids[0], p.Outcome)
	}
	if p.RestoredAt == nil || p.RestoredAt.Sub(arrived) != 33*time.Minute+time.Second || value(t, "after", p.AfterWatts) != 40*mw {
		t.Errorf("restored at %v, after %v", p.RestoredAt, p.AfterWatts)
	}
	g.run(time.Minute)
	if len(g.said) != 2 || len(g.d.Events) != 0 {
		t.Errorf("%d words, %d events left", len(g.said), len(g.d.Events))
	}
	g.replay(997)
}

// TestOutcomes: what the load does decides, by the deadline.
func TestOutcomes(t *testing.T) {
	// step: from a second after the arrival on, mining at so many kW.
	type step struct {
		after time.Duration
		kw    int64
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  events.PerformanceOutcome
	}{
		{"at once", []step{{0, 0}}, events.PerformanceMet},
		{"a second before the deadline", []step{{9*time.Minute + 58*time.Second, 5000}}, events.PerformanceMet},
		{"within the tolerance", []step{{time.Minute, 6500}}, events.PerformanceMet},
		{"two minutes late", []step{{12 * time.Minute, 5000}}, events.PerformanceLate},
		{"never", nil, events.PerformanceShort},
		{"half way", []step{{time.Minute, 20_000}}, events.PerformanceShort},
		{"there and back up", []step{{time.Minute, 0}, {15 * time.Minute, 30_000}}, events.PerformanceShort},
		{"a blip of ten seconds", []step{{time.Minute, 0}, {15 * time.Minute, 30_000}, {15*time.Minute + 10*time.Second, 0}}, events.PerformanceMet},
		{"there by chance and then late", []step{{time.Second, 0}, {2 * time.Minute, 40_000}, {14 * time.Minute, 0}}, events.PerformanceLate},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, site(ers()))
			g.set(60*mw, 40*mw)
			g.run(7 * time.Minute)
			g.feed("ercot", &events.GridSignal{SignalID: "e1", Kind: events.SignalCurtail, Programme: "ers-10", PowerWatts: power(5 * mw), DurationSeconds: 1800})
			gone := time.Duration(0)
			for _, s := range c.steps {
				g.run(s.after - gone)
				gone = max(gone, s.after)
				g.set(20*mw+s.kw*1000, s.kw*1000)
			}
			g.run(31*time.Minute - gone)
			if p := g.last(); p.Outcome != c.want {
				t.Errorf("%s, want %s; reached %v, short %d mWh", p.Outcome, c.want, p.ReachedAt, p.ShortfallMilliwattHours)
			}
			g.replay(1499)
		})
	}
}

// TestSignalsThatChange: what happens to an event under way.
func TestSignalsThatChange(t *testing.T) {
	curtail := func(id string, w int64, seconds int64) *events.GridSignal {
		return &events.GridSignal{SignalID: id, Kind: events.SignalCurtail, Programme: "ers-10", PowerWatts: power(w), DurationSeconds: seconds}
	}
	for _, c := range []struct {
		name string
		do   func(g *rig)
		// Of the first event said: its ending, by whom, the length of its
		// window, and the words up to the end of the test.
		ending events.Ending
		by     string
		window time.Duration
		words  int
		check  func(t *testing.T, p *events.ProgrammePerformed)
	}{
		{"cancelled by its issuer", func(g *rig) {
			g.feed("ercot", &events.GridSignal{SignalID: "c1", Kind: events.SignalRestore, Cancels: "e1"})
		}, events.EndingCancelled, "c1", 12 * time.Minute, 1, nil},
		{"restored without a name", func(g *rig) {
			g.feed("ercot", &events.GridSignal{SignalID: "c2", Kind: events.SignalRestore, Programme: "ers-10"})
		}, events.EndingCancelled, "c2", 12 * time.Minute, 1, nil},
		{"a stranger cannot cancel", func(g *rig) {
			g.feed("caiso", &events.GridSignal{SignalID: "c3", Kind: events.SignalRestore, Cancels: "e1"})
		}, events.EndingElapsed, "", 30 * time.Minute, 1, nil},
		{"the operator can", func(g *rig) {
			g.feed(events.OperatorSource, &events.GridSignal{SignalID: "c4", Kind: events.SignalRestore, Cancels: "e1"})
		}, events.EndingCancelled, "c4", 12 * time.Minute, 1, nil},
		{"a restore of another programme", func(g *rig) {
			g.feed("ercot", &events.GridSignal{SignalID: "c5", Kind: events.SignalRestore, Programme: "ecrs"})
		}, events.EndingElapsed, "", 30 * time.Minute, 1, nil},
		{"superseded", func(g *rig) {
			s := curtail("e2", 8*mw, 600)
			s.Supersedes = "e1"
			g.feed("ercot", s)
		}, events.EndingSuperseded, "e2", 12 * time.Minute, 2, nil},
		{"extended", func(g *rig) {
			s := curtail("e1", 5*mw, 0)
			s.DurationSeconds = 1200 // from now on: 12 + 20
			g.feed("ercot", s)
		}, events.EndingElapsed, "", 32 * time.Minute, 1, nil},
		{"lowered while it runs", func(g *rig) {
			g.feed("ercot", curtail("e1", 1*mw, 1080))
		}, events.EndingElapsed, "", 30 * time.Minute, 1, func(t *testing.T, p *events.ProgrammePerformed) {
			// Due ten minutes later, 8 minutes before the end: 3 MW too much.
			if want := int64(480) * 3 * mw * 10 / 36; p.ShortfallMilliwattHours != want || len(p.Changes) != 1 || p.LimitWatts != 1*mw {
				t.Errorf("shortfall %d, want %d; changes %+v, limit %d", p.ShortfallMilliwattHours, want, p.Changes, p.LimitWatts)
			}
		}},
		{"raised while it runs", func(g *rig) {
			g.feed("ercot", curtail("e1", 9*mw, 1080))
		}, events.EndingElapsed, "", 30 * time.Minute, 1, func(t *testing.T, p *events.ProgrammePerformed) {
			// Two minutes 1 MW below 5, then 18 minutes 5 MW below 9.
			if want := int64(120)*mw*10/36 + 1080*5*mw*10/36; p.OverDeliveryMilliwattHours != want || p.LimitWatts != 5*mw {
				t.Errorf("over-delivery %d, want %d; limit %d", p.OverDeliveryMilliwattHours, want, p.LimitWatts)
			}
		}},
		{"the same again", func(g *rig) {
			g.feed("ercot", curtail("e1", 5*mw, 1080))
		}, events.EndingElapsed, "", 30 * time.Minute, 1, func(t *testing.T, p *events.ProgrammePerformed) {
			if len(p.Changes) != 0 {
				t.Errorf("changes %+v", p.Changes)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, site(ers()))
			g.set(60*mw, 40*mw)
			g.run(7 * time.Minute)
			g.feed("ercot", curtail("e1", 5*mw, 1800))
			g.set(24*mw, 4*mw)
			g.run(12 * time.Minute)
			c.do(g)
			g.run(21 * time.Minute)
			if len(g.said) == 0 {
				t.Fatal("nothing said")
			}
			p := g.said[0]
			words := map[string]bool{}
			for _, q := range g.said {
				words[q.SignalID] = true
			}
			if p.SignalID != "e1" || p.Ending != c.ending || p.EndedBy != c.by || p.WindowEnd.Sub(p.WindowStart) != c.window || len(words) != c.words {
				t.Errorf("%s %s by %q after %s, %d events, want %s by %q after %s, %d", p.SignalID, p.Ending, p.EndedBy, p.WindowEnd.Sub(p.WindowStart), len(words), c.ending, c.by, c.window, c.words)
			}
			if c.check != nil {
				c.check(t, p)
			}
			g.replay(613)
		})
	}
}

// TestLeastDuration: an issuer's restore ends an event no earlier than the
// programme says; the operator's does.
func TestLeastDuration(t *testing.T) {
	ps := ers()
	ps.MinDurationSeconds = 900
	for source, want := range map[string]time.Duration{"ercot": 15 * time.Minute, events.OperatorSource: 5 * time.Minute} {
		g := newRig(t, site(ps))
		g.set(60*mw, 40*mw)
		g.run(7 * time.Minute)
		g.feed("ercot", &events.GridSignal{SignalID: "e1", Kind: events.SignalCurtail, Programme: "ers-10", PowerWatts: power(0)})
		g.set(20*mw, 0)
		g.run(5 * time.Minute)
		g.feed(source, &events.GridSignal{SignalID: "r1", Kind: events.SignalRestore, Cancels: "e1"})
		g.run(15 * time.Minute)
		if p := g.last(); p.WindowEnd.Sub(p.WindowStart) != want || p.Ending != events.EndingCancelled || p.EndedBy != "r1" {
			t.Errorf("%s: window of %s, %s by %q, want %s", source, p.WindowEnd.Sub(p.WindowStart), p.Ending, p.EndedBy, want)
		}
	}
}

// TestAnnouncedShed: the reduction counts from what was drawn when it begins,
// which a ramp puts before the window; a cancelled announcement was not called.
func TestAnnouncedShed(t *testing.T) {
	shed := events.ProgrammeConfig{Programme: "dfs", Measures: events.MeasuresTotal, LimitIs: events.LimitIsShed, NoticeSeconds: 1800,
		RampSeconds: 120, TolerancePPM: 100_000}
	g := newRig(t, site(shed))
	g.set(60*mw, 40*mw)
	g.run(2 * time.Minute)
	opens := g.now.Add(30 * time.Minute)
	g.feed("neso", &events.GridSignal{SignalID: "d1", Kind: events.SignalCurtail, Programme: "dfs", PowerWatts: power(30 * mw), StartsAt: at(opens), DurationSeconds: 600})
	g.feed("neso", &events.GridSignal{SignalID: "d2", Kind: events.SignalCurtail, Programme: "dfs", PowerWatts: power(30 * mw), StartsAt: at(opens.Add(time.Hour)), DurationSeconds: 600})
	g.run(10 * time.Minute)
	g.set(65*mw, 45*mw)
	g.run(18 * time.Minute) // the ramp begins: 65 MW
	g.run(time.Minute)
	g.set(34*mw, 14*mw)
	g.run(12 * time.Minute)
	p := g.last()
	if p.SignalID != "d1" || p.Outcome != events.PerformanceMet || p.LimitWatts != 35*mw || value(t, "before", p.BeforeWatts) != 65*mw ||
		p.Measures != events.MeasuresTotal || !p.BeganAt.Equal(opens.Add(-2*time.Minute)) || !p.WindowStart.Equal(opens) || !p.DeadlineAt.Equal(opens) {
		t.Errorf("%s %s limit %d before %v began %s window %s due %s", p.SignalID, p.Outcome, p.LimitWatts, p.BeforeWatts, p.BeganAt, p.WindowStart, p.DeadlineAt)
	}
	if p.ReachedAt == nil || !p.ReachedAt.Equal(opens.Add(-59*time.Second)) {
		t.Errorf("reached at %v", p.ReachedAt)
	}
	g.feed("neso", &events.GridSignal{SignalID: "x", Kind: events.SignalRestore, Cancels: "d2"})
	g.run(2 * time.Second)
	if p := g.last(); p.SignalID != "d2" || p.Outcome != events.PerformanceNotCalled || !p.Final || len(p.Lines) != 0 || p.EndedBy != "x" {
		t.Errorf("%s %s final %v lines %d by %q", p.SignalID, p.Outcome, p.Final, len(p.Lines), p.EndedBy)
	}
	g.replay(811)
}

// TestDrills: a test moves no power and is not judged, unless the programme
// has its tests carried out.
func TestDrills(t *testing.T) {
	obeyed := ers()
	obeyed.Programme, obeyed.Tests, obeyed.ResponseSeconds = "measured", events.TestObey, 60
	for programme, want := range map[string]events.PerformanceOutcome{"ers-10": events.PerformanceNotCalled, "measured": events.PerformanceShort, "": events.PerformanceNotCalled} {
		g := newRig(t, site(ers(), obeyed))
		g.set(60*mw, 40*mw)
		g.run(6 * time.Minute)
		g.feed("ercot", &events.GridSignal{SignalID: "t1", Kind: events.SignalEmergency, Programme: programme, Test: true, DurationSeconds: 300})
		g.run(6 * time.Minute)
		if p := g.last(); p.Outcome != want || !p.Test || p.Obeyed != (programme == "measured") {
			t.Errorf("%q: %s, test %v, obeyed %v, want %s", programme, p.Outcome, p.Test, p.Obeyed, want)
		}
		if marked := g.d.Points[0].Open.Event; marked != (programme == "measured") {
			t.Errorf("%q: day marked %v", programme, marked)
		}
	}
}

// TestSilentMeterAndItsCounter: while the meter is silent an event cannot be
// judged; when it comes back with a counter, the energy is known after all, and
// the last word says so.
func TestSilentMeterAndItsCounter(t *testing.T) {
	g := newRig(t, site(ers()))
	g.counters = true
	g.set(60*mw, 40*mw)
	g.run(8 * time.Minute)
	g.feed("ercot", &events.GridSignal{SignalID: "e1", Kind: events.SignalCurtail, Programme: "ers-10", PowerWatts: power(5 * mw), DurationSeconds: 1800})
	g.set(24*mw, 4*mw)
	g.run(11 * time.Minute)
	g.silent["mine"], g.silent["main"] = true, true
	g.set(20*mw, 0)
	g.run(20 * time.Minute)
	p := g.last()
	if p.Outcome != events.PerformanceNotMeasurable || p.EstimatedMilliseconds < 1_100_000 {
		t.Fatalf("%s with %d ms estimated", p.Outcome, p.EstimatedMilliseconds)
	}
	g.silent = map[string]bool{}
	g.run(15 * time.Minute)
	p = g.last()
	var mining int64
	for _, l := range p.Lines {
		mining += *l.MiningMilliwattHours
	}
	// 11 minutes at 4 MW, of which the first reading was a second late, then
	// nothing; what the counter knows until the meter came back is spread over
	// the time of silence.
	exact := int64(660)*4*mw*10/36 + 36*mw*10/36
	if diff := mining - exact; diff < -36*mw || diff > 36*mw {
		t.Errorf("mining %d mWh, the counter says about %d", mining, exact)
	}
	if p.EstimatedMilliseconds != 0 || !p.Final {
		t.Errorf("%d ms estimated in the last word (final %v)", p.EstimatedMilliseconds, p.Final)
	}
	g.replay(777)
}

// TestStopsPricesAndOldSignals open no event.
func TestStopsPricesAndOldSignals(t *testing.T) {
	g := newRig(t, site())
	g.set(60*mw, 40*mw)
	g.run(6 * time.Minute)
	g.feed(events.OperatorSource, &events.GridSignal{SignalID: "stop", Kind: events.SignalStop})
	g.feed("market", &events.GridSignal{SignalID: "p", Kind: events.SignalPrice, PriceMicrousdPerMWh: power(40_000_000)})
	g.feed("ercot", &events.GridSignal{SignalID: "old", Kind: events.SignalCurtail, PowerWatts: power(0), StartsAt: at(g.now.Add(-time.Hour)), DurationSeconds: 600})
	g.set(20*mw, 0)
	g.run(2 * time.Minute)
	if !g.d.Points[0].Open.Event {
		t.Error("a stop does not mark its day")
	}
	g.feed(events.OperatorSource, &events.GridSignal{SignalID: "go", Kind: events.SignalRestore, Cancels: "stop"})
	g.run(20 * time.Minute)
	if len(g.said) != 0 || len(g.d.Events) != 0 {
		t.Errorf("%d words, %d events", len(g.said), len(g.d.Events))
	}
}

// TestWithoutProgramme: mining at the point of connection, due in a minute.
func TestWithoutProgramme(t *testing.T) {
	g := newRig(t, site())
	g.set(60*mw, 40*mw)
	g.run(6 * time.Minute)
	g.feed("ercot", &events.GridSignal{Kind: events.SignalEmergency, DurationSeconds: 300})
	g.run(30 * time.Second)
	g.set(21*mw, 1*mw) // idle consumption is within the tolerance
	g.run(6 * time.Minute)
	p := g.last()
	if p.Outcome != events.PerformanceMet || p.LimitWatts != 0 || p.ToleranceWatts != 2*mw || p.DeadlineAt.Sub(p.ArrivedAt) != time.Minute || p.SignalID == "" {
		t.Errorf("%s limit %d tolerance %d due after %s, id %q", p.Outcome, p.LimitWatts, p.ToleranceWatts, p.DeadlineAt.Sub(p.ArrivedAt), p.SignalID)
	}
	if want := int64(240) * mw * 10 / 36; p.ShortfallMilliwattHours != want {
		t.Errorf("shortfall %d mWh, want %d", p.ShortfallMilliwattHours, want)
	}
}

// TestLongEventsComeInParts: an import limit without an end is told a day at a
// time.
func TestLongEventsComeInParts(t *testing.T) {
	cfg := site()
	cfg.Tariff.IntervalSeconds = 300
	for i := range cfg.Meters {
		cfg.Meters[i].StaleMilliseconds = 3_600_000
	}
	g := newRig(t, cfg)
	g.set(60*mw, 40*mw)
	g.run(6 * time.Minute)
	g.feed("utility", &events.GridSignal{SignalID: "doe", Kind: events.SignalImportLimit, PowerWatts: power(70 * mw)})
	for range 60 * 50 {
		g.now = g.now.Add(59 * time.Second)
		g.second()
	}
	if len(g.said) != 2 {
		t.Fatalf("%d parts after 50 hours", len(g.said))
	}
	for i, p := range g.said {
		if p.Part != int64(i+1) || p.Ending != events.EndingRunning || len(p.Lines) != events.MaxPerformanceLines || p.Outcome != events.PerformanceMet || p.Reverses != "" {
			t.Errorf("part %d of %d lines, %s, %s, reverses %q", p.Part, len(p.Lines), p.Ending, p.Outcome, p.Reverses)
		}
		if i > 0 && !p.WindowStart.Equal(g.said[i-1].WindowEnd) {
			t.Errorf("part %d begins at %s, the one before ended at %s", p.Part, p.WindowStart, g.said[i-1].WindowEnd)
		}
	}
	g.feed("utility", &events.GridSignal{SignalID: "end", Kind: events.SignalRestore, Cancels: "doe"})
	g.run(16 * time.Minute)
	if p := g.last(); p.Part != 3 || !p.Final || p.Ending != events.EndingCancelled {
		t.Errorf("part %d final %v %s", p.Part, p.Final, p.Ending)
	}
	g.replay(2003)
}
