// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/upstream"
)

const (
	// mature is how many confirmations book a block: a coinbase cannot be
	// spent before.
	mature = 100
	// orphanLooks is how often in a row a block must be off the best chain to
	// be called an orphan: tips swap places within seconds.
	orphanLooks = 2
	// watchOrphans is for how many blocks beyond its height an orphan is still
	// looked at, should the chain turn to it again.
	watchOrphans = 2 * mature
)

// pendingBlock is a block of ours that has not matured. Guarded by Gateway.mu.
type pendingBlock struct {
	events.Block
	cause    string // id of block.found
	offChain int
	orphaned bool
}

// foundBlock is the event of a block that is being submitted. The caller holds
// mu.
func (g *Gateway) foundBlock(f *flight) *events.Event {
	w := f.issue.Work
	return g.announce(f, w, "submitted")
}

func (g *Gateway) announce(f *flight, w *events.WorkAssigned, detail string) *events.Event {
	now := g.cfg.Now().UTC()
	b := events.BlockFound{
		BlockHash: f.share.ShareID, Height: w.Height, Pool: f.payout.Pool, JobID: f.share.JobID, Agent: f.agent, Unit: f.share.Unit,
		RewardSats: f.payout.RewardSats, Scheme: f.payout.Scheme, Basis: f.payout.Basis, Detail: detail, SeenAt: now,
	}
	e := events.New(g.cfg.Site, g.cfg.Gateway, &b).WithID(f.share.ShareID + "/block").At(now).CausedBy(f.cause)
	if g.blocks[b.BlockHash] == nil {
		g.account.Blocks++
		g.blocks[b.BlockHash] = &pendingBlock{Block: events.Block(b), cause: e.ID}
		g.log.Info("block found", "height", b.Height, "hash", b.BlockHash, "agent", f.agent)
	}
	return e
}

// reviveBlock stores a block that an earlier start may have submitted without
// living to say so. The caller holds mu.
func (g *Gateway) reviveBlock(f *flight, w *events.WorkAssigned) {
	g.commits.store(func(error) {}, g.announce(f, w, "found by an earlier start of the gateway, which may have submitted it"))
}

// reviveBlocks goes on watching blocks found before. The caller holds mu.
func (g *Gateway) reviveBlocks(st *stored) {
	for hash, e := range st.blocks {
		matured, ended := st.ended[hash]
		if matured || g.blocks[hash] != nil {
			continue
		}
		b := *e.Data.(*events.BlockFound)
		g.blocks[hash] = &pendingBlock{Block: events.Block(b), cause: e.ID, orphaned: ended}
	}
}

// refusedBlock stores that the upstream did not take a block. The caller holds
// mu.
func (g *Gateway) refusedBlock(f *flight, words string) {
	p := g.blocks[f.share.ShareID]
	if p == nil || p.orphaned {
		return
	}
	p.orphaned = true
	g.fate(p, &events.BlockOrphaned{}, "orphaned", "refused by the upstream: "+words, 0)
}

// fate stores what became of a block. The caller holds mu.
func (g *Gateway) fate(p *pendingBlock, payload events.Payload, suffix, detail string, confirmations int64) {
	b := p.Block
	b.Confirmations, b.Detail, b.SeenAt = confirmations, events.ClipText(detail), g.cfg.Now().UTC()
	switch t := payload.(type) {
	case *events.BlockOrphaned:
		*t = events.BlockOrphaned(b)
	case *events.BlockMatured:
		*t = events.BlockMatured(b)
	}
	e := events.New(g.cfg.Site, g.cfg.Gateway, payload).WithID(b.BlockHash + "/" + suffix).At(b.SeenAt)
	e.Causation, e.Correlation = p.cause, p.cause
	g.commits.store(func(error) {}, e)
}

// confirm follows blocks on their way to maturity, if the upstream can tell.
func (g *Gateway) confirm(ctx context.Context) {
	up, ok := g.cfg.Upstream.(upstream.Confirmer)
	if !ok {
		return
	}
	tick := time.NewTicker(g.cfg.ConfirmPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		g.mu.Lock()
		hashes := slices.Sorted(maps.Keys(g.blocks))
		g.mu.Unlock()
		for _, text := range hashes {
			if ctx.Err() != nil {
				return
			}
			h, err := hashengine.ParseHash(text)
			if err != nil {
				continue // ids of shares are hashes
			}
			look, cancel := context.WithTimeout(ctx, 10*time.Second)
			n, err := up.Confirmations(look, h)
			cancel()
			if err != nil {
				g.log.Debug("block not confirmed", "block", text, "error", err)
				continue
			}
			g.confirmed(text, n)
		}
	}
}

// confirmed books what the upstream said of a block.
func (g *Gateway) confirmed(hash string, n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.blocks[hash]
	if p == nil {
		return
	}
	switch {
	case n >= mature:
		delete(g.blocks, hash)
		g.fate(p, &events.BlockMatured{}, "matured", fmt.Sprintf("%d confirmations", n), n)
		g.log.Info("block matured", "height", p.Height, "hash", hash)
	case n > 0:
		p.offChain = 0
	case p.orphaned:
		if newest := g.state.newest; newest != nil && newest.Height > p.Height+watchOrphans {
			delete(g.blocks, hash)
		}
	default:
		if p.offChain++; p.offChain >= orphanLooks {
			p.orphaned = true
			g.fate(p, &events.BlockOrphaned{}, "orphaned", "the best chain does not hold it", 0)
			g.log.Warn("block orphaned", "height", p.Height, "hash", hash)
		}
	}
}
