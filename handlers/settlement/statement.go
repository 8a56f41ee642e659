// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

const (
	// maxStatements bounds how many statements are remembered.
	maxStatements = 4096
	// maxWaiting bounds how many of them wait for the end of their span.
	maxWaiting = 16
)

// statement is what a pool said of a span, and what we made of it.
type statement struct {
	ID          string
	Purse       int32
	From, Until int64
	// Shares, their Sum of D·10^30, and Millisats if Money, as stated.
	Shares    int64
	Sum       big.Int
	Money     bool  `json:",omitempty"`
	Millisats int64 `json:",omitempty"`
	// Answered; Dirty: the books of the span changed since.
	Answered, Dirty bool
	// Accepted and Rejected shares that were unknown.
	Accepted, Rejected int64
	// Booked so that the books follow the statement, msat, and by which
	// accrual last.
	Booked int64
	Newest events.OrderKey
	// Credited and Refused keys, 16 bytes each, until the statement is
	// answered.
	Credited, Refused []byte `json:",omitempty"`
}

// stated takes a pool's statement.
func (d *Decider) stated(p *events.PoolStatement) {
	basis, ok := basisIndex(p.Basis)
	if !ok {
		return
	}
	purse, err := d.purseAt(p.Pool, basis)
	if err != nil {
		d.refuse(p.Pool, p.StatementID, err.Error(), "remove pools that do not exist from the gateways")
		return
	}
	s := statement{ID: p.StatementID, Purse: purse, Shares: p.SharesAccepted}
	var inRange bool
	if s.From, s.Until, inRange = nanos(p.From, p.Until); !inRange {
		d.refuse(p.Pool, p.StatementID, "its span lies outside the years 1700 to 2200", "correct its from and until")
		return
	}
	sum, err := work.ParseSum(p.DifficultySum)
	if err != nil {
		d.refuse(p.Pool, p.StatementID, err.Error(), "state the sum of difficulties as a plain decimal")
		return
	}
	s.Sum.Set(sum)
	if p.ValueMillisats != nil {
		s.Money, s.Millisats = true, bound(*p.ValueMillisats, 0, events.MaxInteger)
	}
	if !d.admit(&s) {
		return
	}
	for _, id := range p.Credited {
		k := keyOf(id)
		s.Credited = append(s.Credited, k[:]...)
	}
	for _, id := range p.Refused {
		k := keyOf(id)
		s.Refused = append(s.Refused, k[:]...)
	}
	d.Statements = append(d.Statements, s)
	d.mixText(s.ID)
	for _, v := range []int64{int64(purse), s.From, s.Until, s.Shares, s.Millisats} {
		d.mix(uint64(v))
	}
	d.forgetStatements()
	d.lastBound = max(d.lastBound, s.Until)
	if d.configured() {
		d.settlePool(purse)
	}
	d.cutCells(purse, s.From)
	d.cutCells(purse, s.Until)
	d.answerDue(false)
}

// admit reports whether a statement can be answered, and says why not. One
// that is known already folds to nothing.
func (d *Decider) admit(s *statement) bool {
	pool := &d.Accounts[s.Purse]
	waiting := 0
	var overlaps *statement
	for i := range d.Statements {
		o := &d.Statements[i]
		if !o.Answered {
			waiting++
		}
		if o.Purse != s.Purse {
			continue
		}
		if o.ID == s.ID {
			return false
		}
		if o.From < s.Until && s.From < o.Until {
			overlaps = o
		}
	}
	switch {
	case overlaps != nil:
		d.refuse(pool.Pool, s.ID, fmt.Sprintf("it overlaps statement %s, which covers %s", overlaps.ID, span(overlaps.From, overlaps.Until)),
			"state spans that do not overlap")
	case s.From < pool.Stated:
		d.refuse(pool.Pool, s.ID, "it reaches back before "+stamp(pool.Stated).Format(time.RFC3339Nano)+", up to where earlier statements have been answered",
			"state spans that do not overlap")
	case s.From < max(pool.Forgotten, d.Since):
		d.refuse(pool.Pool, s.ID, "it reaches back before "+stamp(max(pool.Forgotten, d.Since)).Format(time.RFC3339Nano)+", from when on the shares of this pool are remembered",
			"reconcile sooner, or begin the span then and book the rest by hand")
	case waiting >= maxWaiting:
		d.refuse(pool.Pool, s.ID, "16 statements already wait for the end of their spans", "state spans once they are over")
	default:
		return true
	}
	return false
}

// refuse says that a statement is not answered.
func (d *Decider) refuse(pool, id, why, remedy string) {
	name := "settlement-statement/" + pool + "/" + id
	if len(name) > 200 {
		name = name[:200]
	}
	d.raise(name, events.SeverityWarning, "statement "+id+" of pool "+pool+" is not answered: "+why, remedy)
}

// forgetStatements drops the oldest answered statements beyond the bound; from
// then on their pool's statements must begin later.
func (d *Decider) forgetStatements() {
	for i := 0; len(d.Statements) > maxStatements && i < len(d.Statements); {
		s := &d.Statements[i]
		if !s.Answered {
			i++
			continue
		}
		p := &d.Accounts[s.Purse]
		p.Stated = max(p.Stated, s.Until)
		d.Statements = slices.Delete(d.Statements, i, i+1)
	}
}

// answerDue answers the statements whose spans are over, late shares
// included, and with again those whose span's books have changed since.
func (d *Decider) answerDue(again bool) {
	if !d.configured() {
		return
	}
	for i := 0; i < len(d.Statements); i++ {
		s := &d.Statements[i]
		if s.Answered && (!again || !s.Dirty) || !s.Answered && s.Until > d.Now-d.Config.Grace {
			continue
		}
		if !d.answer(s) {
			d.Statements = slices.Delete(d.Statements, i, i+1)
			i--
		}
	}
}

// answer sets a statement beside the books, makes them follow it, and says
// so; false means that it cannot be answered.
func (d *Decider) answer(s *statement) bool {
	d.settlePool(s.Purse)
	if !s.Answered {
		if d.sumOf(s.Purse, s.From, s.Until).cut {
			pool := d.Accounts[s.Purse].Pool
			d.refuse(pool, s.ID, "its span "+span(s.From, s.Until)+" divides an accrual window with shares on both sides",
				"begin and end spans on multiples of tariff.accrual_seconds")
			return false
		}
		d.move(s)
		d.settlePool(s.Purse)
	}
	ours := d.sumOf(s.Purse, s.From, s.Until)
	s.Answered, s.Dirty = true, false
	r := &events.RevenueReconciled{
		StatementID: s.ID, Pool: d.Accounts[s.Purse].Pool, From: stamp(s.From), Until: stamp(s.Until),
		SharesAccepted: ours.shares, SharesStated: s.Shares, SharesDifference: s.Shares - ours.shares,
		DifficultySum: work.FormatDifficulty(&ours.sum), DifficultyStated: work.FormatDifficulty(&s.Sum),
		DifficultyDifference: work.FormatDifference(&s.Sum, &ours.sum),
		ValueMillisats:       bound(ours.millisats, 0, events.MaxInteger),
		MoneyStated:          s.Money,
		UnknownAccepted:      s.Accepted, UnknownRejected: s.Rejected,
		UnknownLeft: d.unknownLeft(s.Purse, s.From, s.Until),
		Basis:       basisNames[d.Accounts[s.Purse].Basis],
	}
	if s.Money {
		reason := s.variance(ours)
		if reason == events.VarianceValuation {
			r.ValueMillisats = s.Millisats
		}
		r.StatedMillisats = s.Millisats
		r.DifferenceMillisats = s.Millisats - r.ValueMillisats
		d.follow(s, ours, reason)
	}
	r.Key = d.out.Key()
	d.mix(uint64(ours.shares))
	d.out.Put(events.SiteSource, r)
	return true
}

// variance is why stated and booked money differ.
func (s *statement) variance(ours *cellSum) events.Variance {
	difference := s.Millisats - ours.millisats
	switch {
	case ours.pplns > 0 && difference >= 0:
		return events.VarianceValuation
	case s.Shares != ours.shares:
		return events.VarianceShares
	case s.Sum.Cmp(&ours.sum) != 0:
		return events.VarianceDifficulty
	case -1000 < difference && difference < 1000:
		return events.VarianceRounding
	}
	return events.VarianceTerms
}

// follow books what the statement says beyond the books, and beyond what was
// booked for it before, into the present interval.
func (d *Decider) follow(s *statement, ours *cellSum, reason events.Variance) {
	iv := d.current()
	t := &iv.Totals[d.Accounts[s.Purse].Basis]
	want := s.Millisats - ours.millisats - s.Booked
	msat := bound(want, max(-events.MaxInteger, -events.MaxInteger-t.Millisats), min(events.MaxInteger, events.MaxInteger-t.Millisats))
	s.Dirty = msat != want // the rest goes into the next intervals
	if msat == 0 {
		return
	}
	p := &d.Accounts[s.Purse]
	ev := &events.RevenueAccrued{
		From: stamp(s.From), Until: stamp(s.Until), Payout: d.termsOf(s.Purse), DifficultySum: "0",
		ValueMillisats: msat, CarryNumerator: work.Remainder(&p.Carry), CarryDenominator: work.DenominatorText,
		StatementID: s.ID, Variance: reason, Key: d.out.Key(),
	}
	if msat < 0 {
		from := ours.newest
		if from == (events.OrderKey{}) {
			from = s.Newest
		}
		ev.Reverses = d.eventID(from)
	}
	d.price(t, p.Basis, ev)
	s.Booked += msat
	s.Newest = ev.Key
	d.mix(uint64(msat))
	d.out.Put(events.SiteSource, ev)
}

// price gives an accrual its value in dollars and adds it to the totals of an
// interval.
func (d *Decider) price(t *totals, basis int, ev *events.RevenueAccrued) {
	ev.BTCPriceMicrousd = d.btcPrice(basis)
	ev.ValueMicrousd = max(work.Microusd(ev.ValueMillisats, ev.BTCPriceMicrousd, min(maxMicrousd, maxMicrousd-t.Microusd)),
		max(-maxMicrousd, -maxMicrousd-t.Microusd))
	t.Millisats += ev.ValueMillisats
	t.Microusd += ev.ValueMicrousd
	d.mix(uint64(t.Millisats))
}

// termsOf is the payout to name for a purse: that of its newest shares, else
// what the configuration says.
func (d *Decider) termsOf(purse int32) events.Payout {
	p := &d.Accounts[purse]
	if p.Terms.Pool != "" {
		return p.Terms
	}
	t := events.Payout{Pool: p.Pool, NBits: unknownBits, Scheme: events.SchemeFPPS, Basis: basisNames[p.Basis]}
	if c := d.Config; c != nil && c.Scheme != "" {
		t.Scheme, t.FeePPM = c.Scheme, c.FeePPM
	}
	return t
}

// unknownBits stands for the network's target where no share of the pool was
// ever accepted: that of the first block.
const unknownBits = "1d00ffff"

func span(from, until int64) string {
	return stamp(from).Format(time.RFC3339Nano) + " to " + stamp(until).Format(time.RFC3339Nano)
}

// nanos are two instants in Unix nanoseconds, as far as those reach.
func nanos(from, until time.Time) (int64, int64, bool) {
	ok := from.Year() >= 1700 && until.Year() <= 2200
	return from.UnixNano(), until.UnixNano(), ok
}
