// SPDX-License-Identifier: Apache-2.0

package eventreport

import (
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// tables of methods, intervals and like days.
func (r *Report) tables(p *page) {
	most, mostEnergy := int64(1), int64(1)
	var hours time.Duration
	for i := range r.Parts {
		w := &r.Parts[i]
		hours += w.WindowEnd.Sub(w.WindowStart)
		for n := range w.Lines {
			if e := energyOf(w.Measures, &w.Lines[n]); e != nil {
				mostEnergy = max(mostEnergy, *e)
			}
		}
		for b := range w.Baselines {
			mostEnergy = max(mostEnergy, w.Baselines[b].MilliwattHours/max(int64(len(w.Lines)), 1))
			for _, v := range w.Baselines[b].Watts {
				most = max(most, v)
			}
		}
	}
	powerScale, energyScale := scaleFor(powers, most), scaleFor(energies, mostEnergy)
	p.MethodUnit, p.PowerUnit = energyScale.Name, powerScale.Name
	r.methods(p, energyScale, powerScale, hours)
	r.intervals(p, energyScale, powerScale)
	r.likeDays(p, powerScale)
}

// methods side by side; the figures of several parts are added up where all of
// them have any.
func (r *Report) methods(p *page, e, w scale, window time.Duration) {
	first := &r.Parts[0]
	for i := range first.Baselines {
		b := first.Baselines[i]
		m := methodRow{Name: methodName(&b), Text: methodText(b.Method), Parameters: b.Parameters, Contract: b.Contract, Hash: b.InputHash,
			ShortHash: b.InputHash[:12], Class: methodClass(&b)}
		var base, delivered int64
		ok := true
		for n := range r.Parts {
			q := &r.Parts[n]
			if i >= len(q.Baselines) || q.Baselines[i].Unavailable != "" {
				ok = false
				continue
			}
			base, delivered = base+q.Baselines[i].MilliwattHours, delivered+q.Baselines[i].DeliveredMilliwattHours
		}
		if !ok {
			m.Unavailable = unavailableText(b.Unavailable)
			p.Methods = append(p.Methods, m)
			continue
		}
		mean := meanWatts(delivered, window)
		m.Baseline, m.Delivered, m.Mean = e.text(base), e.text(delivered), w.text(mean)
		m.Share = "–"
		if q := first.RequestedReductionWatts; q != nil && *q > 0 {
			m.Share = share(mean, *q)
		}
		m.Price = w.text(b.PriceLoweredWatts)
		m.Days = strconv.Itoa(len(b.Days))
		if len(b.Days) == 0 {
			m.Days = "–"
		}
		if b.AdjustmentPPM != 0 {
			m.Factor = "× " + decimal(b.AdjustmentPPM, 6)
		}
		p.Methods = append(p.Methods, m)
	}
}

// intervals with every method that has figures.
func (r *Report) intervals(p *page, e, w scale) {
	t := &table{Head: []string{"Limit, " + w.Name, "Metered, " + e.Name, "Most, " + w.Name}}
	first := &r.Parts[0]
	var shown []int
	for i := range first.Baselines {
		if first.Baselines[i].Unavailable == "" {
			shown = append(shown, i)
			t.Head = append(t.Head, methodName(&first.Baselines[i]))
		}
	}
	for i := range r.Parts {
		q := &r.Parts[i]
		for n := range q.Lines {
			l := &q.Lines[n]
			length := l.End.Sub(l.Start)
			at := row{Name: clockText(l.Start) + " – " + clockText(l.End), Note: qualityText(Quality(q, l))}
			actual := energyOf(q.Measures, l)
			metered := cellText{Main: "–"}
			if actual != nil {
				metered = cellText{e.text(*actual), w.withUnit(meanWatts(*actual, length))}
			}
			at.Cells = append(at.Cells, cellText{Main: w.text(l.LimitWatts)}, metered, cellText{Main: w.text(l.MostWatts)})
			for _, b := range shown {
				if b >= len(q.Baselines) || q.Baselines[b].Unavailable != "" || actual == nil {
					at.Cells = append(at.Cells, cellText{Main: "–"})
					continue
				}
				base := &q.Baselines[b]
				at.Cells = append(at.Cells, cellText{e.text(baselineEnergy(base, n, length) - *actual), w.withUnit(base.Watts[n])})
			}
			t.Rows = append(t.Rows, at)
		}
	}
	if len(t.Rows) > 0 {
		p.Intervals = t
	}
}

func clockText(t time.Time) string {
	s := t.UTC().Format("15:04:05.000")
	return strings.TrimSuffix(s, ".000")
}

// likeDays that baselines rest on, of the first part.
func (r *Report) likeDays(p *page, w scale) {
	q := &r.Parts[0]
	if len(q.LikeDays) == 0 {
		return
	}
	t := &table{}
	for n := range q.Lines {
		t.Head = append(t.Head, clockText(q.Lines[n].Start))
	}
	for _, d := range q.LikeDays {
		at := row{Name: d.Date, Note: usedBy(q, d.Date)}
		for _, v := range d.Watts {
			at.Cells = append(at.Cells, cellText{Main: w.text(v)})
		}
		t.Rows = append(t.Rows, at)
	}
	p.LikeDays = t
}

// usedBy names the methods that a day counts for.
func usedBy(q *Word, date string) string {
	var names []string
	for i := range q.Baselines {
		for _, d := range q.Baselines[i].Days {
			if d == date && q.Baselines[i].Method != events.BaselineTenInTenAdjusted {
				names = append(names, methodName(&q.Baselines[i]))
			}
		}
	}
	return strings.Join(names, ", ")
}
