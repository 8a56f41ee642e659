// SPDX-License-Identifier: Apache-2.0

package busbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// loadTarget is how much longer the p99 of a round trip may be while all cores
// work.
const loadTarget = 3

// LatencyConfig of a latency measurement. The zero value is usable.
type LatencyConfig struct {
	// Samples of each case and condition, default 2,000.
	Samples int
	// Every is the distance of two samples, default 1 ms; a longer round trip
	// delays the next sample.
	Every time.Duration
	// Load keeps all cores busy until its context ends, as a worker that
	// hashes does. Nil measures the idle bus only.
	Load func(context.Context)
	// Report, when not nil, hears of every result as it is ready.
	Report func(Latency)
}

// Percentiles of round trips.
type Percentiles struct {
	P50, P99, P999, Max time.Duration
	Samples             int
}

// Latency is what one case takes from publishing to hearing.
type Latency struct {
	// Name of the case, for people.
	Name string
	// Idle is without load, Loaded with it (zero without a load).
	Idle, Loaded Percentiles
	// Ratio is Loaded.P99 / Idle.P99, and Target the most it should be.
	Ratio, Target float64
}

// Met reports whether the target is reached; true when there was no load.
func (l Latency) Met() bool { return l.Loaded.Samples == 0 || l.Ratio <= l.Target }

// String is one line for people.
func (l Latency) String() string {
	s := fmt.Sprintf("%-52s idle %s", l.Name, l.Idle)
	if l.Loaded.Samples > 0 {
		s += fmt.Sprintf("  loaded %s  p99 ratio %.1f  at most %.0f", l.Loaded, l.Ratio, l.Target)
		if !l.Met() {
			s += " MISSED"
		}
	}
	return s
}

// String is "p50/p99/p99.9 in µs".
func (p Percentiles) String() string {
	return fmt.Sprintf("p50 %d p99 %d p99.9 %d µs", p.P50.Microseconds(), p.P99.Microseconds(), p.P999.Microseconds())
}

// RoundTrip measures the way of single events through the bus, from before
// they are encoded until they are decoded again on the same connection: sent
// past the streams (as renewals are), and stored in JOURNAL and read by a
// follower (as readings are).
func RoundTrip(ctx context.Context, b *bus.Bus, cfg LatencyConfig) ([]Latency, error) {
	if cfg.Samples <= 0 {
		cfg.Samples = 2000
	}
	if cfg.Every <= 0 {
		cfg.Every = time.Millisecond
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	heard := make(chan error, 1)
	sub, err := b.Subscribe(ctx, bus.Filter{Types: []events.Type{events.TypePermitRenewed}, Site: benchSite},
		func(*events.Event) { heard <- nil })
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer sub.Stop()

	read := make(chan error, 1)
	var follower sync.WaitGroup
	defer func() { cancel(); follower.Wait() }()
	follower.Go(func() {
		for _, err := range b.Events(ctx, events.ReadRequest{Stream: events.StreamJournal, Site: benchSite, NewOnly: true}) {
			select {
			case read <- err:
			case <-ctx.Done():
				return
			}
		}
		if ctx.Err() == nil {
			read <- errors.New("the follower ended")
		}
	})
	// The follower is there once it sees what is published.
	for there := false; !there; {
		if err := b.Publish(ctx, reading(0)); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		select {
		case err := <-read:
			if err != nil {
				return nil, fmt.Errorf("bench: %w", err)
			}
			there = true
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("bench: %w", ctx.Err())
		}
	}
	drain(ctx, read)

	var out []Latency
	for _, c := range []struct {
		name string
		send func() error
		back <-chan error
	}{
		{"round trip past the streams (permit.renewed)", func() error { return b.PublishCore(renewal()) }, heard},
		{"round trip through JOURNAL (meter.reading)", func() error {
			_, err := b.PublishAsync(ctx, reading(0))
			return err
		}, read},
	} {
		l := Latency{Name: c.name, Target: loadTarget}
		if l.Idle, err = sample(ctx, cfg, c.send, c.back); err != nil {
			return out, fmt.Errorf("bench: %s: %w", c.name, err)
		}
		if cfg.Load != nil {
			lctx, stop := context.WithCancel(ctx)
			var load sync.WaitGroup
			load.Go(func() { cfg.Load(lctx) })
			l.Loaded, err = sample(ctx, cfg, c.send, c.back)
			stop()
			load.Wait()
			if err != nil {
				return out, fmt.Errorf("bench: %s under load: %w", c.name, err)
			}
			l.Ratio = float64(l.Loaded.P99) / float64(max(l.Idle.P99, 1))
		}
		out = append(out, l)
		if cfg.Report != nil {
			cfg.Report(l)
		}
	}
	return out, nil
}

// drain takes what the start left over, until nothing has come for a while.
func drain(ctx context.Context, ch <-chan error) {
	for {
		select {
		case <-ch:
		case <-time.After(100 * time.Millisecond):
			return
		case <-ctx.Done():
			return
		}
	}
}

func sample(ctx context.Context, cfg LatencyConfig, send func() error, back <-chan error) (Percentiles, error) {
	took := make([]time.Duration, 0, cfg.Samples)
	tick := time.NewTicker(cfg.Every)
	defer tick.Stop()
	for len(took) < cfg.Samples {
		begin := time.Now()
		if err := send(); err != nil {
			return Percentiles{}, err
		}
		select {
		case err := <-back:
			if err != nil {
				return Percentiles{}, err
			}
		case <-ctx.Done():
			return Percentiles{}, ctx.Err()
		}
		took = append(took, time.Since(begin))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return Percentiles{}, ctx.Err()
		}
	}
	slices.Sort(took)
	at := func(permille int) time.Duration { return took[min(len(took)*permille/1000, len(took)-1)] }
	return Percentiles{P50: at(500), P99: at(990), P999: at(999), Max: took[len(took)-1], Samples: len(took)}, nil
}

func renewal() *events.Event {
	return events.New(benchSite, "rig-1", &events.PermitRenewed{
		Decider: "dispatch", Key: events.OrderKey{Epoch: 1, Sequence: 1}, BootID: "bench", Counter: 1,
		LeaseMilliseconds: events.DefaultLease.Milliseconds(),
		Units:             []events.UnitSetpoint{{Unit: "rig-1", SetpointWatts: 3500}},
	})
}
