// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSketchQuantiles: a quantile is never below the exact one, and at most a
// thirty-second above it.
func TestSketchQuantiles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var s sketch
		var all []int64
		for range 1 + r.IntN(3000) {
			v := int64(math.Exp(r.Float64() * 27))
			s.add(v)
			all = append(all, v)
		}
		slices.Sort(all)
		for _, ppm := range []int64{500_000, 900_000, 990_000, 999_000} {
			may := int64(len(all)) * (1_000_000 - ppm) / 1_000_000
			exact, got := all[int64(len(all))-1-may], s.quantile(ppm)
			if got < exact || got > exact+exact/32+1 {
				t.Fatalf("quantile %d of %d values is %d, exactly %d", ppm, len(all), got, exact)
			}
		}
		if len(s.Buckets) > 1300 {
			t.Fatalf("%d buckets", len(s.Buckets))
		}
	}
}

// TestRiseLearns: a load that rises by 100 within the span once in ten spans has
// a rise of 100 at the quantile of 99 %, and of nothing at the median; it counts
// as learned only after as many spans as that takes.
func TestRiseLearns(t *testing.T) {
	for ppm, want := range map[int64]int64{990_000: 1000, 500_000: 0} {
		r := rise{End: -1}
		r.reset(8*second, ppm)
		learnedAt := int64(-1)
		for s := range int64(4000) {
			w := int64(5000)
			if s%80 < 4 {
				w = 6000
			}
			r.push(s*second, w)
			if learnedAt < 0 && r.learned() {
				learnedAt = s
			}
		}
		if r.Watts < want || r.Watts > want+want/32 {
			t.Errorf("at %d ppm the rise is %d, not %d", ppm, r.Watts, want)
		}
		if spans := 1_000_000 / (1_000_000 - ppm); learnedAt < 8*spans || learnedAt > 8*spans+20 {
			t.Errorf("at %d ppm it was learned after %d s", ppm, learnedAt)
		}
	}
}

func FuzzSketch(f *testing.F) {
	f.Add(int64(0), int64(math.MaxInt64), int64(999_000))
	f.Fuzz(func(t *testing.T, a, b, ppm int64) {
		var s sketch
		s.add(a)
		s.add(b)
		s.halve()
		ppm = clamp(ppm, 1, 999_999)
		if q := s.quantile(ppm); q < 0 || q < max(a, b, 0) && ppm > 500_000 && max(a, b) < maxWatts {
			t.Errorf("quantile %d of %d and %d is %d", ppm, a, b, q)
		}
	})
}
