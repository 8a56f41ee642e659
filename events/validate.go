// SPDX-License-Identifier: Apache-2.0

package events

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// Bounds that Validate and the schemas share.
const (
	// MaxWatts is the largest magnitude of a power on the bus: 1 TW. W.
	MaxWatts = 1_000_000_000_000
	// MaxEnergyPrice is the largest magnitude of an energy price:
	// a million dollars per megawatt-hour. µ$/MWh.
	MaxEnergyPrice = 1_000_000_000_000
	// MaxSatoshi is more bitcoin than there will be. sat.
	MaxSatoshi = 2_100_000_000_000_000
	// MaxSignalSeconds is the longest window of a grid signal, 366 days. s.
	MaxSignalSeconds = 366 * 86400
	// MinLeaseMilliseconds and MaxLeaseMilliseconds bound a permit's life. ms.
	MinLeaseMilliseconds = 1000
	MaxLeaseMilliseconds = 15000
	// MaxStatusUnits is the most units of one worker.status.
	MaxStatusUnits = 500
	// MaxCommandUnits is the most units of one command or renewal.
	MaxCommandUnits = 10000
	// MaxText is the longest text for people, in characters; see ClipText.
	MaxText = 1024
	// MaxEventID is the longest event id, in characters.
	MaxEventID = 256
	// MaxDeadPayload is the most bytes of a message that a dead letter keeps.
	MaxDeadPayload = 64 << 10

	maxLabel   = 128
	maxName    = 128
	maxDay     = 86_400_000 // ms
	maxHour    = 3_600_000  // ms
	million    = 1_000_000
	maxSecond  = 253_402_300_799 // last second of the year 9999
	maxUint32  = 1<<32 - 1
	daySeconds = 86400
)

// ClipText shortens s to what fits into a field of text for people (MaxText
// characters), marking the cut with "…" and replacing broken UTF-8. Use it for
// details that quote what somebody else wrote.
func ClipText(s string) string {
	if len(s) <= MaxText && utf8.ValidString(s) {
		return s
	}
	r := []rune(s)
	if len(r) > MaxText {
		r = append(r[:MaxText-1], '…')
	}
	return string(r)
}

// checker keeps the first thing that is wrong with a payload. Its methods cost
// nothing while all is well: no allocation, no formatting.
type checker struct {
	err error
	// in is the JSON name of the list being checked and at the place in it,
	// so that a message reads units[3].power_watts.
	in string
	at int
}

func (c *checker) fail(field, format string, args ...any) {
	if c.err != nil {
		return
	}
	if c.in != "" {
		item := c.in + "[" + strconv.Itoa(c.at) + "]"
		if field == "" {
			field = item
		} else {
			field = item + "." + field
		}
	}
	c.err = fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...))
}

func (c *checker) between(field string, v, lo, hi int64) {
	if v < lo || v > hi {
		c.fail(field, "%d is outside %d to %d", v, lo, hi)
	}
}

// optionalBetween is like between for a field that may be absent.
func (c *checker) optionalBetween(field string, v *int64, lo, hi int64) {
	if v != nil {
		c.between(field, *v, lo, hi)
	}
}

// watts is power that cannot be negative.
func (c *checker) watts(field string, v int64) { c.between(field, v, 0, MaxWatts) }

// optionalWatts is like watts for a field that may be absent.
func (c *checker) optionalWatts(field string, v *int64) {
	if v != nil {
		c.watts(field, *v)
	}
}

// price of energy.
func (c *checker) price(field string, v int64) {
	c.between(field, v, -MaxEnergyPrice, MaxEnergyPrice)
}

// count is any amount that cannot be negative.
func (c *checker) count(field string, v int64) { c.between(field, v, 0, MaxInteger) }

// signed is any amount that may be negative.
func (c *checker) signed(field string, v int64) { c.between(field, v, -MaxInteger, MaxInteger) }

func (c *checker) position(field string, v, lo uint64) {
	if v < lo || v > MaxInteger {
		c.fail(field, "%d is outside %d to %d", v, lo, uint64(MaxInteger))
	}
}

// when is a time that must be given.
func (c *checker) when(field string, t time.Time) {
	if t.IsZero() {
		c.fail(field, "no time given; use RFC 3339, as in 2026-03-02T18:04:05Z")
		return
	}
	if y := t.UTC().Year(); y < 1000 || y > 9999 {
		c.fail(field, "year %d is outside 1000 to 9999", y)
	}
}

// span is a window that must not be empty.
func (c *checker) span(from string, start time.Time, until string, end time.Time) {
	c.when(from, start)
	c.when(until, end)
	if !end.After(start) {
		c.fail(until, "must be after %s", from)
	}
}

func (c *checker) token(field, s string) {
	if !isToken(s) {
		c.fail(field, "%s must be 1 to %d of a-z 0-9 and -", quote(s), MaxToken)
	}
}

// name is an identifier that its issuer chooses.
func (c *checker) name(field, s string) {
	if len(s) == 0 || len(s) > maxName || !madeOf(s, &nameBytes) {
		c.fail(field, "%s must be 1 to %d of A-Z a-z 0-9 . _ : and -", quote(s), maxName)
	}
}

// eventID is what ce-id may hold.
func (c *checker) eventID(field, s string) {
	if err := CheckEventID(s); err != nil {
		c.fail(field, "%s", err)
	}
}

func (c *checker) optionalEventID(field, s string) {
	if s != "" {
		c.eventID(field, s)
	}
}

// text for people.
func (c *checker) text(field, s string, most int) {
	switch {
	case s == "":
		c.fail(field, "is empty; say it in 1 to %d characters", most)
	case len(s) > most && utf8.RuneCountInString(s) > most:
		c.fail(field, "is %d characters long; at most %d", utf8.RuneCountInString(s), most)
	case !utf8.ValidString(s):
		c.fail(field, "is not UTF-8")
	}
}

func (c *checker) optionalText(field, s string, most int) {
	if s != "" {
		c.text(field, s, most)
	}
}

// hex is exactly n lower-case hex digits.
func (c *checker) hex(field, s string, n int) {
	if len(s) != n || !madeOf(s, &hexBytes) {
		c.fail(field, "%s must be %d lower-case hex digits", quote(s), n)
	}
}

// hexText is between lo and hi lower-case hex digits, whole bytes.
func (c *checker) hexText(field, s string, lo, hi int) {
	if len(s) < lo || len(s) > hi || len(s)%2 != 0 || !madeOf(s, &hexBytes) {
		c.fail(field, "must be whole bytes in lower-case hex, %d to %d digits", lo, hi)
	}
}

func (c *checker) key(k *OrderKey, epoch, sequence string) {
	c.position(epoch, k.Epoch, 0)
	c.position(sequence, k.Sequence, 0)
}

func isToken(s string) bool {
	return len(s) > 0 && len(s) <= MaxToken && madeOf(s, &tokenBytes)
}

// CheckEventID reports why s cannot be the id of an event: 1 to MaxEventID
// characters of UTF-8 without control characters.
func CheckEventID(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("an event id is empty; give 1 to %d characters", MaxEventID)
	case len(s) > MaxEventID && utf8.RuneCountInString(s) > MaxEventID:
		return fmt.Errorf("an event id is %d characters long; at most %d", utf8.RuneCountInString(s), MaxEventID)
	case !utf8.ValidString(s):
		return fmt.Errorf("event id %s is not UTF-8", quote(s))
	}
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] == 0x7f {
			return fmt.Errorf("event id %s holds a control character", quote(s))
		}
	}
	return nil
}

// byteSet marks the bytes that an identifier may consist of.
type byteSet [256]bool

func bytesOf(ranges string) (b byteSet) {
	for i := 0; i+1 < len(ranges); i += 2 {
		for c := int(ranges[i]); c <= int(ranges[i+1]); c++ {
			b[c] = true
		}
	}
	return b
}

var (
	tokenBytes   = bytesOf("az09--")
	nameBytes    = bytesOf("AZaz09..__::--")
	versionBytes = bytesOf("AZaz09..__++--")
	alertBytes   = bytesOf("AZaz09..__::--//")
	hexBytes     = bytesOf("09af")
	digitBytes   = bytesOf("09")
)

func madeOf(s string, set *byteSet) bool {
	for i := 0; i < len(s); i++ {
		if !set[s[i]] {
			return false
		}
	}
	return true
}

// quote shows at most 32 bytes of what somebody wrote.
func quote(s string) string {
	if len(s) > 32 {
		return strconv.Quote(s[:32]) + "…"
	}
	return strconv.Quote(s)
}
