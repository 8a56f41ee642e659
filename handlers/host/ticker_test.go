// SPDX-License-Identifier: Apache-2.0

package host

import (
	"slices"
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

// Clocks that ran ahead and were set back offer the same seconds again: the
// server knows their ids, the journal still needs their ticks, once each.
func TestSecondsThatComeAgain(t *testing.T) {
	b := openBus(t, t.TempDir(), 2*time.Minute)
	ctx := testContext(t)
	h, err := New(Config{Bus: b, Site: site, Name: "host-a", Deciders: []Factory{toy("1.0")}})
	if err != nil {
		t.Fatal(err)
	}
	journal, err := b.JetStream().Stream(ctx, events.StreamJournal)
	if err != nil {
		t.Fatal(err)
	}
	ahead, back := int64(1_800_000_100), int64(1_800_000_000)
	for _, second := range []int64{
		ahead, ahead, ahead + 1, ahead + 2, // two hosts, clocks ahead
		ahead + 1,      // late: another has gone on
		back, back + 1, // set back
		ahead, ahead + 1, // both of these come again
		ahead, ahead + 1, // from the other host
		ahead + 2, ahead + 3,
	} {
		if err := h.offerTick(ctx, journal, second); err != nil {
			t.Fatal(err)
		}
	}
	var have []int64
	for e, err := range events.Read[events.ClockTick](ctx, b, events.AtSite(site)) {
		if err != nil {
			t.Fatal(err)
		}
		have = append(have, e.Data.Second)
	}
	want := []int64{ahead, ahead + 1, ahead + 2, back, back + 1, ahead, ahead + 1, ahead + 2, ahead + 3}
	if !slices.Equal(have, want) {
		t.Errorf("ticks %v, wanted %v", have, want)
	}
}
