// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/workers/stratum"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// session is one life of a connection. Three goroutines serve it: one reads
// and handles messages, one writes, one watches the clock.
type session struct {
	c    *Client
	e    *endpoint
	conn net.Conn
	sink upstream.Sink
	id   string
	over chan struct{} // closed when reading has ended

	// turn is held while a message or the clock is handled, and so while the
	// sink is called: one call at a time.
	turn sync.Mutex
	opening
	flow

	// mu guards what Submit and the writer share with the rest. It is never
	// held over a call to a sink or a done.
	mu    sync.Mutex
	ready sync.Cond // the writer has something to do
	traffic
	ended   bool // the cause is set
	cause   error
	outcome ending
	leaving time.Time // when the connection closes at the latest, zero while it shall stay
	closed  bool      // nothing is taken or written any more
}

func newSession(c *Client, e *endpoint, conn net.Conn, sink upstream.Sink, id string) *session {
	s := &session{c: c, e: e, conn: conn, sink: sink, id: id, over: make(chan struct{})}
	s.ready.L = &s.mu
	s.outstanding = map[uint64]*pending{}
	s.control = map[uint64]request{}
	return s
}

// serve runs the session to its end.
func (s *session) serve(ctx context.Context) ending {
	stop := context.AfterFunc(ctx, func() { s.leave(nil, ending{}) })
	defer stop()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	s.open(time.Now())
	wg.Go(s.write)
	wg.Go(s.watch)
	if s.e.index != 0 {
		wg.Go(func() { s.watchPrimary(inner) })
	}
	err := s.read()
	s.fail(s.connectionError(err))
	close(s.over)
	cancel()
	hangUp(s.conn)
	wg.Wait()
	s.settle()

	// Nobody else is left: no lock is needed from here on.
	s.outcome.paid = !s.taken.IsZero()
	if s.opened {
		s.outcome.settled = s.outcome.settled || time.Since(s.openedAt) >= s.c.cfg.Timing.Settled
		s.c.log.Info("session with the pool closed", "pool", s.c.cfg.Pool, "session", s.id, "cause", s.cause)
		s.sink.Closed(s.id, s.cause)
	} else if ctx.Err() == nil {
		s.c.log.Warn("no session with the pool", "pool", s.c.cfg.Pool, "address", s.e.address(), "error", s.cause)
		s.sink.Trouble(s.cause)
	}
	return s.outcome
}

// read handles messages until the connection ends.
func (s *session) read() error {
	r := stratum.NewReader(s.conn, 0)
	var m stratum.Message
	for {
		err := r.Next(&m)
		now := time.Now()
		switch {
		case err == nil:
			s.turn.Lock()
			s.heard = now
			s.handle(&m, now)
			s.turn.Unlock()
		case stratum.Recoverable(err):
			s.turn.Lock()
			s.heard = now
			s.complain(fmt.Errorf("pool %s: a message cannot be read: %w", s.e.address(), err))
			s.turn.Unlock()
		default:
			return err
		}
	}
}

// connectionError says why reading ended when nothing else was the cause. It
// also notes pools that hang up on what they do not know.
func (s *session) connectionError(err error) error {
	if s.heard.IsZero() && s.sent() && !errors.Is(err, net.ErrClosed) {
		s.e.terse = !s.e.terse
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("pool %s closed the connection", s.e.address())
	}
	return fmt.Errorf("pool %s: %w", s.e.address(), err)
}

// fail ends the session at once. The first cause counts.
func (s *session) fail(cause error) { s.end(cause, ending{}, false) }

// refuse is fail after which the next endpoint has its turn.
func (s *session) refuse(cause error) { s.end(cause, ending{refused: true}, false) }

// bar is refuse after which this endpoint is left alone for a while: it wants
// no shares of our account.
func (s *session) bar(format string, args ...any) {
	s.end(&upstream.AccountError{Address: s.e.address(), Err: fmt.Errorf(format, args...)}, ending{refused: true, barred: true}, false)
}

// leave ends the session by our own will: what has been written may still be
// answered for a moment.
func (s *session) leave(cause error, outcome ending) { s.end(cause, outcome, true) }

func (s *session) end(cause error, outcome ending, gently bool) {
	s.mu.Lock()
	if !s.ended {
		s.ended, s.cause, s.outcome = true, cause, outcome
	}
	now := time.Now()
	if !gently || s.idle() {
		s.leaving = now
	} else if s.leaving.IsZero() {
		s.leaving = now.Add(s.c.cfg.Timing.Drain)
	}
	done := !s.leaving.After(now)
	s.closed = s.closed || done
	s.ready.Broadcast()
	s.mu.Unlock()
	if done {
		hangUp(s.conn)
	}
}

// complain reports a message that makes no sense. turn is held.
func (s *session) complain(err error) {
	const most = 100
	s.c.log.Warn("the pool sends what makes no sense", "pool", s.c.cfg.Pool, "error", err)
	s.sink.Trouble(err)
	if s.bad++; s.bad >= most {
		s.fail(fmt.Errorf("pool %s sent %d messages that make no sense, the last: %w", s.e.address(), s.bad, err))
	}
}

// watch looks at the clock until the session is over.
func (s *session) watch() {
	t := s.c.cfg.Timing
	period := min(t.Reply, t.Grace, t.FirstJob, t.NoJob, t.Silence, t.Drain) / 8
	tick := time.NewTicker(min(max(period, time.Millisecond), 500*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.over:
			return
		case now := <-tick.C:
			s.turn.Lock()
			s.tick(now)
			s.turn.Unlock()
		}
	}
}

// tick does what is due. turn is held.
func (s *session) tick(now time.Time) {
	t := s.c.cfg.Timing
	s.mu.Lock()
	done := !s.leaving.IsZero() && (s.idle() || !now.Before(s.leaving))
	s.closed = s.closed || done
	s.mu.Unlock()
	if done {
		hangUp(s.conn)
		return
	}
	switch {
	case !s.subscribed:
		if now.Sub(s.began) > t.Reply {
			s.fail(fmt.Errorf("pool %s did not answer mining.subscribe within %s", s.e.address(), t.Reply))
		}
		return
	case !s.opened:
		s.openWhenReady(now)
	}
	switch quiet := now.Sub(s.subscribedAt); {
	case s.issued == 0 && quiet > t.FirstJob+t.NoJob:
		s.fail(fmt.Errorf("pool %s sent no usable job for %s", s.e.address(), t.FirstJob+t.NoJob))
	case s.issued == 0 && quiet > t.FirstJob && !s.nudged:
		s.nudged = true
		s.suggest()
	case s.issued > 0 && now.Sub(s.lastNotify) > t.Silence:
		s.fail(fmt.Errorf("pool %s sent no job for %s", s.e.address(), t.Silence))
	}
	if s.redirect != nil && !now.Before(s.redirectAt) {
		s.leave(fmt.Errorf("pool %s sent us to %s", s.e.address(), s.redirect.address()), ending{redirect: s.redirect})
		s.redirect = nil
	}
	s.expire(now)
}
