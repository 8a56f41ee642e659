// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
)

// TestARM64Cost holds the numbers that the explanation in arm64.go states.
func TestARM64Cost(t *testing.T) {
	const lanes = 4
	scan, fill := arm64ScanLoop(), arm64FillLoop()
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"rounds per hash", scan.class["hash"], 59 * lanes},
		{"schedule per hash", scan.class["schedule"], 22 * lanes},
		{"schedule per nonce", fill.class["schedule"], 20 * lanes},
		{"instructions per hash", scan.total(), 147 * lanes},
		{"instructions per nonce", fill.total(), 48 * lanes},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d in %d lanes, want %d", c.what, c.got, lanes, c.want)
		}
	}
}

// TestStagger looks at the order in which lanes of unequal length are mixed.
func TestStagger(t *testing.T) {
	var lanes [3]*arm64List
	for i, names := range [][]string{{"A1", "A2", "A3"}, {"B1", "B2"}, {}} {
		lanes[i] = new(arm64List)
		for _, n := range names {
			lanes[i].add("%s", n)
		}
	}
	lanes[1].join("B3") // in the turn of B2
	var l arm64List
	l.stagger(lanes[:])
	var got []string
	for _, turn := range l.turns {
		got = append(got, turn...)
	}
	if want := []string{"A1", "A2", "B1", "A3", "B2", "B3"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if l.total() != 6 {
		t.Errorf("%d instructions, want 6", l.total())
	}
}
