// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/judge"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// Gateway stands between one upstream and the bus.
type Gateway struct {
	cfg Config
	bus Bus
	log *slog.Logger
	// instance tells this start of the gateway from others, in job ids.
	instance string
	began    time.Time

	lease   *lease
	room    roomAsked
	commits *committer
	alarms  *alarms
	// wake tells the dispatcher that an upstream said something.
	wake chan struct{}
	// news tells the speaker that the status has changed.
	news chan struct{}

	mu sync.Mutex
	// links are the connections to the upstream.
	links    []*link
	sessions map[*link]map[string]*session
	issued   *issues
	seen     *judge.Seen
	flights  map[string]*flight // by the id of the verdict to be
	past     past
	// easiest network target of late as hex, to sort out by the id of a share
	// what cannot be a block.
	easiest string
	blocks  map[string]*pendingBlock // by hash
	account account
	state   state
	foreign *foreignWork
	below   belowJobs

	// flown is poked whenever a flight ends.
	flown chan struct{}
	// running counts short side tasks: blocks on their way around the queue.
	running sync.WaitGroup
	// lookups bounds how many shares are looked for in JOBS at a time.
	lookups chan struct{}
	// ending is closed when Run is to end.
	ending chan struct{}
}

// state is what the status tells.
type state struct {
	upstream events.UpstreamState
	detail   string
	// newest task handed out, nil when there is none.
	newest *task
	agents int64
}

// New checks the configuration. Nothing is sent before Run.
func New(cfg Config, b Bus) (*Gateway, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("gateway %q: %w", cfg.Gateway, err)
	}
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	g := &Gateway{
		cfg: cfg, log: cfg.Logger.With("gateway", cfg.Gateway),
		instance: hex.EncodeToString(id[:]), began: cfg.Now(),
		wake: make(chan struct{}, 1), news: make(chan struct{}, 1), flown: make(chan struct{}, 1),
		ending: make(chan struct{}), lookups: make(chan struct{}, 16),
		sessions: make(map[*link]map[string]*session), issued: newIssues(), seen: judge.NewSeen(),
		flights: make(map[string]*flight),
		blocks:  make(map[string]*pendingBlock), foreign: newForeignWork(), below: make(belowJobs),
	}
	g.state.upstream = events.UpstreamConnecting
	g.lease = newLease(&cfg, g.instance, b.SliceStore, g.log)
	g.bus = leased{b, g.lease}
	g.commits, g.alarms = newCommitter(g), newAlarms(g)
	return g, nil
}

// Stats of the gateway since it was made.
func (g *Gateway) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.account.Stats
}

// Run serves until ctx ends, and then finishes what is under way, for
// Config.DrainTime at most. It returns nil then. An error comes when the
// upstream itself cannot go on for a reason that no retry mends; when another
// gateway of the id runs (ErrRunning), with nothing done; and when one has
// taken over (ErrLeaseLost): shares without a verdict are left to that one. It
// may be called once.
func (g *Gateway) Run(ctx context.Context) error {
	if err := g.lease.acquire(ctx, g.cfg.Standby); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("gateway %s of %s: %w; give this one an id of its own (--id), or end the other first", g.cfg.Gateway, g.cfg.Site, err)
	}
	g.cfg.OnServe()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	context.AfterFunc(ctx, func() { close(g.ending) })
	// What outlives ctx until the last verdict is stored.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	line, hangUp := context.WithCancel(life)
	defer hangUp()

	var stores, lines, loops sync.WaitGroup
	stores.Go(func() { g.commits.run(life) })
	stores.Go(func() {
		g.lease.run(life, func(err error) {
			g.takenOver(err)
			cancel(err)
			// Nothing can be stored, so there is nothing to wait for.
			end()
		})
	})
	connect := func(u upstream.Upstream) {
		l := &link{up: u, wake: g.wake}
		g.mu.Lock()
		g.links = append(g.links, l)
		g.sessions[l] = make(map[string]*session)
		g.mu.Unlock()
		lines.Go(func() {
			err := u.Run(line, l)
			if err == nil || line.Err() != nil {
				return
			}
			g.mu.Lock()
			first := g.links[0] == l
			g.mu.Unlock()
			if first {
				cancel(&fatalError{err})
			} else {
				l.Trouble(err)
			}
		})
	}
	connect(g.cfg.Upstream)
	d := newDispatcher(g, connect)
	loops.Go(func() { d.run(ctx) })
	loops.Go(func() { d.quoter.run(ctx) })
	loops.Go(func() { g.watchBlocks(ctx) })
	loops.Go(func() { g.confirm(ctx) })
	loops.Go(func() { g.speak(ctx) })
	loops.Go(func() { g.alarms.inherit(ctx) })
	g.consume(ctx) // ends after it has drained

	cause := context.Cause(ctx)
	loops.Wait()
	drain, stop := context.WithTimeout(life, g.cfg.DrainTime)
	defer stop()
	g.awaitFlights(drain)
	hangUp()
	lines.Wait() // every share submitted has its verdict now
	g.running.Wait()
	// The answers that came by that are stored, or it takes too long.
	last, stop := context.WithTimeout(life, g.cfg.DrainTime)
	defer stop()
	g.awaitFlights(last)
	g.alarms.close()
	end()
	stores.Wait()
	g.lease.release()
	if n := g.inFlight(); n > 0 {
		g.log.Warn("shares wait for the next start of the gateway", "shares", n)
	}
	if errors.Is(cause, ErrLeaseLost) {
		return fmt.Errorf("gateway %s of %s: %w; give each an id of its own (--id)", g.cfg.Gateway, g.cfg.Site, cause)
	}
	var fatal *fatalError
	if errors.As(cause, &fatal) {
		return fmt.Errorf("gateway %s: upstream %s: %w", g.cfg.Gateway, g.cfg.Upstream.Address(), fatal.err)
	}
	return nil
}

// fatalError is an upstream's end for good.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }

func (g *Gateway) inFlight() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.flights)
}

// awaitFlights waits until every share under way has its verdict stored.
func (g *Gateway) awaitFlights(ctx context.Context) {
	for g.inFlight() > 0 {
		select {
		case <-g.flown:
		case <-ctx.Done():
			return
		}
	}
}

// leased is the bus for who holds a lease: what is said of shares is stored as
// long as that is certain, and what waits to be stored is not written to the
// upstream. Should the lease run out while something is being stored, it counts
// as not stored.
type leased struct {
	Bus
	lease *lease
}

func (b leased) PublishBatch(ctx context.Context, stream string, evs ...*events.Event) (bus.BatchResult, error) {
	if err := b.lease.hold(ctx); err != nil {
		return bus.BatchResult{}, err
	}
	r, err := b.Bus.PublishBatch(ctx, stream, evs...)
	if err != nil {
		return r, err
	}
	return r, b.lease.hold(ctx)
}
