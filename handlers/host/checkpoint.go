// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// checkpoint compares the state with the first stored checkpoint of this place,
// or stores it as the first, and takes a snapshot where one is due.
func (x *session) checkpoint(ctx context.Context, st *decider.Step, now time.Time) error {
	mine := x.r.Checkpoint()
	var snap *replica.Snapshot
	if x.h.cfg.cadence().SnapshotDue(x.r.Counts().Folded) {
		a, _ := x.anchorBefore(x.r.Sequence() + 1)
		data, err := x.r.Snapshot(maps.Clone(a.Outputs))
		if err != nil {
			return err
		}
		snap = &replica.Snapshot{At: replica.Place{Epoch: mine.Epoch, Sequence: mine.Sequence}, Data: data}
	}
	if err := x.lookFirst(ctx, st.Event, now); err != nil {
		return err
	}
	switch replica.Weigh(mine, x.l.Checkpoint(mine.Epoch, mine.Sequence), st.Speaks, x.muted, x.distant) {
	case replica.Nothing:
		return nil
	case replica.Differs:
		return x.differ(mine)
	case replica.Recovered:
		return errAgrees
	case replica.Vouched:
		x.keep(snap, true)
		return nil
	case replica.Offer:
	}
	x.keep(snap, false)
	msg, err := replica.CheckpointMessage(x.h.cfg.Bus.Prefix(), x.h.cfg.Site, st.Event, mine)
	if err != nil {
		return err
	}
	o := &replica.Outgoing{Batch: decider.Batch{Stream: events.StreamCommands, Messages: []*nats.Msg{msg}}}
	o.Answered = func(at replica.Answer) {
		if !at.Duplicate {
			x.approve(snap)
			return
		}
		// The callback holds the pipeline: look at the other one elsewhere.
		x.wg.Go(func() { x.compare(ctx, mine, at, snap) })
	}
	return x.pipe.submit(ctx, &replica.Cause{
		Place: replica.Place{Epoch: mine.Epoch, Sequence: mine.Sequence}, At: now, Batches: []*replica.Outgoing{o},
	})
}

func (x *session) differ(mine *events.DeciderCheckpoint) error {
	x.distant = max(x.distant, mine.Sequence)
	return fmt.Errorf("%w: %s at %d/%d", errDiverged, x.id.Name, mine.Epoch, mine.Sequence)
}

// compare reads the checkpoint that another replica stored first.
func (x *session) compare(ctx context.Context, mine *events.DeciderCheckpoint, at replica.Answer, snap *replica.Snapshot) {
	m, ok, err := message(ctx, x.h.cfg.Bus, at.Stream, at.Sequence)
	if err != nil || !ok {
		if ctx.Err() == nil {
			x.log.Warn("the first checkpoint could not be read", "stream", at.Stream, "sequence", at.Sequence, "error", err)
		}
		return
	}
	e, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		x.log.Warn("the first checkpoint could not be read", "stream", at.Stream, "sequence", at.Sequence, "error", err)
		return
	}
	first, ok := e.Data.(*events.DeciderCheckpoint)
	if !ok || !replica.Agree(mine, first) {
		x.fail(&divergence{sequence: mine.Sequence})
		return
	}
	// Whoever was first stores the snapshot.
	x.mu.Lock()
	if snap != nil {
		snap.Dropped = true
	}
	x.mu.Unlock()
	x.wake()
}

// divergence is errDiverged noticed by another goroutine than the fold's.
type divergence struct{ sequence uint64 }

func (d *divergence) Error() string { return fmt.Sprintf("%v: at %d", errDiverged, d.sequence) }
func (d *divergence) Unwrap() error { return errDiverged }

// keep holds a snapshot until it may be stored.
func (x *session) keep(s *replica.Snapshot, approved bool) {
	if s == nil {
		return
	}
	x.mu.Lock()
	s.Approved = approved
	x.pending.Keep(s)
	x.mu.Unlock()
	x.wake()
}

func (x *session) approve(s *replica.Snapshot) {
	if s == nil {
		return
	}
	x.mu.Lock()
	s.Approved = true
	x.mu.Unlock()
	x.wake()
}

// wake makes keepSnapshots look.
func (x *session) wake() {
	select {
	case x.store <- struct{}{}:
	default:
	}
}

// keepSnapshots stores the newest snapshot whose causes are all confirmed.
func (x *session) keepSnapshots(ctx context.Context) {
	for {
		select {
		case <-x.store:
		case <-ctx.Done():
			return
		}
		s := x.due()
		if s == nil {
			continue
		}
		err := storeSnapshot(ctx, x.h.cfg.Bus, SnapshotKey(x.h.cfg.Site, x.id), s.At, s.Data)
		switch {
		case err == nil:
			x.log.Info("snapshot stored", "epoch", s.At.Epoch, "sequence", s.At.Sequence, "bytes", len(s.Data))
		case ctx.Err() == nil:
			x.log.Warn("a snapshot could not be stored; the next one is tried when it is due", "error", err)
		}
	}
}

// due takes out the newest snapshot that may be stored and drops older ones.
func (x *session) due() *replica.Snapshot {
	first, open := x.pipe.unconfirmed()
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.pending.Due(first, open)
}

// tail follows the output streams and tells the pipeline what is stored, so
// that a replica need not try what another one has done.
func (x *session) tail(ctx context.Context, stream string, from uint64) {
	for ctx.Err() == nil {
		r := events.ReadRequest{Stream: stream, Site: x.h.cfg.Site, FromSequence: from, Follow: true}
		for batch, err := range x.h.cfg.Bus.RawBatches(ctx, r) {
			if err != nil {
				x.log.Debug("the tail of an output stream broke off", "stream", stream, "error", err)
				break
			}
			for i := range batch {
				from = batch[i].Sequence + 1
				site, name, key, ok := decider.ParseMessageID(batch[i].Header.Get(events.HeaderMsgID))
				if ok && site == x.h.cfg.Site && name == x.id.Name {
					x.pipe.seen(key)
				}
			}
		}
		// Only a convenience: without it replicas do more than they need.
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// keepAnchors notes positions for snapshots and looks.
func (x *session) keepAnchors(ctx context.Context) {
	t := time.NewTicker(min(anchorEvery, max(x.vigil.Half/4, 10*time.Millisecond)))
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if err := x.note(ctx); err != nil && ctx.Err() == nil {
			x.log.Debug("positions could not be noted", "error", err)
		}
	}
}

// note adds an anchor. The output streams are asked before the journal.
func (x *session) note(ctx context.Context) error {
	a := replica.Anchor{Outputs: make(map[string]uint64, len(outputStreams))}
	for _, name := range outputStreams {
		st, err := streamState(ctx, x.h.cfg.Bus, name, x.h.cfg.hooks.now)
		if err != nil {
			return err
		}
		a.Outputs[name] = st.last
	}
	st, err := streamState(ctx, x.h.cfg.Bus, events.StreamJournal, x.h.cfg.hooks.now)
	if err != nil {
		return err
	}
	a.Journal = st.last
	x.ahead.Store(int64(st.ahead))
	x.mu.Lock()
	defer x.mu.Unlock()
	x.anchors.Note(a)
	return nil
}

// anchorBefore is the newest anchor before a cause.
func (x *session) anchorBefore(sequence uint64) (replica.Anchor, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.anchors.Before(sequence)
}
