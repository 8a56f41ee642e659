// SPDX-License-Identifier: Apache-2.0

package work

import "math/big"

// witnessDenominator turns Σ D·10^30 · mJ/TH · hashes per difficulty into
// milliwatt-hours: 10^30 · 10^12 hashes per TH · 3600 mJ per mWh.
var witnessDenominator = new(big.Int).Mul(pow10(Scale+12), big.NewInt(3600))

// Witness adds up the energy that accepted shares prove. The zero value is
// empty.
type Witness struct {
	// Sum is Σ D·10^30 · mJ/TH.
	Sum big.Int `json:"sum"`
}

// Add books a share of difficulty d (as from ParseDifficulty) of a machine of
// the given efficiency.
func (w *Witness) Add(d *big.Int, millijoulesPerTerahash int64) {
	var x, e big.Int
	w.Sum.Add(&w.Sum, x.Mul(d, e.SetInt64(millijoulesPerTerahash)))
}

// Parts is the energy witnessed as a numerator; WitnessMilliwattHours turns it
// into milliwatt-hours. The value is fresh on every call.
func (w *Witness) Parts() *big.Int {
	return new(big.Int).Mul(&w.Sum, big.NewInt(HashesPerDifficulty))
}

// WitnessParts is the numerator of a number of milliwatt-hours.
func WitnessParts(mwh int64) *big.Int {
	return new(big.Int).Mul(witnessDenominator, big.NewInt(mwh))
}

// WitnessMilliwattHours rounds a numerator down to whole milliwatt-hours, at
// least 0 and within an int64, and returns the numerator that remains.
func WitnessMilliwattHours(parts *big.Int) (mwh int64, rest *big.Int) {
	q, rest := new(big.Int).DivMod(parts, witnessDenominator, new(big.Int))
	switch {
	case q.Sign() < 0:
		return 0, new(big.Int).Set(parts)
	case !q.IsInt64():
		q.SetInt64(1<<53 - 1)
		return q.Int64(), rest.Sub(parts, WitnessParts(q.Int64()))
	}
	return q.Int64(), rest
}
