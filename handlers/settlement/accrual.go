// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"errors"
	"math/big"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

var errTooManyPools = errors.New("more than 1024 pools and bases")

// credit turns a sum into whole millisatoshi and publishes it.
func (d *Decider) credit(iv *interval, p *pending) {
	basis, _ := basisIndex(p.Payout.Basis)
	t := &iv.Totals[basis]
	from := p.From
	if iv.ID > 0 && iv.Start < p.Until {
		from = max(from, iv.Start)
	}
	ev := &events.RevenueAccrued{
		From:             stamp(from),
		Until:            stamp(max(from+1, min(p.Until, iv.End))),
		Payout:           p.Payout,
		SharesAccepted:   p.Sum.Shares,
		DifficultySum:    work.FormatDifficulty(&p.Sum.Difficulty),
		CarryDenominator: work.DenominatorText,
		BTCPriceMicrousd: d.btcPrice(basis),
		Key:              d.out.Key(),
	}
	var purse *purse
	at, err := d.purseAt(p.Payout.Pool, basis)
	if err == nil {
		purse = &d.Accounts[at]
	}
	switch {
	case err != nil:
		d.unvalued(&p.Payout, err)
		ev.CarryNumerator = "0"
	case p.Worth:
		msat, rest := p.epoch.Credit(&p.Sum, &purse.Carry, min(events.MaxInteger, events.MaxInteger-t.Millisats))
		purse.Carry.Set(rest)
		ev.ValueMillisats = msat
		if work.HoldsBack(rest) {
			d.raise("settlement-ceiling/"+p.Payout.Pool, events.SeverityWarning,
				"shares of pool "+p.Payout.Pool+" are worth more in one interval than an event can carry; the rest is booked in the next ones",
				"check the network target that the pool names: against a test chain's own target every share is worth a block")
		}
		fallthrough
	default:
		ev.CarryNumerator = work.Remainder(&purse.Carry)
	}
	ev.ValueMicrousd = work.Microusd(ev.ValueMillisats, ev.BTCPriceMicrousd, min(maxMicrousd, maxMicrousd-t.Microusd))
	t.Millisats += ev.ValueMillisats
	t.Microusd += ev.ValueMicrousd
	d.mix(uint64(t.Millisats))
	for _, w := range carryWords(purse) {
		d.mix(uint64(w))
	}
	d.out.Put(events.SiteSource, ev)
	if purse == nil {
		return
	}
	purse.Terms = p.Payout
	c := cell{
		Until: min(p.Until, after(p.Last, d.Config.Accrual)), First: p.First, Last: p.Last, Purse: at,
		Shares: p.Sum.Shares, Millisats: ev.ValueMillisats, Sum: p.Sum.Difficulty, Newest: ev.Key,
	}
	if p.Payout.Scheme == events.SchemePPLNS {
		c.Pplns = c.Shares
	}
	if c.Until > purse.Forgotten {
		d.record(&c)
	}
}

func carryWords(p *purse) []big.Word {
	if p == nil {
		return nil
	}
	return p.Carry.Bits()
}

// purseAt finds what is kept for a pool and basis: its place in d.Accounts.
func (d *Decider) purseAt(pool string, basis int) (int32, error) {
	k := purseKey{pool, basis}
	if i, ok := d.purseOf[k]; ok {
		return i, nil
	}
	if len(d.Accounts) >= maxPurses {
		return 0, errTooManyPools
	}
	i := int32(len(d.Accounts))
	d.purseOf[k] = i
	d.Accounts = append(d.Accounts, purse{Pool: pool, Basis: basis})
	return i, nil
}

func stamp(ns int64) time.Time { return time.Unix(0, ns).UTC() }

// tick credits windows that ended, closes intervals whose grace is over and
// corrects those that later facts have changed.
func (d *Decider) tick() {
	if d.Config == nil {
		return
	}
	accruing := d.Now >= d.NextAccrual
	if accruing {
		for _, iv := range d.Intervals {
			d.accrue(iv, iv.Closed)
		}
		d.bookBlocks()
		d.NextAccrual = after(d.Now, d.Config.Accrual)
	}
	d.answerDue(accruing)
	for _, iv := range d.Intervals {
		switch {
		case !iv.Closed && iv != d.current() && (iv.End+d.Config.Grace <= d.Now || iv.Start > d.Now):
			d.accrue(iv, true)
			d.close(iv)
		case iv.Closed && iv.Dirty && accruing:
			d.correct(iv)
		}
	}
	d.drop()
}
