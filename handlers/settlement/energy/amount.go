// SPDX-License-Identifier: Apache-2.0

package energy

import (
	"fmt"
	"math/big"
	"math/bits"
)

// WattNanosPerMilliwattHour is how many watt-nanoseconds make one mWh.
const WattNanosPerMilliwattHour = 3_600_000_000

// Amount is a signed amount of energy:
// MilliwattHours · 3.6e9 + Rest watt-nanoseconds. The zero value is none.
// Whole milliwatt-hours must stay within int64, which is a terawatt for a
// thousand years.
type Amount struct {
	// MilliwattHours is the amount rounded down, mWh.
	MilliwattHours int64 `json:"mwh"`
	// Rest above it, watt-nanoseconds, 0 … 3.6e9−1.
	Rest int64 `json:"rest"`
}

// Of is watts drawn for nanos nanoseconds; both may be negative. It panics
// beyond 4.6e18 mWh: callers bound what they believe.
func Of(watts, nanos int64) Amount {
	if p := watts * nanos; fitsProduct(watts, nanos) {
		q, r := p/WattNanosPerMilliwattHour, p%WattNanosPerMilliwattHour
		if r < 0 {
			q, r = q-1, r+WattNanosPerMilliwattHour
		}
		return Amount{q, r}
	}
	hi, lo := bits.Mul64(magnitude(watts), magnitude(nanos))
	if hi >= WattNanosPerMilliwattHour/4 {
		panic(fmt.Sprintf("energy: %d W for %d ns is beyond any site", watts, nanos))
	}
	q, r := bits.Div64(hi, lo, WattNanosPerMilliwattHour)
	a := Amount{int64(q), int64(r)}
	if (watts < 0) != (nanos < 0) {
		return a.Neg()
	}
	return a
}

// fitsProduct reports whether a·b surely fits an int64.
func fitsProduct(a, b int64) bool {
	return bits.Len64(magnitude(a))+bits.Len64(magnitude(b)) < 64
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// Milliwatthours is a whole number of mWh.
func Milliwatthours(mwh int64) Amount { return Amount{MilliwattHours: mwh} }

// Add is a + b.
func (a Amount) Add(b Amount) Amount {
	a.MilliwattHours += b.MilliwattHours
	a.Rest += b.Rest
	if a.Rest >= WattNanosPerMilliwattHour {
		a.Rest -= WattNanosPerMilliwattHour
		a.MilliwattHours++
	}
	return a
}

// Sub is a − b.
func (a Amount) Sub(b Amount) Amount {
	a.MilliwattHours -= b.MilliwattHours
	a.Rest -= b.Rest
	if a.Rest < 0 {
		a.Rest += WattNanosPerMilliwattHour
		a.MilliwattHours--
	}
	return a
}

// Neg is −a.
func (a Amount) Neg() Amount { return Amount{}.Sub(a) }

// Floor is the amount in whole mWh, rounded towards minus infinity.
func (a Amount) Floor() int64 { return a.MilliwattHours }

// Sign is −1, 0 or +1.
func (a Amount) Sign() int {
	switch {
	case a.MilliwattHours < 0:
		return -1
	case a.MilliwattHours == 0 && a.Rest == 0:
		return 0
	}
	return 1
}

// Cmp is −1, 0 or +1 as a is less than, equal to or more than b.
func (a Amount) Cmp(b Amount) int { return a.Sub(b).Sign() }

// Max is the larger of a and b.
func Max(a, b Amount) Amount {
	if a.Cmp(b) < 0 {
		return b
	}
	return a
}

// Min is the smaller of a and b.
func Min(a, b Amount) Amount {
	if a.Cmp(b) > 0 {
		return b
	}
	return a
}

// WattNanos is the amount in watt-nanoseconds.
func (a Amount) WattNanos() *big.Int {
	w := big.NewInt(WattNanosPerMilliwattHour)
	w.Mul(w, big.NewInt(a.MilliwattHours))
	return w.Add(w, big.NewInt(a.Rest))
}

// FromWattNanos is the inverse of WattNanos. The whole milliwatt-hours must
// fit an int64.
func FromWattNanos(w *big.Int) Amount {
	var q, r big.Int
	q.DivMod(w, big.NewInt(WattNanosPerMilliwattHour), &r)
	return Amount{q.Int64(), r.Int64()}
}

// Share is a · part / whole, rounded down to a watt-nanosecond. whole must
// not be zero.
func (a Amount) Share(part, whole Amount) Amount {
	n := a.WattNanos()
	n.Mul(n, part.WattNanos())
	return FromWattNanos(floorDiv(n, whole.WattNanos()))
}

// ShareOf is a · part / whole for plain integers such as durations, rounded
// down to a watt-nanosecond. whole must be positive.
func (a Amount) ShareOf(part, whole int64) Amount {
	n := a.WattNanos()
	n.Mul(n, big.NewInt(part))
	return FromWattNanos(floorDiv(n, big.NewInt(whole)))
}

// floorDiv is n/d rounded towards minus infinity.
func floorDiv(n, d *big.Int) *big.Int {
	var q, r big.Int
	q.QuoRem(n, d, &r)
	if r.Sign() != 0 && (r.Sign() < 0) != (d.Sign() < 0) {
		q.Sub(&q, big.NewInt(1))
	}
	return &q
}
