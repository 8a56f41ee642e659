// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

const calendarSite = "sites:\n  - id: a\n    limit: 10MW\n    meters: [{id: m, measures: ai}]\n"

func TestTimeZoneIsWrittenOut(t *testing.T) {
	c := Default()
	err := Parse([]byte(calendarSite+"    time_zone: America/Chicago\n    holidays: [2026-12-25, 2026-07-03]\n"), &c)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	k := c.Sites[0].SiteConfig().Calendar
	if k.TimeZone != "America/Chicago" || len(k.Holidays) != 2 || k.Holidays[0] != "2026-07-03" {
		t.Errorf("%+v", k)
	}
	at := func(s string) int64 {
		when, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		var seconds int64
		for _, o := range k.UTCOffsets {
			if !o.From.After(when) {
				seconds = o.Seconds
			}
		}
		return seconds
	}
	for when, want := range map[string]int64{"2026-03-08T07:59:59Z": -6 * 3600, "2026-03-08T08:00:00Z": -5 * 3600, "2026-11-01T07:00:00Z": -6 * 3600, "2059-07-01T00:00:00Z": -5 * 3600} {
		if got := at(when); got != want {
			t.Errorf("%s: %d s ahead of UTC, want %d", when, got, want)
		}
	}
	if n := len(k.UTCOffsets); n > events.MaxUTCOffsets {
		t.Errorf("%d offsets", n)
	}
	c = Default()
	if err := Parse([]byte(calendarSite), &c); err != nil || c.Sites[0].SiteConfig().Calendar != nil {
		t.Errorf("a calendar out of nothing, %v", err)
	}
}

func TestBadCalendarsSayWhatIsWrong(t *testing.T) {
	for line, want := range map[string]string{
		"time_zone: Texas":                   "no time zone",
		"time_zone: Local":                   "no time zone",
		"holidays: [Christmas]":              "is no date",
		"holidays: [2026-13-01]":             "is no date",
		"holidays: [2026-12-25, 2026-12-25]": "do not rise",
	} {
		c := Default()
		err := Parse([]byte(calendarSite+"    "+line+"\n"), &c)
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}
