// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrDifficulty is wrapped when a difficulty is none.
var ErrDifficulty = errors.New("no usable difficulty")

const (
	maxDifficultyText = 128 // characters as they come
	// maxDifficultyDigits on each side of the point: what a difficulty on the
	// bus may have.
	maxDifficultyDigits = 30
)

// PlainDifficulty reads a difficulty as pools and machines write it (a JSON
// number or a text of one: 16384, 0.001, 1e-05) and returns the same number
// exactly, as plain decimal text without exponent, sign or needless zeros, as
// the bus wants it. It refuses what is not above 0, and what needs more than
// 30 digits on a side of the point.
func PlainDifficulty(raw []byte) (string, error) {
	refuse := func(why string) (string, error) {
		return "", fmt.Errorf("difficulty %s: %w: %s", clip(raw), ErrDifficulty, why)
	}
	in := raw
	if t, ok := text(raw); ok {
		in = t
	}
	if len(in) > maxDifficultyText {
		return refuse("longer than " + strconv.Itoa(maxDifficultyText) + " characters")
	}
	const want = "want a decimal number above 0, such as 16384, 0.001 or 1e-05"
	number, exponent, scaled := strings.Cut(strings.ToLower(string(in)), "e")
	shift := 0
	if scaled {
		digits := strings.TrimPrefix(exponent, "-")
		if digits == exponent {
			digits = strings.TrimPrefix(exponent, "+")
		}
		var err error
		if shift, err = strconv.Atoi(digits); err != nil || !isDigits(digits) || shift > 1000 {
			return refuse(want + "; the exponent cannot be used")
		}
		if exponent[0] == '-' {
			shift = -shift
		}
	}
	whole, part, pointed := strings.Cut(number, ".")
	if !isDigits(whole) || pointed && !isDigits(part) {
		return refuse(want)
	}
	// The point moves by the exponent over the digits; leading and trailing
	// zeros say nothing.
	digits := whole + part
	point := len(whole) + shift
	trimmed := strings.TrimLeft(digits, "0")
	point -= len(digits) - len(trimmed)
	digits = strings.TrimRight(trimmed, "0")
	if digits == "" {
		return refuse("it is 0; " + want)
	}
	if point > maxDifficultyDigits || len(digits)-point > maxDifficultyDigits {
		return refuse("it needs more than " + strconv.Itoa(maxDifficultyDigits) + " digits on a side of the point")
	}
	switch {
	case point <= 0:
		return "0." + strings.Repeat("0", -point) + digits, nil
	case point >= len(digits):
		return digits + strings.Repeat("0", point-len(digits)), nil
	default:
		return digits[:point] + "." + digits[point:], nil
	}
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// ParseDifficulty reads the params of mining.set_difficulty and of
// mining.suggest_difficulty; see PlainDifficulty.
func ParseDifficulty(params []byte) (string, error) {
	var room [1][]byte
	list, n, err := elements(params, room[:0])
	if err != nil {
		return "", fmt.Errorf("difficulty: %w", err)
	}
	if n == 0 {
		return "", fmt.Errorf("difficulty: %w: the params are empty", ErrDifficulty)
	}
	return PlainDifficulty(list[0])
}
