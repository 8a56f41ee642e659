// SPDX-License-Identifier: Apache-2.0

package eventreport

import (
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
)

const wattNanosPerMilliwattHour = 3_600_000_000

// mulDiv is a · b / c, rounded down.
func mulDiv(a, b, c int64) int64 {
	v := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
	return v.Div(v, big.NewInt(c)).Int64()
}

// decimal writes v / 10^places exactly.
func decimal(v int64, places int) string {
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	s := strconv.FormatInt(v, 10)
	for len(s) <= places {
		s = "0" + s
	}
	return sign + s[:len(s)-places] + "." + s[len(s)-places:]
}

// rounded writes v / unit with some decimals, halves away from zero, with the
// thousands apart.
func rounded(v, unit int64, places int) string {
	return typeset.Replace(figures.Grouped(new(big.Rat).SetFrac64(v, unit).FloatString(places)))
}

// typeset is for a page what a terminal shows with hyphens and commas.
var typeset = strings.NewReplacer("-", "−", ",", "\u202f")

// scale is a unit that figures of one kind are shown in.
type scale struct {
	Unit   int64
	Name   string
	Places int
}

var (
	powers   = []scale{{1_000_000, "MW", 3}, {1000, "kW", 3}, {1, "W", 0}}
	energies = []scale{{1_000_000_000, "MWh", 3}, {1_000_000, "kWh", 3}, {1000, "Wh", 1}}
)

// scaleFor shows the largest figure with at least one digit before the point.
func scaleFor(list []scale, most int64) scale {
	most = max(most, -most)
	for _, s := range list {
		if most >= s.Unit {
			return s
		}
	}
	return list[len(list)-1]
}

func (s scale) text(v int64) string { return rounded(v, s.Unit, s.Places) }

func (s scale) withUnit(v int64) string { return s.text(v) + "\u00a0" + s.Name }

// power and amount pick their unit by themselves.
func power(w int64) string    { return scaleFor(powers, w).withUnit(w) }
func amount(mwh int64) string { return scaleFor(energies, mwh).withUnit(mwh) }

// duration for people.
func duration(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "−", -d
	}
	if d < time.Minute {
		return sign + strings.TrimSuffix(strings.TrimRight(decimal(d.Milliseconds(), 3), "0"), ".") + "\u00a0s"
	}
	var parts []string
	put := func(n time.Duration, unit string) {
		if n > 0 {
			parts = append(parts, strconv.Itoa(int(n))+"\u00a0"+unit)
		}
	}
	d = d.Round(time.Second)
	put(d/time.Hour, "h")
	put(d%time.Hour/time.Minute, "min")
	put(d%time.Minute/time.Second, "s")
	return sign + strings.Join(parts, " ")
}

// share of a whole in per cent.
func share(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	return new(big.Rat).Mul(new(big.Rat).SetFrac64(part, whole), big.NewRat(100, 1)).FloatString(1) + "\u00a0%"
}
