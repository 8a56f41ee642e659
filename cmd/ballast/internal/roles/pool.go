// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/practice"
)

// PoolOptions of one site's practice pool.
type PoolOptions struct {
	// Site served and Gateway, the pool's id.
	Site, Gateway string
	// FeePPM and Scheme of its payouts.
	FeePPM int64
	Scheme events.Scheme
}

// Pool is the role of the practice pool: work for everybody, verdicts for
// every share, no money.
func Pool(o PoolOptions) fx.Option {
	return fx.Module("pool", fx.Invoke(func(bg *background, b *bus.Bus, log *slog.Logger) error {
		p, err := practice.New(practice.Config{Site: o.Site, Gateway: o.Gateway, FeePPM: o.FeePPM, Scheme: o.Scheme, Logger: log}, b)
		if err != nil {
			return err
		}
		bg.run("pool "+o.Gateway, p.Run)
		return nil
	}))
}
