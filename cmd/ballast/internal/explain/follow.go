// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
)

const (
	// followFor is how long after a cause statuses are asked whether they show
	// its commands, broadcastFor at least where nobody is named.
	followFor    = 60 * time.Second
	broadcastFor = 5 * time.Second
	// verifyFor is how long after a cause its verification by meter may come.
	verifyFor = 15 * time.Minute
	// maxMissing units are listed.
	maxMissing = 10
)

// followed looks for what became of the commands of a chain: of the one asked
// for, else of all of the cause.
func (x *Explainer) followed(ctx context.Context, c *Chain, key events.OrderKey) (*Followed, error) {
	cs := c.Commands
	if slices.Contains(cs, c.Asked) {
		cs = []*Stored{c.Asked}
	}
	if len(cs) == 0 || c.Cause == nil {
		return nil, nil
	}
	f := &Followed{}
	if err := x.applied(ctx, c, cs, f); err != nil {
		return nil, err
	}
	r := events.ReadRequest{Stream: events.StreamCommands, Site: c.Site, Since: c.CauseAt.Add(-clockSlack), Until: c.CauseAt.Add(verifyFor),
		Types: []events.Type{events.TypeCurtailmentMetered, events.TypeUnitEscalated}}
	for e, err := range x.b.Events(ctx, r) {
		var bad *events.DecodeError
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for what the meters showed of %s: %w", c.ID, err)
		}
		switch v := e.Data.(type) {
		case *events.CurtailmentMetered:
			if v.Key.Epoch == key.Epoch && v.Key.Sequence == key.Sequence {
				f.Metered = append(f.Metered, stored(e))
			}
		case *events.UnitEscalated:
			if slices.ContainsFunc(cs, func(s *Stored) bool { return s.Source == events.BroadcastSource || commands(s.Data, v.Unit) }) && len(f.Escalated) < maxMissing {
				f.Escalated = append(f.Escalated, stored(e))
			}
		}
	}
	return f, nil
}

// applied asks the statuses after the cause.
func (x *Explainer) applied(ctx context.Context, c *Chain, cs []*Stored, f *Followed) error {
	want := make(map[string]events.OrderKey)
	var all *events.OrderKey
	for _, s := range cs {
		k, us := keyOf(s.Data)
		if us == nil {
			all = &k
		}
		for _, u := range us {
			want[u.Unit] = k
		}
	}
	done := make(map[string]bool)
	open := make(map[string]bool)
	for u := range want {
		open[u] = true
	}
	r := events.ReadRequest{Stream: events.StreamJournal, Types: []events.Type{events.TypeWorkerStatus}, Site: c.Site, FromSequence: c.Cause.Sequence,
		Until: c.CauseAt.Add(followFor)}
	for e, err := range x.b.Events(ctx, r) {
		var bad *events.DecodeError
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look for who applied %s: %w", c.ID, err)
		}
		for i := range e.Data.(*events.WorkerStatus).Units {
			u := &e.Data.(*events.WorkerStatus).Units[i]
			k, named := want[u.Unit]
			if !named {
				if all == nil {
					continue
				}
				k = *all
			}
			if done[u.Unit] {
				continue
			}
			if u.Applied == nil || u.Applied.Compare(k) < 0 {
				open[u.Unit] = true
				continue
			}
			done[u.Unit] = true
			delete(open, u.Unit)
			f.Status = stored(e)
		}
		if len(open) == 0 && (all == nil || e.Arrived.Sub(c.CauseAt) > broadcastFor) {
			break
		}
	}
	f.Applied, f.Units = len(done), len(done)+len(open)
	for u := range open {
		f.Missing = append(f.Missing, u)
	}
	slices.Sort(f.Missing)
	f.Missing = f.Missing[:min(len(f.Missing), maxMissing)]
	if f.Status != nil {
		f.StatusSequence = f.Status.Sequence
		if len(open) == 0 {
			ms := f.Status.Arrived.Sub(c.CauseAt).Milliseconds()
			f.AppliedMilliseconds = &ms
		}
	}
	return nil
}

// keyOf a command and the units that it names; none of a broadcast.
func keyOf(p events.Payload) (events.OrderKey, []events.UnitSetpoint) {
	switch c := p.(type) {
	case *events.CommandCurtail:
		return c.Key, c.Units
	case *events.CommandRamp:
		return c.Key, c.Units
	}
	return events.OrderKey{}, nil
}
