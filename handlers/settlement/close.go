// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

// balance is one period's energy by use, exactly.
type balance struct {
	exacts
	Available energy.Amount
}

// layoutOf finds the layout of a period.
func (d *Decider) layoutOf(p *period) *layout {
	for i := len(d.Layouts) - 1; i > 0; i-- {
		if d.Layouts[i].ID == p.Layout {
			return d.Layouts[i]
		}
	}
	return d.Layouts[0]
}

// balanceOf adds up the accounts of a finished period.
func (d *Decider) balanceOf(p *period) (b balance) {
	l := d.layoutOf(p)
	nanos := p.End - p.Start
	b.Contracted = energy.Of(p.Contracted, nanos)
	b.House = energy.Of(p.House, nanos)
	var total, totalGuess energy.Amount
	for g := range l.Groups {
		a := best(l, p, g)
		switch l.Slots[g].Kind {
		case kindMining:
			b.Mining = b.Mining.Add(a.Energy)
			b.Modelled = b.Modelled.Add(a.Modelled)
		case kindAI:
			b.AI = b.AI.Add(a.Energy)
		case kindHouse:
			b.House = b.House.Add(a.Energy)
		case kindTotal:
			total = total.Add(a.Energy)
			totalGuess = totalGuess.Add(a.Estimated)
			continue
		}
		b.Estimated = b.Estimated.Add(a.Estimated)
	}
	used := b.AI.Add(b.House).Add(b.Mining)
	if rest := total.Sub(used); rest.Sign() > 0 {
		used = total
		if l.HasAI {
			b.House = b.House.Add(rest)
		} else {
			b.AI = b.AI.Add(rest)
			b.Estimated = b.Estimated.Add(rest.Share(totalGuess, total))
		}
	}
	beyond := energy.Max(used.Sub(b.Contracted), energy.Amount{})
	b.Overdrawn = energy.Max(energy.Min(p.Overdraw, used), beyond)
	b.Available = b.Contracted.Add(b.Overdrawn).Sub(used)
	if !p.Resale {
		b.Unsold = b.Available
	}
	return b
}

// best is the account that counts for a group: the member that saw most, if
// one was believed throughout, else the group's own.
func best(l *layout, p *period, group int) *account {
	a := &p.Accounts[group]
	var top *account
	for _, m := range l.Slots[group].Members {
		o := &p.Accounts[m]
		if o.EstimatedNanos == 0 && (top == nil || o.Energy.Cmp(top.Energy) > 0) {
			top = o
		}
	}
	if top != nil {
		return top
	}
	return a
}

// figure books an interval: whole milliwatt-hours, what is rounded off goes
// into d.Carry. An earlier booking of the interval must have been taken back.
func (d *Decider) figure(iv *interval) {
	var x exacts
	var nanos int64
	var priceTime energy.Amount
	cost, resale := new(big.Rat), new(big.Rat)
	f := figures{Totals: iv.Totals}
	var over, byMining int64
	for id := iv.First; id <= iv.Last; id++ {
		p := d.periodByID(id)
		b := d.balanceOf(p)
		x.Contracted = x.Contracted.Add(b.Contracted)
		x.Overdrawn = x.Overdrawn.Add(b.Overdrawn)
		x.AI = x.AI.Add(b.AI)
		x.House = x.House.Add(b.House)
		x.Mining = x.Mining.Add(b.Mining)
		x.Unsold = x.Unsold.Add(b.Unsold)
		x.Estimated = x.Estimated.Add(b.Estimated)
		x.Modelled = x.Modelled.Add(b.Modelled)
		over += p.OverNanos
		byMining += p.ByMiningNs
		if p.End == p.Start {
			continue
		}
		nanos += p.End - p.Start
		priceTime = priceTime.Add(p.PriceTime)
		cost.Add(cost, p.money(b.Mining))
		resale.Add(resale, p.money(b.Available.Sub(b.Unsold)))
	}
	c := &d.Carry
	f.Contracted = book(&c.Contracted, x.Contracted)
	f.AI = book(&c.AI, x.AI)
	f.House = book(&c.House, x.House)
	f.Mining = book(&c.Mining, x.Mining)
	used := f.AI + f.House + f.Mining
	f.Overdrawn = bookAtLeast(&c.Overdrawn, x.Overdrawn, used-f.Contracted)
	available := f.Contracted + f.Overdrawn - used
	exact := x.Contracted.Add(x.Overdrawn).Sub(x.AI).Sub(x.House).Sub(x.Mining)
	switch {
	case x.Unsold == exact:
		f.Unused = available
	case x.Unsold.Sign() > 0:
		f.Unused = bookAtMost(&c.Unsold, x.Unsold, available)
		f.Resold = available - f.Unused
	default:
		f.Resold = available
	}
	f.Estimated = min(book(&c.Estimated, x.Estimated), used)
	f.Modelled = min(book(&c.Modelled, x.Modelled), f.Mining)
	iv.Exact = x

	f.Witness = d.bookWitness(iv)
	f.OverMillis, f.ByMiningMillis = over/1_000_000, byMining/1_000_000
	f.Cost = toInt(ceil(cost))
	f.Resale = toInt(floor(resale))
	if nanos > 0 {
		w := priceTime.WattNanos()
		f.MeanPrice = new(big.Int).Div(w, big.NewInt(nanos)).Int64()
	}
	iv.Booked = f
}

// book rounds an exact amount down to whole mWh, never below 0; what is
// rounded off stays in carry.
func book(carry *energy.Amount, exact energy.Amount) int64 {
	return bookAtLeast(carry, exact, 0)
}

func bookAtLeast(carry *energy.Amount, exact energy.Amount, least int64) int64 {
	sum := carry.Add(exact)
	n := max(min(sum.Floor(), maxBooked), least, 0)
	*carry = sum.Sub(energy.Milliwatthours(n))
	return n
}

func bookAtMost(carry *energy.Amount, exact energy.Amount, most int64) int64 {
	sum := carry.Add(exact)
	n := min(max(sum.Floor(), 0), most)
	*carry = sum.Sub(energy.Milliwatthours(n))
	return n
}

// takeBack returns an interval's booking to the carries.
func (d *Decider) takeBack(iv *interval) {
	c, x, f := &d.Carry, &iv.Exact, &iv.Booked
	back := func(carry *energy.Amount, exact energy.Amount, booked int64) {
		*carry = carry.Add(energy.Milliwatthours(booked)).Sub(exact)
	}
	back(&c.Contracted, x.Contracted, f.Contracted)
	back(&c.Overdrawn, x.Overdrawn, f.Overdrawn)
	back(&c.AI, x.AI, f.AI)
	back(&c.House, x.House, f.House)
	back(&c.Mining, x.Mining, f.Mining)
	back(&c.Estimated, x.Estimated, f.Estimated)
	back(&c.Modelled, x.Modelled, f.Modelled)
	if available := x.Contracted.Add(x.Overdrawn).Sub(x.AI).Sub(x.House).Sub(x.Mining); x.Unsold != available && x.Unsold.Sign() > 0 {
		back(&c.Unsold, x.Unsold, f.Unused)
	}
	d.WitnessLeft.Add(&d.WitnessLeft, work.WitnessParts(f.Witness))
	d.WitnessLeft.Sub(&d.WitnessLeft, &iv.WitnessBooked)
}

func (d *Decider) bookWitness(iv *interval) int64 {
	parts := iv.Witness.Parts()
	iv.WitnessBooked.Set(parts)
	n, rest := work.WitnessMilliwattHours(parts.Add(parts, &d.WitnessLeft))
	d.WitnessLeft.Set(rest)
	return n
}

// money is the exact price of an amount of energy in a period, µ$.
func (p *period) money(e energy.Amount) *big.Rat {
	// µ$/MWh · W·ns / (3.6e18 W·ns per MWh)
	m := new(big.Rat).SetFrac(e.WattNanos(), big.NewInt(3_600_000_000_000_000_000))
	if !p.Mixed {
		return m.Mul(m, new(big.Rat).SetInt64(p.Price))
	}
	return m.Mul(m, new(big.Rat).SetFrac(p.PriceTime.WattNanos(), big.NewInt(p.End-p.Start)))
}

func floor(r *big.Rat) *big.Int { return new(big.Int).Div(r.Num(), r.Denom()) }

func ceil(r *big.Rat) *big.Int {
	n := floor(new(big.Rat).Neg(r))
	return n.Neg(n)
}

// toInt keeps money within what every reader of JSON holds exactly.
func toInt(n *big.Int) int64 {
	if !n.IsInt64() {
		return int64(n.Sign()) * maxMoney
	}
	return bound(n.Int64(), -maxMoney, maxMoney)
}

// close books an interval for the first time.
func (d *Decider) close(iv *interval) {
	iv.Closed, iv.Dirty = true, false
	d.figure(iv)
	d.publish(iv)
	d.curtailed(iv)
	d.clearAlerts(iv)
}

// correct books an interval again and publishes it if any figure changed.
func (d *Decider) correct(iv *interval) {
	iv.Dirty = false
	before := iv.Booked
	d.takeBack(iv)
	d.figure(iv)
	if iv.Booked != before {
		d.publish(iv)
	}
}

// publish says what an interval came to, reversing what was said before.
func (d *Decider) publish(iv *interval) {
	f := &iv.Booked
	e := &events.EnergySettled{
		IntervalStart:                 stamp(iv.Start),
		IntervalEnd:                   stamp(iv.End),
		ContractedMilliwattHours:      f.Contracted,
		OverdrawnMilliwattHours:       f.Overdrawn,
		AIMilliwattHours:              f.AI,
		HouseMilliwattHours:           f.House,
		MiningMilliwattHours:          f.Mining,
		ResoldMilliwattHours:          f.Resold,
		UnusedMilliwattHours:          f.Unused,
		EstimatedMilliwattHours:       f.Estimated,
		ModelledMilliwattHours:        f.Modelled,
		WitnessMilliwattHours:         f.Witness,
		OverLimitMilliseconds:         f.OverMillis,
		OverLimitByMiningMilliseconds: f.ByMiningMillis,
		Reverses:                      iv.EnergyID,
		Key:                           d.out.Key(),
	}
	iv.EnergyID = d.eventID(e.Key)
	d.out.Put(events.SiteSource, e)

	r := &events.RevenueSettled{
		IntervalStart:       stamp(iv.Start),
		IntervalEnd:         stamp(iv.End),
		Totals:              make([]events.BasisTotal, 0, bases),
		EnergyCostMicrousd:  f.Cost,
		ResaleMicrousd:      f.Resale,
		PriceMicrousdPerMWh: f.MeanPrice,
		EnergyEventID:       iv.EnergyID,
		Reverses:            iv.RevenueID,
		Key:                 d.out.Key(),
	}
	margin := f.Resale - f.Cost
	for b, t := range f.Totals {
		if t == (totals{}) {
			continue
		}
		margin += t.Microusd
		r.Totals = append(r.Totals, events.BasisTotal{
			Basis:          basisNames[b],
			SharesAccepted: t.Accepted, SharesRejected: t.Rejected, SharesUnknown: t.Unknown,
			RevenueMillisats: t.Millisats, RevenueMicrousd: t.Microusd,
		})
	}
	r.MarginMicrousd = margin
	iv.RevenueID = d.eventID(r.Key)
	d.out.Put(events.SiteSource, r)
	d.mix(uint64(f.Mining))
	d.mix(uint64(r.MarginMicrousd))
}

// eventID is the id that the host gives to the output with this key.
func (d *Decider) eventID(k events.OrderKey) string {
	return decider.MessageID(d.Site, Name, k)
}

// drop forgets closed intervals that are too old to be corrected.
func (d *Decider) drop() {
	closed := 0
	for _, iv := range d.Intervals {
		if iv.Closed {
			closed++
		}
	}
	for closed > d.Correctable || closed > 1 && len(d.Periods) > keepPeriods {
		iv := d.Intervals[0]
		if iv.Dirty || len(iv.Pending) > 0 {
			d.accrue(iv, true)
			d.correct(iv)
		}
		n := int(iv.Last - d.FirstPeriod + 1)
		for i, p := range d.Periods[:n] {
			if len(d.spare) < 64 {
				d.spare = append(d.spare, p.Accounts)
			}
			d.Periods[i] = nil
		}
		d.Periods = d.Periods[n:]
		d.FirstPeriod += uint64(n)
		d.Intervals[0] = nil
		d.Intervals = d.Intervals[1:]
		closed--
	}
	for len(d.Layouts) > 1 && d.Layouts[0].ID != d.Periods[0].Layout {
		d.Layouts = d.Layouts[1:]
	}
	for i := range d.Meters {
		d.Meters[i].forget(d.FirstPeriod)
	}
}

// forget merges the segments of periods that are gone into one measured and
// one estimated.
func (m *meter) forget(first uint64) {
	gone := func(s segment) bool { return !s.Gone && s.Period < first }
	if !slices.ContainsFunc(m.Segments, gone) {
		return
	}
	var merged [2]segment
	kept := m.Segments[:0]
	for _, s := range m.Segments {
		if s.Period >= first {
			kept = append(kept, s)
			continue
		}
		g := &merged[0]
		if s.EstimatedNanos > 0 {
			g = &merged[1]
		}
		g.Gone, g.Interval, g.Period = true, s.Interval, s.Period
		g.Energy = g.Energy.Add(s.Energy)
		g.Estimated = g.Estimated.Add(s.Estimated)
		g.Nanos += s.Nanos
		g.EstimatedNanos += s.EstimatedNanos
	}
	var all []segment
	for _, g := range merged {
		if g.Gone {
			all = append(all, g)
		}
	}
	m.Segments = append(all, kept...)
}

// tooLate reports energy proven for an interval that cannot be corrected.
func (d *Decider) tooLate(diff energy.Amount) {
	d.raise("settlement-final", events.SeverityWarning,
		fmt.Sprintf("a counter proves that intervals which can no longer be corrected were estimated wrong by %d mWh", diff.Floor()),
		"book the difference by hand; keep meters connected, or allow more correctable intervals")
}
