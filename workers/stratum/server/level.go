// SPDX-License-Identifier: Apache-2.0

package server

import (
	"math"
	"math/big"
	"sort"
	"strings"
	"sync"

	"github.com/ballast-energy/ballast/hashengine"
)

// Difficulties are powers of two between these exponents, integers from 1 on.
// Below 2^-30, which only test chains need, they are rounded to mostDigits
// behind the point, which is what events hold: text, number and target of a
// level are the same exactly.
const (
	lowestExponent  = -40
	highestExponent = 60
	mostDigits      = 30
)

// level is a difficulty that can be given to a miner.
type level struct {
	// exponent of two, and the same as a number.
	exponent int
	value    float64
	// text is the exact decimal, an integer from 1 on.
	text   string
	target hashengine.Target
	exact  *big.Rat
}

// levels in ascending order, lowestExponent first.
var levels = sync.OnceValue(func() []*level {
	all := make([]*level, 0, highestExponent-lowestExponent+1)
	for e := lowestExponent; e <= highestExponent; e++ {
		l := &level{exponent: e, value: math.Ldexp(1, e)}
		if e < 0 {
			l.exact = new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), uint(-e)))
			l.text = strings.TrimRight(l.exact.FloatString(min(-e, mostDigits)), "0")
			l.exact.SetString(l.text)
		} else {
			l.exact = new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), uint(e)))
			l.text = l.exact.FloatString(0)
		}
		target, err := hashengine.TargetFromDifficulty(l.exact)
		if err != nil {
			panic("a power of two has no target: " + err.Error()) // impossible within the exponents above
		}
		l.target = target
		all = append(all, l)
	}
	return all
})

// levelOf is the level of an exponent, the nearest there is.
func levelOf(exponent int) *level {
	return levels()[min(max(exponent, lowestExponent), highestExponent)-lowestExponent]
}

// levelAtLeast is the lowest level that is not below d.
func levelAtLeast(d *big.Rat) *level {
	all := levels()
	i := sort.Search(len(all), func(i int) bool { return all[i].exact.Cmp(d) >= 0 })
	return all[min(i, len(all)-1)]
}

// levelAtMost is the highest level that is not above d.
func levelAtMost(d *big.Rat) *level {
	all := levels()
	i := sort.Search(len(all), func(i int) bool { return all[i].exact.Cmp(d) > 0 })
	return all[max(i-1, 0)]
}
