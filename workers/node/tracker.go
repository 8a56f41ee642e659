// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// Defaults of a TrackerConfig.
const (
	// DefaultMature: coins of a coinbase can be spent in the block that has
	// 100 before it (consensus).
	DefaultMature = 100
	DefaultOrphan = 6
	DefaultForget = 200
	DefaultEvery  = 30 * time.Second
)

// Chain tells where blocks stand. [Node] does.
type Chain interface {
	upstream.Confirmer
	// Height of the best block.
	Height(ctx context.Context) (int64, error)
}

// Found is a block that was found.
type Found struct {
	// Hash of the header, by which it is looked for, and Height that it was
	// made for, by which is told how deep it lies.
	Hash   hashengine.Hash
	Height int64
}

// Fate of a block.
type Fate string

// Fates.
const (
	// Pending: neither of the others yet.
	Pending Fate = "pending"
	// Orphaned: not on the best chain, and TrackerConfig.Orphan deep. It may
	// come back.
	Orphaned Fate = "orphaned"
	// Returned: it was orphaned, and is on the best chain again. It is pending
	// as before.
	Returned Fate = "returned"
	// Matured: confirmed often enough. Final.
	Matured Fate = "matured"
	// Lost: orphaned, and so deep that it is no longer looked for. Final.
	Lost Fate = "lost"
)

// Change is news of a block.
type Change struct {
	Found
	Fate Fate
	// Confirmations on the best chain, 0 when not on it.
	Confirmations int64
	// Tip is the height of the best block.
	Tip int64
}

// TrackerConfig describes a Tracker.
type TrackerConfig struct {
	// Mature is the number of confirmations that make a block final, Orphan
	// the depth at which a block beside the best chain is called orphaned, and
	// Forget that at which it is given up. Depth 1 is the tip's height. 0 means
	// the default.
	Mature, Orphan, Forget int64
	// Every is the longest time between two looks. 0 means DefaultEvery.
	Every time.Duration
	// OnChange hears Orphaned, Returned, Matured and Lost, one at a time. If
	// it fails, the change is made again at the next look. It must be given.
	OnChange func(Change) error
	// OnTrouble hears why a look failed; nil for nobody.
	OnTrouble func(error)
}

// Tracker follows found blocks until their fate is final. It keeps nothing over
// a restart: whoever starts it adds what is still open.
type Tracker struct {
	chain  Chain
	config TrackerConfig
	nudge  chan struct{}

	mu   sync.Mutex
	open map[hashengine.Hash]*following
	turn []hashengine.Hash // in the order of adding
}

type following struct {
	Found
	orphaned bool
}

// NewTracker makes a tracker of blocks of the chain.
func NewTracker(chain Chain, c TrackerConfig) (*Tracker, error) {
	for _, d := range []struct {
		to      *int64
		without int64
	}{{&c.Mature, DefaultMature}, {&c.Orphan, DefaultOrphan}, {&c.Forget, DefaultForget}} {
		if *d.to == 0 {
			*d.to = d.without
		}
	}
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	switch {
	case c.OnChange == nil:
		return nil, errors.New("tracker of blocks: OnChange is not given: what becomes of blocks would be lost")
	case c.Mature < 1 || c.Orphan < 1 || c.Forget < c.Orphan || c.Every < 0:
		return nil, fmt.Errorf("tracker of blocks: mature %d, orphan %d, forget %d, every %s: want 1 or more, and forget not below orphan", c.Mature, c.Orphan, c.Forget, c.Every)
	}
	return &Tracker{chain: chain, config: c, nudge: make(chan struct{}, 1), open: map[hashengine.Hash]*following{}}, nil
}

// Add follows a block. orphaned says that it has been called so before, so
// that it is not called so again. Adding one twice changes nothing.
func (t *Tracker) Add(f Found, orphaned bool) {
	t.mu.Lock()
	if _, ok := t.open[f.Hash]; !ok {
		t.open[f.Hash] = &following{Found: f, orphaned: orphaned}
		t.turn = append(t.turn, f.Hash)
	}
	t.mu.Unlock()
	t.Nudge()
}

// Open are the blocks whose fate is not final, in the order of adding.
func (t *Tracker) Open() []Found {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := make([]Found, 0, len(t.turn))
	for _, h := range t.turn {
		found = append(found, t.open[h].Found)
	}
	return found
}

// Nudge makes the tracker look soon, as when there is a new block. It does not
// wait.
func (t *Tracker) Nudge() {
	select {
	case t.nudge <- struct{}{}:
	default:
	}
}

// Run looks until ctx ends, and returns nil then.
func (t *Tracker) Run(ctx context.Context) error {
	ticker := time.NewTicker(t.config.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-t.nudge:
		}
		if err := t.Look(ctx); err != nil && ctx.Err() == nil && t.config.OnTrouble != nil {
			t.config.OnTrouble(err)
		}
	}
}

// lookTimeout bounds the questions about one block.
const lookTimeout = 30 * time.Second

// Look asks once for every open block. It must not be called while Run runs.
// Blocks that cannot be asked for stay as they are; the error joins why.
func (t *Tracker) Look(ctx context.Context) error {
	open := t.snapshot()
	if len(open) == 0 {
		return nil
	}
	var failed []error
	for _, f := range open {
		if err := t.look(ctx, f); err != nil {
			failed = append(failed, fmt.Errorf("block %s at height %d: %w", f.Hash, f.Height, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func (t *Tracker) snapshot() []*following {
	t.mu.Lock()
	defer t.mu.Unlock()
	open := make([]*following, 0, len(t.turn))
	for _, h := range t.turn {
		open = append(open, t.open[h])
	}
	return open
}

func (t *Tracker) look(ctx context.Context, f *following) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	// The height first: a block that comes in between makes the depth look
	// less, never more.
	tip, err := t.chain.Height(ctx)
	if err != nil {
		return err
	}
	confirmations, err := t.chain.Confirmations(ctx, f.Hash)
	if err != nil && !errors.Is(err, ErrUnknownBlock) {
		return err
	}
	// A node that does not know the block has it beside its chain all the
	// more, but for one that is still loading: that has no depth.
	c := Change{Found: f.Found, Confirmations: confirmations, Tip: tip}
	depth := tip - f.Height + 1
	switch {
	case confirmations >= t.config.Mature:
		c.Fate = Matured
	case confirmations > 0 && f.orphaned:
		c.Fate = Returned
	case confirmations > 0:
		return nil
	case depth >= t.config.Forget && f.orphaned:
		c.Fate = Lost
	case depth >= t.config.Orphan && !f.orphaned:
		c.Fate = Orphaned
	default:
		return nil
	}
	if err := t.config.OnChange(c); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch c.Fate {
	case Orphaned:
		f.orphaned = true
	case Returned:
		f.orphaned = false
	case Matured, Lost:
		delete(t.open, f.Hash)
		for i, h := range t.turn {
			if h == f.Hash {
				t.turn = append(t.turn[:i], t.turn[i+1:]...)
				break
			}
		}
	}
	return nil
}
