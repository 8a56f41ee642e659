// SPDX-License-Identifier: Apache-2.0

package load

import (
	"testing"
	"time"
)

func TestSameSeedSameLoad(t *testing.T) {
	a, err := New(Config{PeakWatts: 10_000_000, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := New(Config{PeakWatts: 10_000_000, Seed: 7})
	c, _ := New(Config{PeakWatts: 10_000_000, Seed: 8})
	differs := false
	for i := 0; i < 3600; i++ {
		x, y, z := a.Next(time.Second), b.Next(time.Second), c.Next(time.Second)
		if x != y {
			t.Fatalf("second %d: %d and %d from one seed", i, x, y)
		}
		differs = differs || x != z
	}
	if !differs {
		t.Error("two seeds gave the same hour")
	}
}

// TestFollowsTheMeasuredStatistics holds the generator to the shape it claims.
func TestFollowsTheMeasuredStatistics(t *testing.T) {
	const peak = 10_000_000
	g, err := New(Config{PeakWatts: peak, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var sum, low, high, rise int64
	low = peak
	last := g.Watts()
	const seconds = 7 * 24 * 3600
	for i := 0; i < seconds; i++ {
		w := g.Next(time.Second)
		if w < 0 || w > peak {
			t.Fatalf("second %d: %d W of a peak of %d", i, w, int64(peak))
		}
		sum += w
		low, high = min(low, w), max(high, w)
		rise = max(rise, w-last)
		last = w
	}
	mean := sum / seconds
	if mean < peak*45/100 || mean > peak*85/100 {
		t.Errorf("mean %d W: data centres use half to four fifths of their peak", mean)
	}
	if low > peak*40/100 || high < peak*85/100 {
		t.Errorf("range %d…%d W: jobs must come and go", low, high)
	}
	if rise < peak*3/100 || rise > peak*40/100 {
		t.Errorf("largest rise in one second %d W: want steep but possible", rise)
	}
}

func TestBadConfig(t *testing.T) {
	for _, c := range []Config{{PeakWatts: 0}, {PeakWatts: -5}, {PeakWatts: 5000, Jobs: -1}, {PeakWatts: 5000, Pace: 601}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}
