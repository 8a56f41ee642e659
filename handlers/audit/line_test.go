// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/handlers/decider"
)

// sameAsLibrary reads a line by hand and with the library, which must agree
// where the first takes it.
func sameAsLibrary(t *testing.T, r *lineReader, line string) (quick bool) {
	t.Helper()
	var l Line
	err := json.Unmarshal([]byte(line), &l)
	stream, quick := r.quick([]byte(line))
	if !quick {
		return false
	}
	if err != nil {
		t.Fatalf("%q is taken, and is no JSON: %v", line, err)
	}
	want := decider.Raw{Subject: l.Subject, Header: nats.Header(l.Headers), Data: l.JSON, Sequence: l.Sequence, Arrived: l.Arrived.UTC()}
	if want.Header == nil {
		want.Header = nats.Header{}
	}
	have := r.raw
	if have.Header == nil {
		have.Header = nats.Header{}
	}
	if stream != l.Stream || !reflect.DeepEqual(have, want) {
		t.Fatalf("%q: read %q %+v, the library %q %+v", line, stream, have, l.Stream, want)
	}
	return true
}

// Texts of any length with any character that JSON allows anywhere in them, and
// headers that come and go, are read by hand as the library reads them.
func TestLinesByHand(t *testing.T) {
	r := new(lineReader)
	hand := 0
	read := func(line string) {
		t.Helper()
		if sameAsLibrary(t, r, line) {
			hand++
		}
	}
	n := 0
	for length := range 18 {
		for at := range length {
			for _, c := range []string{"a", " ", "~", "\x7f", "é", "\u2028", "😀", `\"`, `\\`, `\n`, `\u00e9`, "!", "#", "[", "]"} {
				n++
				text := strings.Repeat("a", at) + c + strings.Repeat("a", length-at-1)
				read(fmt.Sprintf(`{"stream":"JOURNAL","epoch":1,"sequence":%d,"arrived":"2026-11-21T00:00:00Z","subject":"%s","headers":{"ce-id":["%s"],"ce-source":["%s"]},"json":{}}`, n, text, text, text))
				read(fmt.Sprintf(`{"stream":"JOURNAL","sequence":%d,"arrived":"2026-11-21T00:00:00Z","subject":"%s","headers":{"%s":["b"]},"json":{"a":1}}`, n, text, text))
			}
		}
		read(fmt.Sprintf(`{"stream":"JOURNAL","sequence":%d,"arrived":"2026-11-21T00:00:00Z","subject":"a","json":{}}`, n))
	}
	if hand < n {
		t.Errorf("%d lines, %d of them read by hand: too few to say anything", 2*n, hand)
	}
}

// Times are those of the library, whatever came before.
func TestTimesOfLinesByHand(t *testing.T) {
	times := []string{
		"2026-11-21T00:00:00Z", "2026-11-21T00:00:00.5Z", "2026-11-21T00:00:00.123456789Z", "2026-11-21T00:00:00.000000001Z",
		"2026-11-21T00:00:01.999999999Z", "2026-11-21T00:00:01.1234567891Z", "2026-11-21T00:00:01.Z", "2026-11-21T00:00:01,5Z", "2026-11-21T00:00:01.12x4Z",
		"2026-11-21T00:00:01+01:00", "2026-11-21T00:00:01.5+01:00", "2026-11-21T00:00:01", "2026-11-21T0:00:01.5Z", "2026-11-21T0:00:01.Z", "2026-11-21T0:00:01Z",
		"2026-02-29T00:00:00Z", "1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.25Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9Z", "2026-11-21T00:00:60Z", "",
	}
	r := new(lineReader)
	for range 2 {
		for _, a := range times {
			for _, b := range times {
				for _, at := range []string{a, b} {
					line := fmt.Sprintf(`{"stream":"JOURNAL","sequence":1,"arrived":"%s","subject":"a.b","json":{}}`, at)
					if taken := sameAsLibrary(t, r, line); !taken && at == times[1] {
						t.Errorf("%q is not read by hand", line)
					}
				}
			}
		}
	}
}
