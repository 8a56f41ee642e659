// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"math/big"
	"math/bits"
	"slices"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

// wide is money that has not been rounded, µ$/MWh · W·ns.
type wide struct{ Parts big.Int }

// wattNanosPerMegawattHour makes a wide micro-dollars.
const wattNanosPerMegawattHour = 3_600_000_000_000_000_000

// add the price of an amount of energy.
func (w *wide) add(e energy.Amount, price int64) {
	n := e.WattNanos()
	w.Parts.Add(&w.Parts, n.Mul(n, big.NewInt(price)))
}

// ceil is the amount in whole micro-dollars, rounded up.
func (w *wide) ceil() int64 {
	return toInt(ceil(new(big.Rat).SetFrac(&w.Parts, big.NewInt(wattNanosPerMegawattHour))))
}

// seal finishes what was forgone in an interval when it ends: nothing that
// comes later can change it. Every unit must have been flushed.
func (d *Decider) seal(iv *interval) {
	full := d.Full
	d.Full = energy.Amount{}
	lines := d.merge()
	d.Idle = d.Idle[:0]
	clear(d.idleOf)
	for i := range d.Units {
		u := &d.Units[i]
		u.Line = -1
		d.enter(u)
	}
	if full.Sign() == 0 {
		return
	}
	c := &events.CurtailmentSettled{}
	for b, r := range d.Rates {
		if r.Payout != (events.Payout{}) {
			_, byShare := r.work()
			c.Rates = append(c.Rates, events.CurtailmentRate{Payout: r.Payout, ShareDifficulty: byShare, BTCPriceMicrousd: d.btcPrice(b)})
		}
	}
	var sum int64
	for i := range lines {
		l := &lines[i]
		n := book(&d.IdleCarry, l.Energy)
		line := events.CurtailmentLine{
			Basis: basisNames[l.Basis], Reason: l.Reason, SignalID: l.Signal, MilliwattHours: n, AvoidedCostMicrousd: l.Cost.ceil(),
		}
		if line.ModelledMilliwattHours = n; l.Modelled != l.Energy {
			line.ModelledMilliwattHours = bookAtMost(&d.ModelledCarry, l.Modelled, n)
		}
		h := new(big.Int).SetUint64(l.High)
		h.Lsh(h, 64).Or(h, new(big.Int).SetUint64(l.Low))
		line.Hashes = h.String()
		line.ForgoneMillisats = d.Rates[l.Basis].value(h)
		line.ForgoneMicrousd = work.Microusd(line.ForgoneMillisats, d.btcPrice(l.Basis), maxMicrousd)
		line.NetMicrousd = line.ForgoneMicrousd - line.AvoidedCostMicrousd
		c.Lines = append(c.Lines, line)
		sum += n
		d.mix(uint64(n))
		d.mix(uint64(line.NetMicrousd))
	}
	c.NameplateMilliwattHours = bookAtLeast(&d.FullCarry, full, sum)
	d.mix(uint64(c.NameplateMilliwattHours))
	iv.Forgone = c
}

// merge orders the lines of the interval. Those of units that no share has
// proven yet are of the site's newest real basis.
func (d *Decider) merge() []idle {
	kept := d.Idle[:0]
	for _, l := range d.Idle {
		if l.Energy.Sign() == 0 {
			continue
		}
		if l.Basis == basisUnproven {
			l.Basis = d.Real
		}
		same := func(o idle) bool { return o.key() == l.key() }
		if i := slices.IndexFunc(kept, same); i >= 0 {
			kept[i].join(&l)
			continue
		}
		kept = append(kept, l)
	}
	slices.SortFunc(kept, func(a, b idle) int {
		x := events.CurtailmentLine{Basis: basisNames[a.Basis], Reason: a.Reason, SignalID: a.Signal}
		return x.Compare(&events.CurtailmentLine{Basis: basisNames[b.Basis], Reason: b.Reason, SignalID: b.Signal})
	})
	return slices.Clone(kept)
}

// join adds another line of the same key.
func (l *idle) join(o *idle) {
	l.Energy, l.Modelled = l.Energy.Add(o.Energy), l.Modelled.Add(o.Modelled)
	l.Cost.Parts.Add(&l.Cost.Parts, &o.Cost.Parts)
	var c uint64
	l.Low, c = bits.Add64(l.Low, o.Low, 0)
	l.High += o.High + c
}

// work that earns the reward: that of a block, or of a share where that is
// more, whose difficulty is then named. A share is worth a reward at most.
func (r *rate) work() (w *big.Int, byShare string) {
	nbits, err := work.ParseBits(r.Payout.NBits)
	if err != nil {
		return nil, "" // not noted: worth looks at it
	}
	target, err := work.Target(nbits)
	if err != nil {
		return nil, ""
	}
	w = work.Work(target)
	if d, err := work.ParseDifficulty(r.Difficulty); err == nil {
		if share := work.Work(work.ShareTarget(d)); share.Cmp(w) > 0 {
			return share, work.FormatDifficulty(d)
		}
	}
	return w, ""
}

// value of hashes, msat.
func (r *rate) value(hashes *big.Int) int64 {
	w, _ := r.work()
	if w == nil {
		return 0
	}
	return work.Expected(hashes, w, r.Payout.RewardSats, r.Payout.FeePPM, events.MaxInteger)
}

// curtailed says what was forgone in an interval that closes.
func (d *Decider) curtailed(iv *interval) {
	c := iv.Forgone
	if c == nil {
		return
	}
	iv.Forgone = nil
	c.IntervalStart, c.IntervalEnd = stamp(iv.Start), stamp(iv.End)
	c.EnergyEventID, c.Key = iv.EnergyID, d.out.Key()
	d.out.Put(events.SiteSource, c)
}
