// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"iter"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/permit"
)

// forgetful is a bus that stores a batch and does not say so; until it is found
// in the stream, time passes.
type forgetful struct {
	Bus
	stored []*events.Event
	pass   func()
}

func (f *forgetful) PublishBatch(_ context.Context, _ string, evs ...*events.Event) (bus.BatchResult, error) {
	if len(evs) == 0 {
		return bus.BatchResult{}, nil
	}
	f.stored = append(f.stored, evs...)
	return bus.BatchResult{}, bus.ErrOutcomeUnknown
}

func (f *forgetful) Events(context.Context, events.ReadRequest) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		f.pass()
		for _, e := range f.stored {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// What was stored without a word counts as stored only while the lease is held:
// else a share would be written to the pool by a gateway that another has
// followed.
func TestWhatIsFoundStoredWantsTheLeaseToo(t *testing.T) {
	var clock atomic.Int64
	l := &lease{
		time: 10 * time.Second, clock: func() permit.Instant { return permit.Instant(clock.Load()) },
		kick: make(chan struct{}, 1), changed: make(chan struct{}), held: true,
	}
	f := &forgetful{pass: func() { clock.Add(int64(9 * time.Second)) }}
	g := &Gateway{
		cfg: Config{Site: "demo", Gateway: "gw-1"}, log: slog.New(slog.DiscardHandler), lease: l, bus: leased{f, l},
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	over := make(chan error, 1)
	e := events.New("demo", "gw-1", &events.ShareSubmitted{}).WithID("s/submitted")
	go func() { over <- newCommitter(g).insist(ctx, []*events.Event{e}) }()
	select {
	case err := <-over:
		t.Fatalf("it is done without the lease: %v", err)
	case <-l.kick: // it waits for a renewal
	}
	l.set(func() { l.lost = ErrLeaseLost })
	cancel() // as whoever hears of that does
	if err := <-over; err == nil {
		t.Error("it counts as stored, though the lease is lost")
	}
	if len(f.stored) != 1 {
		t.Errorf("stored %d times", len(f.stored))
	}
}
