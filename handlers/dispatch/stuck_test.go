// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// watched feeds one meter with a reading a second, through snapshots.
type watched struct {
	*world
	t   *testing.T
	d   *Dispatch
	out decider.Outbox
	cfg *events.SiteConfig
	id  string
	// raised and cleared alerts about a stuck meter.
	raised, cleared int
}

func (w *watched) fold(source string, p events.Payload) {
	w.t.Helper()
	if err := checked(w.d, w.event(source, p), &w.out, false); err != nil {
		w.t.Fatal(err)
	}
	for _, o := range w.out.Outputs() {
		switch a := o.Data.(type) {
		case *events.AlertRaised:
			if a.Alert == "meter-stuck/"+w.id {
				w.raised++
			}
		case *events.AlertCleared:
			if a.Alert == "meter-stuck/"+w.id {
				w.cleared++
			}
		}
	}
}

// reads lets n seconds pass with one reading each; counter 0 is none.
func (w *watched) reads(n int, watts int64, counter func(i int) int64) {
	w.t.Helper()
	for i := range n {
		w.at = w.at.Add(time.Second)
		r := &events.MeterReading{PowerWatts: watts, SampledAt: w.at, Quality: events.QualityGood}
		if counter != nil {
			c := counter(i)
			r.EnergyMilliwattHours = &c
		}
		w.fold(w.id, r)
		w.fold("site", &events.ClockTick{Second: w.at.Unix()})
		back := restored(w.t, w.d)
		if back.StateHash() != w.d.StateHash() {
			w.t.Fatal("a restored snapshot has another digest")
		}
		w.d = back
	}
}

func (w *watched) want(raised, cleared int) {
	w.t.Helper()
	if w.raised != raised || w.cleared != cleared {
		w.t.Fatalf("%d alerts raised and %d cleared, want %d and %d", w.raised, w.cleared, raised, cleared)
	}
}

func TestStuck(t *testing.T) {
	frozen := func(int) int64 { return 77 }
	for _, tt := range []struct {
		name, meter string
		story       func(*watched)
	}{
		{"constant", "ai", func(w *watched) {
			w.reads(20, 4_000_000, nil)
			w.want(0, 0)
			w.reads(1, 4_000_000, nil)
			w.want(1, 0)
			heard := w.d.site.byID["ai"].heard
			w.reads(60, 4_000_000, nil)
			w.want(1, 0)
			if m := w.d.site.byID["ai"]; m.heard != heard || w.d.rung(m) != rungDead || w.d.root.load.Cap != 200_000 {
				w.t.Errorf("a meter stuck for a minute is on rung %d, and mining may have %d W", w.d.rung(m), w.d.root.load.Cap)
			}
			w.reads(1, 4_000_001, nil)
			w.want(1, 1)
			if m := w.d.site.byID["ai"]; w.d.rung(m) != rungFresh || w.d.root.restartUntil <= w.d.now {
				w.t.Error("the value moved: the meter counts again, after the restart delay")
			}
			w.reads(21, 4_000_001, nil)
			w.want(2, 1)
		}},
		{"no load is no excuse", "ai", func(w *watched) { w.reads(21, 0, nil); w.want(1, 0) }},
		{"total", "total", func(w *watched) { w.reads(21, 5_000_000, nil); w.want(1, 0) }},
		{"mining", "mine", func(w *watched) { w.reads(21, 5_000_000, nil); w.want(1, 0) }},
		{"mining that is off", "mine", func(w *watched) {
			w.reads(100, 0, nil)
			w.want(0, 0)
			w.reads(21, 1_000_000, nil)
			w.want(1, 0)
			w.reads(1, 0, nil)
			w.want(1, 1)
		}},
		{"counter that counts", "ai", func(w *watched) {
			w.reads(100, 4_000_000, func(i int) int64 { return int64(1_000 * i) })
			w.want(0, 0)
		}},
		{"counter frozen too", "ai", func(w *watched) { w.reads(21, 4_000_000, frozen); w.want(1, 0) }},
		{"counter now and then", "ai", func(w *watched) {
			w.reads(1, 4_000_000, frozen)
			w.reads(10, 4_000_000, nil)
			w.reads(10, 4_000_000, frozen)
			w.want(1, 0)
		}},
		{"silence does not count", "ai", func(w *watched) {
			w.reads(11, 4_000_000, nil)
			for range 30 {
				w.at = w.at.Add(time.Second)
				w.fold("site", &events.ClockTick{Second: w.at.Unix()})
			}
			w.reads(10, 4_000_000, nil)
			w.want(0, 0)
			w.reads(1, 4_000_000, nil)
			w.want(1, 0)
		}},
		{"jumps do not count", "ai", func(w *watched) {
			w.reads(11, 4_000_000, nil)
			w.at = w.at.Add(time.Hour)
			w.reads(9, 4_000_000, nil)
			w.want(0, 0)
			w.reads(3, 4_000_000, nil)
			w.want(1, 0)
		}},
		{"too few readings", "ai", func(w *watched) {
			for range 9 {
				w.reads(1, 4_000_000, nil)
				w.at = w.at.Add(3 * time.Second)
			}
			w.want(0, 0)
			w.reads(1, 4_000_000, nil)
			w.want(1, 0)
		}},
		{"late copies do not count", "ai", func(w *watched) {
			for range 30 {
				r := &events.MeterReading{PowerWatts: 4_000_000, SampledAt: w.at, Quality: events.QualityGood}
				w.fold("ai", r)
			}
			w.reads(19, 4_000_000, nil)
			w.want(0, 0)
		}},
		{"an older value that arrives late moves nothing", "ai", func(w *watched) {
			w.reads(21, 4_000_000, nil)
			w.want(1, 0)
			w.reads(2, 4_000_000, nil)
			w.fold("ai", &events.MeterReading{PowerWatts: 3_000_000, SampledAt: w.at.Add(-time.Second), Quality: events.QualityGood})
			w.fold("ai", &events.MeterReading{PowerWatts: 5_000_000, SampledAt: w.at.Add(time.Second / 2), Quality: events.QualitySuspect})
			w.want(1, 0)
		}},
		{"switched off", "ai", func(w *watched) {
			w.reads(30, 4_000_000, nil)
			w.want(1, 0)
			w.cfg.Meters[0].StuckMilliseconds = 0
			w.fold("site", w.cfg)
			w.want(1, 1)
			w.reads(60, 4_000_000, nil)
			w.want(1, 1)
			if w.d.rung(w.d.site.byID["ai"]) != rungFresh {
				w.t.Error("the meter is not believed although nothing watches it")
			}
		}},
		{"taken out", "total", func(w *watched) {
			w.reads(30, 4_000_000, nil)
			w.want(1, 0)
			w.cfg.Meters = w.cfg.Meters[:1]
			w.fold("site", w.cfg)
			w.want(1, 1)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &watched{world: &world{at: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), epoch: 1}, t: t, d: New(Config{}), id: tt.meter}
			w.cfg = w.config()
			for i := range w.cfg.Meters {
				w.cfg.Meters[i].StuckMilliseconds = 20_000
			}
			w.fold("site", w.cfg)
			tt.story(w)
		})
	}
}
