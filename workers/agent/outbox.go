// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// Bounds of an Outbox.
const (
	// DefaultOutboxEvents is how many events wait at most.
	DefaultOutboxEvents = 10000
	// outboxBatch is how many are under way at once.
	outboxBatch = 200
	// outboxTry bounds one attempt.
	outboxTry = 10 * time.Second
)

// Publisher stores events; *bus.Bus is one.
type Publisher interface {
	// Publish returns when all events are stored, or an error that is a
	// *bus.PublishError when some of them are.
	Publish(ctx context.Context, evs ...*events.Event) error
}

// Outbox publishes events in order and keeps each until the bus has stored it:
// a hiccup of the bus loses none. It is bounded; when it is full the newest is
// dropped and counted. Every event needs an id of its own with Dedup, as an
// attempt whose outcome is unknown is repeated.
type Outbox struct {
	publisher Publisher
	limit     int
	log       *slog.Logger

	mu      sync.Mutex
	waiting []*events.Event // what is under way stays at the front
	dropped uint64
	more    chan struct{} // capacity 1
	empty   chan struct{} // closed while nothing waits
}

// NewOutbox keeps at most limit events, 0 meaning DefaultOutboxEvents. Nothing
// is published before Run.
func NewOutbox(p Publisher, limit int, log *slog.Logger) *Outbox {
	if limit <= 0 {
		limit = DefaultOutboxEvents
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	o := &Outbox{publisher: p, limit: limit, log: log, more: make(chan struct{}, 1), empty: make(chan struct{})}
	close(o.empty)
	return o
}

// Add queues an event and returns at once. It fails on an event that the bus
// would refuse for ever, and when the outbox is full.
func (o *Outbox) Add(e *events.Event) error {
	if err := e.Data.Validate(); err != nil {
		return fmt.Errorf("outbox: %s refused: %w", e.Data.EventType(), err)
	}
	if e.ID == "" || !e.Dedup {
		return fmt.Errorf("outbox: %s refused: it has no id to repeat it by", e.Data.EventType())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) >= o.limit {
		o.dropped++
		return fmt.Errorf("outbox: full with %d events that the bus does not take; %s dropped (%d so far)", o.limit, e.ID, o.dropped)
	}
	if len(o.waiting) == 0 {
		o.empty = make(chan struct{})
	}
	o.waiting = append(o.waiting, e)
	select {
	case o.more <- struct{}{}:
	default:
	}
	return nil
}

// Waiting is the number of events not yet known to be stored.
func (o *Outbox) Waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting)
}

// Dropped is the number of events lost because the outbox was full.
func (o *Outbox) Dropped() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}

// Drain waits until nothing waits any more; Run must be running. With the end
// of ctx it returns an error that says how many events are left.
func (o *Outbox) Drain(ctx context.Context) error {
	o.mu.Lock()
	empty := o.empty
	o.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("outbox: %d events were not stored: %w", o.Waiting(), ctx.Err())
	}
}

// Run publishes until ctx ends. Call Drain before ending ctx to lose nothing.
func (o *Outbox) Run(ctx context.Context) error {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for {
		batch := o.Next(outboxBatch)
		if len(batch) == 0 {
			select {
			case <-o.more:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		try, cancel := context.WithTimeout(ctx, outboxTry)
		err := o.publisher.Publish(try, batch...)
		cancel()
		o.settle(len(batch), err)
		if err == nil {
			bo.Reset()
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		pause := bo.NextBackOff()
		o.log.Warn("events wait for the bus", "waiting", o.Waiting(), "again_in", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// Next lists at most n of the events that wait, the oldest first.
func (o *Outbox) Next(n int) []*events.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]*events.Event(nil), o.waiting[:min(len(o.waiting), n)]...)
}

// settle removes what is stored of the n events at the front.
func (o *Outbox) settle(n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var left []*events.Event
	if err != nil {
		var partly *bus.PublishError
		if !errors.As(err, &partly) {
			return
		}
		for _, f := range partly.Failed {
			left = append(left, o.waiting[f.Index])
		}
	}
	done := n - len(left)
	copy(o.waiting[done:], left)
	clear(o.waiting[:done])
	o.waiting = o.waiting[done:]
	if len(o.waiting) == 0 {
		o.waiting = nil
		select {
		case <-o.empty:
		default:
			close(o.empty)
		}
	}
}
