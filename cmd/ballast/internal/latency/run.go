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
	// own; otherwise they stand behind Agents of them in equal parts.
	OwnConnections bool
	// Agents and connections that the units are behind; 0 means one.
	Agents int
	// Emergency signals in the place of curtailments to 0 W.
	Emergency bool
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
		Agents            int    `json:"agents"`
		Emergency         bool   `json:"emergency"`
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
	if c.Agents == 0 {
		c.Agents = 1
	}
	if c.OwnConnections {
		c.Agents = c.Units
	}
	if c.Agents < 1 || c.Units%c.Agents != 0 {
		return nil, fmt.Errorf("latency: %d units behind %d agents: use equal parts", c.Units, c.Agents)
	}
	s, err := openSite(ctx, c, siteConfig(int64(c.Units)))
	if err != nil {
		return nil, err
	}
	defer s.close()
	for i := range c.Agents {
		id := "agents"
		if c.Agents > 1 {
			id = "rig-" + strconv.Itoa(i)
		}
		if err := s.agent(id, newDriver(id, c.Units/c.Agents, s.fleet)); err != nil {
			return nil, err
		}
	}
	s.spawn("readings", func(ctx context.Context) error { return readings(ctx, s.b, c.ReadingsPerSecond) })
	o, err := newObserver(s.ctx, s.b)
	if err != nil {
		return nil, err
	}
	var rounds []round
	for i := range c.Rounds {
		r, err := o.round(s, i, c.Emergency)
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

// plant is a bus of its own with a host, agents and hashing threads.
type plant struct {
	c      Config
	b      *bus.Bus
	ctx    context.Context
	fleet  *fleet
	failed chan error
	wg     sync.WaitGroup
	ends   []func()
}

// openSite starts the bus and the host of a site, and hashes.
func openSite(ctx context.Context, c Config, config *events.SiteConfig) (_ *plant, err error) {
	if c.HashThreads == 0 {
		c.HashThreads = runtime.NumCPU()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &plant{c: c, fleet: newFleet(c.Units), failed: make(chan error, c.Agents+8)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	dir, err := os.MkdirTemp("", "ballast-latency-")
	if err != nil {
		return nil, fmt.Errorf("latency: %w", err)
	}
	s.ends = append(s.ends, func() { _ = os.RemoveAll(dir) })
	if s.b, err = bus.Open(ctx, bus.Config{DataDir: dir, Listen: "127.0.0.1:0", Durability: c.Durability, Logger: c.Logger}); err != nil {
		return nil, err
	}
	s.ends = append(s.ends, func() { end(s.b) })
	// Everything ends before the bus does.
	ctx, cancel := context.WithCancel(ctx)
	s.ctx = ctx
	s.ends = append(s.ends, s.wg.Wait, cancel)
	if err := s.b.Publish(ctx, events.New(site, events.OperatorSource, config)); err != nil {
		return nil, err
	}
	h, err := host.New(host.Config{Bus: s.b, Site: site, Name: "bench", Deciders: c.Deciders, ActivateIfNone: true, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	s.spawn("host", h.Run)
	if c.HashThreads > 0 {
		stop, err := Hash(c.HashThreads)
		if err != nil {
			return nil, err
		}
		s.ends = append(s.ends, stop)
	}
	return s, nil
}

// close ends everything, the newest first.
func (s *plant) close() {
	for i := len(s.ends) - 1; i >= 0; i-- {
		s.ends[i]()
	}
	s.ends = nil
}

// spawn runs a part of the site until it is closed.
func (s *plant) spawn(name string, run func(context.Context) error) {
	s.wg.Go(func() {
		if err := run(s.ctx); err != nil && s.ctx.Err() == nil {
			s.failed <- fmt.Errorf("latency: %s: %w", name, err)
		}
	})
}

// agent starts one on a connection of its own.
func (s *plant) agent(id string, d *driver) error {
	conn, err := s.b.Dial(s.ctx, id, bus.Credentials{})
	if err != nil {
		return fmt.Errorf("latency: connection of %s: %w", id, err)
	}
	a, err := agent.New(agent.Config{Site: site, Agent: id, Logger: s.c.Logger}, conn, d)
	if err != nil {
		return err
	}
	s.spawn(id, func(ctx context.Context) error {
		err := a.Run(ctx)
		stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return errors.Join(err, conn.Close(stop))
	})
	return nil
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
	r.Config.Agents, r.Config.Emergency = c.Agents, c.Emergency
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
