// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/sources/load"
	"github.com/ballast-energy/ballast/sources/trace"
)

// Roles of serve, in the order in which they start.
const (
	roleBus        = "bus"
	roleDispatcher = "dispatcher"
	rolePool       = "pool"
	roleLoad       = "load"
	rolePrice      = "price"
	roleMarket     = "market"
	roleFleet      = "fleet"
	roleLedger     = "ledger"
)

var serveRoles = []string{roleBus, roleDispatcher, rolePool, roleMarket, rolePrice, roleLoad, roleFleet, roleLedger}

// serveFlags of the roles.
type serveFlags struct {
	roles   []string
	sites   []string
	name    string
	metrics string
	demo    demoFlags
	meter   string
	agent   string
	ledger  string
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	f.demo.btcPrice = 90_000_000_000
	c := &cobra.Command{
		Use:   "serve --role ROLE[,ROLE…]",
		Short: "One or more roles of a site, one bus for all",
		Long: `Runs roles in this process until a signal ends it. With the bus role the
embedded server runs here; otherwise the roles join the bus that --server, the
configuration or a join token names. Any number of dispatchers may run: they
fold the same journal and the bus keeps one copy of each decision.

Roles:
  bus         the embedded server (or the one of --server), its streams, and the
              sites of the configuration
  dispatcher  the deciders (dispatch, settlement, compliance) of each --site
  pool        the practice pool: work and verdicts on a private chain, no money
  market      repeats a market quote (--btc-price)
  price       plays a recorded price (--price)
  load        plays a recorded AI load (--load) or generates one (--ai-peak)
  fleet       modelled machines behind one agent, and the meter that sees them; on a
              secured bus in the process of the bus only
  ledger      writes what is settled, of every site, into an SQL database (--ledger)`,
		Example: `  ballast serve --role bus --config site.yaml
  ballast serve --role dispatcher --site tx1 --server nats://bus:4222
  ballast serve --role dispatcher --join "$TOKEN" --site tx1 --name dispatcher-b
  ballast serve --role fleet --site tx1 --agent fleet-1 --machines 1000 --meter mining-1
  ballast serve --role fleet --site tx1 --level sleep=60W@8s --level eco=2400W@15J/TH --level full=3500W@17.5J/TH`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), &f) },
	}
	fl := c.Flags()
	fl.StringSliceVar(&f.roles, "role", nil, "`roles`, comma-separated: "+strings.Join(serveRoles, ", "))
	fl.StringSliceVar(&f.sites, "site", nil, "`sites` (default: those of the configuration)")
	fl.StringVar(&f.name, "name", "", "of this process on the bus (default: its first role)")
	fl.StringVar(&f.metrics, "metrics", "", "serve Prometheus metrics on this `host:port`, path /metrics")
	fl.StringVar(&f.ledger, "ledger", "", "ledger: "+ledgerUsage)
	fl.StringVar(&f.agent, "agent", "fleet-1", "fleet: agent `id`")
	fl.StringVar(&f.meter, "meter", "", "load: meter published (default "+aiMeter+"); fleet: meter that sees the machines (default "+miningMeter+")")
	fl.StringVar(&f.demo.loadFile, "load", "", "load: recording `file`")
	fl.StringVar(&f.demo.loadColumn, "load-column", "", "load: value `column`")
	fl.StringVar(&f.demo.priceFile, "price", "", "price: recording `file`")
	fl.StringVar(&f.demo.priceColumn, "price-column", "", "price: value `column`")
	fl.IntVar(&f.demo.speed, "speed", 1, "load, price: compress the recording this many times")
	f.demo.peak = 4_000_000
	fl.Var(&f.demo.peak, "ai-peak", "load: peak of a generated load")
	fl.StringVar(&f.demo.class, "class", "s21", "fleet: machine `class`")
	fl.Var(&f.demo.levels, "level", "fleet: "+levelUsage)
	fl.IntVar(&f.demo.count, "machines", 100, "fleet: how many")
	fl.DurationVar(&f.demo.boot, "boot", time.Minute, "fleet: boot time of a machine")
	fl.Uint64Var(&f.demo.seed, "seed", 1, "load, fleet: of what is random")
	fl.Var(&f.demo.btcPrice, "btc-price", "market: dollars per bitcoin")
	_ = c.MarkFlagRequired("role")
	return c
}

func (a *app) serve(ctx context.Context, f *serveFlags) error {
	for _, r := range f.roles {
		if !slices.Contains(serveRoles, r) {
			return withCode(exitUsage, fmt.Errorf("--role %q: use %s", r, strings.Join(serveRoles, ", ")))
		}
	}
	conf, err := a.loadConfig()
	if err != nil {
		return err
	}
	sites := f.sites
	if len(sites) == 0 {
		for _, s := range conf.Sites {
			sites = append(sites, s.ID)
		}
	}
	others := slices.DeleteFunc(slices.Clone(f.roles), func(r string) bool { return r == roleBus || r == roleLedger })
	if len(others) > 0 && len(sites) == 0 {
		return withCode(exitUsage, errors.New("name the --site that the roles serve"))
	}
	conf.Bus.Name = cmp.Or(f.name, f.roles[0])
	log := a.logger()
	b, err := a.openFor(ctx, f, conf)
	if err != nil {
		return err
	}
	if who := b.Identity().Role; slices.Contains(f.roles, roleFleet) && who != "" && who != bus.RoleInternal {
		closeBus(b)
		return withCode(exitUsage, errors.New("a modelled fleet plays machines and the meter that sees them, and no token may speak for both: run it in the process of the bus (--role bus,fleet)"))
	}
	failure, reg := &roles.Failure{}, newRegistry()
	options := []fx.Option{fx.NopLogger, fx.StartTimeout(startTimeout), fx.StopTimeout(stopTimeout), roles.Bus(b, failure, log, reg)}
	fail := func(err error) error { return errors.Join(err, b.Close(context.WithoutCancel(ctx))) }
	if slices.Contains(f.roles, roleBus) {
		for i := range conf.Sites {
			if err := roles.PublishConfig(ctx, b, conf.Sites[i].ID, conf.Sites[i].SiteConfig()); err != nil {
				return fail(err)
			}
		}
	}
	if slices.Contains(f.roles, roleDispatcher) {
		options = append(options, roles.Inspector())
	}
	if slices.Contains(f.roles, roleLedger) {
		if err := a.makeLedgerFolder(f.ledger, conf); err != nil {
			return fail(err)
		}
		options = append(options, roles.Ledger(a.ledgerAddress(f.ledger, conf)))
	}
	for _, role := range serveRoles {
		if !slices.Contains(f.roles, role) {
			continue
		}
		for _, site := range sites {
			m, err := f.module(role, site, conf)
			if err != nil {
				return fail(withCode(exitUsage, err))
			}
			options = append(options, m)
		}
	}
	if f.metrics != "" {
		options = append(options, metricsServer(f.metrics, reg))
	}
	app := fx.New(options...)
	if err := app.Err(); err != nil {
		return fail(err)
	}
	if err := startApp(ctx, app); err != nil {
		return err
	}
	p := a.printer()
	served := strings.Join(sites, ", ")
	switch {
	case served == "" && !slices.Contains(f.roles, roleBus):
		served = "every site" // the ledger, alone
	case served == "":
		served = "no site yet"
	}
	if p.json {
		err = p.value(map[string]any{"serving": f.roles, "sites": sites, "bus": b.ClientURL()})
	} else {
		p.linef("serving %s for %s on %s", strings.Join(f.roles, ", "), served, b.ClientURL())
	}
	select {
	case <-ctx.Done():
	case <-app.Wait():
	}
	return errors.Join(err, failure.Err(), stopApp(app))
}

// openFor runs the embedded server with the bus role, and never without. With
// the bus role on somebody else's server the streams are declared there.
func (a *app) openFor(ctx context.Context, f *serveFlags, conf *config.Config) (*bus.Bus, error) {
	if !slices.Contains(f.roles, roleBus) {
		return a.connect(ctx, conf.Bus.Name)
	}
	b, err := bus.Open(ctx, conf.Bus)
	if err != nil {
		return nil, err
	}
	if !conf.Bus.Embedded() {
		if err := b.EnsureStreams(ctx); err != nil {
			closeBus(b)
			return nil, err
		}
	}
	return b, nil
}

// module is one role for one site.
func (f *serveFlags) module(role, site string, conf *config.Config) (fx.Option, error) {
	switch role {
	case roleDispatcher:
		return roles.Dispatcher(roles.DispatcherOptions{Site: site, Name: conf.Bus.Name, ActivateIfNone: true, NoReductions: f.demo.unsafe}), nil
	case rolePool:
		o := roles.PoolOptions{Site: site, Gateway: "practice-1", Scheme: events.SchemeFPPS}
		for i := range conf.Sites {
			if conf.Sites[i].ID == site {
				t := conf.Sites[i].SiteConfig().Tariff
				o.FeePPM, o.Scheme = t.PoolFeePPM, t.Scheme
			}
		}
		return roles.Pool(o), nil
	case roleMarket:
		return roles.Market(site, "market-desk", f.demo.quote()), nil
	case rolePrice:
		s, err := trace.Read(f.demo.priceFile, trace.Options{Quantity: trace.Price, ValueColumn: f.demo.priceColumn})
		if err != nil {
			return nil, err
		}
		return roles.Trace(s, trace.PlayerConfig{Site: site, Source: "price-feed", Speed: f.demo.speed, Loop: true}, func() {}), nil
	case roleLoad:
		meter := cmp.Or(f.meter, aiMeter)
		if f.demo.loadFile != "" {
			s, err := trace.Read(f.demo.loadFile, trace.Options{Quantity: trace.Watts, ValueColumn: f.demo.loadColumn})
			if err != nil {
				return nil, err
			}
			return roles.Trace(s, trace.PlayerConfig{Site: site, Source: meter, Speed: f.demo.speed, Loop: true}, func() {}), nil
		}
		g, err := load.New(load.Config{PeakWatts: int64(f.demo.peak), Seed: f.demo.seed})
		if err != nil {
			return nil, err
		}
		return roles.Load(site, meter, g), nil
	case roleFleet:
		class, err := f.demo.machineClass()
		if err != nil {
			return nil, err
		}
		return roles.Fleet(roles.FleetOptions{Site: site, Agent: f.agent, Class: class, Count: f.demo.count, Meter: cmp.Or(f.meter, miningMeter), Seed: f.demo.seed}), nil
	}
	return fx.Options(), nil // bus and ledger are not of one site
}

// newRegistry holds what every process tells about itself.
func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ballast_build_info", Help: "1, with the version of the binary.", ConstLabels: prometheus.Labels{"version": version}}, func() float64 { return 1 }))
	return reg
}

// metricsServer serves /metrics until the app stops.
func metricsServer(addr string, reg *prometheus.Registry) fx.Option {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	return roles.Surface("metrics", addr, mux)
}
