// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/latency"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/busbench"
	"github.com/ballast-energy/ballast/handlers/dispatchbench"
	"github.com/ballast-energy/ballast/handlers/reactor"
	"github.com/ballast-energy/ballast/hashengine/enginebench"
)

// benchFlags of all measurements.
type benchFlags struct {
	messages, runs, units, rounds, readings, workers, stops, events int
	durability, journal                                             string
	hashing                                                         bool
	engine                                                          engineBenchFlags
	site                                                            siteFlags
}

func (a *app) benchCommand() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:   "bench bus|latency|reaction|fold|audit|site|outage|engine…",
		Short: "Measure this machine: ratios against the plain client, signal to stop, fold, hashing",
		Long: `Measures on a bus of its own in a temporary directory and prints ratios and
medians, because absolute figures of a shared machine say little:

  bus      our publisher, journal reader and reactor against the plain nats.go
           client, same messages, same server, in turn; round trips while hashing
  latency  grid signal published → stored → decided → received → last of a
           thousand permit machines stopped, with readings arriving and every
           core hashing; behind one agent, and over a connection each; and from
           a reduction published until a hash engine on all cores has stopped
  reaction a site of ten thousand machines behind ten agents: emergency signal →
           all stopped; one reading of a feeder's meter in a tree of two thousand
           nodes → the last of three thousand curtails at the workers, and stored
  fold     the dispatch decider over a synthetic journal of a thousand workers,
           from decoded events and from bytes, state hash included
  audit    ballast journal replay --verify over a made-up journal of ten million
           events, the same every time: events per second and memory, for each
           decider
  site     a site of 50 MW for a week of virtual time: real decider and permit
           machines, recorded AI load; seconds above the limit because of mining,
           and the share of the free power that was mined with
  outage   the same site with its bus gone for 15 minutes, many times, by the
           length of the lease
  engine   the hash engine, as ballast engine bench does`,
		Example: `  ballast bench bus latency fold engine
  ballast bench latency --rounds 100 --json
  ballast bench audit --events 1000000 --journal ten.ndjson.zst
  ballast bench site outage --hours 168 --outages 400 --data ../shared/data/ai-load
  ballast bench bus --messages 100000 --runs 9`,
		Args:      cobra.MatchAll(cobra.MinimumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bus", "latency", "reaction", "fold", "audit", "site", "outage", "engine"},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, b := range []struct {
				name string
				run  func(context.Context, *benchFlags, *printer) error
			}{{"bus", a.benchBus}, {"fold", a.benchFold}, {"latency", a.benchLatency}, {"reaction", a.benchReaction}, {"audit", a.benchAudit}, {"site", a.benchSite}, {"outage", a.benchOutage}, {"engine", func(ctx context.Context, f *benchFlags, p *printer) error { return a.benchEngine(ctx, &f.engine, p) }}} {
				if !slices.Contains(args, b.name) {
					continue
				}
				if err := b.run(cmd.Context(), &f, a.printer()); err != nil {
					return fmt.Errorf("bench %s: %w", b.name, err)
				}
			}
			return nil
		},
	}
	fl := c.Flags()
	fl.IntVar(&f.messages, "messages", 50_000, "bus: messages per side and run")
	fl.IntVar(&f.runs, "runs", 5, "bus, fold: runs, whose medians count")
	fl.IntVar(&f.units, "units", 1000, "latency: permit machines")
	fl.IntVar(&f.rounds, "rounds", 40, "latency, reaction: rounds per layout")
	fl.IntVar(&f.stops, "stops", 1000, "latency: stops of the hash engine")
	fl.IntVar(&f.readings, "readings", 1000, "latency, reaction: meter readings per second meanwhile")
	fl.IntVar(&f.workers, "workers", 1000, "fold, audit: workers of the site")
	fl.IntVar(&f.events, "events", 10_000_000, "audit: events of the journal")
	fl.StringVar(&f.journal, "journal", "", "audit: keep the made-up journal in this `file`, or take it from there")
	fl.BoolVar(&f.hashing, "hashing", false, "reaction: every core hashes meanwhile")
	fl.StringVar(&f.durability, "durability", string(bus.PowerLoss), "latency, reaction: power-loss or process-crash")
	fl.Float64Var(&f.engine.seconds, "seconds", enginebench.DefaultDuration.Seconds(), "engine: duration, about")
	f.site.add(fl)
	return c
}

// benchBus compares with the plain client on a bus of its own.
func (a *app) benchBus(ctx context.Context, f *benchFlags, p *printer) error {
	b, end, err := a.benchOpen(ctx, bus.ProcessCrash)
	if err != nil {
		return err
	}
	defer end()
	p.title("bus: ours / the plain nats.go client, same server, in turn")
	var failed error
	r, err := reactor.New(reactor.Config{Bus: b, Name: "bench"})
	if err != nil {
		return err
	}
	_, err = busbench.Run(ctx, b, busbench.Config{Messages: f.messages, Runs: f.runs, Middlewares: r.Middlewares("bench"), Report: func(r busbench.Result) {
		if p.json {
			ours, raw := r.CPU()
			failed = errors.Join(failed, p.value(map[string]any{"bench": "bus", "case": r.Name, "ours_per_second": int64(r.Ours), "raw_per_second": int64(r.Raw), "ratio": r.Ratio, "target": r.Target, "met": r.Met(), "cpu_ours_us": ours.Seconds() * 1e6, "cpu_raw_us": raw.Seconds() * 1e6}))
			return
		}
		p.linef("  %s", r)
	}})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	_, err = busbench.RoundTrip(ctx, b, busbench.LatencyConfig{
		Load: func(ctx context.Context) {
			stop, err := latency.Hash(runtime.NumCPU())
			if err != nil {
				return
			}
			<-ctx.Done()
			stop()
		},
		Report: func(l busbench.Latency) {
			if p.json {
				failed = errors.Join(failed, p.value(map[string]any{"bench": "round-trip", "case": l.Name, "idle_p50_ms": millis(l.Idle.P50), "idle_p99_ms": millis(l.Idle.P99), "hashing_p50_ms": millis(l.Loaded.P50), "hashing_p99_ms": millis(l.Loaded.P99), "ratio": l.Ratio, "target": l.Target, "met": l.Met()}))
				return
			}
			p.linef("  %s", l)
		}})
	return errors.Join(err, failed)
}

func (a *app) benchOpen(ctx context.Context, d bus.Durability) (*bus.Bus, func(), error) {
	dir, err := os.MkdirTemp("", "ballast-bench-")
	if err != nil {
		return nil, nil, err
	}
	b, err := bus.Open(ctx, bus.Config{DataDir: dir, Listen: "127.0.0.1:0", Durability: d, Name: "bench", Logger: a.logger()})
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, nil, err
	}
	return b, func() { closeBus(b); _ = os.RemoveAll(dir) }, nil
}

// benchFold prints the fold from decoded events and from bytes.
func (a *app) benchFold(ctx context.Context, f *benchFlags, p *printer) error {
	p.title(fmt.Sprintf("fold: dispatch, %d workers, state hash after every event, one core", f.workers))
	j, err := dispatchbench.NewJournal(f.workers, foldSeconds)
	if err != nil {
		return err
	}
	for r, err := range dispatchbench.Run(ctx, j, f.runs) {
		if err != nil {
			return err
		}
		if p.json {
			if err := p.value(map[string]any{"bench": "fold", "case": r.Name, "events_per_second": int64(r.Rate), "target": int64(r.Target), "ratio_to_target": r.Ratio(), "met": r.Ratio() >= 1}); err != nil {
				return err
			}
			continue
		}
		p.linef("  %s%s", r, missed(r.Ratio() >= 1))
	}
	return a.benchTree(ctx, f, p)
}

// benchTree prints the fold of a site with a power tree, and what one reading
// costs there.
func (a *app) benchTree(ctx context.Context, f *benchFlags, p *printer) error {
	p.title(fmt.Sprintf("fold: dispatch, %d workers in a power tree of %d nodes, state hash after every event, one core", treeWorkers, treeNodes))
	j, err := dispatchbench.NewTreeJournal(treeWorkers, treeNodes, treeSeconds)
	if err != nil {
		return err
	}
	r, d, err := dispatchbench.RunTree(ctx, j, f.runs)
	if err != nil {
		return err
	}
	met := d.P99.Took <= dispatchbench.TargetDecision
	if p.json {
		if err := p.value(map[string]any{"bench": "fold", "case": r.Name, "events_per_second": int64(r.Rate), "target": int64(r.Target), "ratio_to_target": r.Ratio(), "met": r.Ratio() >= 1}); err != nil {
			return err
		}
		return p.value(map[string]any{"bench": "fold", "case": "decision for one reading, tree", "p50_us": inMicros(d.P50.Took), "p99_us": inMicros(d.P99.Took),
			"target_us": inMicros(dispatchbench.TargetDecision), "met": met})
	}
	p.linef("  %s%s", r, missed(r.Ratio() >= 1))
	p.linef("  %s%s", d, missed(met))
	return nil
}

func inMicros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// The site with a power tree that is folded.
const (
	treeWorkers = 10_000
	treeNodes   = 2_000
	treeSeconds = 40
)

// foldSeconds of journal that one run folds.
const foldSeconds = 600

func missed(met bool) string {
	if met {
		return ""
	}
	return "  MISSED"
}

// benchLatency measures both layouts.
func (a *app) benchLatency(ctx context.Context, f *benchFlags, p *printer) error {
	p.title(fmt.Sprintf("latency: curtail to 0 W published → the last of %d permit machines stopped; %s, %d readings/s, every core hashing", f.units, f.durability, f.readings))
	for _, own := range []bool{false, true} {
		bar := a.steps("rounds", int64(f.rounds))
		r, err := latency.Run(ctx, latency.Config{
			Units: f.units, OwnConnections: own, Rounds: f.rounds, ReadingsPerSecond: f.readings,
			Durability: bus.Durability(f.durability), Deciders: roles.Deciders(false), Logger: a.logger(),
		}, func(done, _ int) { _ = bar.Set(done) })
		_ = bar.Finish()
		if err != nil {
			return err
		}
		name, p50, p99 := "behind one agent connection", 8*time.Millisecond, 30*time.Millisecond
		if own {
			name, p50, p99 = "over connections of their own", 40*time.Millisecond, 120*time.Millisecond
		}
		met := r.Stopped.P50 <= p50 && r.Stopped.P99 <= p99
		if p.json {
			if err := p.value(struct {
				Bench string `json:"bench"`
				Met   bool   `json:"met"`
				*latency.Result
			}{"latency", met, r}); err != nil {
				return err
			}
			continue
		}
		p.linef("  %-32s %14s %14s", name, "p50", "p99")
		for _, step := range []struct {
			name string
			latency.Percentiles
		}{{"published → stored", r.Stored}, {"published → decided", r.Decided}, {"published → received", r.Received}, {"published → last stopped", r.Stopped}} {
			p.linef("    %-30s %14s %14s", step.name, roundMillis(step.P50), roundMillis(step.P99))
		}
		p.linef("    %-30s %14s %14s%s", "target", p50, p99, missed(met))
	}
	return a.benchEngineStop(ctx, f, p)
}

// benchEngineStop measures from the bus to the hash engine.
func (a *app) benchEngineStop(ctx context.Context, f *benchFlags, p *printer) error {
	const target = 10 * time.Millisecond // of the 99th percentile
	bar := a.steps("engine stops", int64(f.stops))
	r, err := latency.RunEngine(ctx, latency.EngineConfig{
		Rounds: f.stops, Durability: bus.Durability(f.durability), Logger: a.logger(),
	}, func(done, _ int) { _ = bar.Set(done) })
	_ = bar.Finish()
	if err != nil {
		return err
	}
	met := r.Stopped.P99 <= target
	if p.json {
		return p.value(struct {
			Bench string `json:"bench"`
			Met   bool   `json:"met"`
			*latency.EngineResult
		}{"engine-stop", met, r})
	}
	p.linef("  %-32s %14s %14s %14s", fmt.Sprintf("hash engine, %s on %d threads", r.Kernel, r.Threads), "p50", "p99", "max")
	for _, step := range []struct {
		name string
		latency.Percentiles
	}{{"published → heard", r.Heard}, {"published → engine stopped", r.Stopped}} {
		p.linef("    %-30s %14s %14s %14s", step.name, roundMicros(step.P50), roundMicros(step.P99), roundMicros(step.Max))
	}
	p.linef("    %-30s %14s %14s%s", "target", "", target, missed(met))
	return nil
}

func roundMicros(d time.Duration) string { return d.Round(time.Microsecond).String() }
