// SPDX-License-Identifier: Apache-2.0

package enginebench

import (
	"cmp"
	"math"
	"runtime/metrics"
	"slices"
	"time"
)

// Spread of a number of times, µs.
type Spread struct {
	Samples int     `json:"samples"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Max     float64 `json:"max_us"`
}

// spread sorts the samples.
func spread(all []time.Duration) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	slices.Sort(all)
	at := func(percent int) float64 { return float64(all[rank(len(all), percent)].Nanoseconds()) / 1000 }
	return Spread{Samples: len(all), P50: at(50), P99: at(99), Max: at(100)}
}

// rank is the index of a percentile among n sorted samples: that of the least
// sample that the given percentage of all is not above.
func rank(n, percent int) int { return max((n*percent+99)/100-1, 0) }

// percentile of values, which it sorts.
func percentile[T cmp.Ordered](values []T, percent int) T {
	var none T
	if len(values) == 0 {
		return none
	}
	slices.Sort(values)
	return values[rank(len(values), percent)]
}

func median[T cmp.Ordered](values []T) T { return percentile(values, 50) }

// histogram adds up what the runtime counted between two readings.
type histogram struct {
	counts  []uint64
	buckets []float64 // seconds; one more than counts
}

// add counts what is in after and not in before; both have the same buckets.
func (h *histogram) add(before, after *metrics.Float64Histogram) {
	if h.counts == nil {
		h.counts = make([]uint64, len(after.Counts))
		h.buckets = slices.Clone(after.Buckets)
	}
	for i := range after.Counts {
		h.counts[i] += after.Counts[i] - before.Counts[i]
	}
}

// spread gives each sample the upper bound of its bucket.
func (h *histogram) spread() Spread {
	total := 0
	for _, n := range h.counts {
		total += int(n)
	}
	if total == 0 {
		return Spread{}
	}
	at := func(percent int) float64 {
		left := rank(total, percent)
		for i, n := range h.counts {
			if left -= int(n); left < 0 {
				bound := h.buckets[i+1]
				if math.IsInf(bound, 0) {
					bound = h.buckets[i]
				}
				return bound * 1e6
			}
		}
		return 0
	}
	return Spread{Samples: total, P50: at(50), P99: at(99), Max: at(100)}
}
