// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/node"
	"github.com/ballast-energy/ballast/workers/stratum/server"
)

func (a *app) gatewayCommand() *cobra.Command {
	var f gatewayFlags
	c := &cobra.Command{
		Use:   "gateway --upstream URL | --config FILE",
		Short: "Mine for a pool or on a node: work for every worker of a site, every share accounted for",
		Long: `Joins a site and connects it with a pool (stratum+tcp:// or stratum+ssl://) or
with nodes of its own (http:// or https://, getblocktemplate). Every worker on
the bus gets work with a search space of its own; every share that it finds is
checked, submitted once when it meets the pool's difficulty, and answered by one
verdict on the bus: accepted, rejected, or unknown when the connection broke
before the pool's answer. Several gateways of a site share the workers and take
over from each other; of one id only one serves, and a second waits for its end
with --standby.

A URL is stratum+tcp://ACCOUNT.WORKER:PASSWORD@HOST:PORT of a pool, or
http://USER:PASSWORD@HOST:PORT of a node; @FILE names a file with one a line,
which keeps passwords out of the list of processes. http://HOST:PORT?cookie=FILE
reads the cookie of Bitcoin Core.

With --listen, ASICs and other miners that speak Stratum V1 connect to the
gateway itself, each with a search space and a difficulty of its own; their
shares become events like everybody's. --miner-… flags bound what they may do.

On a node --network and --address say what blocks pay; a block is submitted at
once, watched until it has 100 confirmations, and booked only then.

All of it can be in the configuration instead, under gateway; flags that are
given go before it (see ballast config example, ballast config check FILE).

It goes on trying when the pool or node is down, refuses the user or is not
ready yet: ballast pool status says how it stands. It ends with exit code 2 when
it was started wrongly, 5 when there is no bus, 1 when it cannot go on.`,
		Example: `  ballast gateway --site tx1 --id gw-1 --upstream stratum+ssl://acct.tx1:x@pool.example:3334 --fee-ppm 20000
  ballast gateway --site tx1 --id gw-1 --upstream @pools.txt --scheme pplns      one URL a line, the first preferred
  ballast gateway --site lab --id gw-1 --upstream http://u:p@127.0.0.1:18556 --network simnet --address sb1q…
  ballast gateway --site tx1 --id gw-1 --upstream @pools.txt --listen 10.0.0.5:3333 --miners miners.txt
  ballast gateway --site tx1 --id gw-1 --upstream @pools.txt --listen 10.0.0.5:3333 --miners miners.txt \
    --miner-connections 2000 --miner-connections-per-address 2000 --miner-idle 5m     2,000 machines behind one NAT
  ballast gateway --config site.yaml                                             what gateway: says there
  ballast gateway --join @gw-1.token --site tx1 --upstream stratum+tcp://acct:x@pool.example:3333`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runGateway(cmd.Context(), &f) },
	}
	f.add(c)
	return c
}

func (a *app) runGateway(ctx context.Context, f *gatewayFlags) error {
	conf, err := a.loadConfig()
	if err != nil {
		return err
	}
	g, err := f.over(conf.Gateway)
	if err != nil {
		return withCode(exitUsage, fmt.Errorf("gateway: %w", err)) // before anything is connected
	}
	plan, err := a.planGateway(&g)
	if err != nil {
		return withCode(exitUsage, err)
	}
	b, err := a.connect(ctx, cmp.Or(g.ID, "gateway"))
	if err != nil {
		return err
	}
	who := b.Identity()
	site, id := cmp.Or(g.Site, who.Site), cmp.Or(g.ID, who.ID)
	if site == "" && len(conf.Sites) == 1 {
		site = conf.Sites[0].ID
	}
	fail := func(err error) error { closeBus(b); return withCode(exitUsage, err) }
	if site == "" || id == "" {
		return fail(errNoNames)
	}
	a.warnUnknownSite(ctx, b, site)
	o, err := plan.options(site, id)
	if err != nil {
		return fail(err)
	}
	o.Ready = a.gatewayReady(o)
	return gatewayEnd(a.runRole(ctx, b, "gateway", f.metrics, roles.Gateway(*o)))
}

// gatewayEnd says what to do about an error with which a gateway ended. What
// only another command line can mend is wrong usage, though the node had to be
// asked first.
func gatewayEnd(err error) error {
	if errors.Is(err, node.ErrWrongNetwork) || errors.Is(err, node.ErrSignet) {
		return withCode(exitUsage, err)
	}
	if errors.Is(err, gateway.ErrRunning) {
		return fmt.Errorf("%w, or let this one wait for that with --standby", err)
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "listen" {
		return err
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: another gateway or program has that address; end it, or choose another with --listen, --listen-tls or --metrics", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: this machine has no such address; use one of its own, or :PORT for all of them", err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: ports below 1024 are not for everybody; choose another", err)
	}
	return err
}

// errNoNames is what a gateway needs besides its upstream.
var errNoNames = errors.New("name the --site and the --id of the gateway, or gateway.site and gateway.id in the configuration")

// gatewayPlan is a section of a configuration with all that it names read.
type gatewayPlan struct {
	section  *config.Gateway
	upstream *upstreamPlan
	miners   *server.Config
	log      *slog.Logger
}

// planGateway reads the files that a section names. It connects to nothing.
func (a *app) planGateway(g *config.Gateway) (*gatewayPlan, error) {
	p := &gatewayPlan{section: g, log: a.logger()}
	var err error
	if p.upstream, err = a.planUpstream(g, p.log); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if p.miners, err = minerServer(&g.Miners); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return p, nil
}

// options of the role, for a site.
func (p *gatewayPlan) options(site, id string) (*roles.GatewayOptions, error) {
	up, err := p.upstream.open(site, id)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return &roles.GatewayOptions{
		Config: gateway.Config{
			Site: site, Gateway: id, Upstream: up.Upstream, Another: up.another, SharesPerSecond: p.section.SharesPerSecond,
			Standby: p.section.Standby, LeaseTime: time.Duration(p.section.LeaseTime), OrphanDepth: int64(p.section.Solo.OrphanDepth),
		},
		Miners: p.miners,
	}, nil
}

// gatewayReady says that a gateway has begun.
func (a *app) gatewayReady(o *roles.GatewayOptions) func([]net.Addr) {
	p, c := a.printer(), o.Config
	return func(addresses []net.Addr) {
		listens := make([]string, len(addresses))
		for i, addr := range addresses {
			listens[i] = addr.String()
		}
		if p.json {
			_ = p.value(map[string]any{"gateway": c.Gateway, "site": c.Site, "pool": c.Upstream.ID(), "upstream": c.Upstream.Address(), "listens": listens})
			return
		}
		p.linef("%s of %s connects to %s at %s; ballast pool status says how it stands, Ctrl-C ends it", c.Gateway, c.Site, c.Upstream.ID(), c.Upstream.Address())
		if len(listens) > 0 {
			p.linef("miners connect to %s", strings.Join(listens, ", "))
		}
	}
}
