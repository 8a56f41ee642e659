// SPDX-License-Identifier: Apache-2.0

package eventreport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/compliance"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Query says which events are wanted; the zero value means all.
type Query struct {
	// Site and SignalID; empty means any.
	Site, SignalID string
	// Since and Until bound when they were published.
	Since, Until time.Time
}

// Entry is one event: the newest word on each of its parts, in order.
type Entry struct {
	Site  string
	Parts []Word
}

// Word is one programme.performed and where it stands.
type Word struct {
	ID       string
	Sequence uint64 // in REVENUE
	Arrived  time.Time
	*events.ProgrammePerformed
}

// Last part.
func (e *Entry) Last() *Word { return &e.Parts[len(e.Parts)-1] }

// Final reports whether the last word on every part is spoken.
func (e *Entry) Final() bool {
	return !slices.ContainsFunc(e.Parts, func(w Word) bool { return !w.Final })
}

// List is the events of a query, the oldest first.
func List(ctx context.Context, log events.Log, q Query) ([]Entry, error) {
	type key struct {
		site, source, id string
		signal, epoch    uint64
	}
	var order []key
	found := map[key]map[int64]Word{}
	r := events.ReadRequest{Stream: events.StreamRevenue, Types: []events.Type{events.TypeProgrammePerformed}, Site: q.Site, Since: q.Since, Until: q.Until}
	for ev, err := range log.Events(ctx, r) {
		var bad *events.DecodeError
		if errors.As(err, &bad) {
			continue // the inspector keeps it as a dead letter
		}
		if err != nil {
			return nil, fmt.Errorf("grid events: %w", err)
		}
		p, ok := ev.Data.(*events.ProgrammePerformed)
		if !ok || q.SignalID != "" && p.SignalID != q.SignalID {
			continue
		}
		k := key{ev.Site, p.SignalSource, p.SignalID, p.SignalSequence, p.Key.Epoch}
		if found[k] == nil {
			found[k] = map[int64]Word{}
			order = append(order, k)
		}
		// What takes back a word counts unless a newer one stands already.
		if was, ok := found[k][p.Part]; ok && p.Outcome == events.PerformanceVoid && was.ID != p.Reverses {
			continue
		}
		found[k][p.Part] = Word{ev.ID, ev.Sequence, ev.Arrived, p}
	}
	var out []Entry
	for _, k := range order {
		e := Entry{Site: k.site}
		for _, w := range found[k] {
			if w.Outcome != events.PerformanceVoid {
				e.Parts = append(e.Parts, w)
			}
		}
		if len(e.Parts) == 0 {
			continue
		}
		slices.SortFunc(e.Parts, func(a, b Word) int { return int(a.Part - b.Part) })
		out = append(out, e)
	}
	return out, nil
}

// Report is an event with what the journal still tells of it.
type Report struct {
	Entry
	// Trace is the load by the readings around the event, oldest first; empty
	// where the journal does not hold them any more.
	Trace []Sample
	// FirstCommand is when the first command for the signal was stored,
	// FirstUnit when the first unit reported that it obeys it.
	FirstCommand, FirstUnit time.Time
	// Made is when the report was made.
	Made time.Time
}

// Sample is the load from one reading on, W; nil where it is not known.
type Sample struct {
	At                time.Time
	Total, Mining, AI *int64
}

// margin before and after the window that the charts show.
func margin(window time.Duration) time.Duration {
	return min(max(window/4, 2*time.Minute), time.Hour)
}

// maxTrace samples are kept; of more, every second one goes.
const maxTrace = 40_000

// Collect reads what the streams still hold of an event.
func Collect(ctx context.Context, log events.Log, e Entry) (*Report, error) {
	r := &Report{Entry: e}
	first, last := &e.Parts[0], e.Last()
	pad := margin(last.WindowEnd.Sub(first.WindowStart))
	from, until := first.WindowStart.Add(-pad), last.WindowEnd.Add(pad)
	if first.ArrivedAt.Before(from) && first.WindowStart.Sub(first.ArrivedAt) < 6*time.Hour {
		from = first.ArrivedAt.Add(-time.Minute)
	}
	if err := r.trace(ctx, log, from, until); err != nil {
		return nil, err
	}
	if err := r.reaction(ctx, log); err != nil {
		return nil, err
	}
	return r, nil
}

// trace folds the readings with the configuration in force, as the decider
// does.
func (r *Report) trace(ctx context.Context, log events.Log, from, until time.Time) error {
	d, err := compliance.New(compliance.Config{})
	if err != nil {
		return err
	}
	var out decider.Outbox
	fold := func(ev *events.Event, at time.Time) {
		ev.Arrived = at
		out.Begin(ev)
		d.Fold(ev, &out)
	}
	var config *events.Event
	for ev, err := range log.Events(ctx, events.ReadRequest{Stream: events.StreamInputs, Types: []events.Type{events.TypeSiteConfig}, Site: r.Site, Until: until}) {
		if skip, err := unreadable(err); skip || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if config == nil || !ev.Arrived.After(from) {
			config = ev
		}
	}
	if config == nil {
		return nil
	}
	fold(config, from.Add(-time.Minute))
	node, thin, n := r.Last().Node, 1, 0
	req := events.ReadRequest{Stream: events.StreamJournal, Site: r.Site, Since: from.Add(-30 * time.Second), Until: until,
		Types: []events.Type{events.TypeMeterReading, events.TypeSiteConfig}}
	for ev, err := range log.Events(ctx, req) {
		if skip, err := unreadable(err); skip || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		fold(ev, ev.Arrived)
		if n++; n%thin != 0 || ev.Arrived.Before(from) {
			continue
		}
		l := d.LoadAt(node)
		r.Trace = append(r.Trace, Sample{ev.Arrived, l.Total, l.Mining, l.AI})
		if len(r.Trace) > maxTrace {
			kept := r.Trace[:0]
			for i := 0; i < len(r.Trace); i += 2 {
				kept = append(kept, r.Trace[i])
			}
			r.Trace, thin = kept, thin*2
		}
	}
	return nil
}

// unreadable messages are passed over; the inspector keeps them.
func unreadable(err error) (skip bool, fatal error) {
	var bad *events.DecodeError
	if errors.As(err, &bad) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("around the event: %w", err)
	}
	return false, nil
}

// reaction finds the first command for the signal, and the first unit that
// reports it.
func (r *Report) reaction(ctx context.Context, log events.Log) error {
	w := &r.Parts[0]
	until := r.Last().WindowEnd.Add(time.Minute)
	for ev, err := range log.Events(ctx, events.ReadRequest{Stream: events.StreamCommands, Types: []events.Type{events.TypeCommandCurtail}, Site: r.Site, Since: w.ArrivedAt, Until: until}) {
		if skip, err := unreadable(err); skip || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if c, ok := ev.Data.(*events.CommandCurtail); ok && c.SignalID == w.SignalID {
			r.FirstCommand = ev.Arrived
			break
		}
	}
	if r.FirstCommand.IsZero() {
		return nil
	}
	for ev, err := range log.Events(ctx, events.ReadRequest{Stream: events.StreamJournal, Types: []events.Type{events.TypeWorkerStatus}, Site: r.Site, Since: r.FirstCommand,
		Until: r.FirstCommand.Add(10 * time.Minute)}) {
		if skip, err := unreadable(err); skip || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if s, ok := ev.Data.(*events.WorkerStatus); ok && slices.ContainsFunc(s.Units, func(u events.UnitStatus) bool { return u.SignalID == w.SignalID }) {
			r.FirstUnit = ev.Arrived
			break
		}
	}
	return nil
}
