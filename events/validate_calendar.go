// SPDX-License-Identifier: Apache-2.0

package events

// maxUTCOffset of local time, s: no clock on Earth is further from UTC.
const maxUTCOffset = 16 * 3600

func (c *checker) calendar(k *CalendarConfig) {
	if k == nil {
		return
	}
	c.optionalText("calendar.time_zone", k.TimeZone, maxLabel)
	if len(k.UTCOffsets) > MaxUTCOffsets {
		c.fail("calendar.utc_offsets", "%d given; at most %d are possible", len(k.UTCOffsets), MaxUTCOffsets)
	}
	for i := range k.UTCOffsets {
		o := &k.UTCOffsets[i]
		c.when("calendar.utc_offsets.from", o.From)
		c.between("calendar.utc_offsets.seconds", o.Seconds, -maxUTCOffset, maxUTCOffset)
		if i > 0 && !o.From.After(k.UTCOffsets[i-1].From) {
			c.fail("calendar.utc_offsets.from", "offsets do not rise by from")
		}
	}
	if len(k.Holidays) > MaxHolidays {
		c.fail("calendar.holidays", "%d given; at most %d are possible", len(k.Holidays), MaxHolidays)
	}
	for i, h := range k.Holidays {
		c.date("calendar.holidays", h)
		if i > 0 && h <= k.Holidays[i-1] {
			c.fail("calendar.holidays", "holidays do not rise")
		}
	}
}
