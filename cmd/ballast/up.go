// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/siteview"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/tui"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/sources/load"
	"github.com/ballast-energy/ballast/sources/trace"
)

// Start and stop of the app: the longest shutdown is every role using its
// bound, which never happens together.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 60 * time.Second
	statusEvery  = 5 * time.Second
	// A demo that is left running for days does not fill a laptop's disk.
	demoJournalBytes = 1 << 30
)

func (a *app) upCommand() *cobra.Command {
	var f demoFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "A whole site in one process: bus, deciders, machines, load, pool, live view",
		Long: `Runs a site with every role in one process: the embedded bus, the deciders, a
modelled fleet and one CPU worker that really hashes, a practice pool, and an AI
load that is generated or recorded. Modelled watts and shares and practice
revenue are labelled as such everywhere.

With a configuration that has a section gateway, that gateway takes the place of
the practice pool: the CPU worker and miners that connect mine for the pool or
node named there, and modelled machines get no work. Fees and price of a
bitcoin stay those of the demo (--btc-price).

On a terminal it shows the site live; piped, a line every five seconds. Ctrl-C
takes power down first and ends with a summary.`,
		Example: `  ballast up
  ballast up --load gpt3_2s.csv.gz --price rt15_2024.csv.gz
  ballast up --load gpt3_2s.csv.gz --price rt15_2024.csv.gz --speed 60 --compare-unsafe
  ballast up --no-fleet                 only workers that join
  ballast up --config real.yaml         for the pool or node of its section gateway
  ballast up --threads 4 --pin          the CPU worker on four cores, each thread on its own`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.up(cmd.Context(), &f)
		},
	}
	f.add(c)
	return c
}

func (a *app) up(ctx context.Context, f *demoFlags) error {
	conf, err := a.loadConfig()
	if err != nil {
		return err
	}
	if len(conf.Sites) > 0 {
		return withCode(exitUsage, fmt.Errorf("up plays a demo site, and %s describes real ones: run them with ballast serve", a.configFile))
	}
	if !conf.Bus.Embedded() {
		return withCode(exitUsage, errors.New("up runs its own bus; to join another, use ballast serve or ballast worker"))
	}
	demos, err := f.demos()
	if err != nil {
		return withCode(exitUsage, err)
	}
	if err := f.hashing(conf.Worker); err != nil {
		return err
	}
	if f.plan, err = a.planDemoGateway(f, &conf.Gateway); err != nil {
		return withCode(exitUsage, err)
	}
	log := a.logger()
	conf.Bus.Name = "up"
	if conf.Bus.Retention.JournalBytes == 0 {
		conf.Bus.Retention.JournalBytes = demoJournalBytes
	}
	b, err := bus.Open(ctx, conf.Bus)
	if errors.Is(err, bus.ErrInUse) {
		return fmt.Errorf("%w\nAnother ballast up? BALLAST_BUS_LISTEN=127.0.0.1:4333 BALLAST_BUS_DATA_DIR=data-2 give this one its own place", err)
	}
	if err != nil {
		return err
	}
	failure := &roles.Failure{}
	ctx, end := context.WithCancel(ctx)
	defer end()
	if f.durationLimit > 0 {
		ctx, end = context.WithTimeout(ctx, f.durationLimit)
		defer end()
	}
	views := make([]*siteview.View, len(demos))
	options := []fx.Option{
		fx.NopLogger, fx.StartTimeout(startTimeout), fx.StopTimeout(stopTimeout),
		roles.Bus(b, failure, log, prometheus.NewRegistry()), roles.Inspector(),
	}
	var playing sync.WaitGroup // recordings not yet at their end
	for i, d := range demos {
		if err := roles.PublishConfig(ctx, b, d.site, d.config); err != nil {
			return errors.Join(err, b.Close(context.WithoutCancel(ctx)))
		}
		views[i] = siteview.New(d.site, b)
		if f.plan != nil {
			views[i].PaidAs(f.plan.section.Basis())
		}
		options = append(options, roles.View(d.site, views[i]))
		m, err := a.modules(f, &d, i, &playing)
		if err != nil {
			return errors.Join(err, b.Close(context.WithoutCancel(ctx)))
		}
		options = append(options, m...)
	}
	app := fx.New(options...)
	if err := app.Err(); err != nil {
		return errors.Join(err, b.Close(context.WithoutCancel(ctx)))
	}
	started := time.Now()
	if err := startApp(ctx, app); err != nil {
		return err
	}
	if f.loadFile != "" {
		go func() { playing.Wait(); end() }()
	}
	viewErr := a.show(ctx, app, views, b.ClientURL())
	end()
	if !a.json {
		fmt.Fprintln(a.err, "stopping: power down first")
	}
	stopErr := stopApp(app)
	if err := a.summary(views, demos, time.Since(started)); err != nil {
		return err
	}
	return errors.Join(viewErr, failure.Err(), stopErr)
}

// modules are the roles of one demo site, workers last.
func (a *app) modules(f *demoFlags, d *demo, i int, playing *sync.WaitGroup) ([]fx.Option, error) {
	m := []fx.Option{
		roles.Dispatcher(roles.DispatcherOptions{Site: d.site, Name: "up", NoReductions: d.unsafe, ActivateIfNone: true, Activate: true}),
		roles.Market(d.site, "market-desk", f.quote()),
	}
	if f.plan == nil {
		m = append(m, roles.Pool(roles.PoolOptions{Site: d.site, Gateway: "practice-1", FeePPM: d.config.Tariff.PoolFeePPM, Scheme: d.config.Tariff.Scheme}))
	} else {
		o, err := f.plan.options(d.site, cmp.Or(f.plan.section.ID, "gw-1"))
		if err != nil {
			return nil, withCode(exitUsage, err)
		}
		if !a.json { // the summary is the one JSON value
			o.Ready = a.gatewayReady(o)
		}
		m = append(m, roles.Gateway(*o))
	}
	if d.price != nil {
		m = append(m, roles.Trace(d.price, trace.PlayerConfig{Site: d.site, Source: "price-feed", Speed: f.speed, Loop: true}, func() {}))
	}
	if d.load != nil {
		playing.Add(1)
		m = append(m, roles.Trace(d.load, trace.PlayerConfig{Site: d.site, Source: aiMeter, Speed: f.speed}, playing.Done))
	} else {
		g, err := load.New(load.Config{PeakWatts: d.peak, Seed: f.seed, Pace: 20})
		if err != nil {
			return nil, err
		}
		m = append(m, roles.Load(d.site, aiMeter, g))
	}
	if d.count > 0 {
		m = append(m, roles.Fleet(roles.FleetOptions{Site: d.site, Agent: "fleet-1", Class: d.class, Count: d.count, Meter: miningMeter, Seed: f.seed + uint64(i)}))
	}
	if f.worker.Threads > 0 && i == 0 {
		f.worker.Site, f.worker.Agent = d.site, "cpu-1"
		m = append(m, roles.Worker(f.worker))
	}
	return m, nil
}

// planDemoGateway is what a demo mines for, nil for practice.
func (a *app) planDemoGateway(f *demoFlags, g *config.Gateway) (*gatewayPlan, error) {
	switch {
	case !g.Given():
		return nil, nil
	case len(g.Upstreams) == 0:
		return nil, errors.New("gateway in the configuration names no upstreams: name a pool or a node, or leave the section out to mine for practice")
	case f.compare:
		return nil, errors.New("--compare-unsafe plays two sites for practice: use a configuration without gateway")
	case g.Site != "" && g.Site != f.site:
		return nil, fmt.Errorf("gateway.site is %s, and this plays %s: --site %s, or leave gateway.site out", g.Site, f.site, g.Site)
	}
	return a.planGateway(g)
}

// hashing settles how the CPU worker hashes. Its number of threads is that of
// the flag, as a demo is not to take a whole machine, unless only the
// configuration names one.
func (f *demoFlags) hashing(w config.Worker) error {
	if w.Threads == 0 {
		w.Threads = f.hash.Threads
	}
	return hashingOf(f.hash.over(w), &f.worker)
}

// startApp starts within the timeout; on failure what was started is stopped
// here, because fx does not.
func startApp(ctx context.Context, app *fx.App) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := app.Start(ctx); err != nil {
		return errors.Join(err, stopApp(app))
	}
	return nil
}

func stopApp(app *fx.App) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return app.Stop(ctx)
}

// show blocks until the context ends, a person quits, or a role fails.
func (a *app) show(ctx context.Context, app *fx.App, views []*siteview.View, url string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-app.Wait():
			cancel()
		case <-ctx.Done():
		}
	}()
	if isatty.IsTerminal(a.out.Fd()) && isatty.IsTerminal(os.Stdin.Fd()) && a.env("TERM") != "dumb" && !a.json {
		return tui.Run(ctx, tui.Options{Sites: views, Describe: describe, Out: a.out})
	}
	p := a.printer()
	if !p.json {
		p.linef("bus at %s; a line every %v, Ctrl-C ends with a summary", url, statusEvery)
	}
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if p.json {
			continue // the summary is the one JSON value
		}
		for _, v := range views {
			p.linef("%s", tui.Status(v.Picture()))
		}
	}
}
