// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// orchard is a small random power tree with units on it, best first, and the
// exact answers to how much they should have.
type orchard struct {
	parent []int // of nodes, −1 for the point of connection; node 0 is it
	cap    []int64
	at     []int   // node of each unit
	size   []int64 // W
	value  []int64 // per watt
	// steps of a watt: divisible units.
	divisible bool
	// levels of each unit, where they differ in efficiency; nil otherwise.
	levels [][]events.PowerLevel
}

const grain = 1_000 // W: every cap and size is a multiple

func newOrchard(r *rand.Rand, units, nodes int, size func() int64) *orchard {
	o := &orchard{parent: []int{-1}, cap: []int64{grain * int64(1+r.IntN(2*units))}}
	for i := 1; i < nodes; i++ {
		o.parent = append(o.parent, r.IntN(i))
		o.cap = append(o.cap, grain*int64(r.IntN(units)))
	}
	for i := range units {
		o.at = append(o.at, r.IntN(nodes))
		o.size = append(o.size, size())
		o.value = append(o.value, int64(1_000-13*i-r.IntN(10)))
	}
	return o
}

// fits reports whether the units keep every cap.
func (o *orchard) fits(set []int64) bool {
	sum := make([]int64, len(o.parent))
	for u, w := range set {
		for n := o.at[u]; n >= 0; n = o.parent[n] {
			if sum[n] += w; sum[n] > o.cap[n] {
				return false
			}
		}
	}
	return true
}

func (o *orchard) worth(set []int64) int64 {
	v := int64(0)
	for u, w := range set {
		v += w / grain * o.value[u]
	}
	return v
}

// brute tries every set of units.
func (o *orchard) brute() int64 {
	best := int64(0)
	set := make([]int64, len(o.at))
	for mask := range 1 << len(o.at) {
		for u := range set {
			set[u] = o.size[u] * int64(mask>>u&1)
		}
		if v := o.worth(set); v > best && o.fits(set) {
			best = v
		}
	}
	return best
}

// solve is exact: best[w] is the most that w grains beneath a node are worth,
// from its units one by one and then from the nodes beneath, cut at its cap.
func (o *orchard) solve() int64 {
	const none = int64(-1) << 40
	below := make([][]int64, len(o.parent))
	for n := len(o.parent) - 1; n >= 0; n-- {
		best := []int64{0}
		merge := func(other []int64) {
			next := make([]int64, len(best)+len(other)-1)
			for i := range next {
				next[i] = none
			}
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
				if one[w] = int64(w) * o.value[u]; !o.divisible && w > 0 && w < len(one)-1 {
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
	v := int64(0)
	for _, b := range below[0] {
		v = max(v, b)
	}
	return v
}

func (o *orchard) config(caps []int64) *events.SiteConfig {
	c := &events.SiteConfig{LimitWatts: caps[0], ContinuousFactorPPM: 1_000_000,
		Meters: []events.MeterConfig{{Meter: "ai", Measures: events.MeasuresAI, PeriodMilliseconds: 1_000, StaleMilliseconds: 5_000, MaxWatts: 1}},
		Policy: events.PolicyConfig{LeaseMilliseconds: 12_000, DeadMilliseconds: 60_000, RampWattsPerSecond: 1 << 40, RampBurstWatts: 1 << 40},
		Tariff: events.TariffConfig{IntervalSeconds: 300, AccrualSeconds: 60, Scheme: events.SchemeFPPS}}
	for n := 1; n < len(caps); n++ {
		nc := events.NodeConfig{Node: fmt.Sprint("n", n), LimitWatts: caps[n], ContinuousFactorPPM: 1_000_000}
		if p := o.parent[n]; p > 0 {
			nc.Parent = fmt.Sprint("n", p)
		}
		for u, at := range o.at {
			if at == n {
				nc.Agents = append(nc.Agents, fmt.Sprint("u", u))
			}
		}
		c.Nodes = append(c.Nodes, nc)
	}
	return c
}

// farm plays an orchard's journal to a decider: units that obey at once.
type farm struct {
	t   *testing.T
	o   *orchard
	d   *Dispatch
	w   *world
	out decider.Outbox
	set []int64
	key []*events.OrderKey
	n   uint64
}

func newFarm(t *testing.T, o *orchard) *farm {
	return &farm{t: t, o: o, d: New(Config{}), w: &world{at: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), epoch: 1},
		set: make([]int64, len(o.at)), key: make([]*events.OrderKey, len(o.at))}
}

func (f *farm) fold(source string, p events.Payload) {
	f.t.Helper()
	f.w.at = f.w.at.Add(time.Millisecond)
	if err := checked(f.d, f.w.event(source, p), &f.out, false); err != nil {
		f.t.Fatal(err)
	}
	obey := func(us []events.UnitSetpoint, k events.OrderKey) {
		for _, p := range us {
			var u int
			_, _ = fmt.Sscanf(p.Unit, "u%d", &u)
			f.set[u], f.key[u] = p.SetpointWatts, &k
		}
	}
	for _, o := range f.out.Outputs() {
		switch c := o.Data.(type) {
		case *events.CommandCurtail:
			if c.AllUnitsWatts != nil {
				for u := range f.set {
					f.set[u], f.key[u] = min(f.set[u], *c.AllUnitsWatts), &c.Key
				}
			}
			obey(c.Units, c.Key)
		case *events.CommandRamp:
			obey(c.Units, c.Key)
		}
	}
}

// second lets the meter and every unit speak, and time pass.
func (f *farm) second() {
	f.t.Helper()
	f.fold("ai", &events.MeterReading{SampledAt: f.w.at, Quality: events.QualityGood})
	f.n++
	for u := range f.set {
		st := events.UnitStatus{Unit: fmt.Sprint("u", u), State: events.PermitLimited, SetpointWatts: f.set[u], PowerWatts: f.set[u], Applied: f.key[u], Healthy: true}
		if f.n == 1 {
			node := ""
			if f.o.at[u] == 0 {
				node = events.RootNode
			}
			c := events.Capabilities{Class: "m", NameplateWatts: f.o.size[u], LevelsWatts: []int64{f.o.size[u]}, MillijoulesPerTerahash: 1_000_000 / f.o.value[u], Node: node}
			if f.o.divisible {
				c.LevelsWatts, c.MinWatts = nil, 1
			}
			if f.o.levels != nil {
				c.LevelsWatts, c.Levels = nil, f.o.levels[u]
			}
			st.Capabilities = &c
		}
		f.fold(st.Unit, &events.WorkerStatus{BootID: "b", Counter: f.n, Announce: f.n == 1, Units: []events.UnitStatus{st}})
	}
	f.w.at = f.w.at.Truncate(time.Second).Add(time.Second)
	f.fold("site", &events.ClockTick{Second: f.w.at.Unix()})
}

func (f *farm) sets() []int64 {
	out := make([]int64, len(f.set))
	for u := range out {
		out[u] = f.d.agents[fmt.Sprint("u", u)].units[0].set
	}
	return out
}

// rise plays until nothing has risen for a while.
func (f *farm) rise(seconds int) []int64 {
	f.t.Helper()
	for range seconds {
		f.second()
	}
	return f.sets()
}

// TestExactOnSmallTrees: on equal and on divisible units merit order on the tree
// gives exactly the best that can be had, rising from nothing, and falling from
// everything when the limits come.
func TestExactOnSmallTrees(t *testing.T) {
	trees := 420
	if testing.Short() {
		trees = 60
	}
	for _, divisible := range []bool{false, true} {
		for seed := range trees {
			r := rand.New(rand.NewPCG(uint64(seed), 11))
			size := func() int64 { return grain }
			if divisible {
				size = func() int64 { return grain * int64(1+r.IntN(4)) }
			}
			o := newOrchard(r, 6+r.IntN(5), 2+r.IntN(9), size)
			o.divisible = divisible
			want := o.solve()
			if !divisible {
				if b := o.brute(); b != want {
					t.Fatalf("tree %d: the solver says %d, all sets tried %d", seed, want, b)
				}
			}
			up := newFarm(t, o)
			up.fold("site", o.config(o.cap))
			if got := up.rise(3); o.worth(got) != want || !o.fits(got) {
				t.Fatalf("tree %d, divisible %v: rising gives %d (%v), the best is %d", seed, divisible, o.worth(got), got, want)
			}
			wide := make([]int64, len(o.cap))
			for i := range wide {
				wide[i] = grain * 1_000
			}
			down := newFarm(t, o)
			down.fold("site", o.config(wide))
			for u, w := range down.rise(3) {
				if w != o.size[u] {
					t.Fatalf("tree %d: unit %d has %d W where there is room for all", seed, u, w)
				}
			}
			down.fold("site", o.config(o.cap))
			if got := down.sets(); o.worth(got) != want || !o.fits(got) {
				t.Fatalf("tree %d, divisible %v: falling leaves %d (%v), the best is %d", seed, divisible, o.worth(got), got, want)
			}
		}
	}
}

// TestShedIsOneWalkInMeritOrder: whatever the sizes, what is left is what one
// walk over all units, best first, leaves when it asks every node above each.
func TestShedIsOneWalkInMeritOrder(t *testing.T) {
	share := 0.0
	const trees = 300
	for seed := range trees {
		r := rand.New(rand.NewPCG(uint64(seed), 12))
		o := newOrchard(r, 10, 2+r.IntN(9), func() int64 { return grain * int64(1+r.IntN(4)) })
		wide := make([]int64, len(o.cap))
		for i := range wide {
			wide[i] = grain * 1_000
		}
		f := newFarm(t, o)
		f.fold("site", o.config(wide))
		f.rise(3)
		f.fold("site", o.config(o.cap))
		room := append([]int64(nil), o.cap...)
		want := make([]int64, len(o.at))
		for u, n := range o.at {
			fits := true
			for a := n; a >= 0; a = o.parent[a] {
				fits = fits && o.size[u] <= room[a]
			}
			if !fits {
				continue
			}
			want[u] = o.size[u]
			for a := n; a >= 0; a = o.parent[a] {
				room[a] -= o.size[u]
			}
		}
		got := f.sets()
		for u := range got {
			if got[u] != want[u] {
				t.Fatalf("tree %d: %v is left, one walk leaves %v", seed, got, want)
			}
		}
		best := o.solve()
		if o.worth(got) > best {
			t.Fatalf("tree %d: %d is more than the best, %d", seed, o.worth(got), best)
		}
		if best > 0 {
			share += float64(o.worth(got)) / float64(best) / trees
		} else {
			share += 1.0 / trees
		}
	}
	t.Logf("unequal units: %.3f of the best on average", share)
}
