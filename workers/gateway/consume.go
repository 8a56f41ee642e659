// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/judge"
)

const (
	// pull is how many shares are asked for at once.
	pull = 500
	// unacknowledged shares at most: those that wait for the upstream.
	unacknowledged = 16384
	// redeliver a share that was not acknowledged after this long: about the
	// longest that pools take to answer.
	redeliver = 35 * time.Second
	// healthy is how long a session lasts for its predecessor's failure to be
	// forgotten.
	healthy = 30 * time.Second
)

// consume judges shares until ctx ends, and then those that have been found.
// Whatever goes wrong with the bus, it starts over from what is stored.
func (g *Gateway) consume(ctx context.Context) {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for {
		began := time.Now()
		err := g.listenForShares(ctx)
		if ctx.Err() != nil {
			if err != nil {
				g.log.Warn("shares wait for the next start of the gateway", "error", err)
			}
			return
		}
		if time.Since(began) > healthy {
			bo.Reset()
		}
		pause := bo.NextBackOff()
		g.log.Warn("judging of shares starts over", "again_in", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (g *Gateway) listenForShares(ctx context.Context) error {
	consumer, err := g.bus.JetStream().CreateOrUpdateConsumer(ctx, events.StreamShares, jetstream.ConsumerConfig{
		Durable:       "gateway-" + g.cfg.Site + "-" + g.cfg.Gateway,
		Description:   "Shares to be judged and submitted by a gateway",
		FilterSubject: events.Subject(g.bus.Prefix(), g.cfg.Site, events.TypeShareFound, "*"),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       redeliver,
		MaxAckPending: unacknowledged,
	})
	if err != nil {
		return fmt.Errorf("consumer of shares: %w", err)
	}
	if err := g.recover(ctx, consumer.CachedInfo().AckFloor.Stream); err != nil {
		return fmt.Errorf("read what is stored: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(pull), jetstream.PullExpiry(2*time.Second),
		jetstream.PullHeartbeat(500*time.Millisecond), jetstream.WithMessagesErrOnMissingHeartbeat(false))
	if err != nil {
		return fmt.Errorf("consume shares: %w", err)
	}
	var pump sync.WaitGroup
	failed := make(chan error, 1)
	pumping, stop := context.WithCancel(context.WithoutCancel(ctx))
	// The pump's: what it hands back, and why it judges no more.
	var back []jetstream.Msg
	var over error
	pump.Go(func() {
		for {
			m, err := messages.Next()
			if err != nil {
				failed <- cmp.Or(over, err)
				return
			}
			if over != nil {
				back = append(back, m)
				continue
			}
			e, err := judge.Read(m)
			if err != nil {
				// The inspector writes the dead letter: one, whoever reads along.
				g.log.Debug("not a share", "subject", m.Subject(), "error", err)
				_ = m.Ack() // or it comes again
				continue
			}
			if g.forgotten(e, m) {
				over, back = errForgotten, append(back, m)
				messages.Drain()
				continue
			}
			if err := g.certain(pumping, e); err != nil {
				back = append(back, m)
				if !errors.Is(err, ErrLeaseLost) {
					failed <- err
					return
				}
				continue // and so on with all that are under way
			}
			g.take(e, m)
		}
	})
	defer func() {
		stop()
		messages.Stop()
		pump.Wait()
		handBack(back)
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("consume shares: %w", err)
	case <-ctx.Done():
	}
	if g.lease.isLost() {
		// What is left is the other's: it is handed back.
		messages.Drain()
		pump.Wait()
		handBack(g.waiting())
		return nil
	}
	return g.drain(context.WithoutCancel(ctx), consumer)
}

// certain returns nil when nobody but this start of the gateway can say what
// becomes of a share. One of another start's job could be of a gateway of the
// same id that has taken over, and not of one that was before.
func (g *Gateway) certain(ctx context.Context, e *events.Event) error {
	if g.lease.isLost() {
		return ErrLeaseLost
	}
	s, ok := e.Data.(*events.ShareFound)
	if !ok || s.Gateway != g.cfg.Gateway || judge.MadeBy(g.instance, s.JobID) {
		return nil
	}
	g.mu.Lock()
	first, known := g.seen.Get(s.ShareID)
	g.mu.Unlock()
	if known && first.Judged {
		return nil
	}
	return g.lease.confirm(ctx)
}

// handBack lets whoever goes on have shares that were not judged: they would
// come to it anyway, but later. Nothing is asked for here any more, or they
// would come back to nobody.
func handBack(shares []jetstream.Msg) {
	for _, m := range shares {
		_ = m.Nak() // or it comes again by itself
	}
}

// waiting are the shares without a verdict.
func (g *Gateway) waiting() []jetstream.Msg {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []jetstream.Msg
	for _, f := range g.flights {
		if f.msg != nil {
			out = append(out, f.msg)
		}
	}
	return out
}

// drain waits until the shares that have been found are judged, within
// DrainTime: workers that ended before the gateway lose none of their work.
func (g *Gateway) drain(ctx context.Context, c jetstream.Consumer) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.DrainTime)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		info, err := c.Info(ctx)
		if err != nil {
			return fmt.Errorf("shares left: %w", err)
		}
		if info.NumPending == 0 && info.NumAckPending == 0 {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
