// SPDX-License-Identifier: Apache-2.0

package confirm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// Defaults of a Config.
const (
	// DefaultMature: coins of a coinbase can be spent in the block that has
	// 100 before it (consensus).
	DefaultMature = 100
	DefaultOrphan = 6
	DefaultForget = 200
	DefaultGiveUp = 24 * time.Hour
	DefaultEvery  = 30 * time.Second
)

// Block that was found.
type Block struct {
	// Hash of the header, by which it is looked for, and Height that it was
	// made for, by which is told how deep it lies; 0 when that is not known.
	Hash   hashengine.Hash
	Height int64
	// Found is when.
	Found time.Time
}

// Fate of a block.
type Fate string

// Fates.
const (
	// Orphaned: not on the best chain, which has another block at its height,
	// Config.Orphan deep. It may come back.
	Orphaned Fate = "orphaned"
	// Returned: it was orphaned, and is on the best chain again.
	Returned Fate = "returned"
	// Matured: confirmed often enough. Final.
	Matured Fate = "matured"
	// Lost: orphaned, and no longer looked for. Final.
	Lost Fate = "lost"
)

// Change is news of a block.
type Change struct {
	Block
	Fate Fate
	// Confirmations on the best chain, 0 when not on it.
	Confirmations int64
	// Tip is the height of the best block.
	Tip int64
	// Unknown: the nodes do not know the block. It may never have reached one.
	Unknown bool
}

// Config of a Tracker.
type Config struct {
	// Mature is the number of confirmations that make a block final, Orphan
	// the depth at which a block beside the best chain is called orphaned, and
	// Forget that at which it is given up. Depth 1 is the tip's height. 0 means
	// the default.
	Mature, Orphan, Forget int64
	// GiveUp is how long after it was found a block is called orphaned that
	// nodes do not know and whose depth cannot be told. 0 means DefaultGiveUp.
	GiveUp time.Duration
	// Every is the longest time between two looks. 0 means DefaultEvery.
	Every time.Duration
	// OnChange hears Orphaned, Returned, Matured and Lost, one at a time. If
	// it fails, the change is made again at the next look. It must be given.
	OnChange func(Change) error
	// OnTrouble hears why a look failed; nil for nobody.
	OnTrouble func(error)
	// Now is the time of day; nil means time.Now.
	Now func() time.Time
}

// Tracker follows blocks until their fate is final. It keeps nothing over a
// restart: whoever starts it adds what is still open.
type Tracker struct {
	chain  upstream.Chain
	config Config
	nudge  chan struct{}

	mu   sync.Mutex
	open map[hashengine.Hash]*following
	turn []hashengine.Hash // in the order of adding
}

type following struct {
	Block
	orphaned bool // guarded by Tracker.mu
}

// NewTracker makes a tracker of blocks of the chain.
func NewTracker(chain upstream.Chain, c Config) (*Tracker, error) {
	for _, d := range []struct {
		to      *int64
		without int64
	}{{&c.Mature, DefaultMature}, {&c.Orphan, DefaultOrphan}, {&c.Forget, max(DefaultForget, c.Orphan)}} {
		if *d.to == 0 {
			*d.to = d.without
		}
	}
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	if c.GiveUp == 0 {
		c.GiveUp = DefaultGiveUp
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	switch {
	case c.OnChange == nil:
		return nil, errors.New("tracker of blocks: OnChange is not given: what becomes of blocks would be lost")
	case c.Mature < 1 || c.Orphan < 1 || c.Forget < c.Orphan || c.Every < 0 || c.GiveUp < 0:
		return nil, fmt.Errorf("tracker of blocks: mature %d, orphan %d, forget %d, give up after %s, every %s: want 1 or more, and forget not below orphan",
			c.Mature, c.Orphan, c.Forget, c.GiveUp, c.Every)
	}
	return &Tracker{chain: chain, config: c, nudge: make(chan struct{}, 1), open: map[hashengine.Hash]*following{}}, nil
}

// Add follows a block. orphaned says that it has been called so before, so
// that it is not called so again; of a block that is followed already, only
// this is taken over.
func (t *Tracker) Add(b Block, orphaned bool) {
	t.mu.Lock()
	if f, ok := t.open[b.Hash]; ok {
		f.orphaned = orphaned
	} else {
		t.open[b.Hash] = &following{Block: b, orphaned: orphaned}
		t.turn = append(t.turn, b.Hash)
	}
	t.mu.Unlock()
	t.Nudge()
}

// Remove follows a block no longer: somebody else has said what is final.
func (t *Tracker) Remove(block hashengine.Hash) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(block)
}

// remove a block. The caller holds mu.
func (t *Tracker) remove(block hashengine.Hash) {
	if _, ok := t.open[block]; ok {
		delete(t.open, block)
		t.turn = slices.DeleteFunc(t.turn, func(h hashengine.Hash) bool { return h == block })
	}
}

// Open are the blocks whose fate is not final, in the order of adding.
func (t *Tracker) Open() []Block {
	t.mu.Lock()
	defer t.mu.Unlock()
	found := make([]Block, 0, len(t.turn))
	for _, h := range t.turn {
		found = append(found, t.open[h].Block)
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

// lookTimeout bounds one question.
const lookTimeout = 30 * time.Second

// Look asks once for every open block. It must not be called while Run runs.
// Blocks that cannot be asked for stay as they are; the error joins why.
func (t *Tracker) Look(ctx context.Context) error {
	open := t.Open()
	if len(open) == 0 {
		return nil
	}
	// The height first: blocks that come in between make a depth look less,
	// never more.
	tip, err := t.height(ctx)
	if err != nil {
		return fmt.Errorf("height of the best chain: %w", err)
	}
	var failed []error
	for _, b := range open {
		if err := t.look(ctx, b, tip); err != nil {
			failed = append(failed, fmt.Errorf("block %s at height %d: %w", b.Hash, b.Height, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

func (t *Tracker) height(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return t.chain.Height(ctx)
}

func (t *Tracker) look(ctx context.Context, b Block, tip int64) error {
	asking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	confirmations, err := t.chain.Confirmations(asking, b.Hash)
	unknown := errors.Is(err, upstream.ErrUnknownBlock)
	if err != nil && !unknown {
		return err
	}
	t.mu.Lock()
	f := t.open[b.Hash]
	orphaned := f != nil && f.orphaned
	t.mu.Unlock()
	if f == nil {
		return nil // removed meanwhile
	}
	c := Change{Block: b, Confirmations: confirmations, Tip: tip, Unknown: unknown}
	if c.Fate = t.fate(&c, orphaned); c.Fate == "" {
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
		t.remove(b.Hash)
	}
	return nil
}

// fate of a block that was asked for; empty when there is nothing new.
func (t *Tracker) fate(c *Change, orphaned bool) Fate {
	switch {
	case c.Confirmations >= t.config.Mature:
		return Matured
	case c.Confirmations > 0 && orphaned:
		return Returned
	case c.Confirmations > 0:
		return ""
	}
	depth := int64(0)
	if c.Height > 0 {
		depth = c.Tip - c.Height + 1
	}
	// A node that is loading has no depth yet, and knows nothing. It may have
	// no depth for ever.
	overdue := depth < t.config.Orphan && (c.Unknown || c.Height <= 0) &&
		!c.Found.IsZero() && t.config.Now().Sub(c.Found) >= t.config.GiveUp
	switch {
	case orphaned && (depth >= t.config.Forget || overdue):
		return Lost
	case !orphaned && (depth >= t.config.Orphan || overdue):
		return Orphaned
	}
	return ""
}
