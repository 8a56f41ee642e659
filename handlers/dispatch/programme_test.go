// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// programmes are those of the invented site: some differ from one config to the
// next.
func (w *world) programmes() []events.ProgrammeConfig {
	ps := []events.ProgrammeConfig{
		{Programme: "ramped", Measures: events.MeasuresMining, LimitIs: events.LimitIsCap, ResponseSeconds: 20, RampSeconds: 15, RecoverySeconds: 20},
		{Programme: "shed", Measures: events.MeasuresTotal, LimitIs: events.LimitIsShed, MinDurationSeconds: 8, ReturnDelaySeconds: 3, RecoverySeconds: 10, Tests: events.TestObey},
		{Programme: "target", Measures: events.MeasuresMining, LimitIs: events.LimitIsCap, RecoverySeconds: 5,
			Silence: &events.SilenceConfig{Source: "grid", AfterSeconds: 15, OnSilence: events.SilenceLimit, LimitWatts: 500_000}},
		{Programme: "held", Measures: events.MeasuresTotal, LimitIs: events.LimitIsCap, Precedence: events.PrecedenceGridEmergency,
			Silence: &events.SilenceConfig{Source: "grid", AfterSeconds: 10, OnSilence: events.SilenceHold}},
	}
	if w.tree {
		ps[1].Node = []string{"pdu-a1", "feed-a", "nowhere"}[w.c.below(3)]
		ps[2].Node = "feed-b"
	}
	return ps[:w.c.below(5)]
}

// enrol makes a signal one of a programme, now and then, or gives it what
// signals of programmes carry.
func (w *world) enrol(g *events.GridSignal) {
	g.Programme = []string{"", "ramped", "shed", "target", "held", "unheard-of"}[w.c.below(6)]
	g.Node = []string{"", "", "feed-a", "pdu-a1", "rack-1", "feed-b", "site", "nowhere"}[w.c.below(8)]
	few := func() *int64 {
		if w.c.below(4) != 0 {
			return nil
		}
		v := int64(w.c.below(12))
		if w.wild && w.c.below(10) == 0 {
			v = w.odd()
		}
		return &v
	}
	g.RampSeconds, g.MinDurationSeconds, g.RecoverySeconds = few(), few(), few()
	if w.c.below(3) == 0 {
		g.RampWattsPerMinute = int64(w.c.below(10)) * 3_000_000
	}
	if w.c.below(3) == 0 {
		t := w.at.Add(-time.Duration(w.c.below(30)-4) * time.Second)
		g.IssuedAt = &t
	}
}

// consistentSignals compares the limits at every node with what the live signals
// say.
func (d *Dispatch) consistentSignals() error {
	for _, s := range d.signals.live {
		c := &s.Course
		if s.Active && (c.Level < 0) != isPrice(s.Kind) && s.Kind != "restore" {
			return fmt.Errorf("signal %s has begun and limits to %d W", s.ID, c.Level)
		}
		if s.after != 0 && d.signals.folded == 0 {
			return fmt.Errorf("signal %s follows %d W", s.ID, s.after)
		}
		if c.Level >= 0 && !c.Recovering && c.ToAt == 0 && c.Level != s.Watts {
			return fmt.Errorf("signal %s stands at %d W, not at %d W", s.ID, c.Level, s.Watts)
		}
	}
	for _, n := range d.nodes {
		mining, total := int64(-1), int64(-1)
		for _, s := range d.signals.live {
			if s.at != n || s.Course.Level < 0 {
				continue
			}
			if w := s.Course.Level; s.Total && (total < 0 || w < total) {
				total = w
			} else if !s.Total && (mining < 0 || w < mining) {
				mining = w
			}
		}
		if n.load.Ceiling != mining {
			return fmt.Errorf("mining at %s is limited to %d W, by the signals to %d W", n.id, n.load.Ceiling, mining)
		}
		if d.site.known && total >= 0 && n.load.Usable > total {
			return fmt.Errorf("%d W are usable at %s, by the signals %d W", n.load.Usable, n.id, total)
		}
	}
	return nil
}
