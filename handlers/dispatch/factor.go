// SPDX-License-Identifier: Apache-2.0

package dispatch

import "github.com/ballast-energy/ballast/events"

// factorText says what the ratio of two quantities looks like, where it looks
// like a mistake with a name; else nothing.
func factorText(high, low int64) string {
	switch factorOf(high, low, 8) {
	case 1_000:
		return ", about a thousand times: kW for W, or MW for kW"
	case 100:
		return ", about a hundred times: a wrong scale factor"
	case 10:
		return ", about ten times: a wrong scale factor or transformer ratio"
	}
	return ""
}

// factorOf is 1,000, 100 or 10 when high is that many times low to within one
// part in so many, else 0.
func factorOf(high, low, within int64) int64 {
	if low <= 0 || high <= 0 {
		return 0
	}
	for _, f := range [...]int64{1_000, 100, 10} {
		if low > never/f/2 {
			continue
		}
		if want := low * f; high >= want-want/within && high <= want+want/within {
			return f
		}
	}
	return 0
}

// swapLeast is the least load whose fall to a thousandth is taken for a change of
// unit, W: below it real loads come to such values.
const swapLeast = 20_000

// swapped notes a new good reading of m and reports whether it looks like the
// last one in another unit: a thousandth of it, to within two parts in a hundred,
// and from then on about a thousandth of what was believed. Such a reading is
// none, so that the meter goes down the ladder of the silent ones. A thousand
// times more is out of the meter's range, or believed: the higher counts.
func (m *meter) swapped(watts int64) bool {
	switch {
	case m.cfg.Measures == events.MeasuresMining || !m.has:
		m.swap = false // mining falls to nothing every day
	case m.swap:
		m.swap = factorOf(m.watts, watts, 2) == 1_000
	default:
		m.swap = m.watts >= swapLeast && factorOf(m.watts, watts, 50) == 1_000
	}
	return m.swap
}
