// SPDX-License-Identifier: Apache-2.0

package roster

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
)

func TestDifficulties(t *testing.T) {
	for d, want := range map[float64]string{
		0.00232831: "0.00233", 0.5: "0.5", 1: "1", 12.345: "12.3", 99.96: "100", 123.4: "123", 1234567: "1230000",
		4.656e15: "1000000000000000", 0: "0.01", math.NaN(): "0.01", math.Inf(1): "1000000000000000", 1e-9: "0.000001", -1: "0.01",
	} {
		got := DifficultyText(d)
		if got != want {
			t.Errorf("%g: %s, want %s", d, got, want)
		}
		if _, err := hashengine.ParseDifficulty(got); err != nil {
			t.Error(err)
		}
	}
}

func TestDifficultyFollowsTheRoster(t *testing.T) {
	r := New()
	want := Rates{PerAgent: 1, AllReal: 20, AllModelled: 20}
	announce := func(id string, watts, mj int64, modelled bool) *Miner {
		m, needs := r.Heard(id, &events.WorkerStatus{BootID: "b", Counter: 1, Announce: true, Units: []events.UnitStatus{{
			Unit: id, Modelled: modelled, Capabilities: &events.Capabilities{NameplateWatts: watts, MillijoulesPerTerahash: mj}}}}, time.Time{})
		if !needs {
			t.Fatal("an announcement calls for no work")
		}
		return m
	}
	cpu := announce("cpu", 20, 2_000_000_000, false) // 10 MH/s
	if got := r.Scale(want).Difficulty(cpu); got != "0.00233" {
		t.Errorf("cpu: %s", got)
	}
	// 1,000 machines of 200 TH/s find 20 shares a second together.
	var hall *Miner
	for i := range 1000 {
		hall = announce(fmt.Sprint("m", i), 3500, 17500, true)
	}
	if got := r.Scale(want).Difficulty(hall); got != "2330000" {
		t.Errorf("hall: %s", got)
	}
	for i := range 39 {
		announce(fmt.Sprint("c", i), 20, 2_000_000_000, false)
	}
	if got := r.Scale(want).Difficulty(cpu); got != "0.00466" { // 40 of them share 20 a second
		t.Errorf("one cpu of forty: %s", got)
	}
	if _, needs := r.Heard("cpu", &events.WorkerStatus{BootID: "b", Counter: 2, Units: []events.UnitStatus{{Unit: "cpu"}}}, time.Time{}); needs {
		t.Error("a plain status calls for work")
	}
	if _, needs := r.Heard("cpu", &events.WorkerStatus{BootID: "c", Counter: 1, Units: []events.UnitStatus{{Unit: "cpu"}}}, time.Time{}); !needs {
		t.Error("another boot calls for no work")
	}
	r.Forget(time.Time{}.Add(2 * Silence))
	if r.Len() != 0 {
		t.Errorf("%d agents are remembered", r.Len())
	}
}

// A pool that hears a fleet for the first time in the middle of its life knows
// no capabilities: the work must not be so easy that shares flood the bus.
func TestUnannouncedFleetGetsHardWork(t *testing.T) {
	r := New()
	want := Rates{PerAgent: 1, AllReal: 20, AllModelled: 20}
	status := &events.WorkerStatus{BootID: "b", Counter: 9, Units: []events.UnitStatus{{Unit: "u", Modelled: true}}}
	m, needs := r.Heard("fleet", status, time.Time{})
	if !needs {
		t.Fatal("a new agent needs no work")
	}
	if got, want := r.Scale(want).Difficulty(m), DifficultyText(unannouncedDifficulty); got != want {
		t.Errorf("difficulty %s of a fleet nobody knows, want %s", got, want)
	}
	status.Announce = true
	status.Units[0].Capabilities = &events.Capabilities{NameplateWatts: 3500, MillijoulesPerTerahash: 17_500}
	if m, needs = r.Heard("fleet", status, time.Time{}); !needs || r.Scale(want).Difficulty(m) == DifficultyText(unannouncedDifficulty) {
		t.Errorf("after the announcement: needs work %v, difficulty %s: want its own", needs, r.Scale(want).Difficulty(m))
	}
}
