// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
)

const (
	// lookWait bounds one look at a stream.
	lookWait = 10 * time.Second
	// clockSlack is how much earlier than its cause a command may be dated by a
	// server whose clock was set back.
	clockSlack = 10 * time.Second
	// batchSlack is how long after one output of a cause another may be stored:
	// hosts that publish for a dead one need seconds.
	batchSlack = 30 * time.Second
)

// Explainer reads the record of a bus. Make one with New.
type Explainer struct {
	b *bus.Bus
}

// New returns an explainer of what b has stored.
func New(b *bus.Bus) *Explainer { return &Explainer{b: b} }

// Chain finds what ref names and everything that belongs to it. The error wraps
// ErrUnknown when the record does not hold it.
func (x *Explainer) Chain(ctx context.Context, ref Ref) (*Chain, error) {
	id, err := x.resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	site, _, key, _ := decider.ParseMessageID(id)
	c := &Chain{Site: site, ID: id}
	since, err := x.cause(ctx, c, key)
	if err != nil {
		return nil, err
	}
	outs, err := x.outputs(ctx, site, key, since)
	if err != nil {
		return nil, err
	}
	if len(outs) == 0 {
		return nil, x.unknown(ctx, c, key)
	}
	var have []string
	for _, o := range outs {
		if o.ID == id {
			c.Asked = o
		}
		switch o.Data.(type) {
		case *events.DispatchDecided:
			c.Decision = o
		case *events.CommandCurtail, *events.CommandRamp:
			c.Commands = append(c.Commands, o)
		}
		have = append(have, o.ID[strings.LastIndexByte(o.ID, '/')+1:])
	}
	if c.Asked == nil {
		return nil, fmt.Errorf("%w: %s: cause %d/%d has the outputs %s, and no %d among them", ErrUnknown, id, key.Epoch, key.Sequence, strings.Join(have, ", "), key.Ordinal)
	}
	if c.Cause != nil {
		c.CauseAt = c.Cause.Arrived
	}
	if c.Followed, err = x.followed(ctx, c, key); err != nil {
		return nil, err
	}
	return c, nil
}

// resolve turns ref into the id of an event of dispatch.
func (x *Explainer) resolve(ctx context.Context, ref Ref) (string, error) {
	if ref.Sequence > 0 {
		return x.inStream(ctx, ref)
	}
	site, err := x.Site(ctx, ref.Site)
	if err != nil {
		return "", err
	}
	if ref.HasKey {
		return decider.MessageID(site, dispatch.Name, ref.Key), nil
	}
	types := []events.Type{events.TypeDispatchDecided}
	what := "no decision of dispatch at " + site
	if ref.Unit != "" {
		if err := events.CheckToken("unit", ref.Unit); err != nil {
			return "", fmt.Errorf("%w: %w", ErrRef, err)
		}
		types = []events.Type{events.TypeCommandCurtail, events.TypeCommandRamp}
		what = fmt.Sprintf("no command to unit %s at %s", ref.Unit, site)
	}
	id, err := x.newest(ctx, site, types, ref.Unit)
	if err != nil {
		return "", err
	}
	if id == "" {
		if ref.Unit == "" {
			return "", fmt.Errorf("%w: %s is kept: nothing was decided there lately; ballast decider ls --site %s says who speaks", ErrUnknown, what, site)
		}
		return "", fmt.Errorf("%w: %s is kept: ballast why %s --unit %s says what keeps it down, if it is known", ErrUnknown, what, site, ref.Unit)
	}
	return id, nil
}

// Site is the one named, if it is there, else the only one of the bus.
func (x *Explainer) Site(ctx context.Context, site string) (string, error) {
	sites, err := x.b.Sites(ctx)
	if err != nil {
		return "", fmt.Errorf("look for sites: %w", err)
	}
	switch {
	case site == "" && len(sites) == 1:
		return sites[0], nil
	case site == "" && len(sites) == 0:
		return "", fmt.Errorf("%w: the bus knows no site yet: start one with ballast up or ballast serve", ErrUnknown)
	case site == "":
		return "", fmt.Errorf("%w: the bus has the sites %s: name one with --site, or give a whole id", ErrRef, strings.Join(sites, ", "))
	case !slices.Contains(sites, site):
		return "", fmt.Errorf("%w: site %q; the bus knows %s", ErrUnknown, site, strings.Join(sites, ", "))
	}
	return site, nil
}

// inStream is the id of the message at a place in COMMANDS.
func (x *Explainer) inStream(ctx context.Context, ref Ref) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	s, err := x.b.JetStream().Stream(ctx, events.StreamCommands)
	if err != nil {
		return "", fmt.Errorf("look into %s: %w", events.StreamCommands, err)
	}
	m, err := s.GetMsg(ctx, ref.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		st := s.CachedInfo().State
		return "", fmt.Errorf("%w: %s/%d: the stream keeps %d to %d", ErrUnknown, events.StreamCommands, ref.Sequence, st.FirstSeq, st.LastSeq)
	}
	if err != nil {
		return "", fmt.Errorf("look for %s/%d: %w", events.StreamCommands, ref.Sequence, err)
	}
	site, name, _, ok := decider.ParseMessageID(m.Header.Get(events.HeaderMsgID))
	if !ok || name != dispatch.Name {
		return "", fmt.Errorf("%w: %s/%d (%s) is no output of %s", ErrRef, events.StreamCommands, ref.Sequence, m.Subject, dispatch.Name)
	}
	if ref.Site != "" && ref.Site != site {
		return "", fmt.Errorf("%w: %s/%d is of site %s, not %s", ErrUnknown, events.StreamCommands, ref.Sequence, site, ref.Site)
	}
	return m.Header.Get(events.HeaderMsgID), nil
}

// windows back from now in which the newest event is looked for.
var windows = []time.Duration{time.Minute, 15 * time.Minute, 6 * time.Hour, 7 * 24 * time.Hour, 0}

// newest is the id of the newest event of some types, of those that command a
// unit when one is named; empty when none is kept.
func (x *Explainer) newest(ctx context.Context, site string, types []events.Type, unit string) (string, error) {
	for _, back := range windows {
		r := events.ReadRequest{Stream: events.StreamCommands, Types: types, Site: site}
		if back > 0 {
			r.Since = time.Now().Add(-back)
		}
		var found, broadcast *events.Event
		for e, err := range x.b.Events(ctx, r) {
			var bad *events.DecodeError
			if errors.As(err, &bad) {
				continue
			}
			if err != nil {
				return "", fmt.Errorf("look for the newest of %s: %w", site, err)
			}
			if unit == "" || commands(e.Data, unit) {
				found = e
			} else if c, is := e.Data.(*events.CommandCurtail); is && c.AllUnitsWatts != nil {
				broadcast = e
			}
		}
		if broadcast != nil && (found == nil || found.Sequence < broadcast.Sequence) {
			heard, err := x.heard(ctx, site, unit, broadcast.Arrived)
			if err != nil {
				return "", err
			}
			if heard {
				found = broadcast
			}
		}
		if found != nil {
			return found.ID, nil
		}
	}
	return "", nil
}

// heard reports whether a unit told of itself around an instant: then a broadcast
// was for it, too.
func (x *Explainer) heard(ctx context.Context, site, unit string, at time.Time) (bool, error) {
	r := events.ReadRequest{Stream: events.StreamJournal, Types: []events.Type{events.TypeWorkerStatus}, Site: site,
		Since: at.Add(-2 * events.DefaultLease), Until: at.Add(2 * events.DefaultLease)}
	for e, err := range x.b.Events(ctx, r) {
		var bad *events.DecodeError
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("look for unit %s of %s: %w", unit, site, err)
		}
		if slices.ContainsFunc(e.Data.(*events.WorkerStatus).Units, func(u events.UnitStatus) bool { return u.Unit == unit }) {
			return true, nil
		}
	}
	return false, nil
}

// commands reports whether a command names a unit.
func commands(p events.Payload, unit string) bool {
	var us []events.UnitSetpoint
	switch c := p.(type) {
	case *events.CommandCurtail:
		us = c.Units
	case *events.CommandRamp:
		us = c.Units
	}
	return slices.ContainsFunc(us, func(u events.UnitSetpoint) bool { return u.Unit == unit })
}

// cause looks for the cause in the journal, and returns from when on its outputs
// are worth looking for; zero is from the beginning.
func (x *Explainer) cause(ctx context.Context, c *Chain, key events.OrderKey) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	s, err := x.b.JetStream().Stream(ctx, events.StreamJournal)
	if err != nil {
		return time.Time{}, fmt.Errorf("look into %s: %w", events.StreamJournal, err)
	}
	st := s.CachedInfo().State
	m, err := s.GetMsg(ctx, key.Sequence)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound) && key.Sequence > st.LastSeq:
		c.NoCause = fmt.Sprintf("the journal ends at %d: a cut took the cause away", st.LastSeq)
		return time.Time{}, nil
	case errors.Is(err, jetstream.ErrMsgNotFound):
		c.NoCause = fmt.Sprintf("the journal keeps %d to %d: the cause is older", st.FirstSeq, st.LastSeq)
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("look for %s/%d: %w", events.StreamJournal, key.Sequence, err)
	}
	raw := bus.Raw{Stream: events.StreamJournal, Sequence: m.Sequence, Arrived: m.Time.UTC(), Subject: m.Subject, Header: m.Header, Data: m.Data}
	var dec events.Decoder
	e, err := raw.Decode(&dec)
	switch {
	case err != nil:
		c.NoCause = "the journal has something unreadable in its place"
		return time.Time{}, nil
	case e.Site != c.Site:
		c.NoCause = fmt.Sprintf("the journal has an event of site %s in its place", e.Site)
		return time.Time{}, nil
	}
	e.Epoch = key.Epoch
	if e.ID == "" {
		e.ID = events.DefaultID(events.StreamJournal, e.Epoch, e.Sequence)
	}
	c.Cause = stored(e)
	return e.Arrived.Add(-clockSlack), nil
}

// outputs are all stored outputs of one cause, in order.
func (x *Explainer) outputs(ctx context.Context, site string, key events.OrderKey, since time.Time) ([]*Stored, error) {
	lead := decider.MessageID(site, dispatch.Name, key)
	lead = lead[:strings.LastIndexByte(lead, '/')+1]
	var dec events.Decoder
	var out []*Stored
	var last time.Time
	seen := make(map[string]bool)
	for raw, err := range x.b.RawEvents(ctx, events.ReadRequest{Stream: events.StreamCommands, Site: site, Since: since}) {
		if err != nil {
			return nil, fmt.Errorf("look for %s* in %s: %w", lead, events.StreamCommands, err)
		}
		id := raw.Header.Get(events.HeaderMsgID)
		if !strings.HasPrefix(id, lead) || seen[id] {
			if len(out) > 0 && raw.Arrived.Sub(last) > batchSlack {
				break
			}
			continue
		}
		e, err := raw.Decode(&dec)
		if err != nil {
			continue // the inspector's
		}
		seen[id] = true
		o := stored(e)
		out, last = append(out, o), o.Arrived
		if _, done := e.Data.(*events.DispatchDecided); done {
			break // it comes last
		}
	}
	return out, nil
}

// unknown says why a key has no outputs.
func (x *Explainer) unknown(ctx context.Context, c *Chain, key events.OrderKey) error {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	s, err := x.b.JetStream().Stream(ctx, events.StreamCommands)
	if err != nil {
		return fmt.Errorf("look into %s: %w", events.StreamCommands, err)
	}
	st := s.CachedInfo().State
	switch {
	case st.Msgs == 0:
		return fmt.Errorf("%w: %s: nothing has been decided yet", ErrUnknown, c.ID)
	case c.Cause == nil:
		return fmt.Errorf("%w: %s: %s, and %s keeps no output of it: it goes back to %s; an export of that time (ballast journal replay --file) may have it",
			ErrUnknown, c.ID, c.NoCause, events.StreamCommands, st.FirstTime.UTC().Format(time.RFC3339))
	case st.FirstSeq > 1 && c.Cause.Arrived.Before(st.FirstTime):
		return fmt.Errorf("%w: %s: its cause arrived at %s, %s goes back to %s: it is beyond its retention; --replay of a command that is kept, or an export, tells what was decided then",
			ErrUnknown, c.ID, c.Cause.Arrived.Format(time.RFC3339), events.StreamCommands, st.FirstTime.UTC().Format(time.RFC3339))
	}
	return fmt.Errorf("%w: %s: the event %d/%d in the journal (%s of %s) moved no power: nothing was decided on it",
		ErrUnknown, c.ID, key.Epoch, key.Sequence, c.Cause.Type, c.Cause.Source)
}
