// SPDX-License-Identifier: Apache-2.0

package latency

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
)

// EngineConfig of a measurement from the bus to the hash engine.
type EngineConfig struct {
	// Rounds of publishing a reduction and stopping.
	Rounds int
	// Threads that hash; 0 means one per processor.
	Threads int
	// Durability of the bus.
	Durability bus.Durability
	// Logger; nil discards.
	Logger *slog.Logger
}

// EngineResult of it.
type EngineResult struct {
	Kernel  string `json:"kernel"`
	Threads int    `json:"threads"`
	Rounds  int    `json:"rounds"`
	// Heard: a subscriber in the same process, on a connection of its own, has
	// the decoded reduction. Stopped: the last hashing thread has ended its
	// last call. Both from before the reduction was published.
	Heard   Percentiles `json:"heard"`
	Stopped Percentiles `json:"stopped"`
}

// engineRoundTime bounds one round.
const engineRoundTime = 30 * time.Second

// RunEngine measures how long it takes from publishing a reduction for a whole
// site until the engine of a subscriber has stopped: the server embedded in
// this process, every thread hashing. progress, when not nil, is called after
// every round.
func RunEngine(ctx context.Context, c EngineConfig, progress func(done, of int)) (*EngineResult, error) {
	if c.Rounds < 1 {
		return nil, fmt.Errorf("latency: %d rounds: use at least one", c.Rounds)
	}
	if c.Threads == 0 {
		c.Threads = runtime.NumCPU()
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
	conn, err := b.Dial(ctx, "worker", bus.Credentials{})
	if err != nil {
		return nil, err
	}
	defer end(conn)
	kernel, err := hashengine.Fastest()
	if err != nil {
		return nil, err
	}
	m, err := endlessSearch(c.Threads)
	if err != nil {
		return nil, err
	}
	defer func() { _ = m.Close() }() // returns nil

	type stop struct{ heard, stopped time.Time }
	stops := make(chan stop, 1)
	sub, err := conn.Subscribe(ctx, bus.Filter{Types: []events.Type{events.TypeCommandCurtail}, Site: site}, func(*events.Event) {
		s := stop{heard: time.Now()}
		m.Stop()
		s.stopped = time.Now()
		stops <- s
	})
	if err != nil {
		return nil, err
	}
	defer sub.Stop()

	var heard, stopped []time.Duration
	for i := range c.Rounds {
		if err := untilHashing(ctx, m); err != nil {
			return nil, fmt.Errorf("round %d: waiting for every thread to hash: %w", i, err)
		}
		ev := reduction(uint64(i) + 1)
		sent := time.Now()
		if err := b.Publish(ctx, ev); err != nil {
			return nil, err
		}
		select {
		case s := <-stops:
			heard, stopped = append(heard, s.heard.Sub(sent)), append(stopped, s.stopped.Sub(sent))
		case <-time.After(engineRoundTime):
			return nil, fmt.Errorf("latency: round %d: the reduction was not heard within %s", i, engineRoundTime)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if progress != nil {
			progress(i+1, c.Rounds)
		}
	}
	return &EngineResult{
		Kernel: kernel.Name, Threads: m.Threads(), Rounds: c.Rounds,
		Heard: percentiles(heard), Stopped: percentiles(stopped),
	}, nil
}

// reduction to nothing for every unit of the site, as a dispatcher decides it.
func reduction(sequence uint64) *events.Event {
	zero, now := int64(0), time.Now().UTC()
	return events.New(site, events.BroadcastSource, &events.CommandCurtail{
		Decider: "bench", Key: events.OrderKey{Epoch: 1, Sequence: sequence}, AllUnitsWatts: &zero,
		Reason: events.ReasonEmergency, IssuedAt: now, ValidUntil: now.Add(time.Minute),
	})
}

// untilHashing resumes the miner and returns some moments after every thread
// is at it, not always the same.
func untilHashing(ctx context.Context, m *hashengine.Miner) error {
	ctx, cancel := context.WithTimeout(ctx, engineRoundTime)
	defer cancel()
	from := m.Stats().Hashes
	m.Resume()
	tick := time.NewTicker(700 * time.Microsecond)
	defer tick.Stop()
	for {
		if s := m.Stats(); s.Active == m.Threads() && s.Hashes > from {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// end a connection or a bus that has nothing to lose.
func end(b *bus.Bus) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_ = b.Close(ctx)
}

// percentiles of the samples, which it sorts.
func percentiles(all []time.Duration) Percentiles {
	slices.Sort(all)
	rank := func(p int) time.Duration { return all[min((len(all)*p+99)/100, len(all))-1] }
	return Percentiles{P50: rank(50), P99: rank(99), Max: all[len(all)-1]}
}
