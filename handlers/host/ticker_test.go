// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Several hosts see the same gap: one alert, cleared once.
func TestTickGapRaisesOneAlert(t *testing.T) {
	b := openBus(t, t.TempDir(), 2*time.Minute)
	ctx := testContext(t)
	for _, name := range []string{"host-a", "host-b"} {
		h, err := New(Config{Bus: b, Site: site, Name: name, Deciders: []Factory{toy("1.0")}})
		if err != nil {
			t.Fatal(err)
		}
		var w tickWatch
		tick := func(second int64) { w.tick(ctx, h, second, time.Unix(second, 0)) }
		for s := int64(1000); s < 1005; s++ {
			tick(s)
		}
		tick(1004)                                       // twice
		w.tick(ctx, h, 9_000_000, time.Unix(1005, 0))    // nobody's clock
		w.tick(ctx, h, 1006, time.Unix(1006, 0).Add(-1)) // one missing is no gap
		for s := int64(1020); s < 1040; s++ {
			tick(s)
		}
		h.running.Wait()
	}
	raised, cleared := 0, 0
	for e, err := range b.Events(ctx, events.ReadRequest{Stream: events.StreamCommands}) {
		if err != nil {
			t.Fatal(err)
		}
		switch e.Data.(type) {
		case *events.AlertRaised:
			raised++
		case *events.AlertCleared:
			cleared++
		}
	}
	if raised != 1 || cleared != 1 {
		t.Errorf("%d alerts raised, %d cleared", raised, cleared)
	}
}
