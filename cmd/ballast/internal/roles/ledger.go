// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/books"
)

// Ledger is the role that writes what is settled, of every site of the bus,
// into the SQL database at address.
func Ledger(address string) fx.Option {
	return fx.Module("ledger", fx.Invoke(func(bg *background, b *bus.Bus, log *slog.Logger, reg *prometheus.Registry) {
		bg.run("ledger", func(ctx context.Context) error {
			store, err := openLedger(ctx, address, log)
			if err != nil {
				return err
			}
			p, err := books.New(books.Config{Bus: b, Store: store, Logger: log, Registerer: reg})
			if err == nil {
				err = p.Run(ctx)
			}
			return errors.Join(err, store.Close())
		})
	}))
}

// openLedger waits for a server that is not there yet; a file is there or not.
func openLedger(ctx context.Context, address string, log *slog.Logger) (*books.Store, error) {
	bo := backoff.NewExponentialBackOff(backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.RetryNotifyWithData(func() (*books.Store, error) {
		s, err := books.Open(ctx, address)
		if err != nil && (!books.IsPostgres(address) || errors.Is(err, books.ErrAddress) || errors.Is(err, books.ErrNewer)) {
			return nil, backoff.Permanent(err)
		}
		return s, err
	}, backoff.WithContext(bo, ctx), func(err error, wait time.Duration) {
		log.Warn("the ledger's database is not there, it is tried again", "reason", err, "in", wait)
	})
}
