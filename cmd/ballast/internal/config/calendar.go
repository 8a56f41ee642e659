// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // a site's days do not depend on what this machine has installed

	"github.com/ballast-energy/ballast/events"
)

// Years for which offsets are written into site.config.
const (
	firstCalendarYear = 2020
	lastCalendarYear  = 2060
)

// calendarConfig writes a time zone out as offsets: nil where nothing is said.
func (s *Site) calendarConfig() (*events.CalendarConfig, error) {
	if s.TimeZone == "" && len(s.Holidays) == 0 {
		return nil, nil //nolint:nilnil // no calendar is UTC, not an error
	}
	c := &events.CalendarConfig{TimeZone: s.TimeZone, Holidays: slices.Clone(s.Holidays)}
	slices.Sort(c.Holidays)
	for _, h := range c.Holidays {
		if _, err := time.Parse(time.DateOnly, h); err != nil {
			return nil, fmt.Errorf("holidays: %q is no date; write it like 2026-12-25", h)
		}
	}
	if s.TimeZone == "" {
		return c, nil
	}
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil || s.TimeZone == "Local" {
		return nil, fmt.Errorf("time_zone: %q is no time zone; write it like America/Chicago or Europe/Berlin", s.TimeZone)
	}
	at := time.Date(firstCalendarYear, 1, 1, 0, 0, 0, 0, time.UTC).In(zone)
	for at.Year() <= lastCalendarYear {
		_, seconds := at.Zone()
		if n := len(c.UTCOffsets); n == 0 || c.UTCOffsets[n-1].Seconds != int64(seconds) {
			c.UTCOffsets = append(c.UTCOffsets, events.UTCOffset{From: at.UTC(), Seconds: int64(seconds)})
		}
		_, end := at.ZoneBounds()
		if end.IsZero() {
			break
		}
		if !end.After(at) {
			end = at.Add(24 * time.Hour) // at the end of a leap year it may say the same instant again
		}
		at = end
	}
	return c, nil
}
