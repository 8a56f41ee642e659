// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/gateway"
)

// GatewayOptions of one gateway.
type GatewayOptions struct {
	// Config of the gateway; its logger is the app's.
	Config gateway.Config
	// Ready, when not nil, is called once before it begins to serve.
	Ready func(g *gateway.Gateway)
}

// Gateway is the role that mines for a pool or a node: jobs out, shares judged,
// submitted and accounted for.
func Gateway(o GatewayOptions) fx.Option {
	return fx.Module("gateway", fx.Invoke(func(bg *background, b *bus.Bus, log *slog.Logger) error {
		o.Config.Logger = log
		g, err := gateway.New(o.Config, b)
		if err != nil {
			return err
		}
		bg.run("gateway "+o.Config.Gateway, g.Run)
		if o.Ready != nil {
			o.Ready(g)
		}
		return nil
	}))
}
