// SPDX-License-Identifier: Apache-2.0

package busbench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// PayloadBytes of the messages of the publish and reactor cases.
const PayloadBytes = 256

// Config of a benchmark. The zero value is usable.
type Config struct {
	// Messages per side and run, default 50,000.
	Messages int
	// Runs of each case, default 5; their medians count.
	Runs int
	// Middlewares of the router in the reactor cases: those that reactors run
	// with. The default is none.
	Middlewares []message.HandlerMiddleware
	// Report, when not nil, hears of every result as it is ready.
	Report func(Result)
}

func (c Config) withDefaults() Config {
	if c.Messages <= 0 {
		c.Messages = 50_000
	}
	if c.Runs <= 0 {
		c.Runs = 5
	}
	return c
}

// bench is one Run.
type bench struct {
	Config
	b *bus.Bus
	// raw is the plain client on the same connection.
	raw jetstream.JetStream
}

// side moves Messages messages and returns when all have arrived.
type side func(context.Context) error

// Run measures every case and returns the results in a fixed order. The bus
// must be one that nothing else uses meanwhile.
func Run(ctx context.Context, b *bus.Bus, cfg Config) ([]Result, error) {
	x := &bench{Config: cfg.withDefaults(), b: b}
	var err error
	x.raw, err = jetstream.New(b.Conn(), jetstream.WithPublishAsyncMaxPending(4000))
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	var out []Result
	for _, group := range []func(context.Context) ([]Result, error){x.publish, x.read, x.reactor} {
		rs, err := group(ctx)
		out = append(out, rs...)
		if err != nil {
			return out, fmt.Errorf("bench: %w", err)
		}
	}
	return out, nil
}

// compare runs ours and raw in turn; which of them goes first alternates.
func (x *bench) compare(ctx context.Context, name string, target float64, ours, raw side) (Result, error) {
	pairs := make([]Pair, x.Runs)
	for i := range pairs {
		first, second, a, b := ours, raw, &pairs[i].Ours, &pairs[i].Raw
		if i%2 == 1 {
			first, second, a, b = raw, ours, b, a
		}
		if err := x.measure(ctx, first, a); err != nil {
			return Result{}, fmt.Errorf("%s: %w", name, err)
		}
		if err := x.measure(ctx, second, b); err != nil {
			return Result{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	r := summarise(name, target, pairs)
	if x.Report != nil {
		x.Report(r)
	}
	return r, nil
}

func (x *bench) measure(ctx context.Context, s side, m *Measure) error {
	runtime.GC()
	cpu, begin := CPUTime(), time.Now()
	if err := s(ctx); err != nil {
		return err
	}
	*m = Measure{Messages: x.Messages, Took: time.Since(begin), CPU: CPUTime() - cpu}
	return nil
}

// stream creates a scratch stream persisted as JOURNAL is and returns what
// deletes it.
func (x *bench) stream(ctx context.Context, name, subject string) (func(), error) {
	s, err := x.b.JetStream().Stream(ctx, events.StreamJournal)
	if err != nil {
		return nil, err
	}
	cfg := jetstream.StreamConfig{
		Name: name, Subjects: []string{subject}, Storage: jetstream.FileStorage,
		PersistMode: s.CachedInfo().Config.PersistMode, Replicas: s.CachedInfo().Config.Replicas,
	}
	if _, err := x.b.JetStream().CreateOrUpdateStream(ctx, cfg); err != nil {
		return nil, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = x.b.JetStream().DeleteStream(ctx, name) // a scratch stream of a scratch bus
	}, nil
}

// rawPublish publishes asynchronously with the plain client.
func (x *bench) rawPublish(next func(i int) *nats.Msg) side {
	return func(ctx context.Context) error {
		for i := range x.Messages {
			if _, err := x.raw.PublishMsgAsync(next(i), jetstream.WithStallWait(30*time.Second)); err != nil {
				return err
			}
		}
		select {
		case <-x.raw.PublishAsyncComplete():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
