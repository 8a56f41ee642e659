// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

// mockLevels are the levels of a made-up machine: asleep, one or two below full
// power, and full power; sometimes one that is worse than going without.
func mockLevels(c chooser, full, efficiency int64) []events.PowerLevel {
	ls := []events.PowerLevel{{Name: "full", Watts: full, MillijoulesPerTerahash: efficiency}}
	for i := range 1 + c.below(2) {
		w := full * int64(3-i) / 4
		ls = append(ls, events.PowerLevel{Name: fmt.Sprint("eco-", i), Watts: w, MillijoulesPerTerahash: efficiency * int64(80+c.below(30)) / 100})
	}
	if c.below(2) == 0 {
		ls = append(ls, events.PowerLevel{Name: "sleep", Watts: full / 50, BootMilliseconds: 5_000})
	}
	slices.Reverse(ls)
	return ls
}

func (w *world) oddLevels() []events.PowerLevel {
	var ls []events.PowerLevel
	for range w.c.below(4) {
		ls = append(ls, events.PowerLevel{Name: "x", Watts: w.odd(), MillijoulesPerTerahash: w.odd(), BootMilliseconds: w.odd()})
	}
	return ls
}

func climbed(k events.Capabilities) *unit {
	u := &unit{id: "u", agent: newAgent("a")}
	u.learn(usableCaps(&k))
	return u
}

// TestHull: of a power curve that is not concave the concave hull remains.
func TestHull(t *testing.T) {
	level := func(w, e int64) events.PowerLevel {
		return events.PowerLevel{Name: "l", Watts: w, MillijoulesPerTerahash: e}
	}
	for name, tt := range map[string]struct {
		levels []events.PowerLevel
		want   []int64
		merits []int64
	}{
		// 100 TH/s at 1,500 W, 200 TH/s at 3,500 W: the second hundred costs 20 J/TH.
		"concave": {[]events.PowerLevel{level(1_500, 15_000), level(3_500, 17_500)}, []int64{1_500, 3_500}, []int64{15_000, 20_000}},
		// 50 TH/s at 1,500 W, 200 TH/s at 3,500 W: whoever has power for half
		// of the machines at full power hashes more with that.
		"worse below":                     {[]events.PowerLevel{level(1_500, 30_000), level(3_500, 17_500)}, []int64{3_500}, []int64{17_500}},
		"straight: one step, both levels": {[]events.PowerLevel{level(1_750, 17_500), level(3_500, 17_500)}, []int64{1_750, 3_500}, []int64{17_500}},
		"more power, no more hashing":     {[]events.PowerLevel{level(1_500, 15_000), level(3_000, 30_000), level(3_500, 40_000)}, []int64{1_500}, []int64{15_000}},
		"a dent in the middle":            {[]events.PowerLevel{level(1_000, 10_000), level(2_000, 19_000), level(3_000, 15_000)}, []int64{1_000, 3_000}, []int64{10_000, 20_000}},
	} {
		u := climbed(events.Capabilities{NameplateWatts: 3_500, Levels: tt.levels, MillijoulesPerTerahash: 17_500})
		var merits []int64
		for _, s := range u.steps {
			merits = append(merits, s.merit)
		}
		if !slices.Equal(u.levels, tt.want) || !slices.Equal(merits, tt.merits) {
			t.Errorf("%s: levels %v at %v mJ/TH, want %v at %v", name, u.levels, merits, tt.want, tt.merits)
		}
	}
}

func TestSleepPays(t *testing.T) {
	k := events.Capabilities{NameplateWatts: 3_500, MillijoulesPerTerahash: 17_500, BootMilliseconds: 300_000, Levels: []events.PowerLevel{
		{Name: "sleep", Watts: 50, BootMilliseconds: 20_000}, {Name: "full", Watts: 3_500, MillijoulesPerTerahash: 17_500}}}
	// A boot from off costs 280 s × 3,500 W more: 19,600 s of 50 W.
	if u := climbed(k); u.asleep != 50 || u.sleepFor != 19_600*second || len(u.steps) != 2 || u.merit != 17_500 {
		t.Errorf("sleeps at %d W for %d s, %d steps", u.asleep, u.sleepFor/second, len(u.steps))
	}
	k.Levels[0].BootMilliseconds = 300_000
	if u := climbed(k); u.asleep != 0 || u.sleepFor != 0 || len(u.steps) != 1 {
		t.Errorf("sleeps at %d W although it boots no faster from there", u.asleep)
	}
	k.Levels = k.Levels[:1]
	if u := climbed(k); u.asleep != 0 || u.discrete() || len(u.steps) != 1 {
		t.Error("levels that do not hash are levels")
	}
	k.Levels = []events.PowerLevel{{Watts: math.MaxInt64}, {Watts: -1}, {Watts: 3_500, MillijoulesPerTerahash: math.MaxInt64}, {Watts: 3_500}}
	if u := climbed(k); len(u.levels) != 1 || u.steps[0].top != 3_500 {
		t.Errorf("levels %v", u.levels)
	}
}
