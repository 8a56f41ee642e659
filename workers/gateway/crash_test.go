// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/upstream"
)

var errKilled = errors.New("killed")

// mortal kills its gateway at a publish boundary: nothing that the gateway does
// afterwards reaches the bus.
type mortal struct {
	*bus.Bus
	kill func()
	// left is how many batches pass; the one after kills before or after it is
	// stored.
	left  atomic.Int64
	after bool
	dead  atomic.Bool
}

func (m *mortal) die() error {
	m.dead.Store(true)
	m.kill()
	return errKilled
}

func (m *mortal) PublishBatch(ctx context.Context, stream string, evs ...*events.Event) (bus.BatchResult, error) {
	if m.dead.Load() {
		return bus.BatchResult{}, errKilled
	}
	if m.left.Add(-1) >= 0 {
		return m.Bus.PublishBatch(ctx, stream, evs...)
	}
	if m.after {
		if _, err := m.Bus.PublishBatch(ctx, stream, evs...); err != nil {
			return bus.BatchResult{}, err
		}
	}
	return bus.BatchResult{}, m.die()
}

func (m *mortal) Publish(ctx context.Context, evs ...*events.Event) error {
	if m.dead.Load() {
		return errKilled
	}
	return m.Bus.Publish(ctx, evs...)
}

func (m *mortal) PublishCore(evs ...*events.Event) error {
	if m.dead.Load() {
		return errKilled
	}
	return m.Bus.PublishCore(evs...)
}

func (m *mortal) PublishMsgs(ctx context.Context, msgs ...*nats.Msg) ([]bus.Stored, error) {
	if m.dead.Load() {
		return nil, errKilled
	}
	return m.Bus.PublishMsgs(ctx, msgs...)
}

// Fifty gateways die at a publish boundary, with answers of the pool under way
// or not. Whatever happens, each share ends with one verdict, accepted ones
// were accepted by the pool, and only shares that were written, or were about
// to be, and whose answer was not stored are unknown.
func TestFiftyKills(t *testing.T) {
	b := openBus(t)
	random := rand.New(rand.NewPCG(3, 4))
	total, extranonce := 0, 0
	written, accepted := map[string]bool{}, map[string]bool{}
	quick := func(c *gateway.Config) { c.DrainTime = time.Millisecond }
	r := newRig(t, b, "rig-1")
	var old []*events.ShareFound
	for life := range 50 {
		ctx, cancel := context.WithCancel(context.Background())
		m := &mortal{Bus: b, kill: cancel, after: life%2 == 0}
		m.left.Store(int64(random.IntN(6)))
		p := newPool("0.0000015")
		p.number = life * 2 // sessions of their own
		p.answer = func(s upstream.Submission) *upstream.Verdict {
			if s.Nonce%3 == 0 {
				return nil // the reply is outstanding
			}
			return &upstream.Verdict{State: upstream.Accepted}
		}
		g := newGateway(t, m, "gw-1", p, quick)
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		var w *events.WorkAssigned
		for ctx.Err() == nil && w == nil {
			publish(t, b, r.status(true))
			r.mu.Lock()
			if n := len(r.work); n > 0 {
				w = r.work[n-1]
			}
			r.work = nil
			r.mu.Unlock()
			if w == nil {
				select {
				case <-r.news:
				case <-time.After(20 * time.Millisecond): // nobody may listen yet
				case <-ctx.Done():
				}
			}
		}
		if w != nil {
			for range 4 {
				shares := solve(t, w, "rig-1", w.ShareDifficulty, extranonce, 1+random.IntN(12))
				extranonce += 50
				if random.IntN(3) == 0 && len(shares) > 2 {
					old, shares = append(old, shares[0]), shares[1:] // comes late
				}
				r.found(shares...)
				total += len(shares)
			}
			for ctx.Err() == nil { // until it has died there is always another
				shares := solve(t, w, "rig-1", w.ShareDifficulty, extranonce, 1)
				extranonce += 50
				r.found(shares...)
				total++
			}
		}
		if n := len(old); n > 3 {
			r.found(old[:3]...)
			total += 3
			old = old[3:]
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for _, s := range p.submissions() {
			written[s.Hash.String()] = true
			p.mu.Lock()
			accepted[s.Hash.String()] = p.replied[s.Hash.String()]
			p.mu.Unlock()
		}
	}
	run(t, newGateway(t, b, "gw-1", newPool("0.0000015")).Run)
	s := await(t, b, "a verdict for every share", func(s tally) bool { return len(s.found) == total && s.judged() >= total })
	s.balanced(t)
	outstanding, silent := 0, 0
	for id := range s.unknown {
		if s.submitted[id] == nil {
			t.Errorf("%s is unknown and was never about to be written", id)
		}
		if written[id] && !accepted[id] {
			outstanding++
		} else {
			silent++
		}
	}
	for _, a := range s.accepted {
		if !a.Local && !accepted[a.ShareID] {
			t.Errorf("%s is booked as accepted; the pool never said so", a.ShareID)
		}
	}
	for id := range written {
		if s.submitted[id] == nil {
			t.Errorf("%s was written before it was stored", id)
		}
	}
	for _, f := range s.refused {
		if written[f.ShareID] {
			t.Errorf("%s was written to the pool and is booked as rejected: %s %s", f.ShareID, f.Reason, f.Detail)
		}
		if f.Reason != events.RejectStale {
			t.Errorf("%s: %s %s", f.ShareID, f.Reason, f.Detail)
		}
	}
	t.Logf("%d found, %d accepted, %d stale, %d unknown: %d without an answer, %d whose answer or writing the kill cut off",
		len(s.found), len(s.accepted), len(s.refused), len(s.unknown), outstanding, silent)
}
