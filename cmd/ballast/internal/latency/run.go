// SPDX-License-Identifier: Apache-2.0

package latency

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/host"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/agent"
)

const site = "bench"

// Config of a measurement.
type Config struct {
	// Units, each a permit machine.
	Units int
	// OwnConnections gives every unit an agent and a TCP connection of its
	// own; otherwise all stand behind one agent.
	OwnConnections bool
	// Rounds of curtail and restore.
	Rounds int
	// ReadingsPerSecond of load on the journal.
	ReadingsPerSecond int
	// Hashing threads that keep every core busy; 0 means one per core,
	// negative none.
	HashThreads int
	// Durability of the bus.
	Durability bus.Durability
	// Deciders of the host.
	Deciders []host.Factory
	// Logger; nil discards.
	Logger *slog.Logger
}

// Percentiles of one step, from the publish of the signal.
type Percentiles struct {
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

// Result of a measurement.
type Result struct {
	Config struct {
		Units             int    `json:"units"`
		OwnConnections    bool   `json:"own_connections"`
		Rounds            int    `json:"rounds"`
		ReadingsPerSecond int    `json:"readings_per_second"`
		HashThreads       int    `json:"hash_threads"`
		Durability        string `json:"durability"`
	} `json:"config"`
	// Stored: the signal is on the disk (its publisher has the answer).
	// Decided: the decision has left the decider, on the wire. Received: an
	// observer on a connection of its own has the curtail. Stopped: the last
	// of all units has been driven to 0 W.
	Stored   Percentiles `json:"stored"`
	Decided  Percentiles `json:"decided"`
	Received Percentiles `json:"received"`
	Stopped  Percentiles `json:"stopped"`
}

// round is one curtail.
type round struct{ stored, decided, received, stopped time.Duration }

// Run measures; progress, when not nil, is called after every round.
func Run(ctx context.Context, c Config, progress func(done, of int)) (*Result, error) {
	if c.Units < 1 || c.Units > 20_000 || c.Rounds < 1 || c.ReadingsPerSecond < 0 {
		return nil, fmt.Errorf("latency: %d units, %d rounds, %d readings/s: use 1 to 20000 units and at least one round", c.Units, c.Rounds, c.ReadingsPerSecond)
	}
	if c.HashThreads == 0 {
		c.HashThreads = runtime.NumCPU()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := os.MkdirTemp("", "ballast-latency-")
	if err != nil {
		return nil, fmt.Errorf("latency: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b, err := bus.Open(ctx, bus.Config{DataDir: dir, Listen: "127.0.0.1:0", Durability: c.Durability, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	defer end(b)
	// Everything ends before the bus does.
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	failed := make(chan error, c.Units+8)
	spawn := func(name string, run func(context.Context) error) {
		wg.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("latency: %s: %w", name, err)
			}
		})
	}
	if err := b.Publish(ctx, events.New(site, events.OperatorSource, siteConfig(int64(c.Units)))); err != nil {
		return nil, err
	}
	h, err := host.New(host.Config{Bus: b, Site: site, Name: "bench", Deciders: c.Deciders, ActivateIfNone: true, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	spawn("host", h.Run)
	fleet := newFleet(c.Units)
	if err := startAgents(ctx, b, c, fleet, spawn); err != nil {
		return nil, err
	}
	spawn("readings", func(ctx context.Context) error { return readings(ctx, b, c.ReadingsPerSecond) })
	if c.HashThreads > 0 {
		stop, err := Hash(c.HashThreads)
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	o, err := newObserver(ctx, b)
	if err != nil {
		return nil, err
	}
	var rounds []round
	for i := range c.Rounds {
		r, err := o.round(ctx, i, fleet, failed)
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, r)
		if progress != nil {
			progress(i+1, c.Rounds)
		}
	}
	return report(c, rounds), nil
}

// siteConfig whose limits bind nothing: only signals move the units.
func siteConfig(units int64) *events.SiteConfig {
	all := units * unitWatts
	return &events.SiteConfig{
		LimitWatts: 3 * all, ContinuousFactorPPM: 1_000_000, ContractedWatts: 3 * all, AINameplateWatts: all,
		Meters: []events.MeterConfig{{Meter: "ai", Measures: events.MeasuresAI, PeriodMilliseconds: 1000, StaleMilliseconds: 30_000, MaxWatts: 4 * all}},
		Policy: events.PolicyConfig{
			LeaseMilliseconds: 12_000, DeadMilliseconds: 120_000, RampWattsPerSecond: all, RampBurstWatts: all,
		},
		Tariff: events.TariffConfig{IntervalSeconds: 300, GraceSeconds: 5, AccrualSeconds: 60, Scheme: events.SchemeFPPS},
	}
}

func startAgents(ctx context.Context, b *bus.Bus, c Config, f *fleet, spawn func(string, func(context.Context) error)) error {
	if !c.OwnConnections {
		conn, err := b.Dial(ctx, "agents", bus.Credentials{})
		if err != nil {
			return err
		}
		return startAgent(conn, "agents", c.Units, c, f, spawn)
	}
	for i := range c.Units {
		id := "rig-" + strconv.Itoa(i)
		conn, err := b.Dial(ctx, id, bus.Credentials{})
		if err != nil {
			return fmt.Errorf("latency: connection %d: %w", i, err)
		}
		if err := startAgent(conn, id, 1, c, f, spawn); err != nil {
			return err
		}
	}
	return nil
}

func startAgent(conn *bus.Bus, id string, units int, c Config, f *fleet, spawn func(string, func(context.Context) error)) error {
	a, err := agent.New(agent.Config{Site: site, Agent: id, Logger: c.Logger}, conn, newDriver(id, units, f))
	if err != nil {
		return err
	}
	spawn(id, func(ctx context.Context) error {
		err := a.Run(ctx)
		stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return errors.Join(err, conn.Close(stop))
	})
	return nil
}

// readings publishes from ten meters in turn, the AI meter at least every
// second, in groups as a gateway would.
func readings(ctx context.Context, b *bus.Bus, perSecond int) error {
	const groups = 50
	tick := time.NewTicker(time.Second / groups)
	defer tick.Stop()
	n := 0
	for {
		now := time.Now()
		evs := []*events.Event{events.New(site, "ai", &events.MeterReading{PowerWatts: 1000, SampledAt: now.UTC(), Quality: events.QualityGood})}
		for range max(perSecond/groups-1, 0) {
			n++
			evs = append(evs, events.New(site, "feeder-"+strconv.Itoa(n%10), &events.MeterReading{PowerWatts: int64(n % 1000), SampledAt: now.UTC(), Quality: events.QualityGood}))
		}
		if err := b.Publish(ctx, evs...); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Hash keeps threads busy with a search that practically never ends, until stop.
func Hash(threads int) (stop func(), err error) {
	m, err := endlessSearch(threads)
	if err != nil {
		return nil, err
	}
	m.Resume()
	return func() { _ = m.Close() }, nil
}

// endlessSearch is a miner, not yet resumed, with the quickest kernel. The
// caller must close it.
func endlessSearch(threads int) (*hashengine.Miner, error) {
	m, err := hashengine.NewMiner(hashengine.MinerConfig{Threads: threads, OnHit: func(hashengine.Hit) {}})
	if err != nil {
		return nil, err
	}
	target, err := hashengine.TargetFromDifficultyText("1000000000")
	if err == nil {
		err = m.SetWork(hashengine.NewWork(hashengine.Header{}, hashengine.VersionRollingMask, target))
	}
	if err != nil {
		_ = m.Close() // returns nil
		return nil, err
	}
	return m, nil
}

func report(c Config, rounds []round) *Result {
	r := &Result{}
	r.Config.Units, r.Config.OwnConnections, r.Config.Rounds = c.Units, c.OwnConnections, c.Rounds
	r.Config.ReadingsPerSecond, r.Config.HashThreads, r.Config.Durability = c.ReadingsPerSecond, c.HashThreads, string(c.Durability)
	pick := func(get func(round) time.Duration) Percentiles {
		all := make([]time.Duration, len(rounds))
		for i, x := range rounds {
			all[i] = get(x)
		}
		return percentiles(all)
	}
	r.Stored = pick(func(x round) time.Duration { return x.stored })
	r.Decided = pick(func(x round) time.Duration { return x.decided })
	r.Received = pick(func(x round) time.Duration { return x.received })
	r.Stopped = pick(func(x round) time.Duration { return x.stopped })
	return r
}
