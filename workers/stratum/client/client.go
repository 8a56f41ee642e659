// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// failuresPerEndpoint before the next one has its turn.
const failuresPerEndpoint = 3

// Client is a pool as an upstream. Make it with New.
type Client struct {
	cfg       Config
	log       *slog.Logger
	endpoints []*endpoint
	roots     *x509.CertPool
	instance  string // first part of every session id
	started   atomic.Bool

	mu       sync.Mutex
	session  *session // nil while there is none
	sessions uint64   // made so far
}

var _ upstream.Upstream = (*Client)(nil)

// New checks the configuration and connects to nothing yet. No error quotes a
// URL, as there is a password in it.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("stratum client: %w", err)
	}
	c := &Client{cfg: cfg, log: cfg.Logger}
	for i, text := range cfg.URLs {
		e, err := parseEndpoint(text)
		if err != nil {
			return nil, fmt.Errorf("stratum client: pool URL %d: %w", i+1, err)
		}
		e.index = i
		e.pause = fullJitter(cfg.Timing)
		c.endpoints = append(c.endpoints, e)
	}
	if c.roots, err = tlsRoots(cfg.CAFile); err != nil {
		return nil, fmt.Errorf("stratum client: %w", err)
	}
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	c.instance = hex.EncodeToString(b[:])
	return c, nil
}

// fullJitter makes pauses of 0 to FirstPause, then 0 to twice that, up to 0 to
// LongestPause: spread over the whole interval, so that a thousand clients do
// not come back together.
func fullJitter(t Timing) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(t.FirstPause/2), backoff.WithMaxInterval(t.LongestPause/2), backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(1), backoff.WithMaxElapsedTime(0))
}

// ID implements upstream.Upstream.
func (c *Client) ID() string { return c.cfg.Pool }

// Address implements upstream.Upstream: that of the first URL.
func (c *Client) Address() string { return c.endpoints[0].address() }

// Run implements upstream.Upstream. It returns an error only when it is called
// a second time.
func (c *Client) Run(ctx context.Context, sink upstream.Sink) error {
	if c.started.Swap(true) {
		return errors.New("stratum client: Run was called twice; make another client")
	}
	var (
		at       = 0 // index of the endpoint whose turn it is
		failures = 0
		redirect *endpoint
	)
	for ctx.Err() == nil {
		next, rest := c.awake(at, time.Now())
		if next != at {
			at, failures, redirect = next, 0, nil
		}
		if rest > 0 {
			c.log.Warn("every pool refuses the account", "pool", c.cfg.Pool, "again_in", rest)
			wait(ctx, rest)
			continue
		}
		e := c.endpoints[at]
		if redirect != nil {
			e, redirect = redirect, nil
		}
		end := c.attempt(ctx, e, sink)
		if ctx.Err() != nil {
			return nil
		}
		c.endpoints[at].judge(end, c.cfg.Timing, time.Now())
		if end.settled {
			failures = 0
			c.endpoints[at].pause.Reset()
		}
		switch {
		case end.primary: // it has answered a probe
			at, failures = 0, 0
			c.endpoints[0].pause.Reset()
			continue
		case !end.settled:
			failures++
		}
		if redirect = end.redirect; failures >= failuresPerEndpoint || end.refused {
			at, failures, redirect = (at+1)%len(c.endpoints), 0, nil
		}
		wait(ctx, e.pause.NextBackOff())
	}
	return nil
}

// ending is how a try ended.
type ending struct {
	// settled: the session lived long enough for this not to be a failure.
	settled bool
	// primary: the first endpoint is back.
	primary bool
	// refused: it knows us and does not want us, so trying again at once makes
	// no sense. barred: it is our account that it does not want.
	refused, barred bool
	// paid: it has taken a share.
	paid bool
	// redirect is where the pool sent us.
	redirect *endpoint
}

// awake is the endpoint from at on that is not left alone just now; when all of
// them are, it is the first that will not be, and how long that takes.
func (c *Client) awake(at int, now time.Time) (next int, rest time.Duration) {
	for i := range c.endpoints {
		n := (at + i) % len(c.endpoints)
		left := c.endpoints[n].restUntil.Sub(now)
		if left <= 0 {
			return n, 0
		}
		if i == 0 || left < rest {
			next, rest = n, left
		}
	}
	return next, rest
}

// attempt connects once and serves the session to its end.
func (c *Client) attempt(ctx context.Context, e *endpoint, sink upstream.Sink) ending {
	conn, err := c.dial(ctx, e)
	if err != nil {
		if ctx.Err() == nil {
			c.log.Warn("no connection to the pool", "pool", c.cfg.Pool, "error", err)
			sink.Trouble(err)
		}
		return ending{}
	}
	c.mu.Lock()
	c.sessions++
	s := newSession(c, e, conn, sink, c.instance+"-"+strconv.FormatUint(c.sessions, 10))
	c.session = s
	c.mu.Unlock()
	end := s.serve(ctx)
	c.mu.Lock()
	c.session = nil
	c.mu.Unlock()
	return end
}

// Submit implements upstream.Upstream.
func (c *Client) Submit(share upstream.Submission, done func(upstream.Verdict)) {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s == nil || s.id != share.Session {
		done(upstream.Verdict{
			State: upstream.Rejected, Reason: events.RejectStale, Detail: "not written: the session of its job has closed", Answered: time.Now(),
		})
		return
	}
	s.submit(share, done)
}

// wait for d or the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
