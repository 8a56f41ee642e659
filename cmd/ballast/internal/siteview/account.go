// SPDX-License-Identifier: Apache-2.0

package siteview

import (
	"math/big"
	"math/bits"
	"time"
)

// WattNanos is energy in W·ns, exact: 128 bits hold a gigawatt for ages.
type WattNanos struct{ hi, lo uint64 }

// add w watts over d; w is not negative.
func (e *WattNanos) add(w int64, d time.Duration) {
	hi, lo := bits.Mul64(uint64(w), uint64(d))
	var carry uint64
	e.lo, carry = bits.Add64(e.lo, lo, 0)
	e.hi, _ = bits.Add64(e.hi, hi, carry)
}

// MilliwattHours is the energy rounded down: 1 mWh = 3.6e9 W·ns.
func (e WattNanos) MilliwattHours() int64 {
	const unit = 3_600_000_000
	q, _ := bits.Div64(e.hi%unit, e.lo, unit)
	return int64(q)
}

// PermilleOf is e as a share of o in thousandths, 0 when o is nothing.
func (e WattNanos) PermilleOf(o WattNanos) int64 {
	d := o.big()
	if d.Sign() == 0 {
		return 0
	}
	n := new(big.Int).Mul(e.big(), big.NewInt(1000))
	return n.Quo(n, d).Int64()
}

func (e WattNanos) big() *big.Int {
	x := new(big.Int).SetUint64(e.hi)
	x.Lsh(x, 64)
	return x.Or(x, new(big.Int).SetUint64(e.lo))
}

// Balance is energy by use, milliwatt-hours:
// contracted + overdrawn = ai + house + mining + unused, always.
type Balance struct {
	Contracted int64 `json:"contracted_milliwatt_hours"`
	Overdrawn  int64 `json:"overdrawn_milliwatt_hours"`
	AI         int64 `json:"ai_milliwatt_hours"`
	House      int64 `json:"house_milliwatt_hours"`
	Mining     int64 `json:"mining_milliwatt_hours"`
	// Modelled part of Mining: not measured, but from a model of the machines
	// or of their power.
	Modelled int64 `json:"modelled_milliwatt_hours"`
	Unused   int64 `json:"unused_milliwatt_hours"`
}

// account integrates power in W·ns.
type account struct{ contracted, ai, house, mining, modelled, overdrawn WattNanos }

func (a *account) step(d time.Duration, contracted, ai, house, mining, modelled int64) {
	ai, house, mining = max(ai, 0), max(house, 0), max(mining, 0)
	a.contracted.add(contracted, d)
	a.ai.add(ai, d)
	a.house.add(house, d)
	a.mining.add(mining, d)
	a.modelled.add(min(max(modelled, 0), mining), d)
	a.overdrawn.add(max(ai+house+mining-contracted, 0), d)
}

// balance rounds each use down and lets what is unused close the sum, so that
// the balance is exact in mWh. A remainder of a few mWh of rounding may show
// as overdrawn when nothing was unused.
func (a *account) balance() Balance {
	b := Balance{Contracted: a.contracted.MilliwattHours(), AI: a.ai.MilliwattHours(), House: a.house.MilliwattHours(),
		Mining: a.mining.MilliwattHours(), Modelled: a.modelled.MilliwattHours(), Overdrawn: a.overdrawn.MilliwattHours()}
	b.Unused = b.Contracted + b.Overdrawn - b.AI - b.House - b.Mining
	if b.Unused < 0 {
		b.Overdrawn -= b.Unused
		b.Unused = 0
	}
	return b
}
