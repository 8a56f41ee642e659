// SPDX-License-Identifier: Apache-2.0

package server

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
)

// TestLevelsFitEvents: a share, and a block of a test chain above all, is lost
// when no event can hold what it is worth.
func TestLevelsFitEvents(t *testing.T) {
	for i, l := range levels() {
		found := events.ShareFound{
			ShareID: strings.Repeat("0", 64), JobID: "j", Gateway: "gw", Unit: "u", Version: "20000000", NTime: 1, Nonce: "00000000",
			Extranonce: "00", Difficulty: l.text, FoundAt: time.Unix(1, 0).UTC(),
		}
		if err := found.Validate(); err != nil {
			t.Errorf("2^%d: %v", l.exponent, err)
		}
		exact, err := hashengine.ParseDifficulty(l.text)
		if err != nil || exact.Cmp(l.exact) != 0 {
			t.Errorf("2^%d is written %s, and is %s: %v", l.exponent, l.text, l.exact, err)
		}
		target, err := hashengine.TargetFromDifficultyText(l.text)
		if err != nil || target != l.target {
			t.Errorf("2^%d: another target: %v", l.exponent, err)
		}
		if l.exponent >= -30 {
			two := new(big.Rat).SetInt64(2)
			if half := levels()[max(i-1, 0)]; l.exponent > -30 && new(big.Rat).Mul(half.exact, two).Cmp(l.exact) != 0 {
				t.Errorf("2^%d is no power of two", l.exponent)
			}
		}
	}
}
