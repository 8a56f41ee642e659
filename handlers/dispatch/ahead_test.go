// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// TestUnitAheadOfTheJournal: a unit obeys a reduction whose cause was lost with
// the end of the journal. The fold that goes on without it knows the ramp before
// it only. The unit is at what it says, and is raised again.
func TestUnitAheadOfTheJournal(t *testing.T) {
	s := newStranger(t)
	c := (&world{}).config()
	c.Policy.Economics = false
	s.fold("site", c)
	counter, set := uint64(0), int64(0)
	var key *events.OrderKey
	say := func() {
		counter++
		st := &events.WorkerStatus{BootID: "b", Counter: counter, Announce: counter == 1, Units: []events.UnitStatus{{
			Unit: "u", Healthy: true, State: events.PermitLimited, SetpointWatts: set, PowerWatts: set, Applied: key}}}
		if set > 0 {
			st.Units[0].State = events.PermitRunning
		}
		if st.Announce {
			st.Units[0].Capabilities = &events.Capabilities{Class: "m", NameplateWatts: 3_000, MinWatts: 1_000, MillijoulesPerTerahash: 20_000}
		}
		s.fold("a", st)
	}
	ramped := func() (ramps int) {
		obey := func() {
			for _, o := range s.out.Outputs() {
				if r, ok := o.Data.(*events.CommandRamp); ok {
					set, key = r.Units[0].SetpointWatts, &r.Key
					ramps++
				}
			}
		}
		for range 60 {
			for meter, w := range map[string]int64{"ai": 1_000_000, "mine": set, "total": 1_050_000 + set} {
				s.fold(meter, &events.MeterReading{PowerWatts: w, SampledAt: s.w.at, Quality: events.QualityGood})
			}
			say()
			obey()
			s.tick()
			obey()
		}
		return ramps
	}
	if ramped() == 0 || set != 3_000 {
		t.Fatalf("the unit is at %d W, not at its 3,000 W", set)
	}
	set, key = 0, &events.OrderKey{Epoch: key.Epoch, Sequence: key.Sequence + 100_000}
	say()
	if u := s.d.agents["a"].find("u"); u.set != 0 {
		t.Errorf("%d W are permitted to a unit that was told to stop", u.set)
	}
	s.w.epoch++
	s.w.at = s.w.at.Add(time.Second)
	if ramped() == 0 || set != 3_000 {
		t.Errorf("the unit stays at %d W, with room for 3,000 W", set)
	}
}
