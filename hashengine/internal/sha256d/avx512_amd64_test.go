// SPDX-License-Identifier: Apache-2.0

package sha256d

import (
	"math"
	"testing"
	"time"
)

func init() {
	if k, err := NewAVX512(); err == nil {
		kernels["avx512"] = func() Kernel { k, _ = NewAVX512(); return k }
	}
}

// BenchmarkSIMD reports core cycles per hash: the least of many calls, in
// units of a chain of dependent multiplications, which take three cycles each
// on every processor with these instructions.
func BenchmarkSIMD(b *testing.B) {
	for _, name := range []string{"avx512", "avx2"} {
		make := kernels[name]
		if make == nil {
			continue
		}
		for _, slots := range []int{64, 1} {
			b.Run(name+map[bool]string{true: "/shared", false: "/alone"}[slots > 1], func(b *testing.B) {
				k := make()
				for i := range slots {
					k.SetSlot(i, &State{uint32(i)}, &Tail{1, 2, 3})
				}
				k.SetTarget(0)
				n, m := k.Shape(slots)
				out := new([MaxTile]Candidate)[:]
				cycle, best := math.Inf(1), math.Inf(1)
				for i := 0; b.Loop(); i++ {
					begin := time.Now()
					k.Scan(0, n, uint32(i*m), m, out)
					best = min(best, float64(time.Since(begin)))
					begin = time.Now()
					simdSink *= chain(simdSink)
					cycle = min(cycle, float64(time.Since(begin))/(3*chainLength))
				}
				b.ReportMetric(best/cycle/float64(n*m), "cycles/hash")
				b.ReportMetric(float64(n*m)*1e3/best, "MH/s")
				b.ReportMetric(1/cycle, "GHz")
			})
		}
	}
}

var simdSink uint32 = 1

const chainLength = 20000

func chain(x uint32) uint32 {
	for range chainLength / 10 {
		x *= x
		x *= x
		x *= x
		x *= x
		x *= x
		x *= x
		x *= x
		x *= x
		x *= x
		x *= x
	}
	return x
}
