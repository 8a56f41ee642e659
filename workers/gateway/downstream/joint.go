// SPDX-License-Identifier: Apache-2.0

package downstream

import (
	"bytes"
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
	WidenSession(session string, slice []byte) error
	Room() server.Room
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
	// when there is again; and when what was added is not enough. Calls may
	// come at the same time, and block.
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
	// open sessions that the server was told of. Run's.
	open map[string]division
	// failing sessions, whose newest job the server does not hand out. Run's.
	failing map[string]struct{}
}

// order is a job to hand out, another slice, or the end of a session.
type order struct {
	session string
	job     *upstream.Job // nil: the end
	slice   []byte
	// another: the slice comes to those that the session has in the extranonce
	// of the job, which has been handed out.
	another bool
}

// division is what the server was told of a session's extranonce: the first
// slice, and the newest job that it has taken.
type division struct {
	slice string
	job   *upstream.Job
}

// of reports whether the extranonces of a job were divided.
func (d division) of(j *upstream.Job) bool {
	return d.job != nil && bytes.Equal(d.job.Extranonce1, j.Extranonce1) && d.job.Extranonce2Bytes == j.Extranonce2Bytes
}

var _ server.Sink = (*Joint)(nil)

// New makes a joint; a nil logger discards.
func New(log *slog.Logger) *Joint {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Joint{log: log, more: make(chan struct{}, 1), open: make(map[string]division), failing: make(map[string]struct{})}
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

// Slice is a gateway's Config.OnSlice: the server has it soon.
func (j *Joint) Slice(job *upstream.Job, slice []byte) {
	j.order(order{session: job.Session, job: job, slice: slices.Clone(slice), another: true})
}

// Closed is a gateway's Config.OnClosed.
func (j *Joint) Closed(session string) { j.order(order{session: session}) }

func (j *Joint) order(o order) {
	j.mu.Lock()
	// Only the newest of a session matters, whether it goes on or ends.
	j.waiting = append(slices.DeleteFunc(j.waiting, func(w order) bool { return w.session == o.session && !clean(w, o) && !adds(w, o) }), o)
	j.mu.Unlock()
	select {
	case j.more <- struct{}{}:
	default:
	}
}

// clean reports whether leaving w out for o would hide from the miners that
// their work is void.
func clean(w, o order) bool { return w.job != nil && w.job.Clean && o.job != nil && !o.job.Clean }

// adds reports whether one of both is a slice besides the job that the other
// is, or another slice.
func adds(w, o order) bool { return o.job != nil && (w.another || o.another) }

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
	if r.Full {
		j.log.Info("the sessions have no room for more miners", "sessions", r.Sessions, "places", r.Slots, "waiting", r.Waiting)
	} else {
		j.log.Info("there is room for miners", "sessions", r.Sessions, "places", r.Slots, "used", r.Used)
	}
	j.tell(r)
}

func (j *Joint) tell(r server.Room) {
	j.mu.Lock()
	w, ok := j.gateway.(Widener)
	j.mu.Unlock()
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
			switch {
			case o.another:
			case o.job == nil:
				s.CloseSession(o.session)
				delete(j.open, o.session)
				j.outcome(o.session, nil)
			default:
				j.outcome(o.session, j.hand(s, o))
			}
		}
		// Slices come to the job that is newest.
		widened := false
		for _, o := range orders {
			widened = o.another && j.widen(s, o) || widened
		}
		if r := s.Room(); widened && r.Full {
			j.tell(r) // it was not enough
		}
		select {
		case <-j.more:
		case <-ctx.Done():
			return nil
		}
	}
}

// hand gives the server a job.
func (j *Joint) hand(s Server, o order) error {
	have, open := j.open[o.session]
	if open && have.slice != string(o.slice) {
		// The extranonce has changed, and with it what is ours of it.
		s.CloseSession(o.session)
		open = false
	}
	if !open {
		if err := s.OpenSession(o.session, o.slice); err != nil {
			return fmt.Errorf("session %s: %w", o.session, err)
		}
		j.open[o.session] = division{slice: string(o.slice)}
	}
	if err := s.SetJob(o.job); err != nil {
		return err
	}
	j.open[o.session] = division{string(o.slice), o.job}
	return nil
}

// widen gives the server another slice of a session, unless the session has
// got another extranonce or has ended meanwhile.
func (j *Joint) widen(s Server, o order) bool {
	if !j.open[o.session].of(o.job) {
		return false
	}
	if err := s.WidenSession(o.session, o.slice); err != nil {
		j.log.Warn("miners get no room in a session", "session", o.session, "error", err)
		return false
	}
	return true
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
