// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
)

const (
	// backward is how far time may run backwards and be waited for.
	backward = int64(time.Hour)
	// maxGapIntervals is the longest silence of the journal that is booked.
	maxGapIntervals = 48
	// maxPeriods bounds the cuts of one interval, keepPeriods those of all
	// intervals that can still be corrected.
	maxPeriods  = 1024
	keepPeriods = 4096
)

// advance moves time to t, stopping wherever the passage of time alone changes
// something. Between such instants it does nothing at all.
func (d *Decider) advance(t int64) {
	if t < d.nextBreak {
		if t < d.Now-backward {
			d.stepBack(t)
		}
		d.Now = max(d.Now, t)
		return
	}
	d.settleUse()
	if iv := d.current(); t-iv.End > maxGapIntervals*d.Config.Interval {
		d.skip(t)
	}
	for d.nextBreak <= t {
		d.Now = max(d.Now, d.nextBreak)
		if d.Now >= d.nextStale {
			d.expireMeters()
		}
		if d.Now >= d.nextSilent {
			d.expireAgents()
		}
		if d.Now >= d.current().End {
			d.flushAll()
			d.cutPeriod()
			d.openInterval(d.Now)
		}
		if d.Now >= d.nextPrice {
			d.refreshPrice()
		}
		d.settleUse()
		d.setBreak()
	}
	d.Now = max(d.Now, t)
}

func (d *Decider) setBreak() {
	d.nextBreak = min(d.current().End, d.nextStale, d.nextSilent, d.nextPrice)
}

// skip books the present interval to its end and leaves out every whole
// interval of a silence too long to be estimated.
func (d *Decider) skip(t int64) {
	iv := d.current()
	end := iv.End
	for d.nextBreak < end { // staleness and prices up to the end still count
		d.Now = max(d.Now, d.nextBreak)
		d.expireMeters()
		d.expireAgents()
		d.refreshPrice()
		d.settleUse()
		d.setBreak()
	}
	d.Now = end
	d.expireMeters()
	d.expireAgents()
	d.flushAll()
	d.cutPeriod()
	from := stamp(end)
	start := after(t, d.Config.Interval) - d.Config.Interval
	d.Now = start
	for i := range d.Flows {
		d.Flows[i].Since = d.Now
	}
	d.Use.Since = d.Now
	d.resume()
	for i := range d.Meters {
		d.Meters[i].HasCounter = false
		d.Meters[i].Segments = d.Meters[i].Segments[:0]
	}
	d.openInterval(d.Now)
	d.refreshPrice()
	d.setBreak()
	d.raise("settlement-gap", events.SeverityCritical,
		fmt.Sprintf("nothing was recorded from %s to %s: that time is not settled",
			from.Format(time.RFC3339), stamp(d.Now).Format(time.RFC3339)),
		"settle it by hand from the meters' own records")
}

// stepBack starts over at t after the journal's clock was set back by more
// than can be waited for. What was booked before stays.
func (d *Decider) stepBack(t int64) {
	d.settleUse()
	d.flushAll()
	from := d.Now
	if iv := d.current(); iv.Start == d.Now {
		// Nothing in it yet: it moves.
		iv.Start, iv.End = t, after(t, d.Config.Interval)
		d.Now = t
		d.cur.Start, d.cur.PriceSince = t, t
	} else {
		d.cutPeriod()
		iv.End = d.Now
		d.Now = t
		d.openInterval(t)
	}
	for i := range d.Flows {
		d.Flows[i].Since = t
	}
	d.Use.Since = t
	d.resume()
	for i := range d.Meters {
		m := &d.Meters[i]
		m.Fresh = false
		m.CounterAt, m.WindowStart = min(m.CounterAt, t), min(m.WindowStart, t)
		d.showMeter(m)
	}
	d.estimate()
	for i := range d.Agents {
		d.Agents[i].Heard = min(d.Agents[i].Heard, t)
	}
	for i := range d.Rates {
		d.Rates[i].At = min(d.Rates[i].At, t)
	}
	d.NextAccrual = after(t, d.Config.Accrual)
	d.nextStale, d.nextSilent = t, t
	d.refreshPrice()
	d.setBreak()
	d.mix(uint64(t))
	d.raise("settlement-clock", events.SeverityCritical,
		fmt.Sprintf("the journal's clock was set back from %s to %s: what lies between is settled twice",
			stamp(from).Format(time.RFC3339), stamp(t).Format(time.RFC3339)),
		"keep the clock of the bus server synchronised; reverse by hand the intervals that never were")
}

// openInterval starts a new interval at start, up to the next boundary.
func (d *Decider) openInterval(start int64) {
	var id uint64
	if n := len(d.Intervals); n > 0 {
		last := d.Intervals[n-1]
		d.seal(last)
		id = last.ID + 1
		if last.Start < start && start < last.End {
			last.End = start // cut short by a new interval length
		}
	}
	iv := &interval{ID: id, Start: start, End: after(start, d.Config.Interval)}
	if d.Early != nil {
		iv.Totals, iv.Pending, iv.Witness = d.Early.Totals, d.Early.Pending, d.Early.Witness
		d.Early = nil
	}
	d.Intervals = append(d.Intervals, iv)
	iv.First = d.FirstPeriod + uint64(len(d.Periods))
	d.openPeriod()
	d.mix(uint64(start))
}

// openPeriod starts a period of the current interval now. The one before must
// have been cut.
func (d *Decider) openPeriod() {
	iv := d.current()
	l := d.Layouts[len(d.Layouts)-1]
	p := &period{
		Interval: iv.ID, Layout: l.ID, Start: d.Now, PriceSince: d.Now,
		Price: d.PriceNow, Resale: d.Config.Resale && d.PriceNow > 0,
		Contracted: d.Config.Contracted, House: d.Config.House,
		Accounts: d.accounts(len(l.Slots)),
	}
	d.Periods = append(d.Periods, p)
	iv.Last = d.curID()
	d.cur, d.curLayout = p, l
}

// accounts returns n empty accounts, reusing those of dropped periods.
func (d *Decider) accounts(n int) []account {
	if k := len(d.spare); k > 0 && cap(d.spare[k-1]) >= n {
		a := d.spare[k-1][:n]
		d.spare = d.spare[:k-1]
		clear(a)
		return a
	}
	return make([]account, n)
}

// cutPeriod ends the current period now. Every account must have been flushed.
func (d *Decider) cutPeriod() {
	p := d.cur
	p.End = d.Now
	p.PriceTime = p.PriceTime.Add(energy.Of(p.Price, d.Now-p.PriceSince))
	p.PriceSince = d.Now
}

// setPrice changes the price of energy from now on.
func (d *Decider) setPrice(v int64) {
	if v == d.PriceNow {
		return
	}
	d.flushIdle() // at the price until now
	d.PriceNow = v
	d.mix(uint64(v))
	if d.cur == nil {
		return
	}
	iv := d.current()
	resale := d.Config.Resale && v > 0
	if d.cur.Start == d.Now {
		d.cur.Price, d.cur.Resale = v, resale
		return
	}
	if iv.Last-iv.First >= maxPeriods && resale == d.cur.Resale {
		p := d.cur
		p.PriceTime = p.PriceTime.Add(energy.Of(p.Price, d.Now-p.PriceSince))
		p.Price, p.PriceSince, p.Mixed = v, d.Now, true
		return
	}
	d.flushAll()
	d.cutPeriod()
	d.openPeriod()
}

// current is the interval that time is in.
func (d *Decider) current() *interval { return d.Intervals[len(d.Intervals)-1] }

func (d *Decider) curID() uint64 { return d.FirstPeriod + uint64(len(d.Periods)) - 1 }

func (d *Decider) periodByID(id uint64) *period {
	if id < d.FirstPeriod || id-d.FirstPeriod >= uint64(len(d.Periods)) {
		return nil
	}
	return d.Periods[id-d.FirstPeriod]
}

func (d *Decider) intervalByID(id uint64) *interval {
	if len(d.Intervals) == 0 {
		return nil
	}
	if first := d.Intervals[0].ID; id >= first && id-first < uint64(len(d.Intervals)) {
		return d.Intervals[id-first]
	}
	return nil
}

// settleUse notes whether the site as a whole is over its limit or its
// contract, after anything changed.
func (d *Decider) settleUse() {
	if d.Config == nil || d.cur == nil {
		return
	}
	parts := d.Kinds[kindAI] + d.Kinds[kindHouse] + d.Kinds[kindMining]
	drawn, most := parts, parts
	known := d.StaleAI == 0
	if d.curLayout.HasTotal {
		if d.StaleTotal == 0 {
			drawn, most = d.Kinds[kindTotal], max(parts, d.Kinds[kindTotal])
		} else if !d.curLayout.HasAI {
			known = false
			drawn += d.Config.Nameplate
		}
	}
	over := known && most > d.Config.Limit
	now := use{
		Over: over, ByMining: over && most-d.Kinds[kindMining] <= d.Config.Limit,
		OverdrawWatts: max(drawn-d.Config.Contracted, 0), Since: d.Use.Since,
	}
	if now == d.Use {
		return
	}
	d.flushUse()
	now.Since = d.Use.Since
	d.Use = now
}

// flushUse books the time over the limit and the energy over the contract.
func (d *Decider) flushUse() {
	dt := d.Now - d.Use.Since
	if dt <= 0 {
		return
	}
	d.Use.Since = d.Now
	if d.Use.Over {
		d.cur.OverNanos += dt
	}
	if d.Use.ByMining {
		d.cur.ByMiningNs += dt
	}
	if d.Use.OverdrawWatts > 0 {
		d.cur.Overdraw = d.cur.Overdraw.Add(energy.Of(d.Use.OverdrawWatts, dt))
	}
	d.mix(uint64(dt))
}
