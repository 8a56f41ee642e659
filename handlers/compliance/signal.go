// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"slices"
	"strings"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// What counts where no programme says it.
const (
	// defaultResponse from the instruction to the full reduction.
	defaultResponse = minute
	// defaultTolerancePPM of the reduction asked for that may be missing.
	defaultTolerancePPM = 50_000
)

// maxUnix is the last second whose nanoseconds fit.
const maxUnix = int64(9_000_000_000)

// restore ends events once its time has come.
type restore struct {
	At                         int64
	Source, Programme, Cancels string
	ID                         string
	Order                      uint64
}

// signal folds one signal of the grid or an operator.
func (d *Decider) signal(g *events.Event, s *events.GridSignal) {
	if d.Terms == nil || d.copied(g.ID) {
		return
	}
	d.mixText(g.ID)
	d.Order++
	switch s.Kind {
	case events.SignalRestore:
		r := restore{At: d.Now, Source: strings.Clone(g.Source), Programme: strings.Clone(s.Programme),
			Cancels: strings.Clone(s.Cancels), ID: idOf(g, s), Order: d.Order}
		if s.StartsAt != nil {
			r.At = max(unixNano(s.StartsAt.Unix(), int64(s.StartsAt.Nanosecond())), d.Now)
		}
		if !d.Terms.programme(s.Programme).Obeys(s) {
			return
		}
		if r.At > d.Now && len(d.Restores) < maxRestores {
			d.Restores = append(d.Restores, r)
			d.schedule()
			return
		}
		d.carryOut(&r)
	case events.SignalCurtail, events.SignalSetpoint, events.SignalImportLimit, events.SignalEmergency, events.SignalStop:
		if e := d.read(g, s); e != nil {
			d.call(e, s)
		}
	case events.SignalPrice:
		return
	default:
		return
	}
	d.nextEvent = d.Now
	d.runEvents()
}

// copied reports whether a signal has been folded already, and remembers it.
func (d *Decider) copied(id string) bool {
	h := decider.TextHash(id)
	if slices.Contains(d.Seen, h) {
		return true
	}
	if len(d.Seen) == maxSeen {
		d.Seen = slices.Delete(d.Seen, 0, 1)
	}
	d.Seen = append(d.Seen, h)
	return false
}

func idOf(g *events.Event, s *events.GridSignal) string {
	if s.SignalID != "" {
		return strings.Clone(s.SignalID)
	}
	return strings.Clone(g.ID)
}

// unixNano of an instant, within what fits.
func unixNano(unix, nanos int64) int64 {
	if unix < 0 {
		return 0
	}
	return min(unix, maxUnix)*second + nanos
}

// read makes an event of a signal; nil when it asks for nothing any more.
func (d *Decider) read(g *events.Event, s *events.GridSignal) *event {
	arrived := d.Now
	if !g.OriginArrived.IsZero() {
		arrived = min(unixNano(g.OriginArrived.Unix(), int64(g.OriginArrived.Nanosecond())), d.Now)
	}
	p := d.Terms.programme(s.Programme)
	e := &event{
		Source: strings.Clone(g.Source), ID: idOf(g, s), EventID: strings.Clone(g.ID), Sequence: g.Sequence, Order: d.Order,
		Kind: events.SignalKind(strings.Clone(string(s.Kind))), Programme: strings.Clone(s.Programme), Reason: strings.Clone(s.Reason),
		Test: s.Test, Obeyed: p.Obeys(s), Silent: s.Kind == events.SignalStop,
		IssuedAt: arrived, ArrivedAt: arrived, Measured: kindMining, TolerancePPM: defaultTolerancePPM, Start: arrived,
	}
	if s.PowerWatts != nil {
		e.Asked = min(max(*s.PowerWatts, 0), maxWatts)
	}
	if s.IssuedAt != nil {
		e.IssuedAt = min(unixNano(s.IssuedAt.Unix(), int64(s.IssuedAt.Nanosecond())), arrived)
	}
	if s.StartsAt != nil && !e.Silent {
		e.Start = unixNano(s.StartsAt.Unix(), int64(s.StartsAt.Nanosecond()))
	}
	response, ramp, least := defaultResponse, int64(0), int64(0)
	if p != nil {
		e.Product, e.Market, e.Node = p.Product, p.Market, p.Node
		e.TolerancePPM = min(max(p.TolerancePPM, 0), 1_000_000)
		e.Baselines = slices.Clone(p.Baselines)
		response, ramp, least = p.ResponseSeconds*second, p.RampSeconds*second, p.MinDurationSeconds*second
		e.Shed = p.LimitIs == events.LimitIsShed && s.Kind != events.SignalSetpoint
		if p.Measures == events.MeasuresTotal {
			e.Measured = kindTotal
		}
	}
	switch s.Kind {
	case events.SignalImportLimit:
		e.Measured = kindTotal
	case events.SignalEmergency, events.SignalStop:
		e.Measured, e.Asked, e.Shed = kindMining, 0, false
	}
	if s.RampSeconds != nil {
		ramp = min(max(*s.RampSeconds, 0), 86_400) * second
	}
	if s.Kind == events.SignalEmergency || e.Silent || p.PrecedenceOf(s).Rank() <= events.PrecedenceGridEmergency.Rank() {
		ramp = 0 // emergencies know no ramp
	}
	if s.MinDurationSeconds != nil {
		least = min(max(*s.MinDurationSeconds, 0), events.MaxSignalSeconds) * second
	}
	if s.Node != "" {
		e.Node = strings.Clone(s.Node)
	}
	if e.Silent {
		e.Node, least = "", 0
	}
	if e.Node == events.RootNode || !d.has(e.Node) {
		e.Node = ""
	}
	e.MinEnd = e.Start + least
	if sec := s.DurationSeconds; sec > 0 && sec <= events.MaxSignalSeconds && !e.Silent {
		if e.End = max(e.Start+sec*second, e.MinEnd); e.End <= d.Now {
			return nil // over before it came
		}
	}
	e.Deadline = max(e.Start, e.IssuedAt+response)
	e.Began = max(min(e.Start, e.Deadline-ramp), d.Now)
	e.Start = max(e.Start, e.Began)
	e.Marks = e.Obeyed && (p != nil || s.Kind == events.SignalCurtail || s.Kind == events.SignalEmergency || e.Silent)
	return e
}

// call takes a new event up, or changes one that runs.
func (d *Decider) call(e *event, s *events.GridSignal) {
	if s.Supersedes != "" {
		for _, o := range d.Events {
			if o.Source == e.Source && o.ID == s.Supersedes && o.Phase != phaseOver && o.Kind != events.SignalStop {
				d.end(o, events.EndingSuperseded, e.ID)
			}
		}
	}
	for _, o := range d.Events {
		if o.Source != e.Source || o.ID != e.ID || o.Phase == phaseOver {
			continue
		}
		if o.Kind == events.SignalStop {
			return
		}
		if d.revise(o, e) {
			return
		}
		d.end(o, events.EndingSuperseded, e.EventID)
	}
	if len(d.Events) >= MaxEvents {
		if !d.Flooded {
			d.Flooded = true
			d.out.Put(events.SiteSource, &events.AlertRaised{
				Alert: "compliance-events", Severity: events.SeverityWarning,
				Message: "more grid events are live than can be measured: further ones are not reported",
				Remedy:  "find the issuer that floods, and restore what is obsolete",
			})
		}
		return
	}
	d.Events = append(d.Events, e)
	if e.Point = d.pointOf(e.Node); e.Point < 0 {
		d.flushAll()
		d.lay()
		d.placeEvents()
	}
}

// placeEvents finds the points of events after the layout has changed; one
// whose node is not measured counts at the point of connection.
func (d *Decider) placeEvents() {
	for _, e := range d.Events {
		if e.Point = d.pointOf(e.Node); e.Point < 0 {
			e.Point, e.Node = 0, ""
		}
	}
}

// revise changes a live event into what the same signal says now; false where
// it is another event.
func (d *Decider) revise(o, e *event) bool {
	if o.Kind != e.Kind || o.Measured != e.Measured || o.Node != e.Node || o.Shed != e.Shed || o.Test != e.Test {
		return false
	}
	switch {
	case o.Phase != phaseRunning && e.Start > d.Now:
		// Not open yet: the new word counts alone.
		order, part := o.Order, o.Phase
		*o = *e
		o.Order = order
		if o.Point = d.pointOf(o.Node); o.Point < 0 {
			o.Point = 0
		}
		d.mix(uint64(part))
		return true
	case o.Phase != phaseRunning || e.Start > d.Now:
		return false
	}
	o.End, o.MinEnd, o.Ending, o.EndedBy = e.End, max(o.MinEnd, e.MinEnd), "", ""
	o.Reason, o.EventID = e.Reason, e.EventID
	if o.Asked == e.Asked {
		return true
	}
	limit := e.Asked
	if o.Shed {
		limit = max(o.Before-e.Asked, 0)
	}
	o.Asked = e.Asked
	if len(o.Changes) == 0 {
		o.Changes = append(o.Changes, change{o.Start, o.Deadline, o.Limit})
	}
	c := change{At: d.Now, Deadline: max(e.Deadline, d.Now), Limit: limit}
	if len(o.Changes) <= events.MaxPerformanceChanges {
		o.Changes = append(o.Changes, c)
	}
	// What was to come at the same time or later gives way.
	o.Pending = slices.DeleteFunc(o.Pending, func(p change) bool { return p.Deadline >= c.Deadline })
	if limit > o.Limit {
		o.Pending = nil
		d.parted()
		o.set(limit)
		return true
	}
	if len(o.Pending) < events.MaxPerformanceChanges {
		o.Pending = append(o.Pending, c)
	}
	return true
}

// runRestores carries out the restores whose time has come.
func (d *Decider) runRestores() {
	for i := 0; i < len(d.Restores); {
		if d.Restores[i].At > d.Now {
			i++
			continue
		}
		r := d.Restores[i]
		d.Restores = slices.Delete(d.Restores, i, i+1)
		d.carryOut(&r)
	}
}

// carryOut ends what a restore names.
func (d *Decider) carryOut(r *restore) {
	operator := r.Source == events.OperatorSource
	for _, e := range d.Events {
		if e.Phase == phaseOver || e.Order > r.Order {
			continue
		}
		if r.Cancels == "" {
			if e.Source != r.Source || e.Programme != r.Programme || e.Kind == events.SignalStop {
				continue
			}
		} else if e.ID != r.Cancels || !operator && (e.Source != r.Source || e.Kind == events.SignalStop) {
			continue
		}
		if !operator && e.Phase == phaseRunning && d.Now < e.MinEnd {
			e.End, e.Ending, e.EndedBy = e.MinEnd, events.EndingCancelled, r.ID
			continue
		}
		d.end(e, events.EndingCancelled, r.ID)
	}
}
