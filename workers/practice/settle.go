// SPDX-License-Identifier: Apache-2.0

package practice

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/judge"
)

// advance puts a block, by its share id, on the tip.
func (c *chain) advance(shareID string) {
	h, err := hashengine.ParseHash(shareID)
	if err != nil {
		return // a share id is 64 hex digits, checked on decoding
	}
	c.tip = h
	c.height++
}

// settle judges shares, stores the verdicts that are not stored already, and
// only then acknowledges the shares. An error leaves them unacknowledged, and
// verdicts stored or not: a new session reads which.
func (p *Pool) settle(ctx context.Context, batch []jetstream.Msg, stored map[string]struct{}) error {
	var verdicts []*events.Event
	var judged []*events.Event // the shares of those verdicts
	tip, blocks := p.chain, int64(0)
	for _, m := range batch {
		e, err := judge.Read(m)
		if err != nil {
			// The inspector writes the dead letter: one, whoever reads along.
			p.log.Debug("not a share", "subject", m.Subject(), "error", err)
			continue
		}
		s := e.Data.(*events.ShareFound)
		if s.Gateway != p.cfg.Gateway {
			continue
		}
		first, known := p.seen.Get(s.ShareID)
		if known && first.Sequence == e.Sequence && first.Judged {
			continue // delivered again: only its acknowledgement was lost
		}
		v := p.judge(e, tip.height)
		if !known {
			p.seen.Put(s.ShareID, judge.Sighting{Sequence: e.Sequence})
		}
		if _, done := stored[v.event.ID]; done {
			continue // stored before a crash
		}
		if v.block != nil && v.height == tip.height+1 {
			tip.advance(s.ShareID)
			blocks++
		}
		verdicts, judged = append(verdicts, v.event), append(judged, e)
	}
	if len(verdicts) > 0 {
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
		_, err := p.bus.PublishBatch(sctx, events.StreamShares, verdicts...)
		cancel()
		if err != nil {
			for _, m := range batch {
				_ = m.Nak() // or they come again after a while
			}
			return fmt.Errorf("store %d verdicts: %w", len(verdicts), err)
		}
	}
	for i, v := range verdicts {
		p.book(v, judged[i])
	}
	for _, m := range batch {
		if err := m.Ack(); err != nil {
			return fmt.Errorf("acknowledge shares: %w", err)
		}
	}
	if blocks == 0 {
		return nil
	}
	p.blocks.Add(blocks)
	p.chain = tip
	p.renew()
	if p.draining {
		return nil // nobody is left to work
	}
	p.log.Info("practice block found", "height", tip.height, "hash", tip.tip.String())
	return p.assign(ctx, p.roster.All(), true)
}

// book counts a verdict and remembers that it is stored.
func (p *Pool) book(v, share *events.Event) {
	s := share.Data.(*events.ShareFound)
	if first, ok := p.seen.Get(s.ShareID); ok && first.Sequence == share.Sequence {
		p.seen.Put(s.ShareID, judge.Sighting{Sequence: share.Sequence, Judged: true})
	}
	switch v.Data.(type) {
	case *events.ShareAccepted:
		p.accepted.Add(1)
	case *events.ShareRejected:
		p.rejected.Add(1)
	case *events.ShareUnknown:
		p.unknown.Add(1)
	}
}
