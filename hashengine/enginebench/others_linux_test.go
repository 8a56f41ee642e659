// SPDX-License-Identifier: Apache-2.0

package enginebench

import (
	"testing"
	"time"
)

func TestBusy(t *testing.T) {
	for _, tc := range []struct {
		stat string
		want time.Duration
		ok   bool
	}{
		{"cpu  100 20 30 4000 500 6 7 8 90 9\ncpu0 1 2 3 4 5 6 7 8 9 0\n", 1710 * time.Millisecond, true},
		{"cpu 1 2 3 4 5 6 7", 0, false},
		{"cpu 1 2 3 4 5 6 7 x", 0, false},
		{"intr 1 2 3 4 5 6 7 8 9", 0, false},
		{"", 0, false},
	} {
		if got, ok := busy(tc.stat); got != tc.want || ok != tc.ok {
			t.Errorf("%q: %s, %v, want %s, %v", tc.stat, got, ok, tc.want, tc.ok)
		}
	}
}

func TestOthers(t *testing.T) {
	if d, ok := others(); ok && d < 0 {
		t.Errorf("others had %s", d)
	}
}
