// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// stranger is a dispatcher with what tests of strange input need.
type stranger struct {
	*testing.T
	d   *Dispatch
	w   *world
	out decider.Outbox
}

func newStranger(t *testing.T) *stranger {
	s := &stranger{T: t, d: New(Config{}), w: &world{at: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), epoch: 1}}
	s.fold("site", (&world{}).config())
	return s
}

func (s *stranger) fold(source string, p events.Payload) {
	s.Helper()
	s.w.at = s.w.at.Add(time.Millisecond)
	if err := checked(s.d, s.w.event(source, p), &s.out, true); err != nil {
		s.Fatal(err)
	}
}

func (s *stranger) tick() {
	s.Helper()
	s.w.at = s.w.at.Truncate(time.Second).Add(time.Second)
	s.fold("site", &events.ClockTick{Second: s.w.at.Unix()})
}

// TestCapabilitiesNobodyCanTakeLiterally: an agent whose announcements have to
// be put right is not new with every one of them, and its time to fall ends.
func TestCapabilitiesNobodyCanTakeLiterally(t *testing.T) {
	s := newStranger(t)
	counter := uint64(0)
	say := func(fall int64) {
		counter++
		s.fold("a", &events.WorkerStatus{BootID: "b", Counter: counter, Announce: true, Units: []events.UnitStatus{{
			Unit: "u", Healthy: true, State: events.PermitRunning, PowerWatts: 3_000,
			Capabilities: &events.Capabilities{Class: "m", NameplateWatts: 3_000, FailsafeWatts: -5, FallMilliseconds: fall,
				LevelsWatts: []int64{3_000, 1_000, 9_000, -1}},
		}}})
	}
	say(1_000_000)
	u := s.d.agents["a"].find("u")
	if u.overdue {
		t.Fatal("a unit that has just joined has no time to fall")
	}
	learnt := u.capsHash
	for i := range 700 {
		if i%10 == 0 {
			say(1_000_000 + int64(i)) // each put right to the same
		}
		s.tick()
	}
	if u.capsHash != learnt {
		t.Error("capabilities put right to the same are other ones")
	}
	if !u.overdue {
		t.Error("its time to fall never ends")
	}
}

// TestCrowdedAgent: one agent cannot take every place of the site.
func TestCrowdedAgent(t *testing.T) {
	s := newStranger(t)
	caps := &events.Capabilities{Class: "m", NameplateWatts: 1_000, MinWatts: 1_000}
	counter := uint64(0)
	for from := 0; from < MaxAgentUnits+2_000; from += 500 {
		counter++
		st := &events.WorkerStatus{BootID: "b", Counter: counter, Announce: true}
		for i := range 500 {
			st.Units = append(st.Units, events.UnitStatus{Unit: fmt.Sprint("u", from+i), Healthy: true, Capabilities: caps})
		}
		s.out.Begin(s.w.event("greedy", st))
		s.d.Fold(s.w.event("greedy", st), &s.out)
	}
	if n := len(s.d.agents["greedy"].units); n != MaxAgentUnits {
		t.Errorf("one agent has %d units", n)
	}
	s.fold("modest", &events.WorkerStatus{BootID: "b", Counter: 1, Announce: true, Units: []events.UnitStatus{{Unit: "u0", Healthy: true, Capabilities: caps}}})
	if s.d.agents["modest"].find("u0") == nil {
		t.Error("there is no place left for others")
	}
}

// TestMergedReductionOutlivesOlderRestore: a restore announced before a flood
// does not end what the flood asked for after it.
func TestMergedReductionOutlivesOlderRestore(t *testing.T) {
	s := newStranger(t)
	curtail := func(id string, watts int64) {
		s.fold("grid", &events.GridSignal{SignalID: id, Kind: events.SignalCurtail, PowerWatts: &watts})
	}
	for i := range MaxSignalsPerSource + 1 {
		curtail(fmt.Sprint("c", i), 5_000_000) // the last one is merged
	}
	s.fold("grid", &events.GridSignal{Kind: events.SignalRestore, Cancels: "c0"})
	soon := s.w.at.Add(10 * time.Second)
	s.fold("grid", &events.GridSignal{SignalID: "r", Kind: events.SignalRestore, Cancels: mergedPrefix + "curtail", StartsAt: &soon})
	curtail("more", 5_000_000)
	curtail("last", 0) // merged, too
	for range 20 {
		s.tick()
	}
	if c := s.d.root.load.Ceiling; c != 0 {
		t.Errorf("the ceiling is %d W", c)
	}
}

// TestLoadBelowZeroMakesNoRoom, whatever range the configuration allows.
func TestLoadBelowZeroMakesNoRoom(t *testing.T) {
	s := newStranger(t)
	c := (&world{}).config()
	for i := range c.Meters {
		c.Meters[i].MinWatts = -1_000_000
	}
	s.fold("site", c)
	for _, m := range s.d.site.meters {
		if m.cfg.Measures != events.MeasuresAI {
			continue
		}
		s.fold(m.cfg.Meter, &events.MeterReading{PowerWatts: -500_000, SampledAt: s.w.at, Quality: events.QualityGood})
		if m.has {
			t.Errorf("%s is believed", m.cfg.Meter)
		}
	}
}
