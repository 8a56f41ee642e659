// SPDX-License-Identifier: Apache-2.0

package downstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/stratum/server"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// ErrNotJoined is what shares get before Join.
var ErrNotJoined = errors.New("the server is not joined with a gateway yet")

// Server is what a joint needs of the server; *server.Server is one.
type Server interface {
	OpenSession(session string, slice []byte) error
	SetJob(j *upstream.Job) error
	CloseSession(session string)
	Stats() server.Stats
}

// Gateway is what a joint needs of the gateway; *gateway.Gateway is one.
type Gateway interface {
	Downstream(s gateway.DownstreamShare, done func(error))
}

// Widener is a Gateway that does something about miners for whom there is no
// room: raise an alert, open another session.
type Widener interface {
	// DownstreamRoom is called as server.Config.OnFull is: once when there is
	// no room left, every 10 s as long as that lasts, and once with Full unset
	// when there is again. Calls come one at a time and may block.
	DownstreamRoom(r gateway.DownstreamRoom)
}

// Alerter is a Gateway that tells people that miners get no work.
type Alerter interface {
	// DownstreamTrouble hears why the server cannot hand out the newest job of
	// a session, and nil once it can for all sessions.
	DownstreamTrouble(err error)
}

// Joint is the seam between a server and a gateway.
type Joint struct {
	log *slog.Logger

	mu      sync.Mutex
	server  Server
	gateway Gateway
	waiting []order
	more    chan struct{} // capacity 1
	// open sessions that the server was told of, with their slices. Run's.
	open map[string]string
	// failing sessions, whose newest job the server does not hand out. Run's.
	failing map[string]struct{}
}

// order is a job to hand out, or the end of a session.
type order struct {
	session string
	job     *upstream.Job // nil: the end
	slice   []byte
}

var _ server.Sink = (*Joint)(nil)

// New makes a joint; a nil logger discards.
func New(log *slog.Logger) *Joint {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Joint{log: log, more: make(chan struct{}, 1), open: make(map[string]string), failing: make(map[string]struct{})}
}

// Join names the two sides. It is called once, before Run.
func (j *Joint) Join(s Server, g Gateway) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.server, j.gateway = s, g
}

// Job is a gateway's Config.OnJob: the server hands the job out soon.
func (j *Joint) Job(job *upstream.Job, slice []byte) {
	j.order(order{session: job.Session, job: job, slice: slices.Clone(slice)})
}

// Closed is a gateway's Config.OnClosed.
func (j *Joint) Closed(session string) { j.order(order{session: session}) }

func (j *Joint) order(o order) {
	j.mu.Lock()
	// Only the newest of a session matters, whether it goes on or ends.
	j.waiting = append(slices.DeleteFunc(j.waiting, func(w order) bool { return w.session == o.session && !clean(w, o) }), o)
	j.mu.Unlock()
	select {
	case j.more <- struct{}{}:
	default:
	}
}

// clean reports whether leaving w out for o would hide from the miners that
// their work is void.
func clean(w, o order) bool { return w.job != nil && w.job.Clean && o.job != nil && !o.job.Clean }

// Connections is a gateway's Config.Connections.
func (j *Joint) Connections() int64 {
	j.mu.Lock()
	s := j.server
	j.mu.Unlock()
	if s == nil {
		return 0
	}
	return s.Stats().Connections
}

// Full is a server's Config.OnFull. A gateway that is a Widener hears of it.
func (j *Joint) Full(r server.Room) {
	j.mu.Lock()
	w, ok := j.gateway.(Widener)
	j.mu.Unlock()
	if r.Full {
		j.log.Warn("the sessions have no room for more miners", "sessions", r.Sessions, "places", r.Slots, "waiting", r.Waiting)
	} else {
		j.log.Info("there is room for miners", "sessions", r.Sessions, "places", r.Slots, "used", r.Used)
	}
	if ok {
		w.DownstreamRoom(gateway.DownstreamRoom(r))
	}
}

// Run hands jobs to the server until ctx ends; it returns nil then.
func (j *Joint) Run(ctx context.Context) error {
	for {
		j.mu.Lock()
		orders, s := j.waiting, j.server
		j.waiting = nil
		j.mu.Unlock()
		for _, o := range orders {
			if o.job == nil {
				s.CloseSession(o.session)
				delete(j.open, o.session)
				j.outcome(o.session, nil)
				continue
			}
			slice, open := j.open[o.session]
			if open && slice != string(o.slice) {
				// The extranonce has changed, and with it what is ours of it.
				s.CloseSession(o.session)
				open = false
			}
			if !open {
				if err := s.OpenSession(o.session, o.slice); err != nil {
					j.outcome(o.session, fmt.Errorf("session %s: %w", o.session, err))
					continue
				}
				j.open[o.session] = string(o.slice)
			}
			j.outcome(o.session, s.SetJob(o.job))
		}
		select {
		case <-j.more:
		case <-ctx.Done():
			return nil
		}
	}
}

// outcome of an order.
func (j *Joint) outcome(session string, err error) {
	if err != nil {
		j.failing[session] = struct{}{}
		j.log.Warn("miners get no work of a job", "session", session, "error", err)
	} else {
		if _, was := j.failing[session]; !was {
			return
		}
		delete(j.failing, session)
		if len(j.failing) > 0 {
			return
		}
	}
	j.mu.Lock()
	a, ok := j.gateway.(Alerter)
	j.mu.Unlock()
	if ok {
		a.DownstreamTrouble(err)
	}
}

// Take implements server.Sink.
func (j *Joint) Take(s server.Share, done func(error)) {
	j.mu.Lock()
	g := j.gateway
	j.mu.Unlock()
	if g == nil {
		done(ErrNotJoined)
		return
	}
	g.Downstream(gateway.DownstreamShare{
		Unit: s.Worker, Job: s.Job, Extranonce2: s.Extranonce2, Header: s.Header, Hash: s.Hash, Difficulty: s.Difficulty, Block: s.Block,
	}, func(err error) {
		switch {
		case errors.Is(err, gateway.ErrDuplicate):
			err = fmt.Errorf("%w: %w", server.ErrDuplicate, err)
		case errors.Is(err, gateway.ErrSessionClosed):
			err = fmt.Errorf("%w: %w", server.ErrStale, err)
		}
		done(err)
	})
}
