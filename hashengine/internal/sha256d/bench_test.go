// SPDX-License-Identifier: Apache-2.0

package sha256d

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// clockState is where the clock's result goes, so that it has to be computed.
var clockState atomic.Uint64

// clock returns the cycles of a nanosecond by a chain of instructions of which
// each has to wait for the one before, an addition or an exclusive or of one
// cycle each.
func clock() float64 {
	const rounds = 1000
	begin := time.Now()
	x := clockState.Load()
	for range rounds {
		x += x ^ 0x55
		x += x ^ 0x33
		x += x ^ 0x0f
		x += x ^ 0x71
		x += x ^ 0x55
		x += x ^ 0x33
		x += x ^ 0x0f
		x += x ^ 0x71
	}
	clockState.Store(x)
	return rounds * 8 * 2 / float64(time.Since(begin).Nanoseconds())
}

// BenchmarkKernels scans full tiles that have no candidates and reports cycles
// of the core per hash: of the quickest call, which nobody disturbed, and of
// the median one. Calls take turns in which of the slots they scan, as an
// engine's do, so filling a shared schedule is in the median by its share;
// "fresh" has nothing to share and fills for every call.
func BenchmarkKernels(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(kernels)) {
		b.Run(name, func(b *testing.B) { benchmarkKernel(b, kernels[name](), false) })
		b.Run(name+"/fresh", func(b *testing.B) { benchmarkKernel(b, kernels[name](), true) })
	}
}

func benchmarkKernel(b *testing.B, k Kernel, fresh bool) {
	rnd := rand.New(rand.NewPCG(11, 12))
	tail := Tail{rnd.Uint32(), rnd.Uint32(), rnd.Uint32()}
	for slot := range k.Slots() {
		var mid State
		for i := range mid {
			mid[i] = rnd.Uint32()
		}
		k.SetSlot(slot, &mid, &tail)
	}
	slots, nonces := k.Shape(k.Slots())
	hashes := float64(slots * nonces)
	k.SetTarget(0)
	out := make([]Candidate, slots*nonces)
	var nonce uint32
	slot := 0
	var times, rates []float64
	b.ResetTimer()
	for b.Loop() {
		if fresh || slot+slots > k.Slots() {
			nonce += uint32(nonces)
			slot = 0
		}
		begin := time.Now()
		k.Scan(slot, slots, nonce, nonces, out)
		times = append(times, float64(time.Since(begin).Nanoseconds()))
		rates = append(rates, clock())
		slot += slots
	}
	// Whatever disturbs makes a call slow, and a clock too. So the quickest
	// call of some is counted by the quickest clock among them.
	const group = 50
	clean := math.Inf(1)
	cycles := make([]float64, len(times))
	spent := 0.0
	for i := range times {
		from, to := max(0, i-group), min(len(times), i+group)
		cycles[i] = times[i] * slices.Max(rates[from:to]) / hashes
		clean = min(clean, cycles[i])
		spent += times[i]
	}
	slices.Sort(cycles)
	b.ReportMetric(clean, "clean-cycles/hash")
	b.ReportMetric(cycles[len(cycles)/2], "median-cycles/hash")
	calls := float64(len(times))
	b.ReportMetric(calls*hashes*1e3/spent, "MH/s")
	b.ReportMetric(spent/1e3/calls, "µs/call")
	b.ReportMetric(0, "ns/op")
}
