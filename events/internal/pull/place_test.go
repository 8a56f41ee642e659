// SPDX-License-Identifier: Apache-2.0

package pull

import "testing"

func TestParsePlace(t *testing.T) {
	want := Place{Tries: 1, Sequence: 12, Delivery: 7, Arrived: 1763769600123456789, Pending: 3}
	for s, ok := range map[string]bool{
		"$JS.ACK.JOURNAL.reader-x.1.12.7.1763769600123456789.3":                  true,
		"$JS.ACK.hub.ACCHASH.JOURNAL.reader-x.1.12.7.1763769600123456789.3":      true,
		"$JS.ACK.hub.ACCHASH.JOURNAL.reader-x.1.12.7.1763769600123456789.3.rand": true,
		"$JS.ACK.JOURNAL.reader-x.1.12.7.1763769600123456789":                    false,
		"$JS.ACK.JOURNAL.reader-x.1.12..1763769600123456789.3":                   false,
		"$JS.ACK.JOURNAL.reader-x.1.12.7.1763769600123456789.":                   false,
		"_INBOX.abc": false,
		"":           false,
	} {
		got, is := ParsePlace(s)
		if is != ok || ok && got != want {
			t.Errorf("%s: %+v %v", s, got, is)
		}
	}
	if n := testing.AllocsPerRun(100, func() { ParsePlace("$JS.ACK.JOURNAL.reader-x.1.12.7.1763769600123456789.3") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParsePlace(f *testing.F) {
	f.Add("$JS.ACK.JOURNAL.reader-x.1.12.7.1763769600123456789.3")
	f.Add("$JS.ACK.hub.ACCHASH.JOURNAL.reader-x.1.12.7.1763769600123456789.3.rand")
	f.Fuzz(func(_ *testing.T, s string) { ParsePlace(s) })
}
