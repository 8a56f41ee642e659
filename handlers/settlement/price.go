// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"cmp"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// maxPrices bounds the price signals held at once: three days of five-minute
// prices.
const maxPrices = 1024

// price is a price signal whose window has not ended.
type price struct {
	Source, ID     string
	Rank, Priority int
	Start, End     int64 // Unix ns; End is never without a duration
	Value          int64 // µ$/MWh
	Order          uint64
}

// signal folds a grid signal: prices, and what ends them.
func (d *Decider) signal(e *events.Event, s *events.GridSignal) {
	if s.Test {
		return
	}
	id := s.SignalID
	if id == "" {
		id = e.ID
	}
	if s.Supersedes != "" {
		d.endPrice(e.Source, s.Supersedes)
	}
	switch s.Kind {
	case events.SignalRestore:
		if s.Cancels != "" {
			d.endPrice(e.Source, s.Cancels)
		}
	case events.SignalPrice:
		if s.PriceMicrousdPerMWh == nil {
			return
		}
		d.endPrice(e.Source, id)
		p := price{
			Source: e.Source, ID: id, Rank: s.EffectivePrecedence().Rank(), Priority: s.Priority,
			Start: d.Now, End: never, Value: bound(*s.PriceMicrousdPerMWh, -maxPrice, maxPrice),
			Order: d.PriceOrder,
		}
		d.PriceOrder++
		if s.StartsAt != nil {
			p.Start = s.StartsAt.UnixNano()
		}
		if s.DurationSeconds > 0 && s.DurationSeconds < 1<<32 {
			p.End = p.Start + s.DurationSeconds*int64(time.Second)
		}
		d.addPrice(p)
	case events.SignalCurtail, events.SignalSetpoint, events.SignalImportLimit, events.SignalEmergency, events.SignalStop:
		if s.Supersedes == "" {
			return
		}
	}
	d.refreshPrice()
	if d.configured() {
		d.setBreak()
	}
}

// addPrice keeps a price; when there are too many, the one that has been in
// force for longest goes.
func (d *Decider) addPrice(p price) {
	if len(d.Prices) >= maxPrices {
		oldest := 0
		for i := range d.Prices {
			if d.Prices[i].Start < d.Prices[oldest].Start {
				oldest = i
			}
		}
		d.Prices = append(d.Prices[:oldest], d.Prices[oldest+1:]...)
	}
	d.Prices = append(d.Prices, p)
	d.mixText(p.ID)
	d.mix(uint64(p.Value))
	d.mix(uint64(p.Start))
	d.mix(uint64(p.End))
}

// endPrice drops the price signal id, if its issuer, or the operator, says so.
func (d *Decider) endPrice(source, id string) {
	kept := d.Prices[:0]
	for _, p := range d.Prices {
		if p.ID != id || p.Source != source && source != events.OperatorSource {
			kept = append(kept, p)
			continue
		}
		d.mix(p.Order)
	}
	clear(d.Prices[len(kept):])
	d.Prices = kept
}

// refreshPrice finds the price in force now and when that may change: the
// highest precedence, then priority, then the latest start, then the newest.
func (d *Decider) refreshPrice() {
	if d.Config == nil {
		return
	}
	d.nextPrice = never
	var best *price
	kept := d.Prices[:0]
	for _, p := range d.Prices {
		if p.End > d.Now {
			kept = append(kept, p)
		}
	}
	clear(d.Prices[len(kept):])
	d.Prices = kept
	for i := range d.Prices {
		p := &d.Prices[i]
		if p.Start > d.Now {
			d.nextPrice = min(d.nextPrice, p.Start)
			continue
		}
		d.nextPrice = min(d.nextPrice, p.End)
		if best == nil || p.beats(best) {
			best = p
		}
	}
	if best != nil && d.Config.Indexed {
		d.setPrice(best.Value)
	} else {
		d.setPrice(d.Config.Price)
	}
}

func (p *price) beats(o *price) bool {
	return cmp.Or(
		cmp.Compare(o.Rank, p.Rank),
		cmp.Compare(o.Priority, p.Priority),
		cmp.Compare(p.Start, o.Start),
		cmp.Compare(p.Order, o.Order),
	) > 0
}
