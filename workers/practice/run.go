// SPDX-License-Identifier: Apache-2.0

package practice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/judge"
	"github.com/ballast-energy/ballast/workers/roster"
)

const (
	// round is the most shares judged and stored together.
	round = 500
	// storeTime bounds storing one round.
	storeTime = 20 * time.Second
	// healthy is how long a session lasts for its predecessor's failure to be
	// forgotten.
	healthy = 30 * time.Second
)

// Run serves until ctx ends, and then judges the shares that have been found,
// for Config.DrainTime at most. Whatever goes wrong with the bus, it starts over
// from what is stored, with a growing pause; so it returns only nil, after ctx
// ended. It may be called once.
func (p *Pool) Run(ctx context.Context) error {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for {
		began := time.Now()
		err := p.session(ctx)
		if ctx.Err() != nil {
			if err != nil {
				p.log.Warn("shares wait for the next start of the pool", "error", err)
			}
			return nil
		}
		if time.Since(began) > healthy {
			bo.Reset()
		}
		pause := bo.NextBackOff()
		p.log.Warn("practice pool starts over", "again_in", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// session serves until something fails.
func (p *Pool) session(ctx context.Context) error {
	heard := make(chan *nats.Msg, 4096)
	nc, prefix := p.bus.Conn(), p.bus.Prefix()
	for _, t := range []events.Type{events.TypeWorkerStatus, events.TypeMarketQuote} {
		sub, err := nc.ChanSubscribe(events.Subject(prefix, p.cfg.Site, t, "*"), heard)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", t, err)
		}
		defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is gone
	}
	consumer, err := p.bus.JetStream().CreateOrUpdateConsumer(ctx, events.StreamShares, jetstream.ConsumerConfig{
		Durable:       "practice-" + p.cfg.Site + "-" + p.cfg.Gateway,
		Description:   "Shares to be judged by the practice pool",
		FilterSubject: events.Subject(prefix, p.cfg.Site, events.TypeShareFound, "*"),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       5 * time.Second,
		MaxAckPending: 8 * round,
	})
	if err != nil {
		return fmt.Errorf("consumer of shares: %w", err)
	}
	stored, err := p.recover(ctx, consumer.CachedInfo().AckFloor.Stream)
	if err != nil {
		return fmt.Errorf("read what is stored: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(round), jetstream.PullExpiry(2*time.Second),
		jetstream.PullHeartbeat(500*time.Millisecond), jetstream.WithMessagesErrOnMissingHeartbeat(false))
	if err != nil {
		return fmt.Errorf("consume shares: %w", err)
	}
	shares, failed := make(chan jetstream.Msg, round), make(chan error, 1)
	ending := make(chan struct{})
	var pump sync.WaitGroup
	pump.Go(func() {
		for {
			m, err := messages.Next()
			if err != nil {
				failed <- err
				return
			}
			select {
			case shares <- m:
			case <-ending:
				return
			}
		}
	})
	defer pump.Wait()
	defer messages.Stop()
	defer close(ending)

	p.renew()
	if err := p.assign(ctx, p.roster.All(), true); err != nil {
		return err
	}
	ticker := time.NewTicker(p.cfg.JobPeriod)
	defer ticker.Stop()
	var dec events.Decoder
	for {
		select {
		case <-ctx.Done():
			return p.drain(context.WithoutCancel(ctx), consumer, shares, stored)
		case err := <-failed:
			return fmt.Errorf("consume shares: %w", err)
		case m := <-heard:
			if err := p.hear(ctx, &dec, m, heard); err != nil {
				return err
			}
		case m := <-shares:
			if err := p.settle(ctx, gather(m, shares), stored); err != nil {
				return err
			}
		case <-ticker.C:
			now := p.cfg.Now()
			p.roster.Forget(now)
			p.jobs.Forget(now.Add(-p.cfg.JobLifetime - time.Minute))
			p.seen.Turn(now, p.cfg.JobLifetime)
			p.renew()
			if err := p.assign(ctx, p.roster.All(), false); err != nil {
				return err
			}
		}
	}
}

// gather adds to m what waits behind it, up to a round.
func gather(m jetstream.Msg, shares <-chan jetstream.Msg) []jetstream.Msg {
	batch := []jetstream.Msg{m}
	for len(batch) < round && len(shares) > 0 {
		batch = append(batch, <-shares)
	}
	return batch
}

// drain judges what has been found when the pool ends, within DrainTime: the
// workers have stopped before it, so this is the last of their work. What it
// does not get to waits for the next start.
func (p *Pool) drain(ctx context.Context, c jetstream.Consumer, shares <-chan jetstream.Msg, stored map[string]struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.DrainTime)
	defer cancel()
	p.draining = true
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case m := <-shares:
			if err := p.settle(ctx, gather(m, shares), stored); err != nil {
				return err
			}
			continue
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		info, err := c.Info(ctx)
		if err != nil {
			return fmt.Errorf("shares left: %w", err)
		}
		if info.NumPending == 0 && info.NumAckPending == 0 {
			return nil
		}
	}
}

// hear takes a status or quote, and those that wait behind it, and hands out
// the work that they call for.
func (p *Pool) hear(ctx context.Context, dec *events.Decoder, m *nats.Msg, more <-chan *nats.Msg) error {
	needs := make(map[string]*roster.Miner)
	for n := 0; ; n++ {
		p.hearOne(dec, m, needs)
		if n == round || len(more) == 0 {
			break
		}
		m = <-more
	}
	var list []*roster.Miner
	for _, id := range slices.Sorted(maps.Keys(needs)) {
		list = append(list, needs[id])
	}
	return p.assign(ctx, list, false)
}

// small is a payload that is always read in full. A longer status is one of
// hundreds of units; of an agent that is known it matters only when it
// announces or leaves.
const small = 4096

func (p *Pool) hearOne(dec *events.Decoder, m *nats.Msg, needs map[string]*roster.Miner) {
	now := p.cfg.Now()
	a, err := events.ParseSubject(m.Subject)
	if err != nil {
		return
	}
	if known := p.roster.Get(a.Source); known != nil && a.Type == events.TypeWorkerStatus && len(m.Data) > small &&
		!bytes.Contains(m.Data, []byte(`"announce"`)) && !bytes.Contains(m.Data, []byte(`"leaving"`)) {
		known.Seen = now
		return
	}
	e, err := dec.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		p.log.Debug("status ignored", "error", err) // decider hosts report it
		return
	}
	switch d := e.Data.(type) {
	case *events.WorkerStatus:
		if miner, need := p.roster.Heard(e.Source, d, now); need {
			needs[e.Source] = miner
		} else if miner == nil {
			delete(needs, e.Source)
		}
	case *events.MarketQuote:
		p.quotes.Take(d)
	}
}

// recover reads what earlier sessions stored: jobs, shares, the newest quote,
// and the ids of verdicts behind the consumer's acknowledged place, which it
// returns.
func (p *Pool) recover(ctx context.Context, acknowledged uint64) (map[string]struct{}, error) {
	now := p.cfg.Now()
	tip := p.chain
	for ev, err := range events.Read[events.WorkAssigned](ctx, p.bus, events.AtSite(p.cfg.Site)) {
		if err != nil {
			if skip(err) {
				continue
			}
			return nil, fmt.Errorf("jobs: %w", err)
		}
		w := ev.Data
		w.MerkleBranches = slices.Clone(w.MerkleBranches)
		if w.Gateway != p.cfg.Gateway {
			continue
		}
		j := p.jobs.Add(ev.Source, &w, ev.Arrived)
		if w.Height <= tip.height+1 {
			continue
		}
		if t, err := j.Template(); err == nil && t.Bits == tip.bits {
			tip.height, tip.tip = w.Height-1, t.PrevHash
		}
	}
	for ev, err := range events.Read[events.MarketQuote](ctx, p.bus, events.AtSite(p.cfg.Site)) {
		if err != nil {
			if skip(err) {
				continue
			}
			return nil, fmt.Errorf("quotes: %w", err)
		}
		q := ev.Data
		p.quotes.Take(&q)
	}
	recent := events.ReadRequest{
		Stream: events.StreamShares, Types: []events.Type{events.TypeShareFound, events.TypeShareAccepted},
		Site: p.cfg.Site, Since: now.Add(-2 * p.cfg.JobLifetime),
	}
	for ev, err := range p.bus.Events(ctx, recent) {
		if err != nil {
			if skip(err) {
				continue
			}
			return nil, fmt.Errorf("shares: %w", err)
		}
		switch d := ev.Data.(type) {
		case *events.ShareFound:
			if d.Gateway == p.cfg.Gateway {
				p.seen.Put(d.ShareID, judge.Sighting{Sequence: ev.Sequence})
			}
		case *events.ShareAccepted:
			if j := p.jobs.Get(d.JobID); d.Block && j != nil && ev.Source == p.cfg.Gateway && j.Work.Height == tip.height+1 {
				tip.advance(d.ShareID)
			}
		}
	}
	if tip.height > p.chain.height {
		p.chain = tip
	}
	stored := make(map[string]struct{})
	verdicts := events.ReadRequest{
		Stream: events.StreamShares, Types: []events.Type{events.TypeShareAccepted, events.TypeShareRejected, events.TypeShareUnknown},
		Site: p.cfg.Site, Source: p.cfg.Gateway, FromSequence: acknowledged + 1,
	}
	for ev, err := range p.bus.Events(ctx, verdicts) {
		if err != nil {
			if skip(err) {
				continue
			}
			return nil, fmt.Errorf("verdicts: %w", err)
		}
		stored[ev.ID] = struct{}{}
	}
	return stored, ctx.Err()
}

// skip reports whether an error concerns one message only.
func skip(err error) bool {
	var bad *events.DecodeError
	return errors.As(err, &bad)
}
