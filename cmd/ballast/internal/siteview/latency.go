// SPDX-License-Identifier: Apache-2.0

package siteview

import (
	"slices"
	"time"
)

// maxLatencies bounds what Latencies keeps; beyond it, every other value is
// dropped, which leaves percentiles as they are.
const maxLatencies = 1 << 16

// Latencies collects durations for percentiles.
type Latencies struct {
	all   []time.Duration
	every int // one of so many is kept
	skip  int
}

func (l *Latencies) add(d time.Duration) {
	if l.every == 0 {
		l.every = 1
	}
	if l.skip++; l.skip < l.every {
		return
	}
	l.skip = 0
	l.all = append(l.all, d)
	if len(l.all) >= maxLatencies {
		for i := range l.all[:len(l.all)/2] {
			l.all[i] = l.all[2*i]
		}
		l.all = l.all[:len(l.all)/2]
		l.every *= 2
	}
}

func (l Latencies) clone() Latencies { l.all = slices.Clone(l.all); return l }

// Count is how many values the percentiles rest on.
func (l Latencies) Count() int { return len(l.all) }

// Percentile is the value that p of 100 do not exceed, by nearest rank; 0
// without values.
func (l Latencies) Percentile(p int) time.Duration {
	if len(l.all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(l.all))
	i := (len(s)*p + 99) / 100
	return s[min(max(i-1, 0), len(s)-1)]
}
