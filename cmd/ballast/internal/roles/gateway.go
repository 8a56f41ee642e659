// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"log/slog"
	"net"

	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/gateway/downstream"
	"github.com/ballast-energy/ballast/workers/stratum/server"
)

// GatewayOptions of one gateway.
type GatewayOptions struct {
	// Config of the gateway; its logger is the app's.
	Config gateway.Config
	// Miners that connect to the gateway itself; nil: none. Sink, OnFull
	// and Logger are the role's.
	Miners *server.Config
	// Ready, when not nil, is called once when it begins to serve, with the
	// addresses that miners connect to: not while another gateway of its id
	// runs.
	Ready func(addresses []net.Addr)
}

// Gateway is the role that mines for a pool or a node: jobs out, shares judged,
// submitted and accounted for.
func Gateway(o GatewayOptions) fx.Option {
	return fx.Module("gateway", fx.Invoke(func(bg *background, b *bus.Bus, log *slog.Logger) error {
		o.Config.Logger = log
		var addresses []net.Addr
		if o.Ready != nil {
			o.Config.OnServe = func() { o.Ready(addresses) }
		}
		if o.Miners == nil {
			g, err := gateway.New(o.Config, b)
			if err != nil {
				return err
			}
			bg.run("gateway "+o.Config.Gateway, g.Run)
		} else {
			joint := downstream.New(log)
			o.Miners.Sink, o.Miners.OnFull, o.Miners.Logger = joint, joint.Full, log
			srv, err := server.Listen(*o.Miners)
			if err != nil {
				return err
			}
			o.Config.OnJob, o.Config.OnSlice, o.Config.OnClosed, o.Config.Connections = joint.Job, joint.Slice, joint.Closed, joint.Connections
			g, err := gateway.New(o.Config, b)
			if err != nil {
				_ = srv.Close() // nothing has connected yet
				return err
			}
			joint.Join(srv, g)
			addresses = srv.Addresses()
			// What is started last ends first: the miners before the gateway,
			// which then stores what is left.
			bg.run("gateway "+o.Config.Gateway, g.Run)
			bg.run("miners of "+o.Config.Gateway, srv.Run, joint.Run)
		}
		return nil
	}))
}
