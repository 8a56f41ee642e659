// SPDX-License-Identifier: Apache-2.0

package node

import (
	"math/big"
	"strings"

	"github.com/ballast-energy/ballast/hashengine"
)

// Digits of a difficulty's text that the books hold.
const (
	wholeDigits    = 30
	fractionDigits = 30
)

var tenToFraction = new(big.Int).Exp(big.NewInt(10), big.NewInt(fractionDigits), nil)

// difficultyText is the difficulty of a network target as decimal text, rounded
// up in the last of 30 digits, so that a share that meets the text's target
// meets the network's. The text's target is lower than the network's by less
// than one part in 10^20 even at the lowest difficulty there is, 4.66e-10 of
// the test chains: fewer than one hash in 10^20 is a block and not a share.
func difficultyText(t hashengine.Target) string {
	d := t.Difficulty()
	n := new(big.Int).Mul(d.Num(), tenToFraction)
	n, rest := n.QuoRem(n, d.Denom(), new(big.Int))
	if rest.Sign() != 0 {
		n.Add(n, big.NewInt(1))
	}
	whole, fraction := new(big.Int).QuoRem(n, tenToFraction, new(big.Int))
	if fraction.Sign() == 0 {
		return whole.String()
	}
	digits := fraction.String()
	digits = strings.Repeat("0", fractionDigits-len(digits)) + digits
	return whole.String() + "." + strings.TrimRight(digits, "0")
}
