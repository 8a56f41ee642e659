// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// pendingBlock is a block of ours that has not come to its end.
type pendingBlock struct {
	events.Block
	cause    string // id of block.found
	orphaned bool   // block.orphaned of it is stored
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
		BlockHash: f.share.ShareID, Height: w.Height, NBits: f.payout.NBits, Pool: f.payout.Pool, JobID: f.share.JobID, Agent: f.agent, Unit: f.share.Unit,
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

// reviveBlocks takes over what is stored of blocks found before, so that they
// are not announced again. The caller holds mu.
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

// refusedBlock stores that the upstream did not take a block. One that can tell
// what became of blocks has the last word, unless it finds the block invalid:
// another node or gateway may have brought it in time. The caller holds mu.
func (g *Gateway) refusedBlock(f *flight, words string) {
	p := g.blocks[f.share.ShareID]
	if p == nil || p.orphaned {
		return
	}
	if _, tells := f.issue.task.session.up.(upstream.Chain); tells {
		no, ok := f.verdict.(*events.ShareRejected)
		if !ok || no.Reason != events.RejectInvalid && no.Reason != events.RejectLow {
			return
		}
	}
	p.orphaned = true
	g.fate(p, &events.BlockOrphaned{}, "orphaned", "refused by the upstream: "+words, 0, func(error) {})
}

// fate stores what became of a block, with an id of which each block has one;
// stored hears when it is.
func (g *Gateway) fate(p *pendingBlock, payload events.Payload, suffix, detail string, confirmations int64, stored func(error)) {
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
	g.commits.store(stored, e)
}
