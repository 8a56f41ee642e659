// SPDX-License-Identifier: Apache-2.0

package dispatch

import "testing"

// TestReadingSeesNoLaterRaise: of raises that come close together a reading that
// was true before the last of them counts as having seen none.
func TestReadingSeesNoLaterRaise(t *testing.T) {
	var r raised
	r.add(500*milli, 1_000)
	r.add(970*milli, 3_000)
	r.add(1_000*milli, 2_000)
	for at, want := range map[int64]int64{960 * milli: 1_000, 980 * milli: 1_000, 1_000 * milli: 6_000} {
		if got := r.until(at); got != want {
			t.Errorf("a reading that was true at %d ms has seen %d W of what was raised, want %d W", at/milli, got, want)
		}
	}
}

// TestTotalThatMovesCountsAnew: what was raised beneath one node says nothing of
// another to which its total meter is moved.
func TestTotalThatMovesCountsAnew(t *testing.T) {
	d, m := New(Config{}), &meter{}
	m.cfg.Meter, m.cfg.Measures = "total", "total"
	from, to := newNode("from"), newNode("to")
	from.raised.add(second, 70_000)
	m.node, m.rose = from, 70_000
	moved := *m
	moved.node = to
	d.site.byID = map[string]*meter{"total": &moved}
	d.settleTotals([]*meter{m})
	if moved.rose != 0 {
		t.Errorf("the meter has seen %d W raised beneath its new node, want 0", moved.rose)
	}
	moved.node, moved.rose = from, 70_000
	d.settleTotals([]*meter{m})
	if moved.rose != 70_000 {
		t.Errorf("a meter that stays forgets what it has seen: %d W", moved.rose)
	}
}
