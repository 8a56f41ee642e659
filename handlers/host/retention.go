// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// retention purges the journal behind its bounds, but never what a restart
// would need.
func (h *Host) retention(ctx context.Context) {
	t := time.NewTicker(h.cfg.RetentionEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if _, err := h.Purge(ctx); err != nil && ctx.Err() == nil {
			h.cfg.Logger.Warn("the journal was not purged", "error", err)
		}
	}
}

// Purge removes from JOURNAL what lies behind the bounds of the bus (by age and
// bytes) and before the oldest snapshot that an activated decider of any site
// would restart from. It returns the newest sequence removed, 0 when nothing
// was. An activated decider without a snapshot keeps everything.
//
// Run calls it every Config.RetentionEvery.
func (h *Host) Purge(ctx context.Context) (uint64, error) {
	bound, err := h.cfg.Bus.JournalBound(ctx, time.Now())
	if err != nil || bound == 0 {
		return 0, err
	}
	needed, err := h.needed(ctx)
	if err != nil {
		return 0, fmt.Errorf("purge journal: %w", err)
	}
	if needed == 0 {
		return 0, nil
	}
	up := min(bound, needed-1)
	if up == 0 {
		return 0, nil
	}
	if err := h.cfg.Bus.PurgeJournal(ctx, up); err != nil {
		return 0, err
	}
	h.cfg.Logger.Info("journal purged", "up_to", up)
	return up, nil
}

// needed is the first sequence that a restart of any activated decider reads,
// 0 when that is everything.
// The message a snapshot was taken at is kept: it proves that the journal is
// the snapshot's.
func (h *Host) needed(ctx context.Context) (uint64, error) {
	active, err := h.activations(ctx)
	if err != nil {
		return 0, err
	}
	store, err := h.cfg.Bus.SnapshotStore(ctx)
	if err != nil {
		return 0, err
	}
	if len(active) == 0 {
		return 0, nil
	}
	needed := ^uint64(0)
	for _, key := range slices.Sorted(maps.Keys(active)) {
		p, ok, err := snapshotPlace(ctx, store, key)
		if err != nil {
			return 0, err
		}
		if !ok {
			return 0, nil
		}
		needed = min(needed, p.Sequence)
	}
	return needed, nil
}

// activations are the snapshot keys of every activated decider of every site.
func (h *Host) activations(ctx context.Context) (map[string]bool, error) {
	s, err := h.cfg.Bus.JetStream().Stream(ctx, events.StreamInputs)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", events.StreamInputs, err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(events.Subject(h.cfg.Bus.Prefix(), "*", events.TypeDeciderActivated, "*")))
	if err != nil {
		return nil, fmt.Errorf("activations: %w", err)
	}
	out := make(map[string]bool)
	for subject := range info.State.Subjects {
		a, err := events.ParseSubject(subject)
		if err != nil {
			continue // nonsense activates nobody
		}
		act, _, err := Active(ctx, h.cfg.Bus, a.Site, a.Source)
		if act == nil {
			if err != nil && !errors.Is(err, errNoActivation) {
				return nil, err
			}
			continue
		}
		out[SnapshotKey(a.Site, decider.Identity{Name: act.Decider, Version: act.Version, ConfigHash: act.ConfigHash})] = true
	}
	return out, nil
}

// activateAll activates the versions of this host where nobody ever was.
func (h *Host) activateAll(ctx context.Context) {
	for _, s := range h.seats {
		bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
			backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
		_ = backoff.RetryNotify(func() error {
			have, at, err := Active(ctx, h.cfg.Bus, h.cfg.Site, s.id.Name)
			if at > 0 || have != nil {
				return nil
			}
			if err == nil {
				err = activate(ctx, h.cfg.Bus, h.cfg.Site, s.id, "", h.cfg.Name, 0)
			}
			if errors.Is(err, ErrActivatedMeanwhile) {
				return nil
			}
			return err
		}, backoff.WithContext(bo, ctx), func(err error, wait time.Duration) {
			s.log.Warn("not activated yet", "error", err, "again_in", wait)
		})
	}
}
