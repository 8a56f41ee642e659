// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ballast-energy/ballast/handlers/decider"
)

// Host runs the deciders of one site. See the package documentation.
type Host struct {
	cfg     Config
	m       *metrics
	seats   []*seat
	epochs  openingList
	ran     atomic.Bool
	running sync.WaitGroup // alerts under way
}

// New checks the configuration and the deciders; nothing runs and nothing is
// read before Run.
func New(cfg Config) (*Host, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	h := &Host{cfg: cfg, m: newMetrics(cfg.Registerer)}
	names := make(map[string]bool)
	for _, f := range cfg.Deciders {
		d, err := f()
		if err != nil {
			return nil, fmt.Errorf("host: make a decider: %w", err)
		}
		id := d.Identity()
		// The runner knows what an identity must look like.
		if _, err := decider.NewRunner(cfg.Bus.Prefix(), cfg.Site, d); err != nil {
			return nil, fmt.Errorf("host: %w", err)
		}
		if names[id.Name] {
			return nil, fmt.Errorf("host: two deciders named %s", id.Name)
		}
		names[id.Name] = true
		h.seats = append(h.seats, &seat{
			h: h, id: id, make: f, m: h.m.seat(cfg.Site, id.Name),
			log: cfg.Logger.With("site", cfg.Site, "decider", id.Name, "version", id.Version),
		})
	}
	return h, nil
}

// Run folds and publishes until ctx ends, outliving every outage of the bus.
// It returns nil then, and an error only when it was called before.
func (h *Host) Run(ctx context.Context) error {
	if h.ran.Swap(true) {
		return errors.New("host: Run was called before")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range h.seats {
		wg.Go(func() { s.run(ctx) })
	}
	wg.Go(func() { h.relay(ctx) })
	wg.Go(func() { h.ticker(ctx) })
	wg.Go(func() { h.retention(ctx) })
	if h.cfg.ActivateIfNone {
		wg.Go(func() { h.activateAll(ctx) })
	}
	wg.Wait()
	h.running.Wait()
	return nil
}

// Standing is where one decider of a host is.
type Standing struct {
	// Identity of the decider.
	Identity decider.Identity
	// Epoch and Sequence folded last, and how many events in all.
	Epoch, Sequence, Folded uint64
	// StateHash after it, 16 hex digits; empty before the first event.
	StateHash string
	// Speaks: this version is the activated one and agrees with the
	// checkpoints.
	Speaks bool
	// Confirmed is the sequence up to which all outputs are stored.
	Confirmed uint64
	// CaughtUp: the end of the journal was reached once since the state was
	// built.
	CaughtUp bool
}

// Standings of the deciders, in the order of the configuration. Sequence and
// Confirmed are exact; StateHash is as of the last pause in the journal.
func (h *Host) Standings() []Standing {
	out := make([]Standing, len(h.seats))
	for i, s := range h.seats {
		out[i] = s.standing()
	}
	return out
}

// openingList are the epochs of the site that the relay has seen, for the
// seats.
type openingList struct {
	generation atomic.Uint64
	mu         sync.Mutex
	list       decider.Epochs
}

// add reports whether the opening was new.
func (l *openingList) add(o decider.Opening) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.list.Add(o) {
		return false
	}
	l.generation.Add(1)
	return true
}

func (l *openingList) all() ([]decider.Opening, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list.Openings(), l.generation.Load()
}
