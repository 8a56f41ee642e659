// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
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
	pump.Go(func() {
		for {
			m, err := messages.Next()
			if err != nil {
				failed <- err
				return
			}
			e, err := judge.Read(m)
			if err != nil {
				// The inspector writes the dead letter: one, whoever reads along.
				g.log.Debug("not a share", "subject", m.Subject(), "error", err)
				_ = m.Ack() // or it comes again
				continue
			}
			g.take(e, m)
		}
	})
	defer pump.Wait()
	defer messages.Stop()
	select {
	case err := <-failed:
		return fmt.Errorf("consume shares: %w", err)
	case <-ctx.Done():
	}
	return g.drain(context.WithoutCancel(ctx), consumer)
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
