// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"slices"
	"time"
)

const daySeconds = 86_400

// Calendar tells the local day of an instant. The zero value is UTC without
// holidays. Offsets are data, not a name of a time zone, so that the same
// history gives the same days wherever and whenever it is looked at.
type Calendar struct {
	// Offsets from UTC, rising by From; before the first one UTC holds.
	Offsets []Offset
	// Holidays are local days (see Day) that count as weekend, rising.
	Holidays []int64
}

// Offset is what local time is ahead of UTC from an instant on.
type Offset struct {
	// From is Unix time, s.
	From int64
	// Seconds ahead of UTC, negative to the west.
	Seconds int64
}

// Offset of local time at a Unix second, s ahead of UTC.
func (c *Calendar) Offset(unix int64) int64 {
	i, found := slices.BinarySearchFunc(c.Offsets, unix, func(o Offset, t int64) int {
		switch {
		case o.From < t:
			return -1
		case o.From > t:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i < 0 {
		return 0
	}
	return c.Offsets[i].Seconds
}

// Day is the local day of a Unix second: days since 1970-01-01, and the second
// within it.
func (c *Calendar) Day(unix int64) (day, second int64) {
	local := unix + c.Offset(unix)
	day = floorDiv(local, daySeconds)
	return day, local - day*daySeconds
}

// Unix is the second at which a local time of day comes. In the hour that is
// left out in spring it is an hour later, in the one that comes twice in autumn
// one of the two, always the same.
func (c *Calendar) Unix(day, second int64) int64 {
	local := day*daySeconds + second
	return local - c.Offset(local-c.Offset(local))
}

// Weekend reports whether a local day is a Saturday, a Sunday or a holiday.
func (c *Calendar) Weekend(day int64) bool {
	if _, found := slices.BinarySearch(c.Holidays, day); found {
		return true
	}
	// 1970-01-01 was a Thursday.
	w := ((day+4)%7 + 7) % 7
	return w == 0 || w == 6
}

// Date of a local day, as 2006-01-02.
func Date(day int64) string { return time.Unix(day*daySeconds, 0).UTC().Format(time.DateOnly) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
