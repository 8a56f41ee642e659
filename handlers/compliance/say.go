// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/compliance/baseline"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
)

// tick publishes what is due.
func (d *Decider) tick() {
	if d.Terms == nil {
		return
	}
	gone := false
	for _, e := range d.Events {
		switch {
		case e.Phase == phaseRunning && len(e.Lines) > events.MaxPerformanceLines:
			d.sayPart(e)
		case e.Phase == phaseOver && e.Silent:
			gone = true
			e.Said = "-"
		case e.Phase == phaseOver && e.Said == "" && e.Opened == 0:
			d.say(e, e.EndedAt, true)
			gone = true
			e.Said = "-"
		case e.Phase == phaseOver && e.Said == "" && d.Now >= e.EndedAt+d.Terms.Grace:
			d.flushAll()
			d.say(e, e.EndedAt, false)
		case e.Phase == phaseOver && e.Said != "" && d.Now >= e.EndedAt+d.after:
			d.flushAll()
			d.say(e, e.EndedAt, true)
			gone = true
			e.Said = "-"
		}
	}
	if !gone {
		return
	}
	d.Events = slices.DeleteFunc(d.Events, func(e *event) bool { return e.Said == "-" })
	if d.Flooded && len(d.Events) < MaxEvents/2 {
		d.Flooded = false
		d.out.Put(events.SiteSource, &events.AlertCleared{Alert: "compliance-events", Message: "grid events are measured again"})
	}
}

// sayPart publishes the lines of a long event that are over and goes on.
func (d *Decider) sayPart(e *event) {
	d.flushAll()
	open := e.Lines[len(e.Lines)-1]
	e.Lines = e.Lines[:len(e.Lines)-1]
	if !e.Silent {
		d.say(e, open.Start, true)
	}
	// What began with the open line belongs to the next part; its share of the
	// hold is counted from here on.
	e.Lines = append(e.Lines[:0], open)
	e.Part, e.PartStart, e.Said = e.Part+1, open.Start, ""
	e.Hold, e.HoldNanos, e.Held = cell{}, 0, 0
	e.Over, e.Under, e.OverReached, e.Requested = energy.Amount{}, energy.Amount{}, energy.Amount{}, energy.Amount{}
	e.Seen, e.Response, e.Thin, e.Skipped = false, nil, 0, 0
}

func stamp(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }

func stampIf(nanos int64) *time.Time {
	if nanos == 0 {
		return nil
	}
	t := stamp(nanos)
	return &t
}

func millis(nanos int64) int64 { return nanos / 1_000_000 }

// say publishes what an event came to until end.
func (d *Decider) say(e *event, end int64, final bool) {
	p := &events.ProgrammePerformed{
		SignalID: e.ID, SignalSource: e.Source, Programme: e.Programme, Product: e.Product, Market: e.Market,
		Kind: e.Kind, Reason: e.Reason, Test: e.Test, Obeyed: e.Obeyed, Node: nodeName(e.Node), Measures: measures(e.Measured),
		Part: max(e.Part, 1), Final: final, Ending: e.Ending, EndedBy: e.EndedBy,
		IssuedAt: stamp(e.IssuedAt), ArrivedAt: stamp(e.ArrivedAt), BeganAt: stamp(e.Began),
		WindowStart: stamp(e.PartStart), WindowEnd: stamp(end), DeadlineAt: stamp(e.Deadline),
		FellAt: stampIf(e.Fell), ReachedAt: stampIf(e.Reached), RestoredAt: stampIf(e.Restored),
		LimitWatts: e.Lowest, ToleranceWatts: e.Tolerance,
		ShortfallMilliwattHours: whole(e.Over), OverDeliveryMilliwattHours: whole(e.Under),
		HoldMilliseconds: millis(e.HoldNanos), HeldMilliseconds: millis(e.Held), Overlapped: e.Overlapped,
		IntervalSeconds: d.Terms.Step / second, Version: d.identity.Version, ConfigHash: d.identity.ConfigHash, SiteHash: d.Terms.Hash,
		SignalSequence: e.Sequence, Key: d.out.Key(),
	}
	if e.Phase != phaseOver {
		p.Ending = events.EndingRunning
	}
	if e.Opened == 0 {
		p.WindowStart = p.WindowEnd
		if !e.HasLimit && !e.Shed {
			p.LimitWatts = e.Asked
		}
	}
	if e.Said != "" {
		p.Reverses = e.Said
	}
	p.UTCOffsetSeconds = d.Terms.Calendar.Offset(p.WindowStart.Unix())
	d.sayReaction(e, p, final)
	d.sayLines(e, p, end)
	d.sayBaselines(e, p)
	p.Outcome = d.outcome(e, p)
	e.Said = decider.MessageID(d.Site, Name, p.Key)
	d.mixText(string(p.Outcome))
	d.mix(uint64(p.ShortfallMilliwattHours))
	d.out.Put(events.SiteSource, p)
}

func nodeName(id string) string {
	if id == "" {
		return events.RootNode
	}
	return id
}

func measures(k kind) events.Measures {
	if k == kindTotal {
		return events.MeasuresTotal
	}
	return events.MeasuresMining
}

// sayReaction tells how fast and how far the load went.
func (d *Decider) sayReaction(e *event, p *events.ProgrammePerformed, final bool) {
	if e.Reached != 0 {
		fromIssue, fromArrival := millis(e.Reached-e.IssuedAt), millis(e.Reached-e.ArrivedAt)
		p.ResponseMilliseconds, p.ArrivalResponseMilliseconds = &fromIssue, &fromArrival
	}
	if e.HasBefore {
		before := e.Before
		p.BeforeWatts = &before
		if e.HasLimit {
			asked := max(e.Before-e.Lowest, 0)
			p.RequestedReductionWatts = &asked
		}
	}
	if final && e.Phase == phaseOver && e.Opened != 0 {
		if w, ok := d.Points[e.Point].before(e.Measured); ok {
			p.AfterWatts = &w
		}
	}
	if e.HoldNanos > 0 {
		mean := watts(e.Hold.Energy, e.HoldNanos)
		p.MeanWatts = &mean
		if e.HasBefore {
			achieved := e.Before - mean
			p.AchievedReductionWatts = &achieved
		}
	}
	if e.Seen {
		least, most := e.Least, e.Most
		p.LeastWatts, p.MostWatts = &least, &most
	}
	for i, c := range e.Changes {
		if i > 0 {
			p.Changes = append(p.Changes, events.PerformanceChange{At: stamp(c.At), DeadlineAt: stamp(c.Deadline), LimitWatts: c.Limit})
		}
	}
	for _, s := range e.Response {
		p.Response = append(p.Response, events.PerformanceSample{AtMilliseconds: millis(s.At - e.ArrivedAt), Watts: s.Watts})
	}
}

// sayLines writes the intervals; energies are rounded so that they add up.
func (d *Decider) sayLines(e *event, p *events.ProgrammePerformed, end int64) {
	var sum [kinds]energy.Amount
	var said [kinds]int64
	load := &d.Points[e.Point].Load
	for i := range e.Lines {
		l := &e.Lines[i]
		to := l.End
		if to == 0 {
			to = end
		}
		out := events.PerformanceLine{Start: stamp(l.Start), End: stamp(to), LimitWatts: max(l.Limit, 0), MostWatts: l.Most,
			EstimatedMilliseconds: millis(l.Load[e.Measured].Estimated)}
		for k, to := range [kinds]**int64{kindTotal: &out.TotalMilliwattHours, kindMining: &out.MiningMilliwattHours, kindAI: &out.AIMilliwattHours} {
			if !load[k].Known {
				continue
			}
			sum[k] = sum[k].Add(energy.Max(l.Load[k].Energy, energy.Amount{}))
			v := sum[k].Floor() - said[k]
			said[k] += v
			*to = &v
		}
		p.EstimatedMilliseconds += out.EstimatedMilliseconds
		p.Modelled = p.Modelled || l.Load[e.Measured].Modelled
		p.Lines = append(p.Lines, out)
	}
}

// sayBaselines works out what the load would have been.
func (d *Decider) sayBaselines(e *event, p *events.ProgrammePerformed) {
	if len(p.Lines) == 0 || !d.Points[e.Point].Load[e.Measured].Known {
		return
	}
	step := d.Terms.Step
	h := d.Points[e.Point].History
	in := baseline.Input{
		StepSeconds: step / second, Calendar: d.Terms.Calendar, First: e.Lines[0].Start / step, Count: int64(len(p.Lines)), Known: e.Began / step,
		BeforeWatts: e.Before, BeforePriceWatts: e.BeforePrice, BeforeKnown: e.HasBefore,
		History: view{h, e.Measured == kindMining},
	}
	// Lines cut by a change of limits share an interval: one figure each all
	// the same, of the interval that they lie in.
	in.Count = (e.Lines[len(e.Lines)-1].Start)/step - in.First + 1
	if in.Count > 16*events.MaxPerformanceLines {
		return // the clock leapt in the middle
	}
	in.LimitWatts = make([]int64, in.Count)
	for i := range e.Lines {
		in.LimitWatts[e.Lines[i].Start/step-in.First] = p.Lines[i].LimitWatts
	}
	days := map[int64]bool{}
	var order []int64
	var actual int64
	for i := range p.Lines {
		l := &p.Lines[i]
		m := l.TotalMilliwattHours
		if e.Measured == kindMining {
			m = l.MiningMilliwattHours
		}
		if m != nil {
			actual += *m
		}
	}
	for _, r := range baseline.All(in) {
		b := events.PerformanceBaseline{
			Method: r.Method, Version: r.Version, Parameters: r.Parameters, InputHash: r.InputHash,
			Unavailable:       string(r.Unavailable),
			PriceLoweredWatts: r.PriceLoweredWatts, AdjustmentPPM: r.AdjustmentPPM,
		}
		if r.Unavailable == "" {
			var sum energy.Amount
			for i := range p.Lines {
				w := r.Watts[e.Lines[i].Start/step-in.First]
				b.Watts = append(b.Watts, w)
				sum = sum.Add(energy.Of(w, p.Lines[i].End.UnixNano()-p.Lines[i].Start.UnixNano()))
			}
			b.MilliwattHours = sum.Floor()
			b.DeliveredMilliwattHours = b.MilliwattHours - actual
		}
		for _, day := range r.Days {
			b.Days = append(b.Days, baseline.Date(day))
			if !days[day] {
				days[day] = true
				order = append(order, day)
			}
		}
		p.Baselines = append(p.Baselines, b)
	}
	e.order(p.Baselines)
	slices.Sort(order)
	slices.Reverse(order)
	for _, day := range order {
		loads := baseline.Loads(in, day)
		if loads == nil {
			continue
		}
		o := events.PerformanceDay{Date: baseline.Date(day)}
		for i := range e.Lines {
			o.Watts = append(o.Watts, loads[e.Lines[i].Start/step-in.First])
		}
		p.LikeDays = append(p.LikeDays, o)
	}
}

// order puts the methods that the programme names first, as it names them, and
// marks the first of all as that of the contract.
func (e *event) order(list []events.PerformanceBaseline) {
	if len(e.Baselines) == 0 {
		return
	}
	rank := func(b events.PerformanceBaseline) int {
		if i := slices.Index(e.Baselines, b.Method); i >= 0 {
			return i
		}
		return len(e.Baselines)
	}
	slices.SortStableFunc(list, func(a, b events.PerformanceBaseline) int { return rank(a) - rank(b) })
	list[0].Contract = list[0].Method == e.Baselines[0]
}

// outcome judges an event.
func (d *Decider) outcome(e *event, p *events.ProgrammePerformed) events.PerformanceOutcome {
	s := &d.Points[e.Point].Load[e.Measured]
	switch {
	case !e.Obeyed || e.Opened == 0:
		return events.PerformanceNotCalled
	case !s.Known || !e.HasLimit:
		return events.PerformanceNotMeasurable
	case e.HoldNanos == 0 && e.Reached != 0:
		return events.PerformanceMet
	case e.HoldNanos == 0:
		return events.PerformanceNotCalled
	case e.Hold.Estimated > e.HoldNanos/10:
		return events.PerformanceNotMeasurable
	case e.Reached == 0:
		return events.PerformanceShort
	}
	allowed := e.allowed()
	switch {
	case e.Over.Cmp(allowed) <= 0 && e.Reached <= e.Deadline:
		return events.PerformanceMet
	case e.OverReached.Cmp(allowed) > 0:
		return events.PerformanceShort
	case e.Reached > e.Deadline:
		return events.PerformanceLate
	}
	return events.PerformanceShort
}

// allowed is the energy above the limit that the tolerance covers: its share of
// what was asked for or, where the load before is not known, of the limit.
func (e *event) allowed() energy.Amount {
	whole := e.Requested
	if !e.HasBefore {
		whole = energy.Of(e.Limit, e.HoldNanos)
	}
	return whole.ShareOf(e.TolerancePPM, 1_000_000)
}
