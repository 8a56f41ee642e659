// SPDX-License-Identifier: Apache-2.0

package modelled

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/agent"
)

// sleeper sleeps at 60 W, from where it hashes again within 8 s instead of a
// minute.
var sleeper = Class{Name: "sleeper", Levels: []Level{{Name: "sleep", Watts: 60}, {Name: "eco", Watts: 2400, HashrateGHs: 160_000},
	{Name: "full", Watts: 3500, HashrateGHs: 200_000}}, Fall: 5 * time.Second, Boot: time.Minute, Wake: 8 * time.Second}

func TestLevelsAreAnnounced(t *testing.T) {
	p, _, _ := newPlant(t, 1)
	f := newFleet(t, p, FleetConfig{Agent: "rig", Count: 1, Class: sleeper})
	caps := f.Units()[0].Capabilities
	want := []events.PowerLevel{{Name: "sleep", Watts: 60, BootMilliseconds: 8_000},
		{Name: "eco", Watts: 2400, MillijoulesPerTerahash: 15_000}, {Name: "full", Watts: 3500, MillijoulesPerTerahash: 17_500}}
	if len(caps.Levels) != 3 || caps.Levels[0] != want[0] || caps.Levels[1] != want[1] || caps.Levels[2] != want[2] {
		t.Errorf("announces %+v", caps.Levels)
	}
	if caps.MinWatts != 2400 || len(caps.LevelsWatts) != 2 || caps.LevelsWatts[0] != 2400 {
		t.Errorf("announces levels of %v W, at least %d W", caps.LevelsWatts, caps.MinWatts)
	}
	s := events.WorkerStatus{BootID: "b", Counter: 1, Announce: true, Units: []events.UnitStatus{{Unit: "rig", State: events.PermitBoot, Capabilities: &caps}}}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
}

// TestSleep: asleep a machine draws its standby power and hashes nothing; from
// there it is back within the wake time.
func TestSleep(t *testing.T) {
	p, c, _ := newPlant(t, 1)
	f := newFleet(t, p, FleetConfig{Agent: "rig", Count: 1, Class: sleeper})
	look := func(watts, terahashes int64) {
		t.Helper()
		var s events.UnitStatus
		if f.Measure(0, &s); s.PowerWatts != watts || s.HashrateMHs != terahashes*1_000_000 {
			t.Errorf("%d W and %d TH/s, want %d W and %d TH/s", s.PowerWatts, s.HashrateMHs/1_000_000, watts, terahashes)
		}
	}
	drive := func(watts int64) { f.Drive([]agent.Order{{Unit: 0, Watts: watts}}) }
	drive(2400)
	c.advance(59 * time.Second)
	look(2400, 0)
	c.advance(time.Second)
	look(2400, 160)
	drive(100) // between levels: the one below
	c.advance(5 * time.Second)
	look(60, 0)
	drive(3500)
	c.advance(7 * time.Second)
	look(3500, 0)
	c.advance(time.Second)
	look(3500, 200)
	drive(0)
	c.advance(5 * time.Second)
	drive(3500)
	c.advance(59 * time.Second)
	look(3500, 0)
	c.advance(time.Second)
	look(3500, 200)
}

func TestClassRefuses(t *testing.T) {
	for name, levels := range map[string][]Level{
		"sleep alone":       {{Name: "sleep", Watts: 60}},
		"sleep on top":      {{Name: "eco", Watts: 2400, HashrateGHs: 160}, {Name: "sleep", Watts: 2500}},
		"two that sleep":    {{Watts: 60}, {Watts: 90}, {Watts: 2400, HashrateGHs: 160}},
		"a name of no kind": {{Name: "Eco Mode", Watts: 2400, HashrateGHs: 160}},
	} {
		if c := (Class{Name: "x", Levels: levels}); c.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
