// SPDX-License-Identifier: Apache-2.0

package work

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
)

// HashesPerDifficulty is the work of a difficulty-1 share. It is not 2^32.
const HashesPerDifficulty = 4295032833

// HalvingInterval of the main chain and most test chains; regtest has 150.
const (
	HalvingInterval        = 210_000
	RegtestHalvingInterval = 150
)

// ErrBits is wrapped by every error about a compact target.
var ErrBits = errors.New("not a network target: want 8 hex digits in compact form, positive and below 2^256, such as 17034219")

// d1 is the target of difficulty 1, 0xffff·2^208.
var d1 = new(big.Int).Lsh(big.NewInt(0xffff), 208)

// D1 is the target of difficulty 1; the value is fresh on every call.
func D1() *big.Int { return new(big.Int).Set(d1) }

// ParseBits reads the 8 hex digits of a compact target.
func ParseBits(s string) (uint32, error) {
	if len(s) == 8 {
		if n, err := strconv.ParseUint(s, 16, 32); err == nil {
			return uint32(n), nil
		}
	}
	if len(s) > 16 {
		s = s[:16] + "…"
	}
	return 0, fmt.Errorf("nbits %q: %w", s, ErrBits)
}

// Target expands a compact target. A set sign bit, zero, and anything of more
// than 256 bits are errors.
func Target(nbits uint32) (*big.Int, error) {
	mantissa, exponent := nbits&0x7fffff, nbits>>24
	t := big.NewInt(int64(mantissa))
	if exponent <= 3 {
		t.Rsh(t, uint(8*(3-exponent)))
	} else {
		t.Lsh(t, uint(8*(exponent-3)))
	}
	if nbits&0x800000 != 0 || t.Sign() == 0 || t.BitLen() > 256 {
		return nil, fmt.Errorf("nbits %08x: %w", nbits, ErrBits)
	}
	return t, nil
}

// Difficulty of a target, exactly: D1/T.
func Difficulty(target *big.Int) *big.Rat { return new(big.Rat).SetFrac(D1(), target) }

// Work is the expected number of hashes for a target: floor(2^256 / (T+1)),
// the number that block indexes add up.
func Work(target *big.Int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), 256)
	return n.Div(n, new(big.Int).Add(target, big.NewInt(1)))
}

// ShareTarget is the target of a share difficulty as ParseDifficulty returns
// it: floor(D1/D).
func ShareTarget(difficulty *big.Int) *big.Int {
	n := new(big.Int).Mul(d1, pow10(Scale))
	return n.Div(n, difficulty)
}

// Subsidy of the block at height, satoshi, on a chain that halves every
// interval blocks.
func Subsidy(height, interval int64) int64 {
	if height < 0 || interval <= 0 || height/interval >= 64 {
		return 0
	}
	return 5_000_000_000 >> uint(height/interval)
}

// Hashprice is what 1 PH/s earns in a day, satoshi, rounded down:
// 10^15 · 86400 · reward / W(T).
func Hashprice(target *big.Int, rewardSats int64) *big.Int {
	n := new(big.Int).Mul(big.NewInt(1e15), big.NewInt(86_400))
	n.Mul(n, big.NewInt(rewardSats))
	return n.Div(n, Work(target))
}

// SatsPerKilowattHour is what one kWh earns in a machine of the given
// efficiency, exactly.
func SatsPerKilowattHour(target *big.Int, rewardSats, millijoulesPerTerahash int64) *big.Rat {
	n := new(big.Int).Mul(big.NewInt(3_600_000_000), big.NewInt(1e12)) // mJ × hashes per TH
	n.Mul(n, big.NewInt(rewardSats))
	d := new(big.Int).Mul(big.NewInt(millijoulesPerTerahash), Work(target))
	return new(big.Rat).SetFrac(n, d)
}
