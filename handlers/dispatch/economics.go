// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math/big"
	"strconv"

	"github.com/ballast-energy/ballast/events"
)

// networkLife is how long the numbers of a block template go before those of a
// quote with a price, elapsed time of the journal in ns.
const networkLife = int64(events.NetworkQuoteLife)

// quote is what the newest market.quotes make of a unit of energy: one that has
// a price, and one of the network alone where a gateway has block templates.
type quote struct {
	// Known: both the network and the price have been folded.
	Known bool `json:"known"`
	// Raw is what has been folded, the newest of each part; kept because the
	// pool fee of the configuration enters.
	Raw events.MarketQuote `json:"raw"`
	// Priced: a quote with a price has been folded.
	Priced bool `json:"priced,omitempty"`
	// Network: the network in Raw is that of a template, which came at
	// NetworkAt, elapsed ns.
	Network   bool  `json:"network,omitempty"`
	NetworkAt int64 `json:"network_at,omitempty"`
	// Scaled is revenue × efficiency, µ$/MWh × mJ/TH: the revenue of a unit
	// is Scaled ÷ its mJ/TH, rounded down.
	Scaled int64 `json:"scaled"`
	// Epoch and Sequence of the newest that counted, in the journal.
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
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

// onQuote folds a quote and reports whether it changed anything. One of a
// practice chain is no money, so no unit runs or waits because of it.
func (d *Dispatch) onQuote(q *events.MarketQuote) bool {
	if _, ok := scaledRevenue(q, 0); !ok || q.Practice {
		return false
	}
	v := d.quote
	switch {
	case q.NetworkOnly:
		price := v.Raw.BTCPriceMicrousd
		v.Raw = *q
		v.Raw.BTCPriceMicrousd = price
		v.Network, v.NetworkAt = true, d.now
	case v.Network && d.now-v.NetworkAt < networkLife:
		v.Raw.BTCPriceMicrousd = q.BTCPriceMicrousd
		v.Priced = true
	default:
		v.Raw = *q
		v.Priced, v.Network, v.NetworkAt = true, false, 0
	}
	v.Raw.NBits = string([]byte(v.Raw.NBits)) // q lives on in a buffer
	v.Known = v.Priced
	v.Epoch, v.Sequence = d.epoch, d.sequence
	v.Scaled = 0
	if v.Known {
		v.Scaled, _ = scaledRevenue(&v.Raw, d.site.poolFee)
	}
	d.quote = v
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

// counts reports whether u runs only where it earns more than its energy costs. A
// setpoint of higher precedence than the price, at its node or above, overrides
// the question.
func (d *Dispatch) counts(u *unit) bool { return d.site.economics && !d.ordered(u) }

// ordered reports whether a setpoint, at the node of u or above, goes before the
// price.
func (d *Dispatch) ordered(u *unit) bool {
	if now := &d.signals.now; now.setpointRank < now.priceRank {
		for n := u.node; n != nil; n = n.up {
			if n.sig.setpointRank < now.priceRank {
				return true
			}
		}
	}
	return false
}

// margin of a step, µ$/MWh: what its energy earns, less what it costs.
func (d *Dispatch) margin(s *step) int64 {
	return d.quote.revenue(s.merit) - (d.energyPrice() + d.site.adder)
}

// pays reports whether a step earns more than its energy costs, or nobody asks.
func (d *Dispatch) pays(s *step) bool { return !d.counts(s.u) || d.margin(s) > 0 }

// worth is the power up to which the steps of u pay.
func (d *Dispatch) worth(u *unit) int64 {
	w := int64(0)
	for i := range u.steps {
		if s := &u.steps[i]; !s.sleeps && d.pays(s) {
			w = s.top
		}
	}
	return w
}

// economise lowers what does not pay, worst first, and settles the accounts of
// units that pay again. Off a unit goes only when its minimum on-time is over,
// or, where starts have a price, when it has lost enough.
func (d *Dispatch) economise() {
	if !d.site.economics || d.root.setSum == 0 {
		return
	}
	d.rankAll()
	for i := len(d.steps) - 1; i >= 0; i-- {
		s := d.steps[i]
		if s.sleeps {
			continue
		}
		u, margin := s.u, d.margin(s)
		if margin > 0 {
			if d.site.startWear == 0 {
				return
			}
			if s.index == 0 && u.starts.Account != 0 && u.hashes(u.set) {
				d.settleAccount(u)
			}
			continue
		}
		switch {
		case u.fixed || u.set <= s.floor || !u.hashes(u.set) || d.ordered(u):
		case s.index > 0:
			d.thrift(u, u.fit(s.floor))
		case d.loses(u, -margin):
			d.thrift(u, u.down(u.asleep))
		}
	}
}

// retire switches u off when it has slept for longer than the faster start is
// worth.
func (d *Dispatch) retire(u *unit) {
	if u.set > 0 && !u.hashes(u.set) && u.asleep > 0 && d.now-u.offSince >= u.sleepFor && u.reason == "" {
		d.thrift(u, 0)
	}
}
