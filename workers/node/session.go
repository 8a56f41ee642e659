// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// errReturned closes a session on another node when the first is back.
var errReturned = errors.New("the first node is back")

// failuresBeforeLeaving a node for another one.
const failuresBeforeLeaving = 3

// tipEvery is how often the node is asked for its best block: it keeps the
// connection for blocks warm, and finds what a longpoll has missed. Without
// longpoll it is all there is.
const (
	tipEvery            = 5 * time.Second
	tipEveryWithoutPoll = time.Second
	// pollPause keeps a node that answers every longpoll at once, with nothing
	// new, from being asked without end.
	pollPause = time.Second
)

// session is the time from taking up a node to leaving it.
type session struct {
	upstream.Session
	node        *Node
	peer        *peer
	sink        *lockedSink
	extranonce1 []byte
	results     chan result

	mu  sync.Mutex
	cur *template
}

// result of a call for a template, or of a look at the first node.
type result struct {
	t        *template
	err      error
	polled   bool // by longpoll
	returned bool // the first node can be had again
	at       time.Time
}

// serve hands out jobs until ctx ends or the node is to be left, and says why.
func (s *session) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.watch(ctx) })
	wg.Go(func() { s.current().txs.hex() })
	if s.current().longPollID != "" {
		wg.Go(func() { s.poll(ctx) })
	}
	if !s.Primary {
		wg.Go(func() { s.lookForPrimary(ctx) })
	}
	failures, last := 0, time.Now()
	for {
		var r result
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r = <-s.results:
		}
		if r.err == nil && r.t != nil {
			r.err = s.take(ctx, r)
			if t := s.current(); t == r.t {
				wg.Go(func() { t.txs.hex() }) // a block can then go at once
			}
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case r.returned:
			return errReturned
		case r.err == nil:
			failures, last = 0, time.Now()
			continue
		}
		s.sink.Trouble(r.err)
		if r.polled {
			continue // the timer tells whether the node is there
		}
		failures++
		if failures >= failuresBeforeLeaving && s.node.alternatives() || time.Since(last) > s.node.config.Grace {
			return r.err
		}
	}
}

// alternatives reports whether there is another node to go to.
func (n *Node) alternatives() bool {
	usable := 0
	for _, p := range n.peers {
		if p.wrong.Load() == nil {
			usable++
		}
	}
	return usable > 1
}

func (s *session) current() *template {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cur
}

func (s *session) setCurrent(t *template) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur = t
}

// deliver hands a result to serve.
func (s *session) deliver(ctx context.Context, r result) {
	r.at = time.Now()
	select {
	case s.results <- r:
	case <-ctx.Done():
	}
}

// watch takes templates by the clock, when asked to, and when the tip is not
// the one that is mined on.
func (s *session) watch(ctx context.Context) {
	every := tipEvery
	if s.current().longPollID == "" {
		every = tipEveryWithoutPoll
	}
	tip := time.NewTicker(min(every, s.node.config.Refresh))
	defer tip.Stop()
	refresh := time.NewTimer(s.node.config.Refresh)
	defer refresh.Stop()
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-refresh.C:
		case <-s.node.nudge:
		case <-tip.C:
			if failing {
				continue // the retry's pace holds
			}
			if best, err := s.peer.tip(ctx); err == nil && best == s.current().prev {
				continue
			}
		}
		call, cancel := context.WithTimeout(ctx, callTimeout)
		t, err := s.node.fetch(call, s.peer, "")
		cancel()
		next := s.node.config.Refresh
		if failing = err != nil; failing {
			next = retry.NextBackOff()
		} else {
			retry.Reset()
		}
		refresh.Reset(next)
		s.deliver(ctx, result{t: t, err: err})
	}
}

// poll keeps a call parked at the node that comes back when there is something
// new (BIP 22, longpoll).
func (s *session) poll(ctx context.Context) {
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(200*time.Millisecond),
		backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
	id := s.current().longPollID
	for {
		began := time.Now()
		call, cancel := context.WithTimeout(ctx, longPollTimeout)
		t, err := s.node.fetch(call, s.peer, id)
		expired := call.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return
		}
		pause := time.Duration(0)
		switch {
		case err != nil && expired: // nothing new
		case err != nil:
			s.deliver(ctx, result{err: fmt.Errorf("longpoll: %w", err), polled: true})
			s.node.refresh()
			pause = retry.NextBackOff()
		default:
			retry.Reset()
			if t.prev == s.current().prev && time.Since(began) < pollPause {
				pause = pollPause
			}
			if t.longPollID != "" {
				id = t.longPollID
			}
			s.deliver(ctx, result{t: t, polled: true})
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// lookForPrimary looks now and then whether the first node can be had and is
// not behind.
func (s *session) lookForPrimary(ctx context.Context) {
	ticker := time.NewTicker(s.node.config.PrimaryRetry)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		p := s.node.peers[0]
		if p.wrong.Load() != nil {
			return
		}
		t, err := s.node.probe(ctx, p)
		if err != nil {
			s.node.config.Log.Debug("the first node is still away", "node", p.String(), "error", err)
			continue
		}
		if t.height >= s.current().height {
			s.deliver(ctx, result{returned: true})
			return
		}
	}
}

// take makes a job of a template, if it is something new. An error counts as a
// failure of the node.
func (s *session) take(ctx context.Context, r result) error {
	t, cur := r.t, s.current()
	if t.prev == cur.prev {
		if t.height != cur.height {
			return fmt.Errorf("node %s: %w: two heights, %d and %d, behind the same block", s.peer, ErrTemplate, cur.height, t.height)
		}
		// The time of a job has to move on, but not with every answer.
		age := time.Duration(int64(t.now)-int64(cur.now)) * time.Second
		if t.same(cur) && age >= 0 && age < s.node.config.Refresh/2 {
			return nil
		}
		return s.issueAt(t, r.at)
	}
	if t.height <= cur.height {
		// Back, or aside. An answer that was overtaken by another says the
		// same; the node's own best block tells them apart.
		best, err := s.peer.tip(ctx)
		if err != nil {
			return err
		}
		if best != t.prev {
			s.node.config.Log.Info("an old template came late and is dropped", "node", s.peer.String(), "height", t.height, "mining", cur.height)
			if best != cur.prev {
				s.node.refresh()
			}
			return nil
		}
		if t.height < cur.height || s.node.store.seen(t.prev) {
			s.sink.Trouble(fmt.Errorf("node %s went back from height %d (on block %s) to %d (on block %s): its chain was reorganised or cut; following it", s.peer, cur.height, cur.prev, t.height, t.prev))
		}
	}
	return s.issueAt(t, r.at)
}

func (s *session) issue(t *template) error { return s.issueAt(t, time.Now()) }

// issueAt turns a template into a job and hands it out.
func (s *session) issueAt(t *template, at time.Time) error {
	n, cur := s.node, s.current()
	parts, err := coinbase.Build(coinbase.Spec{
		Height: t.height, ValueSats: t.valueSats, Payout: n.payout, Commitment: t.commitment, Aux: t.aux, Tag: n.config.Tag,
		Extranonce1Bytes: len(s.extranonce1), Extranonce2Bytes: Extranonce2Bytes,
	})
	if err != nil {
		return fmt.Errorf("node %s: %w", s.peer, err)
	}
	n.store.keep(t)
	n.keeper.put(t)
	s.setCurrent(t)
	s.sink.Job(&upstream.Job{
		Session: s.ID, ID: fmt.Sprintf("%x", n.jobs.Add(1)),
		Version: t.version, VersionMask: t.rollable & hashengine.VersionRollingMask, PrevHash: t.prev,
		Coinbase1: parts.Before, Coinbase2: parts.After,
		Extranonce1: slices.Clone(s.extranonce1), Extranonce2Bytes: Extranonce2Bytes,
		Branches: slices.Clone(t.branches),
		NTime:    t.now, MinTime: t.min, MaxTime: t.max,
		Bits: t.bits, Height: t.height, Difficulty: difficultyText(t.target),
		Clean:    cur == nil || cur.prev != t.prev,
		Terms:    upstream.Terms{Scheme: events.SchemeSolo, RewardSats: t.valueSats, FeesSats: max(t.valueSats-n.network.Subsidy(t.height), 0), Basis: n.config.Basis},
		Received: at,
	})
	return nil
}
