// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// Bus puts an open bus into the app and closes it last. The bus is opened by
// the caller, before the app, so that a wrong configuration is an ordinary
// error and not a failed start half way.
func Bus(b *bus.Bus, f *Failure, log *slog.Logger, reg *prometheus.Registry) fx.Option {
	return fx.Module("bus",
		fx.Supply(b, f, log, reg),
		fx.Provide(newBackground),
		fx.Invoke(func(lc fx.Lifecycle) {
			lc.Append(fx.StopHook(func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, stopTime)
				defer cancel()
				return b.Close(ctx)
			}))
		}),
	)
}

// PublishConfig stores a site's configuration unless the newest one stored is
// the same: every restart would otherwise be a change.
func PublishConfig(ctx context.Context, b *bus.Bus, site string, c *events.SiteConfig) error {
	want, err := events.AppendPayload(nil, c)
	if err != nil {
		return fmt.Errorf("configure site %s: %w", site, err)
	}
	var have []byte
	for ev, err := range events.Read[events.SiteConfig](ctx, b, events.AtSite(site)) {
		if err != nil {
			continue // garbage among old configurations is the inspector's
		}
		if have, err = events.AppendPayload(have[:0], &ev.Data); err != nil {
			return fmt.Errorf("configure site %s: %w", site, err)
		}
	}
	if string(have) == string(want) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := b.Publish(ctx, events.New(site, events.SiteSource, c)); err != nil {
		return fmt.Errorf("configure site %s: %w", site, err)
	}
	if have == nil { // a new site's journal begins with an epoch of its own
		if _, err := b.OpenEpoch(ctx, site, b.Config().Name, "site configured", 0); err != nil {
			return fmt.Errorf("configure site %s: %w", site, err)
		}
	}
	return nil
}
