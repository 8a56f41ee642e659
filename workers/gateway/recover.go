// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/judge"
)

// stored is what SHARES holds of this gateway.
type stored struct {
	found     map[uint64]*events.Event
	verdicts  map[string]struct{}
	submitted map[string]struct{}
	blocks    map[string]*events.Event // block.found by hash
	ended     map[string]bool          // matured, or orphaned for good
}

// recover brings the gateway up to what is stored. Shares behind the
// consumer's acknowledged place that an earlier start left without a verdict
// get theirs now: unknown when they may have reached the upstream, else stale.
func (g *Gateway) recover(ctx context.Context, acknowledged uint64) error {
	st := stored{
		found: make(map[uint64]*events.Event), verdicts: make(map[string]struct{}), submitted: make(map[string]struct{}),
		blocks: make(map[string]*events.Event), ended: make(map[string]bool),
	}
	types := []events.Type{
		events.TypeShareFound, events.TypeShareSubmitted, events.TypeShareAccepted, events.TypeShareRejected, events.TypeShareUnknown,
	}
	// What is not acknowledged, however old, and of late everything, so that
	// duplicates are known.
	for _, r := range []events.ReadRequest{
		{Stream: events.StreamShares, Types: types, Site: g.cfg.Site, FromSequence: acknowledged + 1},
		{Stream: events.StreamShares, Types: types, Site: g.cfg.Site, Since: g.cfg.Now().Add(-2 * g.cfg.JobLifetime)},
		{Stream: events.StreamShares, Types: []events.Type{events.TypeBlockFound, events.TypeBlockMatured, events.TypeBlockOrphaned}, Site: g.cfg.Site, Source: g.cfg.Gateway},
	} {
		if err := g.read(ctx, r, &st); err != nil {
			return err
		}
	}
	work := make(map[string]*judge.Job)
	for e, err := range events.Read[events.WorkAssigned](ctx, g.bus, events.AtSite(g.cfg.Site)) {
		if err != nil {
			if onlyOne(err) {
				continue
			}
			return fmt.Errorf("jobs: %w", err)
		}
		w := e.Data
		if w.Gateway != g.cfg.Gateway || judge.MadeBy(g.instance, w.JobID) {
			continue
		}
		w.MerkleBranches = slices.Clone(w.MerkleBranches)
		work[w.JobID] = &judge.Job{Agent: e.Source, Work: &w, At: e.Arrived}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// What was read is of starts before this one, and of no later.
	if err := g.lease.confirm(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	g.past.learn(&st, work, g.cfg.Now())
	var left []*events.Event
	for _, seq := range sortedKeys(st.found) {
		e := st.found[seq]
		s := e.Data.(*events.ShareFound)
		first, known := g.seen.Get(s.ShareID)
		key := s.ShareID + verdictSuffix
		if known && first.Sequence != 0 && first.Sequence != seq {
			key += "/" + strconv.FormatUint(seq, 10)
		}
		_, judged := st.verdicts[key]
		switch {
		case judged && key == s.ShareID+verdictSuffix:
			g.seen.Put(s.ShareID, judge.Sighting{Sequence: seq, Judged: true})
		case judged:
			g.seen.Put(key, judge.Sighting{Sequence: seq, Judged: true})
		default:
			// What was read is known, whoever takes it up. The verdict on a share of
			// the downstream server's may have been stored since: its place comes
			// to what is known of it.
			if key == s.ShareID+verdictSuffix {
				g.seen.Put(s.ShareID, judge.Sighting{Sequence: seq, Judged: first.Judged})
			} else {
				g.seen.Put(key, judge.Sighting{Sequence: seq})
			}
			if seq > acknowledged && g.flights[key] == nil && g.issued.byID[s.JobID] == nil {
				left = append(left, e)
			}
		}
	}
	g.reviveBlocks(&st)
	g.mu.Unlock()
	for _, e := range left {
		g.take(e, nil)
	}
	return nil
}

// read takes in one part of SHARES.
func (g *Gateway) read(ctx context.Context, r events.ReadRequest, st *stored) error {
	for e, err := range g.bus.Events(ctx, r) {
		if err != nil {
			if onlyOne(err) {
				continue
			}
			return fmt.Errorf("shares: %w", err)
		}
		if s, ok := e.Data.(*events.ShareFound); ok {
			if s.Gateway == g.cfg.Gateway {
				st.found[e.Sequence] = e
			}
			continue
		}
		if e.Source != g.cfg.Gateway {
			continue
		}
		switch v := e.Data.(type) {
		case *events.ShareSubmitted:
			st.submitted[v.ShareID] = struct{}{}
		case *events.ShareAccepted, *events.ShareRejected, *events.ShareUnknown:
			st.verdicts[e.ID] = struct{}{}
		case *events.BlockFound:
			st.blocks[v.BlockHash] = e
		case *events.BlockMatured:
			st.ended[v.BlockHash] = true
		case *events.BlockOrphaned:
			st.ended[v.BlockHash] = false
		}
	}
	return ctx.Err()
}

func sortedKeys[V any](m map[uint64]V) []uint64 {
	out := make([]uint64, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
