// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/workers/agent"
	"github.com/ballast-energy/ballast/workers/permit"
)

// Why a gateway does not serve, or no longer does.
var (
	// ErrRunning: another gateway of the same id runs.
	ErrRunning = errors.New("a gateway of this id runs already")
	// ErrLeaseLost: another gateway of the same id has taken over.
	ErrLeaseLost = errors.New("another gateway of this id has taken over")
)

const (
	// renewals of a lease in its time.
	renewals = 10
	// leaseCall bounds one call to the bucket.
	leaseCall = 5 * time.Second
	// releaseTime bounds giving the lease back.
	releaseTime = 2 * time.Second
	// A lease is neither shorter nor longer than these.
	leastLeaseTime, mostLeaseTime = 100 * time.Millisecond, 5 * time.Minute
)

// lease of a gateway's id: while it is held no other gateway of the id serves.
// Two would share one consumer of shares, and each would call the shares of the
// other's jobs stale.
//
// It is a key of the bucket of slices, changed by compare-and-set only. The
// holder rewrites it all the time. Who wants it takes it over when it is gone,
// when the holder's process has demonstrably ended, or when nobody has
// rewritten it for the holder's time: by the taker's own clock, from when it
// first saw that revision. The holder's own time runs from before it sent the
// newest rewriting that succeeded, and is shorter. So nobody's time of day
// matters.
type lease struct {
	log   *slog.Logger
	open  func(context.Context) (jetstream.KeyValue, error)
	key   string
	time  time.Duration
	me    holder
	clock func() permit.Instant
	// kick asks for a renewal at once.
	kick chan struct{}

	// Of acquire, and then of run.
	kv jetstream.KeyValue
	// seen revision of another holder, and since when.
	seen   uint64
	seenAt permit.Instant

	mu       sync.Mutex
	revision uint64
	// renewed is when the newest renewal that succeeded was sent.
	renewed permit.Instant
	held    bool
	lost    error
	// changed is closed and replaced when one of these changes.
	changed chan struct{}
}

// holder of a lease as the bucket knows it.
type holder struct {
	// Instance is the start of the gateway, in ids of its jobs.
	Instance string    `json:"instance"`
	Host     string    `json:"host"`
	Process  *process  `json:"process,omitempty"`
	Since    time.Time `json:"since"`
	// LeaseMilliseconds without a renewal after which the lease is over.
	LeaseMilliseconds int64 `json:"lease_milliseconds"`
}

// process tells a process from all others that there ever were.
type process struct {
	// Boot of the machine, and Namespace of the process ids.
	Boot      string `json:"boot"`
	Namespace string `json:"namespace"`
	PID       int    `json:"pid"`
	// Started, as the kernel counts it.
	Started string `json:"started"`
}

// String names the holder to people.
func (h *holder) String() string {
	s := "host " + h.Host
	if h.Process != nil {
		s += fmt.Sprintf(", process %d", h.Process.PID)
	}
	return fmt.Sprintf("%s, since %s (start %s)", s, h.Since.UTC().Format(time.RFC3339), h.Instance)
}

// time without a renewal after which the lease is over.
func (h *holder) time() time.Duration { return time.Duration(h.LeaseMilliseconds) * time.Millisecond }

// heldError says who holds the lease.
type heldError struct{ by holder }

func (e *heldError) Error() string {
	return fmt.Sprintf("%v: %s", ErrRunning, &e.by)
}

func (e *heldError) Unwrap() error { return ErrRunning }

func newLease(c *Config, instance string, open func(context.Context) (jetstream.KeyValue, error), log *slog.Logger) *lease {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &lease{
		log: log, open: open, key: fmt.Sprintf("lease.%s.%s", c.Site, c.Gateway), time: c.LeaseTime,
		me:    holder{Instance: instance, Host: host, Process: thisProcess(), LeaseMilliseconds: c.LeaseTime.Milliseconds()},
		clock: agent.Monotonic, kick: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

// acquire returns nil once the lease is held. When another holds it, it waits
// as a standby, or else until the other has shown that it lives; the error then
// names it. An error of ctx comes as it is.
func (l *lease) acquire(ctx context.Context, standby bool) error {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	var first uint64 // revision of the other that was seen first
	for {
		err := l.try(ctx)
		var other *heldError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.As(err, &other):
			pause := bo.NextBackOff()
			l.log.Warn("the lease of the gateway's id cannot be had yet", "again_in", pause, "error", err)
			l.wait(ctx, nil, pause)
			continue
		case !standby && first != 0 && first != l.seen:
			return other
		case first == 0:
			first = l.seen
			l.log.Warn("a gateway of this id runs or ran: this one waits for its lease", "other", other.by.String(), "standby", standby)
		}
		left := l.seenAt.Sub(l.clock()) + other.by.time()
		l.wait(ctx, l.kv, max(left, time.Millisecond))
	}
}

// wait until what was seen has changed, a time has passed or ctx ends.
func (l *lease) wait(ctx context.Context, kv jetstream.KeyValue, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var updates <-chan jetstream.KeyValueEntry
	if kv != nil {
		if w, err := kv.Watch(ctx, l.key); err == nil {
			defer func() { _ = w.Stop() }() // fails only when the connection is gone
			updates = w.Updates()
		} // else the time passes
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case u, ok := <-updates:
			if !ok {
				updates = nil
			} else if u != nil && u.Revision() != l.seen {
				return
			}
		}
	}
}

// try takes the lease if it is free; a heldError names who has it.
func (l *lease) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseCall)
	defer cancel()
	if l.kv == nil {
		kv, err := l.open(ctx)
		if err != nil {
			return err
		}
		l.kv = kv
	}
	have, err := l.kv.Get(ctx, l.key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return l.seize(ctx, 0)
	case err != nil:
		return fmt.Errorf("lease %s: %w", l.key, err)
	}
	if have.Revision() != l.seen {
		l.seen, l.seenAt = have.Revision(), l.clock()
	}
	other := holder{Host: "unknown", LeaseMilliseconds: l.time.Milliseconds()}
	if err := json.Unmarshal(have.Value(), &other); err != nil {
		l.log.Warn("lease: a value that is none", "key", l.key, "error", err)
	}
	// A lease of a hundred years that somebody wrote there is not waited out.
	other.LeaseMilliseconds = min(max(other.LeaseMilliseconds, 0), mostLeaseTime.Milliseconds())
	over := l.clock().Sub(l.seenAt) >= other.time()
	if other.Instance == l.me.Instance || over || other.Process != nil && other.Process.gone() {
		return l.seize(ctx, have.Revision())
	}
	return &heldError{other}
}

// seize writes the lease over a revision; 0 is none.
func (l *lease) seize(ctx context.Context, over uint64) error {
	l.me.Since = time.Now().UTC()
	sent := l.clock()
	revision, err := l.write(ctx, over)
	if err != nil {
		return fmt.Errorf("lease %s: %w", l.key, err)
	}
	l.set(func() { l.held, l.revision, l.renewed = true, revision, sent })
	return nil
}

func (l *lease) write(ctx context.Context, over uint64) (uint64, error) {
	text, err := json.Marshal(&l.me)
	if err != nil {
		return 0, err
	}
	if over == 0 {
		return l.kv.Create(ctx, l.key, text)
	}
	return l.kv.Update(ctx, l.key, text, over)
}

func (l *lease) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	close(l.changed)
	l.changed = make(chan struct{})
}

// run renews the lease until ctx ends, or until it is lost, of which onLost
// hears. It is called once the lease is held.
func (l *lease) run(ctx context.Context, onLost func(error)) {
	tick := time.NewTicker(l.time / renewals)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.kick:
		}
		err := l.renew(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, ErrLeaseLost):
			l.set(func() { l.lost = err })
			onLost(err)
			return
		default:
			l.log.Warn("the lease of the gateway's id could not be renewed", "error", err)
		}
	}
}

// renew rewrites the lease. After a failure what is there tells what to do.
func (l *lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaseCall)
	defer cancel()
	l.mu.Lock()
	revision := l.revision
	l.mu.Unlock()
	sent := l.clock()
	now, err := l.write(ctx, revision)
	if err == nil {
		l.set(func() { l.revision, l.renewed = now, sent })
		return nil
	}
	have, look := l.kv.Get(ctx, l.key)
	switch {
	case errors.Is(look, jetstream.ErrKeyNotFound):
		revision = 0 // deleted by hand
	case look != nil:
		return err
	default:
		var is holder
		if json.Unmarshal(have.Value(), &is) != nil || is.Instance != l.me.Instance {
			return fmt.Errorf("%w: %s", ErrLeaseLost, &is)
		}
		revision = have.Revision() // written before, and nobody heard of it
	}
	l.set(func() { l.revision = revision })
	return err
}

// hold returns nil while the lease is held for certain, and waits for that
// otherwise: for the next renewal. The error wraps ErrLeaseLost when there will
// be none.
func (l *lease) hold(ctx context.Context) error {
	return l.await(ctx, func() bool {
		// Short of its whole time, for what is done upon it takes time, too.
		return l.clock().Sub(l.renewed) < l.time*8/10
	})
}

// confirm returns nil when the lease was held at some time since the call: no
// gateway of this id has begun before it.
func (l *lease) confirm(ctx context.Context) error {
	began := l.clock()
	return l.await(ctx, func() bool { return l.renewed >= began })
}

func (l *lease) await(ctx context.Context, ok func() bool) error {
	for {
		l.mu.Lock()
		lost, good, changed := l.lost, l.held && ok(), l.changed
		l.mu.Unlock()
		switch {
		case lost != nil:
			return lost
		case good:
			return nil
		}
		poke(l.kick)
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("lease of the gateway's id: %w", ctx.Err())
		}
	}
}

// isLost reports whether another has the lease.
func (l *lease) isLost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost != nil
}

// release gives the lease back, so that the next start need not wait. run has
// ended.
func (l *lease) release() {
	l.mu.Lock()
	revision, mine := l.revision, l.held && l.lost == nil
	l.held = false
	l.mu.Unlock()
	if !mine {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTime)
	defer cancel()
	if err := l.kv.Delete(ctx, l.key, jetstream.LastRevision(revision)); err != nil {
		l.log.Info("the lease of the gateway's id was not given back: it runs out by itself", "error", err)
	}
}
