// SPDX-License-Identifier: Apache-2.0

package work

import (
	"fmt"
	"math/big"
)

// scaled1 is D1·10^30: a share whose difficulty times T exceeds it is worth
// more than a block, and is capped.
var scaled1 = new(big.Int).Mul(d1, pow10(Scale))

// denominator of every value in millisatoshi, D1·10^6·10^30.
var denominator = new(big.Int).Mul(scaled1, big.NewInt(1_000_000))

// Denominator of every credit and carry, in millisatoshi: D1·10^6·10^30. The
// value is fresh on every call.
func Denominator() *big.Int { return new(big.Int).Set(denominator) }

// DenominatorText is Denominator in decimal.
var DenominatorText = denominator.String()

// Epoch is the price list of one payout epoch.
type Epoch struct {
	target *big.Int
	weight *big.Int // reward·1000·(10^6−fee)
}

// NewEpoch checks the terms of a payout: a network target in compact form, a
// reward of 0 or more satoshi and a fee of 0…1000000 ppm.
func NewEpoch(nbits string, rewardSats, feePPM int64) (*Epoch, error) {
	bits, err := ParseBits(nbits)
	if err != nil {
		return nil, err
	}
	target, err := Target(bits)
	if err != nil {
		return nil, err
	}
	if rewardSats < 0 {
		return nil, fmt.Errorf("reward of %d sat: want 0 or more", rewardSats)
	}
	if feePPM < 0 || feePPM > 1_000_000 {
		return nil, fmt.Errorf("fee of %d ppm: want 0 to 1000000", feePPM)
	}
	weight := new(big.Int).Mul(big.NewInt(rewardSats), big.NewInt(1000*(1_000_000-feePPM)))
	return &Epoch{target: target, weight: weight}, nil
}

// Sum adds up shares of one epoch. The zero value is empty.
type Sum struct {
	// Difficulty is Σ D·10^30 over all shares.
	Difficulty big.Int `json:"difficulty"`
	// Paid is Σ D·10^30 over the shares worth less than a block.
	Paid big.Int `json:"paid"`
	// Capped is how many shares are worth a whole block.
	Capped int64 `json:"capped"`
	// Shares in all.
	Shares int64 `json:"shares"`
}

// Add books one share of difficulty d (as from ParseDifficulty) into s.
func (e *Epoch) Add(s *Sum, d *big.Int) {
	s.Shares++
	s.Difficulty.Add(&s.Difficulty, d)
	if e.Caps(d) {
		s.Capped++
		return
	}
	s.Paid.Add(&s.Paid, d)
}

// Caps reports whether a share of difficulty d is worth the whole reward.
func (e *Epoch) Caps(d *big.Int) bool {
	// The cheap test settles every real share: their product is far smaller.
	if d.BitLen()+e.target.BitLen() < scaled1.BitLen() {
		return false
	}
	return new(big.Int).Mul(d, e.target).Cmp(scaled1) > 0
}

// Numerator of the value of s in millisatoshi over Denominator.
func (e *Epoch) Numerator(s *Sum) *big.Int {
	n := new(big.Int).Mul(&s.Paid, e.target)
	if s.Capped != 0 {
		n.Add(n, new(big.Int).Mul(scaled1, big.NewInt(s.Capped)))
	}
	return n.Mul(n, e.weight)
}

// Credit turns a sum and the carry of earlier ones into whole millisatoshi
// and the carry that remains, at least 0. At most limit is credited, the rest
// stays in the carry, which is below Denominator unless the limit bit. carry
// is not changed.
func (e *Epoch) Credit(s *Sum, carry *big.Int, limit int64) (millisats int64, rest *big.Int) {
	n := e.Numerator(s)
	return Split(n.Add(n, carry), limit)
}

// Split takes whole millisatoshi, at most limit, out of a numerator over
// Denominator.
func Split(numerator *big.Int, limit int64) (millisats int64, rest *big.Int) {
	q, r := new(big.Int).QuoRem(numerator, denominator, new(big.Int))
	most := big.NewInt(max(limit, 0))
	if over := new(big.Int).Sub(q, most); over.Sign() > 0 {
		r.Add(r, over.Mul(over, denominator))
		q = most
	}
	return q.Int64(), r
}

// HoldsBack reports whether a carry holds whole millisatoshi, which only a
// limit leaves in it.
func HoldsBack(carry *big.Int) bool { return carry.Cmp(denominator) >= 0 }

// Remainder is the numerator of a carry without whole millisatoshi, decimal.
func Remainder(carry *big.Int) string {
	if !HoldsBack(carry) {
		return carry.String()
	}
	return new(big.Int).Rem(carry, denominator).String()
}

// Expected is what hashes earn on average where so much work, above 0, earns
// the reward, rounded down to whole millisatoshi and at most limit:
// hashes / work · reward · (10^6 − fee) / 10^6.
func Expected(hashes, work *big.Int, rewardSats, feePPM, limit int64) int64 {
	n := new(big.Int).Mul(hashes, big.NewInt(rewardSats))
	n.Mul(n, big.NewInt(1_000_000-feePPM))
	n.Div(n, new(big.Int).Mul(work, big.NewInt(1000))) // 10^6 over the 1000 msat of a satoshi
	if m := big.NewInt(limit); n.Cmp(m) > 0 {
		return limit
	}
	return n.Int64()
}

// Microusd is the value of millisats at a price of one bitcoin in
// micro-dollars, rounded down and at most limit.
func Microusd(millisats, priceMicrousd, limit int64) int64 {
	n := new(big.Int).Mul(big.NewInt(millisats), big.NewInt(priceMicrousd))
	n.Div(n, big.NewInt(100_000_000_000)) // msat per bitcoin; Div rounds down for a positive divisor
	if m := big.NewInt(limit); n.Cmp(m) > 0 {
		return limit
	}
	return n.Int64()
}
