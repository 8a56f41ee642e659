// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/job"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// quoteTime bounds one try to publish a quote.
const quoteTime = 5 * time.Second

// quoter tells the site what an upstream with block templates knows of the
// network, once for every block that there is to build on. Several gateways of
// one node give the quote one id, so it is stored once.
type quoter struct {
	g *Gateway
	// waiting holds the newest quote that has not been published.
	waiting chan *events.Event
	// about is the block that the newest quote builds on. The dispatcher's.
	about hashengine.Hash
}

func newQuoter(g *Gateway) *quoter { return &quoter{g: g, waiting: make(chan *events.Event, 1)} }

// template takes note of a job and holds nobody up. A job without a reward
// rests on no template. The dispatcher calls it.
func (q *quoter) template(pool string, j *upstream.Job) {
	t := &j.Terms
	if t.RewardSats <= 0 || j.PrevHash == q.about {
		return
	}
	q.about = j.PrevHash
	now := q.g.cfg.Now().UTC()
	e := events.New(q.g.cfg.Site, q.g.cfg.Gateway, &events.MarketQuote{
		NBits: job.WordText(j.Bits), Height: j.Height, SubsidySats: t.RewardSats - t.FeesSats, FeesSats: t.FeesSats,
		QuotedAt: now, Practice: t.Basis == events.BasisPractice, NetworkOnly: true,
	}).WithID(q.g.cfg.Site + "/network/" + pool + "/" + j.PrevHash.String()).At(now)
	select {
	case <-q.waiting: // nobody needs it any more
	default:
	}
	q.waiting <- e // there is room: nobody else writes
}

// run publishes until ctx ends, and each quote until it is stored or another
// has come.
func (q *quoter) run(ctx context.Context) {
	var e *events.Event
	for {
		if e == nil {
			select {
			case <-ctx.Done():
				return
			case e = <-q.waiting:
			}
		}
		e = q.publish(ctx, e)
		if ctx.Err() != nil {
			return
		}
	}
}

// publish returns the quote that has come in between, nil when e is stored.
func (q *quoter) publish(ctx context.Context, e *events.Event) *events.Event {
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond),
		backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
	for tries := 0; ; tries++ {
		once, cancel := context.WithTimeout(ctx, quoteTime)
		err := q.g.bus.Publish(once, e)
		cancel()
		if err == nil || ctx.Err() != nil {
			return nil
		}
		if tries == 0 {
			q.g.log.Warn("what the node tells of the network is not stored yet; it is tried again", "error", err)
		}
		pause := time.NewTimer(retry.NextBackOff())
		select {
		case <-ctx.Done():
		case next := <-q.waiting:
			pause.Stop()
			return next
		case <-pause.C:
			continue
		}
		pause.Stop()
		return nil
	}
}
