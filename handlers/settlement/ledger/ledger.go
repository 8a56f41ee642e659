// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"math/big"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

// Accruals of one basis.
type Accruals struct {
	// Events added, and the accepted shares in them.
	Events, Shares int64
	// Difficulty is the exact sum of share difficulties, decimal.
	Difficulty string
	// Millisats and Microusd booked.
	Millisats, Microusd int64
}

// Energy of all settled intervals, mWh. Contracted + Overdrawn =
// AI + House + Mining + Resold + Unused.
type Energy struct {
	Contracted, Overdrawn, AI, House, Mining, Resold, Unused int64
	Estimated, Modelled, Witness                             int64
	// OverLimit and OverLimitByMining, milliseconds.
	OverLimit, OverLimitByMining int64
	// Intervals settled, and how many settlements corrected an earlier one.
	Intervals, Corrections int64
	// From and Until bound the intervals; zero when there is none.
	From, Until time.Time
}

// Money of all settled intervals.
type Money struct {
	// Bases in the order live, practice, modelled; those with nothing are
	// left out.
	Bases []events.BasisTotal
	// EnergyCost, Resale and Margin, µ$.
	EnergyCost, Resale, Margin int64
	// Intervals settled, and how many settlements corrected an earlier one.
	Intervals, Corrections int64
}

// Forgone is what units could have hashed in all settled intervals and did not.
type Forgone struct {
	// Nameplate is the energy that they could have used, mWh.
	Nameplate int64
	// Lines of all intervals added up, in the order of basis, reason and
	// signal. Bases never mix.
	Lines []events.CurtailmentLine
	// Intervals settled.
	Intervals int64
}

// Totals is what a ledger came to.
type Totals struct {
	// Accrued per basis, settled or not. Bases never mix.
	Accrued map[events.Basis]Accruals
	// Energy and Money of the settled intervals, and what was forgone in them,
	// which is part of neither.
	Energy  Energy
	Money   Money
	Forgone Forgone
}

// Ledger adds up settlement events. The zero value is empty.
type Ledger struct {
	accrued map[events.Basis]*accrued
	seen    map[string]struct{} // accruals
	energy  book[events.EnergySettled]
	money   book[events.RevenueSettled]
	forgone book[events.CurtailmentSettled]
}

type accrued struct {
	Accruals
	sum big.Int
}

// book keeps the settlements that stand, by id.
type book[T any] struct {
	standing    map[string]*T
	order       []string
	reversed    map[string]struct{}
	corrections int64
}

// add takes a settlement; reverses is the id of the one it replaces.
func (b *book[T]) add(id, reverses string, v *T) {
	if b.standing == nil {
		b.standing, b.reversed = map[string]*T{}, map[string]struct{}{}
	}
	if _, ok := b.standing[id]; ok {
		return
	}
	if reverses != "" {
		if _, ok := b.reversed[reverses]; !ok {
			b.corrections++
		}
		b.reversed[reverses] = struct{}{}
		delete(b.standing, reverses)
	}
	if _, ok := b.reversed[id]; ok || decider.IsReversalID(id) {
		return // a reversal puts nothing in the place of what it takes back
	}
	b.standing[id] = v
	b.order = append(b.order, id)
}

// Add takes an event. Types other than energy.settled, revenue.accrued,
// revenue.settled and curtailment.settled are ignored; so is a repeated id. The
// payload is copied as far as it is kept.
func (l *Ledger) Add(e *events.Event) {
	switch p := e.Data.(type) {
	case *events.EnergySettled:
		own := *p
		l.energy.add(e.ID, p.Reverses, &own)
	case *events.RevenueSettled:
		own := *p
		own.Totals = append([]events.BasisTotal(nil), p.Totals...)
		l.money.add(e.ID, p.Reverses, &own)
	case *events.CurtailmentSettled:
		own := *p
		own.Lines = append([]events.CurtailmentLine(nil), p.Lines...)
		l.forgone.add(e.ID, p.Reverses, &own)
	case *events.RevenueAccrued:
		l.accrue(e.ID, p)
	}
}

func (l *Ledger) accrue(id string, p *events.RevenueAccrued) {
	if l.seen == nil {
		l.seen, l.accrued = map[string]struct{}{}, map[events.Basis]*accrued{}
	}
	if _, ok := l.seen[id]; ok && id != "" {
		return
	}
	l.seen[id] = struct{}{}
	a := l.accrued[p.Payout.Basis]
	if a == nil {
		a = new(accrued)
		l.accrued[p.Payout.Basis] = a
	}
	a.Events++
	a.Shares += p.SharesAccepted
	a.Millisats += p.ValueMillisats
	a.Microusd += p.ValueMicrousd
	text, negative := p.DifficultySum, false
	if len(text) > 0 && text[0] == '-' {
		text, negative = text[1:], true
	}
	if d, err := work.ParseSum(text); err == nil {
		if negative {
			d.Neg(d)
		}
		a.sum.Add(&a.sum, d)
	}
}

// Totals of everything added so far.
func (l *Ledger) Totals() Totals {
	t := Totals{Accrued: make(map[events.Basis]Accruals, len(l.accrued))}
	for b, a := range l.accrued {
		sum := a.Accruals
		if a.sum.Sign() < 0 {
			sum.Difficulty = "-" + work.FormatDifficulty(new(big.Int).Neg(&a.sum))
		} else {
			sum.Difficulty = work.FormatDifficulty(&a.sum)
		}
		t.Accrued[b] = sum
	}
	t.Energy = l.energyTotals()
	t.Money = l.moneyTotals()
	t.Forgone = l.forgoneTotals()
	return t
}

func (l *Ledger) energyTotals() Energy {
	t := Energy{Corrections: l.energy.corrections}
	for _, id := range l.energy.order {
		e := l.energy.standing[id]
		if e == nil {
			continue
		}
		t.Intervals++
		t.Contracted += e.ContractedMilliwattHours
		t.Overdrawn += e.OverdrawnMilliwattHours
		t.AI += e.AIMilliwattHours
		t.House += e.HouseMilliwattHours
		t.Mining += e.MiningMilliwattHours
		t.Resold += e.ResoldMilliwattHours
		t.Unused += e.UnusedMilliwattHours
		t.Estimated += e.EstimatedMilliwattHours
		t.Modelled += e.ModelledMilliwattHours
		t.Witness += e.WitnessMilliwattHours
		t.OverLimit += e.OverLimitMilliseconds
		t.OverLimitByMining += e.OverLimitByMiningMilliseconds
		if t.From.IsZero() || e.IntervalStart.Before(t.From) {
			t.From = e.IntervalStart
		}
		if e.IntervalEnd.After(t.Until) {
			t.Until = e.IntervalEnd
		}
	}
	return t
}

func (l *Ledger) moneyTotals() Money {
	t := Money{Corrections: l.money.corrections}
	sums := map[events.Basis]*events.BasisTotal{}
	for _, id := range l.money.order {
		r := l.money.standing[id]
		if r == nil {
			continue
		}
		t.Intervals++
		t.EnergyCost += r.EnergyCostMicrousd
		t.Resale += r.ResaleMicrousd
		t.Margin += r.MarginMicrousd
		for _, b := range r.Totals {
			s := sums[b.Basis]
			if s == nil {
				s = &events.BasisTotal{Basis: b.Basis}
				sums[b.Basis] = s
			}
			s.SharesAccepted += b.SharesAccepted
			s.SharesRejected += b.SharesRejected
			s.SharesUnknown += b.SharesUnknown
			s.RevenueMillisats += b.RevenueMillisats
			s.RevenueMicrousd += b.RevenueMicrousd
		}
	}
	for _, b := range []events.Basis{events.BasisLive, events.BasisPractice, events.BasisModelled} {
		if s := sums[b]; s != nil {
			t.Bases = append(t.Bases, *s)
		}
	}
	return t
}
