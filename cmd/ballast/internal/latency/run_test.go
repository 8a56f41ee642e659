// SPDX-License-Identifier: Apache-2.0

package latency

import (
	"testing"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/events/bus"
)

// TestRunMeasures takes a small site through a few rounds: every step must be
// seen, in order.
func TestRunMeasures(t *testing.T) {
	for _, own := range []bool{false, true} {
		r, err := Run(t.Context(), Config{Units: 20, OwnConnections: own, Rounds: 2, ReadingsPerSecond: 100, HashThreads: -1, Durability: bus.PowerLoss, Deciders: roles.Deciders(false)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Stored.P50 <= 0 || r.Stopped.P50 <= 0 || r.Received.P50 <= 0 || r.Decided.P50 <= 0 {
			t.Errorf("own connections %v: a step was not measured: %+v", own, r)
		}
		t.Logf("own connections %v: %+v", own, r)
	}
}

// TestRunEmergencyBehindAgents stops units behind several agents.
func TestRunEmergencyBehindAgents(t *testing.T) {
	r, err := Run(t.Context(), Config{Units: 40, Agents: 4, Emergency: true, Rounds: 2, ReadingsPerSecond: 100, HashThreads: -1, Durability: bus.PowerLoss, Deciders: roles.Deciders(false)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Stopped.P50 <= 0 || r.Config.Agents != 4 || !r.Config.Emergency {
		t.Errorf("not measured: %+v", r)
	}
	if _, err := Run(t.Context(), Config{Units: 41, Agents: 4, Rounds: 1}, nil); err == nil {
		t.Error("unequal parts were measured")
	}
}

// TestRunTripMeasures: a reading takes off exactly the units it should.
func TestRunTripMeasures(t *testing.T) {
	c := TripConfig{Units: 600, Agents: 2, Nodes: 300, Lowered: 150, Rounds: 3, ReadingsPerSecond: 300, HashThreads: -1,
		Run: Config{Durability: bus.PowerLoss, Deciders: roles.Deciders(false)}}
	r, err := RunTrip(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Received.P50 <= 0 || r.Stopped.P50 <= 0 || r.Stored.P50 <= 0 {
		t.Errorf("not measured: %+v", r)
	}
	t.Logf("%+v", r)
	for name, wrong := range map[string]func(*TripConfig){
		"units": func(c *TripConfig) { c.Units = 601 }, "nodes": func(c *TripConfig) { c.Nodes = 5 },
		"lowered": func(c *TripConfig) { c.Lowered = 201 }, "rounds": func(c *TripConfig) { c.Rounds = 0 },
	} {
		x := c
		wrong(&x)
		if _, err := RunTrip(t.Context(), x, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestRunEngineMeasures: every round stops an engine that hashed.
func TestRunEngineMeasures(t *testing.T) {
	rounds := 0
	r, err := RunEngine(t.Context(), EngineConfig{Rounds: 5, Threads: 2, Durability: bus.ProcessCrash}, func(done, of int) {
		if rounds++; done != rounds || of != 5 {
			t.Errorf("progress %d of %d in round %d", done, of, rounds)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Rounds != 5 || rounds != 5 || r.Threads != 2 || r.Kernel == "" {
		t.Errorf("%d rounds seen: %+v", rounds, r)
	}
	if r.Heard.P50 <= 0 || r.Stopped.P50 <= 0 || r.Stopped.Max < r.Stopped.P99 {
		t.Errorf("not measured: %+v", r)
	}
	if _, err := RunEngine(t.Context(), EngineConfig{}, nil); err == nil {
		t.Error("no round was measured, and nobody says so")
	}
}
