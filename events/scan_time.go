// SPDX-License-Identifier: Apache-2.0

package events

import (
	"fmt"
	"time"
)

// parseTime reads RFC 3339 as strictly as time.Time.UnmarshalText does and
// gives UTC. The form that this package writes, with Z, is read without the
// general parser.
func parseTime(b []byte) (time.Time, error) {
	if t, ok := parseUTC(b); ok {
		return t, nil
	}
	var t time.Time
	if err := t.UnmarshalText(b); err != nil {
		return time.Time{}, fmt.Errorf("%s is no RFC 3339 time", quote(string(b)))
	}
	return t.UTC(), nil
}

// parseUTC reads 2026-03-02T18:04:05Z with up to nine fractional digits. False
// means: ask the general parser.
func parseUTC(b []byte) (time.Time, bool) {
	n := len(b)
	if n < 20 || n > 30 || b[n-1] != 'Z' || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return time.Time{}, false
	}
	hi, ok0 := two(b, 0)
	lo, ok1 := two(b, 2)
	month, ok2 := two(b, 5)
	day, ok3 := two(b, 8)
	hour, ok4 := two(b, 11)
	minute, ok5 := two(b, 14)
	second, ok6 := two(b, 17)
	// Days beyond the 28th go the general way when they might not exist.
	if !ok0 || !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 ||
		month < 1 || month > 12 || day < 1 || day > daysIn(hi*100+lo, month) || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	nanos := 0
	if n > 20 {
		if b[19] != '.' || n == 21 {
			return time.Time{}, false
		}
		for _, c := range b[20 : n-1] {
			if c -= '0'; c > 9 {
				return time.Time{}, false
			}
			nanos = nanos*10 + int(c)
		}
		for i := n - 21; i < 9; i++ {
			nanos *= 10
		}
	}
	return time.Unix(daysSince1970(hi*100+lo, month, day)*daySeconds+int64(hour*3600+minute*60+second), int64(nanos)).UTC(), true
}

func two(b []byte, i int) (int, bool) {
	t, u := b[i]-'0', b[i+1]-'0'
	return int(t)*10 + int(u), t <= 9 && u <= 9
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts days of the proleptic Gregorian calendar. Years begin
// in March here, so that the leap day is the last of its year.
func daysSince1970(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	y := int64(year)
	// 306 days precede the first of March in a year that begins in January.
	return 365*y + floorDiv(y, 4) - floorDiv(y, 100) + floorDiv(y, 400) + int64(153*(month-3)+2)/5 + int64(day) - 719469
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
