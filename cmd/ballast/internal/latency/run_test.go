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
