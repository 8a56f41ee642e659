// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"slices"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Bounds that keep every product and every event within range whatever a
// configuration, a unit or a market says.
const (
	maxWatts    = 10_000_000_000        // 10 GW per account
	maxPrice    = events.MaxEnergyPrice // µ$/MWh
	maxBooked   = 2_000_000_000_000_000 // mWh of one use in one interval, 2 TWh
	maxMoney    = events.MaxInteger / 8 // µ$ of energy in one interval
	maxMicrousd = events.MaxInteger / 4 // µ$ of shares of one basis in one interval
)

// units go on drawing what they last said for the life of a permit and a fall.
const fallAllowance = 5 * time.Second

func termsOf(c *events.SiteConfig) *terms {
	t := c.Tariff
	seconds := func(s, low, high int64) int64 { return min(max(s, low), high) * int64(time.Second) }
	lease := time.Duration(min(max(c.Policy.LeaseMilliseconds, 0), 3_600_000)) * time.Millisecond
	if lease == 0 {
		lease = events.DefaultLease
	}
	nameplate, house := c.SiteLoad()
	n := &terms{
		Limit:      bound(c.LimitWatts, 0, maxWatts),
		Contracted: bound(c.ContractedWatts, 0, maxWatts),
		Nameplate:  bound(nameplate, 0, maxWatts),
		House:      bound(house, 0, maxWatts),
		Interval:   seconds(t.IntervalSeconds, 1, 86_400),
		Grace:      seconds(t.GraceSeconds, 0, 86_400),
		Accrual:    seconds(t.AccrualSeconds, 1, 86_400),
		AgentHold:  int64(lease + fallAllowance),
		Price:      bound(t.EnergyPriceMicrousdPerMWh, -maxPrice, maxPrice),
		Indexed:    t.Indexed,
		Resale:     t.ResaleAllowed,
		FeePPM:     t.PoolFeePPM,
		Scheme:     t.Scheme,
	}
	n.Accrual = min(n.Accrual, n.Interval)
	for m, by := range c.CoveredMeters() {
		n.Covered = append(n.Covered, cover{m, by})
	}
	slices.SortFunc(n.Covered, func(a, b cover) int { return strings.Compare(a.Meter, b.Meter) })
	return n
}

func bound(v, low, high int64) int64 { return min(max(v, low), high) }

func kindOf(m events.Measures) (kind, bool) {
	switch m {
	case events.MeasuresMining:
		return kindMining, true
	case events.MeasuresAI:
		return kindAI, true
	case events.MeasuresHouse:
		return kindHouse, true
	case events.MeasuresTotal:
		return kindTotal, true
	}
	return 0, false
}

// configure replaces the configuration whole. The interval goes on unless its
// length changes.
func (d *Decider) configure(c *events.SiteConfig) {
	first, next := d.Config == nil, termsOf(c)
	recut := !first && d.Config.Interval != next.Interval
	if !first {
		d.flushAll()
	}
	d.Config = next
	d.lay(c.SiteMeters())
	switch {
	case first:
		d.openInterval(d.Now)
		d.NextAccrual = after(d.Now, d.Config.Accrual)
	case recut && d.current().Start == d.Now:
		d.current().End = after(d.Now, d.Config.Interval)
		d.cutPeriod()
		d.openPeriod()
	case recut:
		d.cutPeriod()
		d.openInterval(d.Now)
	default:
		d.cutPeriod()
		d.openPeriod()
	}
	d.NextAccrual = min(d.NextAccrual, after(d.Now, d.Config.Accrual))
	d.rebuild()
	d.refreshPrice()
	d.restage()
	d.mixConfig()
}

// mixConfig folds everything that was configured into the digest.
func (d *Decider) mixConfig() {
	t := d.Config
	for _, v := range []int64{
		t.Limit, t.Contracted, t.Nameplate, t.House, t.Interval, t.Grace, t.Accrual, t.AgentHold, t.Price, t.FeePPM,
		int64(flag(t.Indexed)<<1 | flag(t.Resale)),
	} {
		d.mix(uint64(v))
	}
	d.mixText(string(t.Scheme))
	for _, c := range t.Covered {
		d.mixText(c.Meter)
		d.mixText(c.By)
	}
	for i := range d.Meters {
		m := &d.Meters[i]
		d.mixText(m.ID)
		for _, v := range []int64{int64(m.Kind), int64(m.Group), m.Min, m.Max, m.Stale, m.Modulus} {
			d.mix(uint64(v))
		}
	}
}

// lay makes the accounts for the meters whose sum is the site; what a meter
// further down its power tree sees is in them already. Meters that stay keep
// what they know.
func (d *Decider) lay(configs []events.MeterConfig) {
	l := &layout{Slots: []slot{{Kind: kindMining}, {Kind: kindMining}}}
	if n := len(d.Layouts); n > 0 {
		l.ID = d.Layouts[n-1].ID + 1
	}
	type place struct {
		cfg   events.MeterConfig
		kind  kind
		group int
	}
	var places []place
	sizes := map[int]int{}
	for _, c := range configs {
		k, ok := kindOf(c.Measures)
		if !ok {
			continue
		}
		at := -1
		if c.Group != "" {
			for _, p := range places {
				if p.cfg.Group == c.Group && p.kind == k {
					at = p.group
				}
			}
		}
		if at < 0 {
			at = len(l.Slots)
			l.Slots = append(l.Slots, slot{Kind: k})
		}
		sizes[at]++
		places = append(places, place{c, k, at})
		l.HasAI = l.HasAI || k == kindAI
		l.HasTotal = l.HasTotal || k == kindTotal
	}
	l.Groups = len(l.Slots)

	old := d.Meters
	d.Meters = make([]meter, 0, len(places))
	for _, p := range places {
		m := meter{ID: p.cfg.Meter}
		for i := range old {
			if old[i].ID == m.ID && old[i].Kind == p.kind {
				m = old[i]
			}
		}
		m.Kind, m.Group, m.Account = p.kind, int32(p.group), int32(p.group)
		m.Min, m.Max = bound(p.cfg.MinWatts, -maxWatts, maxWatts), bound(p.cfg.MaxWatts, -maxWatts, maxWatts)
		m.Modulus = p.cfg.CounterModulusMilliwattHours
		m.Stale = min(max(p.cfg.StaleMilliseconds, 0), 86_400_000) * int64(time.Millisecond)
		if m.Stale == 0 {
			m.Stale = int64(5 * time.Second)
		}
		if sizes[p.group] > 1 {
			m.Account = int32(len(l.Slots))
			l.Slots[p.group].Members = append(l.Slots[p.group].Members, m.Account)
			l.Slots = append(l.Slots, slot{Kind: p.kind})
		}
		d.Meters = append(d.Meters, m)
	}
	d.Layouts = append(d.Layouts, l)
	d.Flows = make([]flow, len(l.Slots))
	for i := range d.Flows {
		d.Flows[i].Since = d.Now
	}
}

// restage sets every flow afresh after the layout changed.
func (d *Decider) restage() {
	d.Kinds = [kinds]int64{kindHouse: d.Config.House}
	d.Use.Since = d.Now
	d.StaleGroups, d.StaleAI, d.StaleTotal = 0, 0, 0
	d.UnitWatts = make([]int64, len(d.Flows))
	d.Flows[accountUnits].Estimated = true
	d.Flows[accountUnitsModelled].Estimated = true
	d.Flows[accountUnitsModelled].Modelled = true
	for i := range d.Units {
		d.Units[i].Account, d.Units[i].Counted = -1, 0
		d.place(&d.Units[i])
	}
	for g := firstGroup; g < d.curLayout.Groups; g++ {
		d.Flows[g].Estimated = true
		d.setStale(g, true)
	}
	for i := range d.Meters {
		d.Meters[i].Fresh = d.Meters[i].Fresh && d.Meters[i].Arrived+d.Meters[i].Stale > d.Now
		d.showMeter(&d.Meters[i])
	}
	for a := range accountUnitsModelled + 1 {
		d.setFlow(a, d.UnitWatts[a], true, a == accountUnitsModelled)
	}
	d.estimate()
	d.nextStale = d.Now
	d.nextSilent = d.Now
	d.setBreak()
}

// after is the first multiple of step later than t.
func after(t, step int64) int64 {
	q := t / step
	if t%step < 0 {
		q--
	}
	return (q + 1) * step
}
