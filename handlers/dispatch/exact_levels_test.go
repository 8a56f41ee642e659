// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

// rate is the hash rate of a unit of an orchard with levels at a setpoint, a
// whole number fine enough that rounding decides nothing; −1 where it has no
// such level.
func (o *orchard) rate(u int, w int64) int64 {
	if w == 0 {
		return 0
	}
	for _, l := range o.levels[u] {
		if l.Watts == w {
			return w * 1_000_000_000 / l.MillijoulesPerTerahash
		}
	}
	return -1
}

func (o *orchard) hashing(set []int64) int64 {
	v := int64(0)
	for u, w := range set {
		v += o.rate(u, w)
	}
	return v
}

// bruteLevels tries every combination of levels.
func (o *orchard) bruteLevels() int64 {
	set, best := make([]int64, len(o.at)), int64(0)
	var try func(u int)
	try = func(u int) {
		if u == len(set) {
			if v := o.hashing(set); v > best && o.fits(set) {
				best = v
			}
			return
		}
		set[u] = 0
		try(u + 1)
		for _, l := range o.levels[u] {
			set[u] = l.Watts
			try(u + 1)
		}
		set[u] = 0
	}
	try(0)
	return best
}

// solveLevels is exact as solve is, and shares nothing with the decider: it
// knows no merit order.
func (o *orchard) solveLevels() int64 {
	const none = int64(-1) << 40
	below := make([][]int64, len(o.parent))
	for n := len(o.parent) - 1; n >= 0; n-- {
		best := []int64{0}
		merge := func(other []int64) {
			next := slices.Repeat([]int64{none}, len(best)+len(other)-1)
			for i, a := range best {
				for j, b := range other {
					next[i+j] = max(next[i+j], a+b)
				}
			}
			best = next[:min(int64(len(next)), o.cap[n]/grain+1)]
		}
		for u, at := range o.at {
			if at != n {
				continue
			}
			one := make([]int64, o.size[u]/grain+1)
			for w := range one {
				if one[w] = o.rate(u, int64(w)*grain); one[w] < 0 {
					one[w] = none
				}
			}
			merge(one)
		}
		for k := n + 1; k < len(o.parent); k++ {
			if o.parent[k] == n {
				merge(below[k])
			}
		}
		below[n] = best
	}
	return max(slices.Max(below[0]), 0)
}

// withLevels gives every unit levels of 1 to most steps, of these sizes in
// grains, each step worse than the one before: the marginal efficiencies are
// drawn and the average ones follow, rounded up to a whole mJ/TH.
func (o *orchard) withLevels(r *rand.Rand, most int, size func() int64) {
	o.levels, o.size = nil, nil
	for range o.at {
		var ls []events.PowerLevel
		w, rate, marginal := int64(0), 0.0, 10_000.0+float64(r.IntN(10_000))
		for k := range 1 + r.IntN(most) {
			dw := size() * grain
			w, rate = w+dw, rate+float64(dw)/marginal
			ls = append(ls, events.PowerLevel{Name: fmt.Sprint("l", k), Watts: w, MillijoulesPerTerahash: int64(float64(w)/rate) + 1})
			marginal *= 1.03 + r.Float64()/3
		}
		o.levels, o.size = append(o.levels, ls), append(o.size, w)
	}
}

// near allows for what integer efficiencies and rates round away.
func near(a, b int64) bool { return max(a-b, b-a) <= max(a, b)/1_000_000+100 }

func wideOpen(o *orchard) []int64 { return slices.Repeat([]int64{grain * 100_000}, len(o.cap)) }

// TestLevelsAreExact: with levels, where all steps are of one size, merit order
// of the steps gives the best that can be had: rising and falling, against every
// combination tried and against a solver that knows no merit order.
func TestLevelsAreExact(t *testing.T) {
	trees := 250
	if testing.Short() {
		trees = 40
	}
	for seed := range trees {
		r := rand.New(rand.NewPCG(uint64(seed), 13))
		o := newOrchard(r, 4+r.IntN(3), 2+r.IntN(7), func() int64 { return grain })
		o.withLevels(r, 3, func() int64 { return 1 })
		want := o.solveLevels()
		if b := o.bruteLevels(); b != want {
			t.Fatalf("tree %d: the solver says %d, all combinations tried %d", seed, want, b)
		}
		up := newFarm(t, o)
		up.fold("site", o.config(o.cap))
		if got := up.rise(3); !near(o.hashing(got), want) || !o.fits(got) {
			t.Fatalf("tree %d: rising gives %d (%v), the best is %d; levels %v, caps %v, at %v", seed, o.hashing(got), got, want, o.levels, o.cap, o.at)
		}
		down := newFarm(t, o)
		down.fold("site", o.config(wideOpen(o)))
		down.rise(3)
		down.fold("site", o.config(o.cap))
		if got := down.sets(); !near(o.hashing(got), want) || !o.fits(got) {
			t.Fatalf("tree %d: falling leaves %d (%v), the best is %d", seed, o.hashing(got), got, want)
		}
	}
}

// TestDivisibleCurvesAreExact: a curve of many small steps stands for one that
// bends: the answer is exact for those, too.
func TestDivisibleCurvesAreExact(t *testing.T) {
	for seed := range 80 {
		r := rand.New(rand.NewPCG(uint64(seed), 14))
		o := newOrchard(r, 6+r.IntN(6), 3+r.IntN(8), func() int64 { return grain })
		o.withLevels(r, 12, func() int64 { return 1 })
		for n := range o.cap {
			o.cap[n] *= int64(1 + r.IntN(4))
		}
		want := o.solveLevels()
		f := newFarm(t, o)
		f.fold("site", o.config(wideOpen(o)))
		f.rise(3)
		f.fold("site", o.config(o.cap))
		if got := f.sets(); !near(o.hashing(got), want) || !o.fits(got) {
			t.Fatalf("tree %d: falling leaves %d (%v), the best is %d", seed, o.hashing(got), got, want)
		}
	}
}

// TestUnequalStepsComeClose: steps of unequal sizes that cannot be divided are a
// knapsack on a tree; merit order is near its best. What it reaches is printed,
// and bounded well below what it does reach.
func TestUnequalStepsComeClose(t *testing.T) {
	for _, tt := range []struct {
		name          string
		trees, units  int
		levels        int
		sum, worst    float64
		floor, lowest float64
	}{
		{name: "14 units of 1 to 4", trees: 200, units: 14, levels: 1, floor: 0.95, lowest: 0.6},
		{name: "14 units of up to three steps of 1 to 4", trees: 200, units: 14, levels: 3, floor: 0.95, lowest: 0.6},
	} {
		tt.worst = 1
		for seed := range tt.trees {
			r := rand.New(rand.NewPCG(uint64(seed), 15))
			o := newOrchard(r, tt.units, 4+r.IntN(8), func() int64 { return grain })
			o.withLevels(r, tt.levels, func() int64 { return int64(1 + r.IntN(4)) })
			for n := range o.cap {
				o.cap[n] *= int64(1 + tt.levels)
			}
			f := newFarm(t, o)
			f.fold("site", o.config(wideOpen(o)))
			f.rise(3)
			f.fold("site", o.config(o.cap))
			got, best, share := o.hashing(f.sets()), o.solveLevels(), 1.0
			if got > best+100 || !o.fits(f.sets()) {
				t.Fatalf("%s, tree %d: %d is more than the best, %d", tt.name, seed, got, best)
			}
			if best > 0 {
				share = float64(got) / float64(best)
			}
			tt.sum, tt.worst = tt.sum+share, min(tt.worst, share)
		}
		mean := tt.sum / float64(tt.trees)
		t.Logf("%s: %.2f %% of the best on average, %.1f %% at worst, over %d trees", tt.name, 100*mean, 100*tt.worst, tt.trees)
		if mean < tt.floor || tt.worst < tt.lowest {
			t.Errorf("%s: that is too little", tt.name)
		}
	}
}

// bound is what divisible steps would give: no allocation is better.
func (o *orchard) bound() float64 {
	type piece struct{ u, watts, slope float64 }
	var ps []piece
	for u, ls := range o.levels {
		w, h := 0.0, 0.0
		for _, l := range ls {
			rate := float64(o.rate(u, l.Watts))
			ps = append(ps, piece{float64(u), float64(l.Watts) - w, (rate - h) / (float64(l.Watts) - w)})
			w, h = float64(l.Watts), rate
		}
	}
	slices.SortFunc(ps, func(a, b piece) int { return cmp.Or(cmp.Compare(b.slope, a.slope), cmp.Compare(a.u, b.u)) })
	room := make([]float64, len(o.cap))
	for n, c := range o.cap {
		room[n] = float64(c)
	}
	v := 0.0
	for _, p := range ps {
		w := p.watts
		for n := o.at[int(p.u)]; n >= 0; n = o.parent[n] {
			w = min(w, room[n])
		}
		for n := o.at[int(p.u)]; n >= 0; n = o.parent[n] {
			room[n] -= w
		}
		v += w * p.slope
	}
	return v
}

// TestManyUnequalUnitsComeCloser: with a thousand units what does not fit at the
// edges is next to nothing.
func TestManyUnequalUnitsComeCloser(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand units are left to the long run")
	}
	sum, worst, trees := 0.0, 1.0, 3
	for seed := range trees {
		r := rand.New(rand.NewPCG(uint64(seed), 16))
		o := newOrchard(r, 1_000, 30, func() int64 { return grain })
		o.withLevels(r, 2, func() int64 { return int64(10 + r.IntN(31)) })
		for n := range o.cap { // three levels of nodes, each tight now and then
			if n > 0 {
				o.parent[n] = []int{0, 1 + n%3, 4 + n%6}[min(n/4, 2)]
				if n < 4 {
					o.parent[n] = 0
				}
			}
			o.cap[n] = grain * []int64{20_000, 9_000, 4_000, 1_000}[min((n+5)/6, 3)] * int64(60+r.IntN(41)) / 100
		}
		f := newFarm(t, o)
		f.fold("site", o.config(wideOpen(o)))
		f.rise(2)
		f.fold("site", o.config(o.cap))
		if !o.fits(f.sets()) {
			t.Fatalf("tree %d: beyond a cap", seed)
		}
		share := float64(o.hashing(f.sets())) / o.bound()
		sum, worst = sum+share, min(worst, share)
	}
	t.Logf("1,000 units of up to two steps of 10 to 40: %.3f %% of what divisible ones would give on average, %.3f %% at worst, over %d trees",
		100*sum/float64(trees), 100*worst, trees)
	if worst < 0.99 {
		t.Error("that is too little")
	}
}
