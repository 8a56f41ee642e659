// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/events"
)

// storeTime bounds one try to store a group.
const storeTime = 10 * time.Second

// errNotStored is what the waiting hear when the gateway ends before the bus
// took their events.
var errNotStored = errors.New("the gateway ended before the bus had stored it")

// entry is what one party wants stored together, in order.
type entry struct {
	evs []*events.Event
	// done hears nil when all are stored, errNotStored when the gateway ends
	// before. It must not block.
	done func(error)
}

// committer writes to SHARES in groups: whatever waits while one group is
// being stored goes with the next, in one atomic batch. It repeats until it
// has succeeded, so each event needs an id to be told apart by.
type committer struct {
	g   *Gateway
	log *slog.Logger

	mu      sync.Mutex
	waiting []entry
	closed  bool
	more    chan struct{} // capacity 1
}

func newCommitter(g *Gateway) *committer {
	return &committer{g: g, log: g.log, more: make(chan struct{}, 1)}
}

// store queues events and returns at once.
func (c *committer) store(done func(error), evs ...*events.Event) {
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.waiting = append(c.waiting, entry{evs, done})
	}
	c.mu.Unlock()
	if closed {
		done(errNotStored)
		return
	}
	poke(c.more)
}

// next takes a group of up to a batch from the front.
func (c *committer) next() (group []entry, evs []*events.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(c.waiting) && (n == 0 || len(evs)+len(c.waiting[n].evs) <= events.MaxBatch) {
		evs = append(evs, c.waiting[n].evs...)
		n++
	}
	group = c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	if len(c.waiting) == 0 {
		c.waiting = nil
	}
	return group, evs
}

// run stores until ctx ends. What is left then is told so.
func (c *committer) run(ctx context.Context) {
	defer c.close()
	for {
		group, evs := c.next()
		if len(group) == 0 {
			select {
			case <-c.more:
				continue
			case <-ctx.Done():
				return
			}
		}
		err := c.insist(ctx, evs)
		for _, e := range group {
			e.done(err)
		}
		if err != nil {
			return
		}
	}
}

func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	left := c.waiting
	c.waiting = nil
	c.mu.Unlock()
	for _, e := range left {
		e.done(errNotStored)
	}
}

// insist stores a group, however often it takes, until ctx ends.
func (c *committer) insist(ctx context.Context, evs []*events.Event) error {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	began := time.Now()
	return backoff.RetryNotify(func() error {
		try, cancel := context.WithTimeout(ctx, storeTime)
		defer cancel()
		_, err := c.g.bus.PublishBatch(try, events.StreamShares, evs...)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return backoff.Permanent(fmt.Errorf("%w: %w", errNotStored, err))
		}
		// Something of it may be stored, and longer ago than the stream
		// remembers ids: the stream itself knows. When all of it is, the next
		// try stores nothing, but still wants the lease.
		left, lerr := c.missing(try, evs, began)
		if lerr == nil {
			evs = left
		}
		return err
	}, backoff.WithContext(bo, ctx), func(err error, pause time.Duration) {
		c.log.Warn("shares and verdicts wait for the bus", "events", len(evs), "again_in", pause, "error", err)
	})
}

// missing are those of the events that SHARES does not hold.
func (c *committer) missing(ctx context.Context, evs []*events.Event, since time.Time) ([]*events.Event, error) {
	have := make(map[string]struct{})
	r := events.ReadRequest{
		Stream: events.StreamShares, Site: c.g.cfg.Site, Source: c.g.cfg.Gateway,
		// The server's clock may be another.
		Since: since.Add(-10 * time.Minute),
	}
	for e, err := range c.g.bus.Events(ctx, r) {
		if err != nil {
			if onlyOne(err) {
				continue
			}
			return nil, err
		}
		have[e.ID] = struct{}{}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return slices.DeleteFunc(slices.Clone(evs), func(e *events.Event) bool {
		_, ok := have[e.ID]
		return ok
	}), nil
}

// onlyOne reports whether an error of reading concerns one message only.
func onlyOne(err error) bool {
	var bad *events.DecodeError
	return errors.As(err, &bad)
}

// poke wakes whoever waits on a channel of capacity 1.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
