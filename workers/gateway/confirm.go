// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/upstream"
	"github.com/ballast-energy/ballast/workers/upstream/confirm"
)

const (
	// askingFails is how many looks in a row may fail before an alert says that
	// nothing is known of the blocks.
	askingFails = 20

	alarmUnknownBlock = "block-unknown"
	alarmBlocks       = "blocks-unwatched"
)

// follower brings every block of the site that was found for the gateway's pool
// to its end, whichever gateway found it: what was found and what was said of it
// is in SHARES, what became of it the upstream tells. Its state is a fold of the
// stream, so a restart loses nothing; what several gateways have to say of a
// block has one id, and is said only while the stream does not say it.
type follower struct {
	g       *Gateway
	tracker *confirm.Tracker
	// next sequence of SHARES to be read.
	next uint64
	// open blocks by hash, and those of which the last word has been said.
	open  map[hashengine.Hash]*pendingBlock
	ended map[hashengine.Hash]struct{}
	// failed looks in a row, and whose pools' blocks nobody follows here.
	failed  int
	strange map[string]bool
}

// confirm follows blocks until ctx ends, if the upstream can tell what became
// of them.
func (g *Gateway) confirm(ctx context.Context) {
	chain, ok := g.cfg.Upstream.(upstream.Chain)
	if !ok {
		return
	}
	f := &follower{g: g, next: 1, open: make(map[hashengine.Hash]*pendingBlock), ended: make(map[hashengine.Hash]struct{}), strange: make(map[string]bool)}
	var err error
	f.tracker, err = confirm.NewTracker(chain, confirm.Config{
		Orphan: g.cfg.OrphanDepth, Now: g.cfg.Now,
		OnChange: func(c confirm.Change) error { return f.changed(ctx, c) },
	})
	if err != nil {
		g.log.Error("blocks are not followed", "error", err) // the depth has been validated
		return
	}
	tick := time.NewTicker(g.cfg.ConfirmPeriod)
	defer tick.Stop()
	for {
		f.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look reads what is new of blocks and asks for those that are open.
func (f *follower) look(ctx context.Context) {
	err := f.read(ctx)
	if err == nil {
		err = f.tracker.Look(ctx)
	}
	switch {
	case ctx.Err() != nil:
	case err == nil:
		f.failed = 0
		f.g.alarms.clear(alarmBlocks, "", "blocks are followed again")
	default:
		f.g.log.Debug("blocks could not be looked at", "error", err)
		if f.failed++; f.failed == askingFails {
			f.g.alarms.raise(alarmBlocks, "", events.SeverityWarning,
				events.ClipText(fmt.Sprintf("nothing is known of %d blocks of ours that have not matured: %v", len(f.tracker.Open()), err)),
				"See that the node runs and answers getblockheader and getblockcount; blocks are followed on as soon as it does.")
		}
	}
}

// read folds what SHARES says of blocks since the last time.
func (f *follower) read(ctx context.Context) error {
	r := events.ReadRequest{
		Stream: events.StreamShares, Site: f.g.cfg.Site, FromSequence: f.next,
		Types: []events.Type{events.TypeBlockFound, events.TypeBlockMatured, events.TypeBlockOrphaned},
	}
	for e, err := range f.g.bus.Events(ctx, r) {
		if err != nil {
			if onlyOne(err) {
				continue
			}
			return fmt.Errorf("blocks in SHARES: %w", err)
		}
		f.next = e.Sequence + 1
		switch b := e.Data.(type) {
		case *events.BlockFound:
			f.fold(e, events.Block(*b))
		case *events.BlockOrphaned:
			f.fold(e, events.Block(*b))
		case *events.BlockMatured:
			f.fold(e, events.Block(*b))
		}
	}
	return ctx.Err()
}

// fold takes in one event of a block.
func (f *follower) fold(e *events.Event, b events.Block) {
	if own := f.g.cfg.Upstream.ID(); b.Pool != own {
		if e.Source == f.g.cfg.Gateway && e.Type == events.TypeBlockFound && !f.strange[b.Pool] {
			f.strange[b.Pool] = true
			f.g.log.Info("blocks found for another pool are followed by gateways of that pool only", "pool", b.Pool, "ours", own)
		}
		return // perhaps of another chain, on which it cannot be told
	}
	hash, err := hashengine.ParseHash(b.BlockHash)
	if err != nil {
		return // events are validated, so this cannot be
	}
	if _, over := f.ended[hash]; over {
		return
	}
	p := f.open[hash]
	if p == nil { // the first word of it tells best when it was found
		p = &pendingBlock{Block: b, cause: e.ID}
		f.open[hash] = p
	}
	switch e.Type {
	case events.TypeBlockOrphaned:
		p.orphaned = true
	case events.TypeBlockMatured:
		f.end(hash)
		f.g.alarms.clear(alarmUnknownBlock, b.BlockHash, "the block has matured")
		f.tracker.Remove(hash)
		return
	}
	f.tracker.Add(confirm.Block{Hash: hash, Height: p.Height, Found: p.SeenAt}, p.orphaned)
}

// end of a block: nothing more is to be said of it.
func (f *follower) end(hash hashengine.Hash) {
	delete(f.open, hash)
	f.ended[hash] = struct{}{}
	f.g.mu.Lock()
	delete(f.g.blocks, hash.String())
	f.g.mu.Unlock()
}

// changed says what became of a block, unless it has been said.
func (f *follower) changed(ctx context.Context, c confirm.Change) error {
	if err := f.read(ctx); err != nil { // another gateway may have been faster
		return err
	}
	p := f.open[c.Hash]
	if p == nil {
		return nil
	}
	log := f.g.log.With("height", c.Height, "hash", c.Hash.String())
	switch c.Fate {
	case confirm.Matured:
		if err := f.say(ctx, p, &events.BlockMatured{}, "matured", fmt.Sprintf("%d confirmations", c.Confirmations), c.Confirmations); err != nil {
			return err
		}
		log.Info("block matured")
		f.end(c.Hash)
		f.g.alarms.clear(alarmUnknownBlock, c.Hash.String(), "the block has matured")
	case confirm.Returned:
		// What is stored stays until the block has matured.
		log.Info("the best chain holds a block again that was called orphaned")
		f.g.alarms.clear(alarmUnknownBlock, c.Hash.String(), "the block is on the best chain")
	case confirm.Orphaned:
		if p.orphaned {
			return nil
		}
		why := buried(&c)
		if err := f.say(ctx, p, &events.BlockOrphaned{}, "orphaned", why, 0); err != nil {
			return err
		}
		p.orphaned = true
		log.Warn("block orphaned", "why", why)
		if c.Unknown {
			f.g.alarms.raise(alarmUnknownBlock, c.Hash.String(), events.SeverityCritical,
				events.ClipText(fmt.Sprintf("block %s of ours at height %d: %s", c.Hash, c.Height, why)),
				"See whether the node was away or on another chain when the block was found; it is watched on until it lies 200 blocks deep.")
		}
	case confirm.Lost:
		// It is stored as orphaned: that was the last word.
		log.Debug("an orphaned block is given up", "why", buried(&c))
		f.end(c.Hash)
	}
	return nil
}

// buried is why a block is called orphaned, in words.
func buried(c *confirm.Change) string {
	who := "the best chain does not hold it"
	if c.Unknown {
		who = "no node knows it: it may never have reached one"
	}
	if depth := c.Tip - c.Height + 1; depth > 0 && c.Height > 0 {
		return fmt.Sprintf("%s; the best chain has another block at its height, %d deep", who, depth)
	}
	return fmt.Sprintf("%s; found %s, and the best chain ends at height %d", who, c.Found.UTC().Format(time.RFC3339), c.Tip)
}

// say stores what became of a block, and returns when it is stored.
func (f *follower) say(ctx context.Context, p *pendingBlock, payload events.Payload, suffix, detail string, confirmations int64) error {
	stored := make(chan error, 1)
	f.g.fate(p, payload, suffix, detail, confirmations, func(err error) { stored <- err })
	select {
	case err := <-stored:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
