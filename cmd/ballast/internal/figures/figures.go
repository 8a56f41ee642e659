// SPDX-License-Identifier: Apache-2.0

package figures

import (
	"fmt"
	"strings"
)

// Grouped separates the thousands of the whole part of a decimal.
func Grouped(decimal string) string {
	sign := ""
	if strings.HasPrefix(decimal, "-") {
		sign, decimal = "-", decimal[1:]
	}
	whole, frac, dot := strings.Cut(decimal, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if dot {
		whole += "." + frac
	}
	return sign + whole
}

// Int is Grouped of a whole number.
func Int[N int | int64 | uint64](n N) string { return Grouped(fmt.Sprint(n)) }

// Count writes a number of things, of which one is called thus.
func Count(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return Int(n) + " " + one + "s"
}
