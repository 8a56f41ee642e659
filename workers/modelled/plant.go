// SPDX-License-Identifier: Apache-2.0

package modelled

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/agent"
)

// DefaultPeriod is how often meters are read and machines advanced.
const DefaultPeriod = time.Second

// drainTime bounds the last publishing of a plant.
const drainTime = 5 * time.Second

// PlantConfig of a Plant.
type PlantConfig struct {
	// Site that meters and fleets belong to.
	Site string
	// Period of meter readings, at most 5 s; default DefaultPeriod.
	Period time.Duration
	// Seed of all that is random; the same seed gives the same machines and,
	// with the same work, the same shares.
	Seed uint64
	// OutboxEvents bounds the shares that wait for the bus; default
	// agent.DefaultOutboxEvents.
	OutboxEvents int
	// Logger; nil discards.
	Logger *slog.Logger
	// Clock returns nanoseconds that never step back, default the monotonic
	// clock of the process; Wall is the time of day, default time.Now.
	Clock func() int64
	Wall  func() time.Time
}

// Plant is a set of modelled machines with the meters that see them.
type Plant struct {
	cfg       PlantConfig
	publisher agent.Publisher
	outbox    *agent.Outbox
	log       *slog.Logger
	instance  string
	now       func() int64

	mu         sync.Mutex
	fleets     []*Fleet
	meters     map[string]*meter
	names      []string // of meters, sorted
	complained time.Time
}

// meter sums what its machines draw.
type meter struct {
	mu sync.Mutex
	// remainder in half watt-nanoseconds below one milliwatt-hour.
	remainder, milliwattHours int64
	watts                     int64 // of the present reading
	frozen                    bool
	last                      *events.MeterReading
}

// milliwattHour in half watt-nanoseconds: 3.6 J.
const milliwattHour = 2 * 3_600_000_000

// add books energy in half watt-nanoseconds; a nil meter forgets it.
func (m *meter) add(energy int64) {
	if m == nil || energy == 0 {
		return
	}
	m.mu.Lock()
	m.remainder += energy
	m.milliwattHours += m.remainder / milliwattHour
	m.remainder %= milliwattHour
	m.mu.Unlock()
}

// NewPlant returns a plant without machines.
func NewPlant(cfg PlantConfig, p agent.Publisher) (*Plant, error) {
	if err := events.CheckToken("site", cfg.Site); err != nil {
		return nil, fmt.Errorf("modelled plant: %w", err)
	}
	if cfg.Period == 0 {
		cfg.Period = DefaultPeriod
	}
	if cfg.Period < 10*time.Millisecond || cfg.Period > 5*time.Second {
		return nil, fmt.Errorf("modelled plant: period %s: 10ms to 5s", cfg.Period)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Wall == nil {
		cfg.Wall = time.Now
	}
	if cfg.Clock == nil {
		start := time.Now()
		cfg.Clock = func() int64 { return int64(time.Since(start)) }
	}
	return &Plant{
		cfg: cfg, publisher: p, log: cfg.Logger, now: cfg.Clock,
		outbox:   agent.NewOutbox(p, cfg.OutboxEvents, cfg.Logger),
		instance: rand.Text(),
		meters:   make(map[string]*meter),
	}, nil
}

// add takes a fleet into the plant and finds its meter.
func (p *Plant) add(f *Fleet) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range p.fleets {
		if g.cfg.Agent == f.cfg.Agent {
			return fmt.Errorf("modelled fleet %s: the plant has one of that agent already", f.cfg.Agent)
		}
	}
	if name := f.cfg.Meter; name != "" {
		if p.meters[name] == nil {
			p.meters[name] = new(meter)
			p.names = append(p.names, name)
			slices.Sort(p.names)
		}
		f.meter = p.meters[name]
	}
	p.fleets = append(p.fleets, f)
	return nil
}

// Freeze makes a meter repeat its last reading, or measure again. It reports
// whether the plant has that meter.
func (p *Plant) Freeze(name string, frozen bool) bool {
	p.mu.Lock()
	m := p.meters[name]
	p.mu.Unlock()
	if m == nil {
		return false
	}
	m.mu.Lock()
	m.frozen = frozen
	m.mu.Unlock()
	return true
}

// Run advances the machines, publishes a meter.reading of every meter each
// period, and the shares found, until ctx ends. Readings that the bus does not
// take are dropped, as the next ones follow; shares wait. At the end what
// shares are left get some seconds to be stored; the error says how many were
// not.
func (p *Plant) Run(ctx context.Context) error {
	octx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var outbox sync.WaitGroup
	outbox.Go(func() { _ = p.outbox.Run(octx) }) // returns nil
	defer outbox.Wait()
	defer stop()

	ticker := time.NewTicker(p.cfg.Period)
	defer ticker.Stop()
	for {
		p.publish(ctx, p.Step())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
			defer cancel()
			p.publish(dctx, p.Step())
			if err := p.outbox.Drain(dctx); err != nil {
				return fmt.Errorf("modelled plant of %s: %w", p.cfg.Site, err)
			}
			return nil
		}
	}
}

// Step advances every machine to the present of the plant's clock, finds the
// shares of that time, and returns a reading of every meter, in the order of
// their names. Run does it by itself; simulations call it.
func (p *Plant) Step() []*events.Event {
	p.mu.Lock()
	fleets, names := slices.Clone(p.fleets), slices.Clone(p.names)
	p.mu.Unlock()
	wall := p.cfg.Wall().UTC()
	for _, f := range fleets {
		f.mu.Lock()
		// Read within the lock: an order cannot be later than the step.
		watts := f.step(p.now())
		f.mu.Unlock()
		if f.meter != nil {
			f.meter.mu.Lock()
			f.meter.watts += watts
			f.meter.mu.Unlock()
		}
	}
	out := make([]*events.Event, 0, len(names))
	for _, name := range names {
		p.mu.Lock()
		m := p.meters[name]
		p.mu.Unlock()
		out = append(out, events.New(p.cfg.Site, name, m.read(wall)).At(wall))
	}
	return out
}

// read returns the reading of the step just made.
func (m *meter) read(at time.Time) *events.MeterReading {
	m.mu.Lock()
	defer m.mu.Unlock()
	energy := m.milliwattHours
	r := &events.MeterReading{
		PowerWatts: m.watts, EnergyMilliwattHours: &energy, SampledAt: at,
		Quality: events.QualityGood, Modelled: true,
	}
	m.watts = 0
	if m.frozen && m.last != nil {
		stuck := *m.last
		stuck.SampledAt = at // a stuck device still stamps its messages
		return &stuck
	}
	m.last = r
	return r
}

func (p *Plant) publish(ctx context.Context, readings []*events.Event) {
	if len(readings) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, max(p.cfg.Period, time.Second))
	defer cancel()
	if err := p.publisher.Publish(ctx, readings...); err != nil && ctx.Err() == nil {
		p.complain(fmt.Errorf("meter readings dropped: %w", err))
	}
}

// complain logs at most once a second.
func (p *Plant) complain(err error) {
	p.mu.Lock()
	quiet := time.Since(p.complained) < time.Second
	if !quiet {
		p.complained = time.Now()
	}
	p.mu.Unlock()
	if !quiet {
		p.log.Warn("modelled plant", "error", err)
	}
}
