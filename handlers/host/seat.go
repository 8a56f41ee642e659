// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// Why a session ends besides its context. All of them lead to a new one.
var (
	// errRebuild: an epoch began before messages folded already.
	errRebuild = errors.New("messages were folded under an epoch that had ended")
	// errDiverged: our state is not the one that the first replica had.
	errDiverged = errors.New("state differs from the first stored checkpoint")
	// errAgrees ends a muted session that has come to agree.
	errAgrees = errors.New("state agrees with the stored checkpoint again")
	// errCut: something stored earlier rests on a journal message that is gone.
	errCut = errors.New("the journal was cut")
)

// rebuildPause follows a rebuild that did not help.
const rebuildPause = time.Minute

// seat is one decider at one site: sessions of folding, one after the other,
// each from a snapshot or the beginning.
type seat struct {
	h    *Host
	id   decider.Identity
	make Factory
	m    *seatMetrics
	log  *slog.Logger

	// Kept from session to session.
	muted   bool   // diverged: folds, says nothing
	distant uint64 // sequence of the checkpoint that differed
	scratch bool   // snapshots are not trusted: fold from the beginning

	mu    sync.Mutex
	stand Standing
}

func (s *seat) standing() Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stand
}

func (s *seat) setStanding(f func(*Standing)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stand)
}

// run holds session after session until ctx ends.
func (s *seat) run(ctx context.Context) {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	s.setStanding(func(st *Standing) { st.Identity = s.id })
	for ctx.Err() == nil {
		began := time.Now()
		err := s.session(ctx)
		s.setStanding(func(st *Standing) { st.Speaks, st.CaughtUp = false, false })
		s.m.speaks.Set(0)
		if ctx.Err() != nil {
			return
		}
		s.m.rebuilds.Inc()
		again := s.muted
		s.learn(ctx, err)
		if time.Since(began) > time.Minute {
			bo.Reset()
		}
		wait := bo.NextBackOff()
		if s.muted && errors.Is(err, errDiverged) && again {
			// It will differ again: no need to hurry.
			wait = rebuildPause
		}
		s.log.Warn("state is built anew", "reason", err, "in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// learn draws the conclusions of how a session ended.
func (s *seat) learn(ctx context.Context, err error) {
	switch {
	case errors.Is(err, errDiverged):
		if d := new(divergence); errors.As(err, &d) {
			s.distant = max(s.distant, d.sequence)
		}
		again := s.muted
		s.muted, s.scratch = true, true
		if again {
			return
		}
		s.h.raise(ctx, fmt.Sprintf("%s/%d", s.h.cfg.Name, s.distant), &events.AlertRaised{
			Alert: s.divergedAlert(), Severity: events.SeverityCritical,
			Message: fmt.Sprintf("%s on host %s: %v at journal sequence %d; it is silent and rebuilds from the journal", s.id.Name, s.h.cfg.Name, errDiverged, s.distant),
			Remedy:  "If it does not clear by itself: compare the binaries and configurations of the hosts, and check this machine's memory.",
		})
	case errors.Is(err, errAgrees):
		s.muted, s.scratch = false, false
		s.h.lower(ctx, fmt.Sprintf("%s/%d", s.h.cfg.Name, s.distant), &events.AlertCleared{
			Alert: s.divergedAlert(), Message: fmt.Sprintf("%s on host %s agrees with the checkpoints again", s.id.Name, s.h.cfg.Name),
		})
	}
}

func (s *seat) divergedAlert() string {
	return "decider-diverged/" + s.h.cfg.Site + "/" + s.id.Name + "/" + s.h.cfg.Name
}

// begin makes a runner in the newest state that belongs to the journal, and a
// looker that has seen everything it may not repeat.
func (s *seat) begin(ctx context.Context) (*decider.Runner, *looker, error) {
	b, site := s.h.cfg.Bus, s.h.cfg.Site
	known, err := openings(ctx, b, site)
	if err != nil {
		return nil, nil, err
	}
	r, positions, err := s.restore(ctx, known)
	if err != nil {
		return nil, nil, err
	}
	for _, o := range known {
		r.Opened(o)
		s.h.epochs.add(o)
	}
	l := newLooker(b, site, s.id, s.h.cfg.hooks.now, positions)
	s.m.looks.Inc()
	if err := l.look(ctx); err != nil {
		return nil, nil, err
	}
	return r, l, s.checkEnd(ctx, r, l)
}

// restore takes the stored snapshot back if its journal is this one; otherwise
// the runner is at the beginning.
func (s *seat) restore(ctx context.Context, known []decider.Opening) (*decider.Runner, map[string]uint64, error) {
	fresh := func() (*decider.Runner, error) {
		d, err := s.make()
		if err != nil {
			return nil, fmt.Errorf("make decider %s: %w", s.id.Name, err)
		}
		return decider.NewRunner(s.h.cfg.Bus.Prefix(), s.h.cfg.Site, d)
	}
	r, err := fresh()
	if err != nil {
		return nil, nil, err
	}
	st, err := streamState(ctx, s.h.cfg.Bus, events.StreamJournal, s.h.cfg.hooks.now)
	if err != nil {
		return nil, nil, err
	}
	if s.scratch && st.first <= 1 {
		return r, nil, nil
	}
	data, err := loadSnapshot(ctx, s.h.cfg.Bus, SnapshotKey(s.h.cfg.Site, s.id))
	if err != nil || data == nil {
		return r, nil, err
	}
	head, err := r.Restore(data)
	if err == nil {
		err = s.belongs(ctx, head, known, st)
	}
	if err == nil {
		return r, head.Outputs, nil
	}
	if errors.Is(err, errCut) || ctx.Err() != nil {
		return nil, nil, err
	}
	if !errors.Is(err, decider.ErrSnapshot) {
		return nil, nil, err
	}
	s.log.Warn("the stored snapshot is discarded", "reason", err)
	if r, err = fresh(); err != nil {
		return nil, nil, err
	}
	return r, nil, nil
}

// belongs checks that a snapshot was taken of this journal. Evidence that the
// journal lost its end opens an epoch and comes back as errCut; any other
// mismatch as decider.ErrSnapshot.
func (s *seat) belongs(ctx context.Context, head *decider.Header, known []decider.Opening, st state) error {
	f, err := replica.Belongs(head, known, s.journal(ctx, st))
	switch {
	case err != nil:
		return err
	case f.Foreign:
		return fmt.Errorf("%w: %s", decider.ErrSnapshot, f.Reason)
	}
	return s.cut(ctx, f)
}

// checkEnd compares the newest stored output with the journal.
func (s *seat) checkEnd(ctx context.Context, r *decider.Runner, l *looker) error {
	if len(l.Said()) == 0 {
		return nil
	}
	st, err := streamState(ctx, s.h.cfg.Bus, events.StreamJournal, s.h.cfg.hooks.now)
	if err != nil {
		return err
	}
	f, err := replica.RestsOn(l.Said(), r.Openings(), s.journal(ctx, st))
	if err != nil {
		return err
	}
	return s.cut(ctx, f)
}

// cut opens a new epoch where that was found necessary, and returns errCut then.
func (s *seat) cut(ctx context.Context, f replica.Finding) error {
	if !f.Cut {
		return nil
	}
	o, err := s.h.cfg.Bus.OpenEpoch(ctx, s.h.cfg.Site, s.h.cfg.Name, f.Reason, f.After)
	if err != nil {
		return err
	}
	s.h.epochs.add(decider.Opening{Epoch: o.Epoch, After: o.LastSequence})
	s.log.Warn("a new epoch was opened", "epoch", o.Epoch, "last_sequence", o.LastSequence, "reason", f.Reason)
	return fmt.Errorf("%w: %s", errCut, f.Reason)
}

// journal on the server, for package replica; its end is that of a moment ago.
type journal struct {
	ctx  context.Context
	bus  *bus.Bus
	last uint64
}

func (s *seat) journal(ctx context.Context, st state) *journal {
	return &journal{ctx: ctx, bus: s.h.cfg.Bus, last: st.last}
}

// Last implements replica.Journal.
func (j *journal) Last() uint64 { return j.last }

// Message implements replica.Journal.
func (j *journal) Message(sequence uint64) (decider.Raw, bool, error) {
	return message(j.ctx, j.bus, events.StreamJournal, sequence)
}

// rawOf is a journal message as the runner takes it.
func rawOf(m *bus.Raw) decider.Raw {
	return decider.Raw{Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: m.Sequence, Arrived: m.Arrived}
}
