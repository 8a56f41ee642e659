// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/workers/gateway"
)

// gatewayFlags of one gateway.
type gatewayFlags struct {
	site, id, metrics string
	sharesPerSecond   float64
	up                upstreamFlags
	miners            minerFlags
}

func (a *app) gatewayCommand() *cobra.Command {
	var f gatewayFlags
	c := &cobra.Command{
		Use:   "gateway --upstream URL",
		Short: "Mine for a pool or on a node: work for every worker of a site, every share accounted for",
		Long: `Joins a site and connects it with a pool (stratum+tcp:// or stratum+ssl://) or
with nodes of its own (http:// or https://, getblocktemplate). Every worker on
the bus gets work with a search space of its own; every share that it finds is
checked, submitted once when it meets the pool's difficulty, and answered by one
verdict on the bus: accepted, rejected, or unknown when the connection broke
before the pool's answer. Several gateways of a site share the workers and take
over from each other.

With --listen, ASICs and other miners that speak Stratum V1 connect to the
gateway itself, each with a search space and a difficulty of its own; their
shares become events like everybody's.

On a node --network and --address say what blocks pay; a block is submitted at
once, watched until it has 100 confirmations, and booked only then.`,
		Example: `  ballast gateway --site tx1 --id gw-1 --upstream stratum+ssl://acct.tx1:x@pool.example:3334 --fee-ppm 20000
  ballast gateway --site tx1 --id gw-1 --upstream @pools.txt --scheme pplns      one URL a line, the first preferred
  ballast gateway --site lab --id gw-1 --upstream http://u:p@127.0.0.1:18556 --network simnet --address sb1q…
  ballast gateway --site tx1 --id gw-1 --upstream @pools.txt --listen 10.0.0.5:3333 --miners miners.txt
  ballast gateway --join @gw-1.token --site tx1 --upstream stratum+tcp://acct:x@pool.example:3333`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runGateway(cmd.Context(), &f) },
	}
	fl := c.Flags()
	fl.StringVar(&f.site, "site", "", "`site` id")
	fl.StringVar(&f.id, "id", "", "this gateway's `id` (a join token names it)")
	fl.Float64Var(&f.sharesPerSecond, "shares-per-second", gateway.DefaultSharesPerSecond, "shares wanted of one worker; never harder ones than the pool asks")
	fl.StringVar(&f.metrics, "metrics", "", "serve Prometheus metrics on this `host:port`, path /metrics")
	f.up.add(c)
	f.miners.add(c)
	return c
}

func (a *app) runGateway(ctx context.Context, f *gatewayFlags) error {
	if _, _, err := f.up.open(firstOf(f.site, "site"), firstOf(f.id, "gateway"), a.logger()); err != nil {
		return withCode(exitUsage, err) // before anything is connected
	}
	miners, err := f.miners.config()
	if err != nil {
		return withCode(exitUsage, err)
	}
	b, err := a.connect(ctx, firstOf(f.id, "gateway"))
	if err != nil {
		return err
	}
	who := b.Identity()
	site, id := firstOf(f.site, who.Site), firstOf(f.id, who.ID)
	fail := func(err error) error { closeBus(b); return err }
	if site == "" || id == "" {
		return fail(withCode(exitUsage, errors.New("name the --site and the --id of the gateway")))
	}
	a.warnUnknownSite(ctx, b, site)
	up, another, err := f.up.open(site, id, a.logger())
	if err != nil {
		return fail(withCode(exitUsage, err))
	}
	p := a.printer()
	o := roles.GatewayOptions{
		Config: gateway.Config{Site: site, Gateway: id, Upstream: up, Another: another, SharesPerSecond: f.sharesPerSecond},
		Miners: miners,
		Ready: func(addresses []net.Addr) {
			listens := make([]string, len(addresses))
			for i, addr := range addresses {
				listens[i] = addr.String()
			}
			if p.json {
				_ = p.value(map[string]any{"gateway": id, "site": site, "pool": up.ID(), "upstream": up.Address(), "listens": listens})
				return
			}
			p.linef("%s of %s mines for %s at %s; ballast pool status says how it stands, Ctrl-C ends it", id, site, up.ID(), up.Address())
			if len(listens) > 0 {
				p.linef("miners connect to %s", strings.Join(listens, ", "))
			}
		},
	}
	return a.runRole(ctx, b, "gateway", f.metrics, roles.Gateway(o))
}
