// SPDX-License-Identifier: Apache-2.0

package market

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/events"
)

// Publisher is what Run needs of the bus.
type Publisher interface {
	Publish(ctx context.Context, evs ...*events.Event) error
}

// Run publishes q, dated now, at once and every period (at least a second)
// until the context ends, whose error it returns. A failed publish is tried
// again with growing pauses.
func Run(ctx context.Context, pub Publisher, site, source string, q events.MarketQuote, period time.Duration, log *slog.Logger) error {
	if period < time.Second {
		return fmt.Errorf("market: period %v: at least 1s", period)
	}
	q.QuotedAt = time.Now().UTC()
	if err := q.Validate(); err != nil {
		return fmt.Errorf("market: %w", err)
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		bo := backoff.WithContext(backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxElapsedTime(0)), ctx)
		err := backoff.RetryNotify(func() error {
			q.QuotedAt = time.Now().UTC()
			d := q
			pctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			return pub.Publish(pctx, events.New(site, source, &d).At(q.QuotedAt))
		}, bo, func(err error, wait time.Duration) {
			log.Warn("market: quote not stored, will retry", "site", site, "in", wait, "err", err)
		})
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
