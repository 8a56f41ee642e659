// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Bounds on a calendar.
const (
	// MaxUTCOffsets of one calendar: a century of two changes a year.
	MaxUTCOffsets = 200
	// MaxHolidays of one calendar.
	MaxHolidays = 1000
)

// CalendarConfig says what a day is at a site, for baselines that compare days.
// Local time is data, not a name to be looked up: the same journal means the
// same days everywhere and for ever.
type CalendarConfig struct {
	// TimeZone for people: "America/Chicago".
	TimeZone string `json:"time_zone,omitempty"`
	// UTCOffsets of local time, rising by From; before the first one it is UTC.
	UTCOffsets []UTCOffset `json:"utc_offsets,omitempty"`
	// Holidays are local days that count as weekend, as 2006-01-02, rising.
	Holidays []string `json:"holidays,omitempty"`
}

// UTCOffset is what local time is ahead of UTC from an instant on.
type UTCOffset struct {
	// From which it holds.
	From time.Time `json:"from"`
	// Seconds ahead of UTC, negative to the west. s.
	Seconds int64 `json:"seconds"`
}
