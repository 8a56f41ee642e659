// SPDX-License-Identifier: Apache-2.0

package work

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// Scale is k: difficulties are kept as D·10^k.
const Scale = 30

// maxDifficultyText bounds what ParseDifficulty reads.
const maxDifficultyText = 128

// maxDigits bounds D·10^30: differences in size beyond 10^30 are no
// difficulty of any network.
const maxDigits = 60

// ErrDifficulty is wrapped by every error of ParseDifficulty.
var ErrDifficulty = errors.New("not a difficulty: want decimal text above 0 and below 1e30 with at most 30 decimals, such as 0.001, 65536 or 1e-05")

// One is difficulty 1 as ParseDifficulty returns it, 10^30. The value is
// fresh on every call.
func One() *big.Int { return pow10(Scale) }

// ParseDifficulty reads decimal text, with or without a fraction and an
// exponent, and returns D·10^30 exactly. Signs on the mantissa, zero, and
// digits beyond the thirtieth decimal are refused; nothing is rounded.
func ParseDifficulty(s string) (*big.Int, error) {
	refuse := func() (*big.Int, error) {
		if len(s) > 40 {
			s = s[:40] + "…"
		}
		return nil, fmt.Errorf("difficulty %q: %w", s, ErrDifficulty)
	}
	if s == "" || len(s) > maxDifficultyText {
		return refuse()
	}
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		var ok bool
		mantissa = s[:i]
		if exponent, ok = parseExponent(s[i+1:]); !ok {
			return refuse()
		}
	}
	whole, fraction, dotted := strings.Cut(mantissa, ".")
	if whole == "" || dotted && fraction == "" || !digits(whole) || !digits(fraction) {
		return refuse()
	}
	text := strings.TrimLeft(whole+fraction, "0")
	shift := Scale + exponent - len(fraction)
	if trimmed := strings.TrimRight(text, "0"); len(trimmed) < len(text) {
		shift += len(text) - len(trimmed)
		text = trimmed
	}
	if text == "" || shift < 0 || len(text)+shift > maxDigits {
		return refuse()
	}
	d, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return refuse()
	}
	return d.Mul(d, pow10(shift)), nil
}

// parseExponent reads a signed exponent of at most three digits.
func parseExponent(s string) (int, bool) {
	sign := 1
	switch {
	case strings.HasPrefix(s, "-"):
		sign, s = -1, s[1:]
	case strings.HasPrefix(s, "+"):
		s = s[1:]
	}
	if s == "" || len(s) > 3 || !digits(s) {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s) {
		n = n*10 + int(c-'0')
	}
	return sign * n, true
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// ErrSum is wrapped by every error of ParseSum.
var ErrSum = errors.New("not a sum of difficulties: want plain decimal text of at most 60 digits before and 30 after the point, such as 0, 65536 or 0.001")

// ParseSum reads a sum of difficulties: plain decimal text, 0 or more, without
// an exponent. It returns Σ D·10^30 exactly.
func ParseSum(s string) (*big.Int, error) {
	whole, fraction, dotted := strings.Cut(s, ".")
	if whole == "" || len(whole) > 60 || len(fraction) > Scale || dotted && fraction == "" || !digits(whole) || !digits(fraction) {
		if len(s) > 40 {
			s = s[:40] + "…"
		}
		return nil, fmt.Errorf("sum %q: %w", s, ErrSum)
	}
	sum, _ := new(big.Int).SetString(whole+fraction, 10) // digits only
	return sum.Mul(sum, pow10(Scale-len(fraction))), nil
}

// FormatDifference writes a − b, both Σ D·10^30, as the shortest plain
// decimal, exactly.
func FormatDifference(a, b *big.Int) string {
	d := new(big.Int).Sub(a, b)
	if d.Sign() >= 0 {
		return FormatDifficulty(d)
	}
	return "-" + FormatDifficulty(d.Neg(d))
}

// FormatDifficulty writes D·10^30 as the shortest plain decimal, exactly. It
// is meant for sums too, so it takes any size; d must not be negative.
func FormatDifficulty(d *big.Int) string {
	s := d.String()
	if len(s) <= Scale {
		s = strings.Repeat("0", Scale+1-len(s)) + s
	}
	whole, fraction := s[:len(s)-Scale], strings.TrimRight(s[len(s)-Scale:], "0")
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}

func pow10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}
