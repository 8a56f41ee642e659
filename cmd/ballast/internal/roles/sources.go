// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"context"
	"log/slog"
	"time"

	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/siteview"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/sources/load"
	"github.com/ballast-energy/ballast/sources/market"
	"github.com/ballast-energy/ballast/sources/trace"
)

// Load is the role of a generated AI load: readings of meter, one a second.
func Load(site, meter string, g *load.Generator) fx.Option {
	return fx.Module("load", fx.Invoke(func(bg *background, b *bus.Bus, log *slog.Logger) {
		bg.run("load "+meter, func(ctx context.Context) error {
			return g.Run(ctx, b, site, meter, time.Second, log)
		})
	}))
}

// Trace is the role of a recording, AI load or prices. ended is called when it
// was played to its end.
func Trace(s *trace.Series, cfg trace.PlayerConfig, ended func()) fx.Option {
	return fx.Module("trace", fx.Invoke(func(bg *background, b *bus.Bus, log *slog.Logger) error {
		p, err := trace.NewPlayer(s, cfg, b, log)
		if err != nil {
			return err
		}
		bg.run("trace "+cfg.Source, func(ctx context.Context) error {
			if err := p.Run(ctx); err != nil {
				return err
			}
			ended()
			return nil
		})
		return nil
	}))
}

// Market is the role that repeats a quote given by a person.
func Market(site, source string, q events.MarketQuote) fx.Option {
	return fx.Module("market", fx.Invoke(func(bg *background, b *bus.Bus, log *slog.Logger) {
		bg.run("market "+source, func(ctx context.Context) error {
			return market.Run(ctx, b, site, source, q, time.Minute, log)
		})
	}))
}

// View is the role that keeps the live picture of a site.
func View(site string, v *siteview.View) fx.Option {
	return fx.Module("view", fx.Invoke(func(bg *background) { bg.run("view "+site, v.Run) }))
}
