// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// anchorEvery the positions of the output streams are noted.
const anchorEvery = 5 * time.Second

// session is one run of a seat from a known state on.
type session struct {
	*seat
	r    *decider.Runner
	l    *looker
	pipe *pipeline
	fail context.CancelCauseFunc

	vigil      replica.Vigil
	ahead      atomic.Int64 // the server's clock before ours, nanoseconds
	alive      time.Time    // when the loop turned last
	generation uint64       // of the openings known
	reconnects uint64       // of the connection, when they were read
	watch      tickWatch
	bookedFrom uint64 // in REVENUE: nothing before is of a lost cause
	takenBack  uint64 // generation of the openings for which it was done, plus 1
	wg         sync.WaitGroup

	mu      sync.Mutex
	anchors replica.Anchors
	pending replica.Snapshots
	store   chan struct{}
}

func (s *seat) session(ctx context.Context) error {
	_, generation := s.h.epochs.all()
	reconnects := s.h.cfg.Bus.Conn().Stats().Reconnects
	r, l, err := s.begin(ctx)
	if err != nil {
		return err
	}
	x := &session{seat: s, r: r, l: l, generation: generation, reconnects: reconnects, store: make(chan struct{}, 1), alive: s.h.cfg.hooks.now()}
	window, err := x.duplicateWindow(ctx)
	if err != nil {
		return err
	}
	x.vigil.Half = window / 2
	x.bookedFrom = l.From(events.StreamRevenue)
	x.anchors.Note(l.Start(r.Sequence()))
	if err := x.note(ctx); err != nil {
		return err
	}
	ctx, x.fail = context.WithCancelCause(ctx)
	x.pipe, err = newPipeline(s.h.cfg.Bus.Conn(), s.log, s.h.cfg.hooks.now, x.vigil.Half, x.fail, s.m)
	if err != nil {
		x.fail(err)
		return err
	}
	x.pipe.confirmed = x.wake
	x.wg.Go(func() { x.keepAnchors(ctx) })
	x.wg.Go(func() { x.keepSnapshots(ctx) })
	for _, stream := range outputStreams {
		next := l.Next(stream)
		x.wg.Go(func() { x.tail(ctx, stream, next) })
	}
	x.log.Info("folding", "from", r.Sequence()+1, "epoch", r.Epoch(), "muted", s.muted, "stored_outputs", len(l.Said()))
	err = x.follow(ctx)
	x.fail(err)
	x.pipe.close()
	x.wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// duplicateWindow is the shortest of the output streams, as the server has it.
func (x *session) duplicateWindow(ctx context.Context) (time.Duration, error) {
	var shortest time.Duration
	for _, name := range outputStreams {
		st, err := streamState(ctx, x.h.cfg.Bus, name, x.h.cfg.hooks.now)
		if err != nil {
			return 0, err
		}
		if shortest == 0 || st.duplicates < shortest {
			shortest = st.duplicates
		}
	}
	return shortest, nil
}

// follow folds the journal until the context ends or something breaks.
func (x *session) follow(ctx context.Context) error {
	r := events.ReadRequest{Stream: events.StreamJournal, Site: x.h.cfg.Site, FromSequence: x.r.Sequence() + 1, Follow: true}
	for batch, err := range x.h.cfg.Bus.RawBatches(ctx, r) {
		if err != nil {
			return err
		}
		if n := x.h.cfg.Bus.Conn().Stats().Reconnects; n != x.reconnects {
			// The server may have started anew, without the journal's end:
			// better to know its epochs before folding than to start over.
			if err := x.reloadEpochs(ctx); err != nil {
				return err
			}
			x.reconnects = n
		}
		for i := range batch {
			if err := x.step(ctx, &batch[i]); err != nil {
				return err
			}
		}
		last := &batch[len(batch)-1]
		x.rest(last)
		if last.Pending == 0 {
			x.takeBack(ctx)
		}
	}
	return context.Cause(ctx)
}

// rest notes where the seat stands whenever the journal pauses.
func (x *session) rest(last *bus.Raw) {
	x.m.sequence.Set(float64(x.r.Sequence()))
	x.m.lag.Set(float64(last.Pending))
	speaks := replica.MaySpeak(x.r.Speaks(), x.muted)
	if speaks {
		x.m.speaks.Set(1)
	} else {
		x.m.speaks.Set(0)
	}
	confirmed := x.r.Sequence()
	if first, open := x.pipe.unconfirmed(); open {
		confirmed = first - 1
	}
	x.setStanding(func(st *Standing) {
		st.Epoch, st.Sequence, st.Folded = x.r.Epoch(), x.r.Sequence(), x.r.Counts().Folded
		st.Speaks, st.Confirmed = speaks, confirmed
		if last.Pending == 0 {
			st.CaughtUp = true
			st.StateHash = x.r.StateHash()
		}
	})
}

// step folds one message and says what follows from it.
func (x *session) step(ctx context.Context, m *bus.Raw) error {
	if f := x.h.cfg.hooks.folding; f != nil {
		f(x.id.Name, m.Sequence)
	}
	now := x.h.cfg.hooks.now()
	x.vigil.Turned(elapsed(x.alive, now))
	x.alive = now
	if x.h.epochs.generation.Load() != x.generation {
		if err := x.learnEpochs(); err != nil {
			return err
		}
	}
	raw := rawOf(m)
	st, err := x.r.Feed(&raw)
	switch {
	case errors.Is(err, decider.ErrEpoch):
		return fmt.Errorf("%w: %w", errRebuild, err)
	case err != nil:
		return fmt.Errorf("%w: %w", bus.ErrJournalBroken, err)
	}
	x.m.folded.Inc()
	if st.Outcome == decider.Unusable {
		x.m.unusable.Inc()
	}
	if st.Outcome != decider.Folded {
		return nil
	}
	if len(st.Outputs) > 0 {
		x.m.decided.Inc()
		if replica.MaySpeak(st.Speaks, x.muted) {
			if err := x.speak(ctx, &st, now); err != nil {
				return err
			}
		}
	}
	if t, ok := st.Event.Data.(*events.ClockTick); ok && x.seat == x.h.seats[0] && x.age(st.Event.Arrived, now) < x.vigil.Half {
		x.watch.tick(ctx, x.h, t.Second, st.Event.Arrived)
	}
	if x.h.cfg.cadence().CheckpointDue(x.r.Counts().Folded) {
		return x.checkpoint(ctx, &st, now)
	}
	return nil
}

// learnEpochs takes over the epochs that the relay has seen.
func (x *session) learnEpochs() error {
	list, generation := x.h.epochs.all()
	for _, o := range list {
		if !x.r.Opened(o) {
			return fmt.Errorf("%w: epoch %d began after %d, folded %d", errRebuild, o.Epoch, o.After, x.r.Sequence())
		}
	}
	x.generation = generation
	return nil
}

// reloadEpochs reads the epochs without waiting for the relay.
func (x *session) reloadEpochs(ctx context.Context) error {
	known, err := openings(ctx, x.h.cfg.Bus, x.h.cfg.Site)
	if err != nil {
		return err
	}
	for _, o := range known {
		x.h.epochs.add(o)
	}
	return x.learnEpochs()
}

// age of something stored at t, by the server's clock.
func (x *session) age(t time.Time, now time.Time) time.Duration {
	return now.Add(time.Duration(x.ahead.Load())).Sub(t)
}

// speak publishes the outputs of a step that are not stored yet.
func (x *session) speak(ctx context.Context, st *decider.Step, now time.Time) error {
	batches, sends, err := x.r.Batches(st)
	if err != nil {
		x.log.Error("an output of the decider is no valid event and is left out", "epoch", st.Event.Epoch, "cause", st.Event.Sequence, "error", err)
	}
	if len(batches) > 0 {
		if err := x.lookFirst(ctx, st.Event, now); err != nil {
			return err
		}
		if c := x.unsaid(st, batches, now); len(c.Batches) > 0 {
			if err := x.pipe.submit(ctx, c); err != nil {
				return err
			}
		}
	}
	if !replica.MaySend(x.age(st.Event.Arrived, now)) {
		return nil
	}
	for _, m := range sends {
		if err := x.h.cfg.Bus.Conn().PublishMsg(m); err != nil {
			// Nobody hears it while the connection is down, and by the time it
			// is back another tick renews.
			x.log.Debug("not sent", "subject", m.Subject, "error", err)
			return nil
		}
		x.m.sends.Inc()
	}
	return nil
}

// lookFirst reads what the output streams hold if the server may have
// forgotten the ids of what is about to be said.
func (x *session) lookFirst(ctx context.Context, cause *events.Event, now time.Time) error {
	if !x.vigil.MustLook(x.age(cause.Arrived, now), elapsed(x.l.at, now)) {
		return nil
	}
	x.m.looks.Inc()
	if a, ok := x.anchorBefore(cause.Sequence); ok {
		x.l.Skip(a)
	}
	if err := x.l.look(ctx); err != nil {
		return err
	}
	x.vigil.Looked()
	return nil
}

// unsaid is what of a cause is not stored, as far as was looked.
func (x *session) unsaid(st *decider.Step, batches []decider.Batch, now time.Time) *replica.Cause {
	c := &replica.Cause{Place: replica.Place{Epoch: st.Event.Epoch, Sequence: st.Event.Sequence}, Urgent: st.Reduces(), At: now}
	for _, b := range x.l.Unsaid(st.Event, batches) {
		c.Batches = append(c.Batches, &replica.Outgoing{Batch: b})
	}
	return c
}
