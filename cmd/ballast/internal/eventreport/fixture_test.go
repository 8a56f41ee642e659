// SPDX-License-Identifier: Apache-2.0

package eventreport

import (
	"bytes"
	"context"
	"flag"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/compliance"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// keep lets a person look at the reports that the tests make.
var keep = flag.String("keep", "", "directory to keep the reports of the tests in")

// shelf is a log in memory: a site whose journal a compliance decider folds.
type shelf struct {
	t       *testing.T
	r       *decider.Runner
	now     time.Time
	streams map[string][]*events.Event
	rand    *rand.Rand
	ai      int64
	mining  int64
}

func newShelf(t *testing.T, begin time.Time, cfg *events.SiteConfig) *shelf {
	t.Helper()
	d, err := compliance.New(compliance.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := decider.NewRunner("ballast", "tx1", d)
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{t: t, r: r, now: begin, streams: map[string][]*events.Event{}, rand: rand.New(rand.NewPCG(3, 4))}
	s.fact("site", cfg)
	return s
}

// put stores an event and, if it is of the journal, folds it.
func (s *shelf) put(stream, source, id string, p events.Payload) *events.Event {
	s.t.Helper()
	if err := p.Validate(); err != nil {
		s.t.Fatalf("%s: %v", p.EventType(), err)
	}
	e := events.New("tx1", source, p)
	e.ID, e.Stream, e.Sequence, e.Arrived = id, stream, uint64(len(s.streams[stream])+1), s.now
	s.streams[stream] = append(s.streams[stream], e)
	if stream != events.StreamJournal {
		return e
	}
	folded := *e
	step, err := s.r.FeedEvent(&folded)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, o := range step.Outputs {
		info, _ := events.Info(o.Data.EventType())
		s.put(info.Stream, o.Source, decider.MessageID("tx1", compliance.Name, events.OrderKey{Epoch: step.Event.Epoch, Sequence: step.Event.Sequence, Ordinal: o.Ordinal}), o.Data)
	}
	return e
}

// fact goes to INPUTS and, relayed, to the journal.
func (s *shelf) fact(source string, p events.Payload) {
	s.put(events.StreamInputs, source, "", p)
	s.put(events.StreamJournal, source, "", p)
}

func (s *shelf) step(d time.Duration) {
	s.now = s.now.Add(d)
	noise := func(w, of int64) int64 { return max(w+s.rand.Int64N(2*of+1)-of, 0) }
	ai := noise(s.ai, s.ai/30+1)
	mining := s.mining
	if mining > 0 {
		mining = noise(mining, mining/200+1)
	}
	for _, m := range []struct {
		id    string
		watts int64
	}{{"main", ai + mining + 1_200_000}, {"mine", mining}} {
		s.put(events.StreamJournal, m.id, "", &events.MeterReading{PowerWatts: m.watts, SampledAt: s.now, Quality: events.QualityGood})
	}
	s.put(events.StreamJournal, "host-1", "", &events.ClockTick{Second: s.now.Unix()})
}

func (s *shelf) run(d, step time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.step(step)
	}
}

// Events implements events.Log.
func (s *shelf) Events(_ context.Context, r events.ReadRequest) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		for _, e := range s.streams[r.Stream] {
			if len(r.Types) > 0 && !slices.Contains(r.Types, e.Type) || r.Site != "" && e.Site != r.Site || r.Source != "" && e.Source != r.Source ||
				!r.Since.IsZero() && e.Arrived.Before(r.Since) || !r.Until.IsZero() && !e.Arrived.Before(r.Until) {
				continue
			}
			c := *e
			if !yield(&c, nil) {
				return
			}
		}
	}
}

func fixtureSite(stale int64) *events.SiteConfig {
	return &events.SiteConfig{
		LimitWatts: 80_000_000, ContractedWatts: 80_000_000, ContinuousFactorPPM: 1_000_000,
		Meters: []events.MeterConfig{
			{Meter: "main", Measures: events.MeasuresTotal, PeriodMilliseconds: 1000, StaleMilliseconds: stale, MaxWatts: 100_000_000},
			{Meter: "mine", Measures: events.MeasuresMining, PeriodMilliseconds: 1000, StaleMilliseconds: stale, MaxWatts: 100_000_000},
		},
		Policy: events.PolicyConfig{LeaseMilliseconds: 12_000, DeadMilliseconds: 60_000, RampWattsPerSecond: 1_000_000, RampBurstWatts: 1_000_000},
		Tariff: events.TariffConfig{IntervalSeconds: 900, GraceSeconds: 5, AccrualSeconds: 60, Scheme: events.SchemeFPPS},
		Programmes: []events.ProgrammeConfig{{Programme: "ers-10", Name: "Emergency response", Product: "ERS-10", Market: "ERCOT", Measures: events.MeasuresMining,
			LimitIs: events.LimitIsCap, ResponseSeconds: 600, TolerancePPM: 50_000,
			Baselines: []events.BaselineMethod{events.BaselineMiddleEightOfTen}}},
	}
}

// season is 30 days of a site, then an afternoon with one event of an hour.
func season(t *testing.T, signal *events.GridSignal, source string) *shelf {
	s := newShelf(t, time.Date(2026, 6, 10, 0, 0, 0, 0, time.UTC), fixtureSite(600_000))
	begin := time.Date(2026, 7, 10, 17, 30, 0, 0, time.UTC)
	for s.now.Before(begin) {
		hour := int64(s.now.Hour())
		s.ai = 26_000_000 + 1_500_000*min(hour, 24-hour)/2
		s.mining = 38_000_000 - s.ai/4
		if wd := s.now.Weekday(); wd == time.Saturday || wd == time.Sunday {
			s.mining += 4_000_000
		}
		if hour == 18 && s.now.Day()%4 == 0 {
			s.mining /= 2 // dear energy
		}
		step := 5 * time.Minute
		if begin.Sub(s.now) <= 40*time.Minute {
			step = time.Second
		}
		s.step(step)
	}
	s.now = s.now.Add(380 * time.Millisecond)
	issued := s.now.Add(-820 * time.Millisecond)
	signal.IssuedAt = &issued
	s.fact(source, signal)
	full := s.mining
	s.now = s.now.Add(14 * time.Millisecond)
	s.put(events.StreamCommands, "agent-1", "", &events.CommandCurtail{Decider: "dispatch", AllUnitsWatts: new(int64), Reason: events.ReasonGridCurtail, SignalID: signal.SignalID,
		IssuedAt: s.now, ValidUntil: s.now.Add(time.Minute)})
	s.run(2*time.Second, time.Second)
	s.put(events.StreamJournal, "agent-1", "", &events.WorkerStatus{BootID: "0123456789abcdef0123456789abcdef", Counter: 1, Units: []events.UnitStatus{{Unit: "u1", State: events.PermitLimited,
		Reason: events.ReasonGridCurtail, SignalID: signal.SignalID, Healthy: true}}})
	for left := int64(10); left > 1; left-- {
		s.mining = full * left / 10
		s.step(time.Second)
	}
	s.mining = 3_400_000
	s.run(time.Hour-11*time.Second, time.Second)
	s.run(90*time.Second, time.Second)
	for up := int64(1); up <= 60; up++ {
		s.mining = 3_400_000 + (full-3_400_000)*up/60
		s.run(4*time.Second, time.Second)
	}
	s.run(12*time.Minute, time.Second)
	return s
}

// report of the newest event, kept where the flag says.
func (s *shelf) report(t *testing.T, name string) (r *Report, html, csv []byte) {
	t.Helper()
	list, err := List(t.Context(), s, Query{})
	if err != nil || len(list) == 0 {
		t.Fatalf("%d events, %v", len(list), err)
	}
	r, err = Collect(t.Context(), s, list[len(list)-1])
	if err != nil {
		t.Fatal(err)
	}
	r.Made = s.now
	var h, c bytes.Buffer
	if err := r.HTML(&h); err != nil {
		t.Fatal(err)
	}
	if err := r.CSV(&c); err != nil {
		t.Fatal(err)
	}
	if *keep != "" {
		for ext, b := range map[string][]byte{".html": h.Bytes(), ".csv": c.Bytes()} {
			if err := os.WriteFile(filepath.Join(*keep, name+ext), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r, h.Bytes(), c.Bytes()
}
