// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
)

// phase of an event.
type phase int

const (
	// phaseAnnounced: nothing has to happen yet.
	phaseAnnounced phase = iota
	// phaseBegun: the load may react, the window is to come.
	phaseBegun
	// phaseRunning: the window is open.
	phaseRunning
	// phaseOver: waiting for the last word.
	phaseOver
)

// event is one grid event.
type event struct {
	Source, ID, EventID         string
	Sequence, Order             uint64
	Kind                        events.SignalKind
	Programme, Product, Market  string
	Reason                      string
	Test, Obeyed, Silent, Marks bool
	Node                        string
	Point                       int
	Measured                    kind
	Baselines                   []events.BaselineMethod
	IssuedAt, ArrivedAt         int64
	Began, Start, Deadline, End int64 // End 0 is open
	MinEnd                      int64 // no earlier, unless the operator says so
	Shed                        bool
	Asked, TolerancePPM         int64
	Phase                       phase
	Ending                      events.Ending
	EndedBy                     string
	EndedAt                     int64
	Opened                      int64 // when the window opened, 0 before
	HasLimit                    bool
	Limit, Lowest, Tolerance    int64 // W; Limit is in force, Lowest of all
	Pending                     []change
	Changes                     []change
	HasBefore                   bool
	Before, BeforePrice         int64
	Fell, Reached, Restored     int64
	Response                    []sample
	Thin, Skipped               int
	Part                        int64
	PartStart                   int64
	Lines                       []line
	Hold                        cell
	Due                         bool // the deadline has passed
	HoldNanos, Held             int64
	Seen                        bool
	Least, Most                 int64
	Over, Under                 energy.Amount
	OverReached                 energy.Amount // of Over, after the level was reached
	Requested                   energy.Amount
	Overlapped                  bool
	Said                        string // id of the preliminary word
}

// change is a limit that follows another.
type change struct{ At, Deadline, Limit int64 }

// sample of the response.
type sample struct{ At, Watts int64 }

// line is an interval of the window.
type line struct {
	Start, End  int64 // End 0 while under way
	Load        [kinds]cell
	Limit, Most int64
}

// newLine ends the line under way and opens the next.
func (e *event) newLine(now int64) {
	e.closeLine(now)
	e.Lines = append(e.Lines, line{Start: now, Limit: e.Limit})
}

// closeLine ends the line under way, if it is one.
func (e *event) closeLine(now int64) {
	if n := len(e.Lines); n > 0 && e.Lines[n-1].End == 0 {
		if e.Lines[n-1].Start == now {
			e.Lines = e.Lines[:n-1]
			return
		}
		e.Lines[n-1].End = now
	}
}

// lineAt is the line that an instant lies in, or nil.
func (e *event) lineAt(t int64) *line {
	for i := len(e.Lines) - 1; i >= 0; i-- {
		if l := &e.Lines[i]; t >= l.Start && (l.End == 0 || t < l.End) {
			return l
		}
	}
	return nil
}

// take books energy of the time from from on, during which power stood still.
func (e *event) take(k kind, s *series, amount energy.Amount, from, dt, estimated int64) {
	l := &e.Lines[len(e.Lines)-1]
	l.Load[k].add(amount, estimated, s.Modelled > 0)
	if k != e.Measured {
		return
	}
	l.Most = max(l.Most, s.Watts)
	if from < e.Deadline || !e.HasLimit {
		return
	}
	w := s.Watts
	e.Hold.add(amount, estimated, false)
	e.HoldNanos += dt
	if w <= e.Limit+e.Tolerance {
		e.Held += dt
	}
	if w > e.Limit {
		over := energy.Of(w-e.Limit, dt)
		e.Over = e.Over.Add(over)
		if e.Reached != 0 && from >= e.Reached {
			e.OverReached = e.OverReached.Add(over)
		}
	} else {
		e.Under = e.Under.Add(energy.Of(e.Limit-w, dt))
	}
	if e.HasBefore && e.Before > e.Limit {
		e.Requested = e.Requested.Add(energy.Of(e.Before-e.Limit, dt))
	}
	if estimated == 0 {
		e.level(w)
	}
}

// level notes a power from the deadline on.
func (e *event) level(w int64) {
	if !e.Seen {
		e.Seen, e.Least, e.Most = true, w, w
	}
	e.Least, e.Most = min(e.Least, w), max(e.Most, w)
}

// sampled lets the events at a point see a reading.
func (d *Decider) sampled(u use) {
	s := &d.Points[u.point].Load[u.kind]
	if !s.Known || s.Stale > 0 {
		return
	}
	for _, e := range d.Events {
		if e.Point == u.point && e.Measured == u.kind {
			e.see(d.Now, s.Watts)
		}
	}
}

// responseTail is how long after the level was reached the response is noted.
const responseTail = minute

// see takes one value of the load measured.
func (e *event) see(now, w int64) {
	switch e.Phase {
	case phaseAnnounced:
		return
	case phaseOver:
		if e.Restored == 0 && e.HasBefore && w >= e.Before/10*9 {
			e.Restored = now
		}
		return
	case phaseBegun, phaseRunning:
	}
	// The response is over a minute after the level was reached; until then it
	// is followed for a minute beyond the deadline.
	if e.Reached != 0 && now <= e.Reached+responseTail || e.Reached == 0 && now <= e.Deadline+responseTail {
		e.respond(now, w)
	}
	if !e.HasLimit {
		return
	}
	if e.Fell == 0 && e.HasBefore && e.Before > e.Lowest && w <= e.Before-max((e.Before-e.Lowest)/20, 1) {
		e.Fell = now
	}
	at := w <= e.first()+e.Tolerance
	switch {
	case e.Reached == 0 && at:
		e.Reached = now
	case e.Reached != 0 && !at && now < e.Deadline:
		e.Reached = 0 // it was there by chance: what counts begins at the deadline
	}
	if e.Phase == phaseRunning && now >= e.Deadline {
		e.level(w)
	}
}

// first limit that was asked for.
func (e *event) first() int64 {
	if len(e.Changes) > 0 {
		return e.Changes[0].Limit
	}
	return e.Limit
}

// respond keeps a sample; when there are too many, every second one goes.
func (e *event) respond(now, w int64) {
	if e.Skipped++; e.Skipped < e.Thin {
		return
	}
	e.Skipped = 0
	if n := len(e.Response); n > 0 && e.Response[n-1].At == now {
		e.Response[n-1].Watts = w
		return
	}
	if len(e.Response) == events.MaxPerformanceSamples {
		kept := e.Response[:0]
		for i, s := range e.Response {
			if i%2 == 0 {
				kept = append(kept, s)
			}
		}
		e.Response = kept
		e.Thin = max(e.Thin, 1) * 2
	}
	e.Response = append(e.Response, sample{now, w})
}

// set puts a limit in force.
func (e *event) set(limit int64) {
	if !e.HasLimit || limit < e.Lowest {
		e.Lowest = limit
	}
	e.HasLimit, e.Limit = true, limit
	base := limit
	if e.HasBefore {
		base = max(e.Before-limit, 0)
	}
	e.Tolerance = mulPPM(base, e.TolerancePPM)
	if n := len(e.Lines); n > 0 && e.Lines[n-1].End == 0 {
		e.Lines[n-1].Limit = limit
	}
}

// mulPPM is w · ppm / 10^6, rounded down; w is at most maxWatts.
func mulPPM(w, ppm int64) int64 {
	return w/1_000_000*ppm + w%1_000_000*ppm/1_000_000
}

// nextMoment is when something happens to an event by itself.
func (e *event) nextMoment() int64 {
	switch e.Phase {
	case phaseAnnounced:
		return e.Began
	case phaseBegun:
		return e.Start
	case phaseRunning:
		next := never
		if e.End != 0 {
			next = e.End
		}
		if !e.Due {
			next = min(next, e.Deadline)
		}
		if len(e.Pending) > 0 {
			next = min(next, e.Pending[0].Deadline)
		}
		return next
	case phaseOver:
	}
	return never
}

// runEvents lets what is due happen: restores, beginnings, windows, limits.
func (d *Decider) runEvents() {
	d.runRestores()
	for again := true; again; {
		again = false
		for _, e := range d.Events {
			if e.Phase != phaseOver && d.moment(e) {
				again = true
			}
		}
	}
	d.schedule()
}

func (d *Decider) schedule() {
	d.nextEvent = never
	for _, e := range d.Events {
		if at := e.nextMoment(); at > d.Now {
			d.nextEvent = min(d.nextEvent, at)
		}
	}
	for i := range d.Restores {
		d.nextEvent = min(d.nextEvent, max(d.Restores[i].At, d.Now+1))
	}
}

// moment lets what is due happen to one event; false when nothing was.
func (d *Decider) moment(e *event) bool {
	switch {
	case e.Phase == phaseAnnounced && e.Began <= d.Now:
		d.begin(e)
	case e.Phase == phaseBegun && e.Start <= d.Now:
		d.open(e)
	case e.Phase == phaseRunning && e.End != 0 && e.End <= d.Now:
		d.end(e, e.Ending, e.EndedBy)
	case e.Phase == phaseRunning && len(e.Pending) > 0 && e.Pending[0].Deadline <= d.Now:
		d.parted()
		e.set(e.Pending[0].Limit)
		e.Pending = slices.Delete(e.Pending, 0, 1)
	case e.Phase == phaseRunning && !e.Due && e.Deadline <= d.Now:
		d.parted()
		e.Due = true
	default:
		return false
	}
	d.mix(e.Order<<3 | uint64(e.Phase))
	return true
}

// parted is cut without asking for events again.
func (d *Decider) parted() {
	d.flushAll()
	d.Cut++
}

// begin notes the load before anything had to happen.
func (d *Decider) begin(e *event) {
	d.parted()
	p := d.Points[e.Point]
	e.Phase = phaseBegun
	e.Before, e.HasBefore = p.before(e.Measured)
	e.BeforePrice = p.Price
	switch {
	case !e.Shed:
		e.set(e.Asked)
	case e.HasBefore:
		e.set(max(e.Before-e.Asked, 0))
	}
	if s := &p.Load[e.Measured]; s.Known && s.Stale == 0 {
		e.see(d.Now, s.Watts)
	}
}

// open the window.
func (d *Decider) open(e *event) {
	d.parted()
	e.Phase, e.Opened = phaseRunning, d.Now
	e.Part, e.PartStart = 1, d.Now
	e.newLine(d.Now)
	if s := &d.Points[e.Point].Load[e.Measured]; s.Known && s.Stale == 0 {
		e.see(d.Now, s.Watts)
	}
	for _, o := range d.Events {
		if o != e && o.Phase == phaseRunning && o.Obeyed && e.Obeyed && d.related(o.Node, e.Node) {
			o.Overlapped, e.Overlapped = true, true
		}
	}
	d.markEvents()
}

// end an event, whatever its phase.
func (d *Decider) end(e *event, how events.Ending, by string) {
	d.parted()
	if e.Phase == phaseRunning {
		e.closeLine(d.Now)
	}
	if how == "" {
		how = events.EndingElapsed
	}
	e.Phase, e.Ending, e.EndedBy, e.EndedAt = phaseOver, how, by, d.Now
}
