// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// ErrBadDifficulty is wrapped when a difficulty is not a positive decimal
// number, or one beyond the range this package computes with.
var ErrBadDifficulty = errors.New("bad difficulty")

const (
	maxDifficultyText     = 200 // characters; pools send at most a few dozen
	maxDifficultyExponent = 100 // decimal; 2^256 is about 10^77
)

// difficulty1 is the target of difficulty 1, 0xffff × 2^208.
var difficulty1 = new(big.Int).Lsh(big.NewInt(0xffff), 208)

// twoTo256 is the number of different hashes.
var twoTo256 = new(big.Int).Lsh(big.NewInt(1), 256)

// ParseDifficulty reads a share or network difficulty exactly: a decimal
// number with an optional fraction and an optional exponent ("16384", "0.001",
// "1e-05"), or a fraction of two whole numbers ("65536/3"). Pools send
// difficulties as JSON numbers; pass their text on, not a float64. Signs,
// zero, other bases and exponents beyond ±100 are refused.
func ParseDifficulty(text string) (*big.Rat, error) {
	refuse := func(why string) (*big.Rat, error) {
		return nil, fmt.Errorf("difficulty %q: %w: %s", clip(text), ErrBadDifficulty, why)
	}
	if len(text) > maxDifficultyText {
		return refuse("longer than " + strconv.Itoa(maxDifficultyText) + " characters")
	}
	const want = `want a positive decimal number such as 16384, 0.001 or 1e-05`
	if over, under, fraction := strings.Cut(text, "/"); fraction {
		if !isDigits(over) || !isDigits(under) {
			return refuse(want)
		}
	} else {
		number, exponent, hasExponent := strings.Cut(strings.ToLower(text), "e")
		if hasExponent {
			digits := strings.TrimPrefix(strings.TrimPrefix(exponent, "+"), "-")
			if !isDigits(digits) || len(exponent)-len(digits) > 1 {
				return refuse(want)
			}
			// Checked before the conversion: a huge exponent would make it
			// build a number of that many digits.
			if n, err := strconv.Atoi(digits); err != nil || n > maxDifficultyExponent {
				return refuse("exponent beyond ±" + strconv.Itoa(maxDifficultyExponent))
			}
		}
		whole, part, hasPart := strings.Cut(number, ".")
		if !isDigits(whole) || hasPart && !isDigits(part) {
			return refuse(want)
		}
	}
	d, ok := new(big.Rat).SetString(text)
	if !ok {
		return refuse("division by zero")
	}
	if d.Sign() <= 0 {
		return refuse("zero; " + want)
	}
	return d, nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// TargetFromDifficulty returns floor(D1/d) with D1 = 0xffff × 2^208. A
// difficulty so low that D1/d passes 2^256−1 gives [MaxTarget], which accepts
// exactly the same hashes; one so high that the quotient is zero is refused.
func TargetFromDifficulty(d *big.Rat) (Target, error) {
	if d == nil || d.Sign() <= 0 {
		return Target{}, fmt.Errorf("target of a difficulty: %w: not positive", ErrBadDifficulty)
	}
	n := new(big.Int).Mul(difficulty1, d.Denom())
	n.Quo(n, d.Num())
	if n.Sign() == 0 {
		return Target{}, fmt.Errorf("target of difficulty %s: %w", clip(d.FloatString(0)), ErrTargetZero)
	}
	if n.BitLen() > 256 {
		return MaxTarget, nil
	}
	return TargetFromInt(n)
}

// TargetFromDifficultyText is [ParseDifficulty] and [TargetFromDifficulty] in
// one step.
func TargetFromDifficultyText(text string) (Target, error) {
	d, err := ParseDifficulty(text)
	if err != nil {
		return Target{}, err
	}
	return TargetFromDifficulty(d)
}

// Difficulty returns D1/t exactly, or nil for the zero target.
func (t Target) Difficulty() *big.Rat {
	if t.IsZero() {
		return nil
	}
	return new(big.Rat).SetFrac(difficulty1, t.Int())
}

// Work returns floor(2^256/(t+1)): the number of hashes expected per hash that
// meets the target, as the block index adds it up per block.
func (t Target) Work() *big.Int {
	n := t.Int()
	n.Add(n, big.NewInt(1))
	return n.Quo(twoTo256, n)
}
