// SPDX-License-Identifier: Apache-2.0

package decider_test

import (
	"hash/fnv"
	"testing"

	"github.com/ballast-energy/ballast/handlers/decider"
)

func TestTextHashIsFNV(t *testing.T) {
	for _, s := range []string{"", "a", "tx1/ercot/1", "Grüße"} {
		h := fnv.New64a()
		_, _ = h.Write([]byte(s)) // never fails
		if got := decider.TextHash(s); got != h.Sum64() {
			t.Errorf("%q: %x, want %x", s, got, h.Sum64())
		}
	}
}

// State hashes are compared between replicas of different releases: what they
// come from does not change.
func TestMixStaysTheSame(t *testing.T) {
	for _, c := range []struct{ digest, v, want uint64 }{
		{0, 0, 0},
		{0, 1, 0x9e3779bd8ef1b1de},
		{0x243f6a8885a308d3, 42, 0x741e8d70ad4633f5},
	} {
		if got := decider.Mix(c.digest, c.v); got != c.want {
			t.Errorf("Mix(%#x, %d) = %#x, want %#x", c.digest, c.v, got, c.want)
		}
	}
	if decider.Mix(decider.Mix(0, 1), 2) == decider.Mix(decider.Mix(0, 2), 1) {
		t.Error("the order of values makes no difference")
	}
}
