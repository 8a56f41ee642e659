// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math/big"
	"strconv"

	"github.com/ballast-energy/ballast/events"
)

// quote is what the newest market.quote makes of a unit of energy.
type quote struct {
	// Known: a usable quote has been folded.
	Known bool `json:"known"`
	// Raw is kept because the pool fee of the configuration enters.
	Raw events.MarketQuote `json:"raw"`
	// Scaled is revenue × efficiency, µ$/MWh × mJ/TH: the revenue of a unit
	// is Scaled ÷ its mJ/TH, rounded down.
	Scaled int64 `json:"scaled"`
}

// hashesPerMWh × mJ/TH: 1 MWh is 3.6×10^12 mJ, and a terahash 10^12 hashes.
var (
	hashesPerMWh = new(big.Int).Mul(big.NewInt(3_600_000_000_000), big.NewInt(1_000_000_000_000))
	two256       = new(big.Int).Lsh(big.NewInt(1), 256)
)

// target expands nBits; nil when it is no target.
func target(nbits string) *big.Int {
	v, err := strconv.ParseUint(nbits, 16, 32)
	if err != nil || v&0x800000 != 0 {
		return nil
	}
	m, e := big.NewInt(int64(v&0x7fffff)), uint(v>>24)
	if e <= 3 {
		m.Rsh(m, 8*(3-e))
	} else {
		m.Lsh(m, 8*(e-3))
	}
	if m.Sign() == 0 || m.Cmp(two256) >= 0 {
		return nil
	}
	return m
}

// scaledRevenue is floor(reward × price × (1 − fee) × 3.6×10^24 ÷ W(T)) with
// W(T) = 2^256 ÷ (T + 1), in µ$/MWh × mJ/TH, and false when the quote says
// nothing.
func scaledRevenue(q *events.MarketQuote, feePPM int64) (int64, bool) {
	t := target(q.NBits)
	if t == nil || q.SubsidySats < 0 || q.FeesSats < 0 || q.BTCPriceMicrousd < 0 ||
		q.SubsidySats > events.MaxInteger || q.FeesSats > events.MaxInteger {
		return 0, false
	}
	n := new(big.Int).Add(t, big.NewInt(1))
	n.Mul(n, big.NewInt(q.SubsidySats+q.FeesSats))
	n.Mul(n, big.NewInt(q.BTCPriceMicrousd))
	n.Mul(n, big.NewInt(1_000_000-feePPM))
	n.Mul(n, hashesPerMWh)
	den := new(big.Int).Mul(big.NewInt(100_000_000), big.NewInt(1_000_000))
	den.Lsh(den, 256)
	n.Div(n, den)
	if !n.IsInt64() {
		return never, true // a practice chain: hashing is all but free
	}
	return n.Int64(), true
}

// onQuote folds a quote and reports whether it changed anything.
func (d *Dispatch) onQuote(q *events.MarketQuote) bool {
	scaled, ok := scaledRevenue(q, d.site.poolFee)
	if !ok {
		return false
	}
	d.quote = quote{Known: true, Raw: *q, Scaled: scaled}
	d.quote.Raw.NBits = string([]byte(q.NBits))
	d.hashMisc()
	return true
}

// revenue of a unit of that efficiency, µ$/MWh.
func (q *quote) revenue(millijoulesPerTerahash int64) int64 {
	if !q.Known || millijoulesPerTerahash <= 0 {
		return 0
	}
	return min(q.Scaled/millijoulesPerTerahash, events.MaxInteger)
}

// energyPrice in force, µ$/MWh: the price signal, else the tariff's.
func (d *Dispatch) energyPrice() int64 {
	if d.signals.now.priced {
		return d.signals.now.price
	}
	return d.site.tariffPrice
}

// pays reports whether u earns more than its energy costs, or nobody asks. A
// setpoint of higher precedence than the price overrides the question.
func (d *Dispatch) pays(u *unit) bool {
	if !d.site.economics || d.signals.now.setpointRank < d.signals.now.priceRank {
		return true
	}
	return d.energyPrice()+d.site.adder < d.quote.revenue(u.caps.MillijoulesPerTerahash)
}
