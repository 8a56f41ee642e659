// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/stratum"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// tally counts verdicts by share.
type tally struct {
	mu   sync.Mutex
	got  map[uint32][]upstream.Verdict
	some sync.Cond
}

func newTally() *tally {
	y := &tally{got: map[uint32][]upstream.Verdict{}}
	y.some.L = &y.mu
	return y
}

func (y *tally) done(n uint32) func(upstream.Verdict) {
	return func(v upstream.Verdict) {
		y.mu.Lock()
		y.got[n] = append(y.got[n], v)
		y.some.Broadcast()
		y.mu.Unlock()
	}
}

// wait for the verdicts of n shares.
func (y *tally) wait(t *testing.T, n int) {
	t.Helper()
	late := time.AfterFunc(patience, func() {
		y.mu.Lock()
		y.got = nil
		y.some.Broadcast()
		y.mu.Unlock()
	})
	defer late.Stop()
	y.mu.Lock()
	defer y.mu.Unlock()
	for y.got != nil && len(y.got) < n {
		y.some.Wait()
	}
	if y.got == nil {
		t.Fatalf("not all of %d shares have a verdict", n)
	}
}

// TestKilledConnections: shares from many goroutines, and the connection cut at
// a place that differs every time. found = accepted + rejected + unknown, each
// verdict once; accepted is exactly what the pool has answered, and whatever the
// pool had read without answering is unknown.
func TestKilledConnections(t *testing.T) {
	const rounds, perRound, callers = 50, 40, 4
	p := newPool(t)
	c, sink := running(t, Config{Pool: "test", URLs: []string{p.url()}, Timing: quick})
	for round := range rounds {
		p.greet()
		sink.expect(t, "opened", "closed")
		p.say(notify(fmt.Sprint("r", round)))
		sink.expect(t, "job", "")
		j := <-sink.jobs
		y := newTally()
		var wg sync.WaitGroup
		for k := range callers {
			wg.Go(func() {
				for i := k; i < perRound; i += callers {
					c.Submit(share(j, uint32(i), j.Version), y.done(uint32(i)))
				}
			})
		}
		read, answered := map[uint32]bool{}, map[uint32]bool{}
		for range round % (perRound + 1) {
			var m stratum.Message
			var s stratum.Submit
			if err := stratum.ParseMessage([]byte(p.hear()), &m); err != nil {
				t.Fatal(err)
			}
			if err := s.Parse(m.Params); err != nil {
				t.Fatal(err)
			}
			read[s.Nonce] = true
			if len(read)%2 == 1 {
				// Nothing follows that would make the system throw the
				// reply away: it is read before the connection ends.
				answered[s.Nonce] = true
				p.say(string(stratum.AppendTrue(nil, m.ID)))
				if round%3 == 0 {
					y.wait(t, len(answered))
				}
			}
		}
		if round%3 != 0 {
			y.wait(t, len(answered))
		}
		p.hangUp()
		wg.Wait()
		y.wait(t, perRound)
		sink.expect(t, "closed", "")
		for i := range uint32(perRound) {
			vs := y.got[i]
			if len(vs) != 1 {
				t.Fatalf("round %d: share %d has %d verdicts", round, i, len(vs))
			}
			v := vs[0]
			switch {
			case answered[i] != (v.State == upstream.Accepted):
				t.Fatalf("round %d: share %d, answered %v: %+v", round, i, answered[i], v)
			case read[i] && !answered[i] && v.State != upstream.Unknown:
				t.Fatalf("round %d: share %d was read and not answered: %+v", round, i, v)
			case v.State == upstream.Rejected && (v.Reason != events.RejectStale || !v.Written.IsZero()):
				t.Fatalf("round %d: share %d: %+v", round, i, v)
			case v.State == upstream.Unknown && v.Written.IsZero():
				t.Fatalf("round %d: share %d is unknown and was never written", round, i)
			}
		}
	}
}

func TestSubmitWithoutASession(t *testing.T) {
	c, err := New(Config{Pool: "test", URLs: []string{"stratum+tcp://a@127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	y := newTally()
	c.Submit(upstream.Submission{Session: "gone", Job: &upstream.Job{}}, y.done(1))
	if v := y.got[1][0]; v.State != upstream.Rejected || v.Reason != events.RejectStale || !v.Written.IsZero() {
		t.Errorf("%+v", v)
	}
}

func TestStopWaitsForTheReplyOutstanding(t *testing.T) {
	for _, answer := range []bool{true, false} {
		p := newPool(t)
		timing := quick
		if !answer {
			timing.Drain = 30 * time.Millisecond
		} else {
			timing.Drain = patience
		}
		c, err := New(Config{Pool: "test", URLs: []string{p.url()}, Timing: timing})
		if err != nil {
			t.Fatal(err)
		}
		sink := newRecorder()
		ctx, cancel := context.WithCancel(context.Background())
		over := make(chan error, 1)
		go func() { over <- c.Run(ctx, sink) }()
		p.greet()
		p.say(notify("1"))
		sink.expect(t, "opened", "")
		sink.expect(t, "job", "")
		j := <-sink.jobs
		y := newTally()
		c.Submit(share(j, 1, j.Version), y.done(1))
		p.hear()
		cancel()
		want := upstream.Unknown
		if answer {
			// What comes while it waits is not written any more, but for a
			// block. The cancellation may take a moment to arrive.
			for n := uint32(100); ; n++ {
				c.Submit(share(j, n, j.Version), y.done(n))
				y.mu.Lock()
				stale := len(y.got[n]) == 1
				y.mu.Unlock()
				if stale {
					break
				}
				p.hear()
				p.say(fmt.Sprintf(`{"id":%d,"result":true,"error":null}`+"\n", n-94))
			}
			p.say(`{"id":5,"result":true,"error":null}` + "\n")
			want = upstream.Accepted
		}
		if err := <-over; err != nil {
			t.Fatal(err)
		}
		y.wait(t, 1)
		if v := y.got[1][0]; v.State != want {
			t.Errorf("answered %v: %+v", answer, v)
		}
		sink.expect(t, "closed <nil>", "")
	}
}

// bare is a session that nobody serves.
func bare(t *testing.T, conn net.Conn) (*session, *upstream.Job) {
	t.Helper()
	c, err := New(Config{Pool: "test", URLs: []string{"stratum+tcp://acct.rig1:x@127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	sink := newRecorder()
	s := newSession(c, c.endpoints[0], conn, sink, "bare")
	s.opened, s.difficulty = true, "1"
	s.extranonce = stratum.Extranonce{Extranonce1: []byte{1}, Extranonce2Bytes: 4}
	var m stratum.Message
	if err := stratum.ParseMessage([]byte(notify("1")), &m); err != nil {
		t.Fatal(err)
	}
	if err := s.job(m.Params, time.Now()); err != nil {
		t.Fatal(err)
	}
	return s, <-sink.jobs
}

func TestBlocksOvertakeTheQueue(t *testing.T) {
	s, j := bare(t, nil)
	y := newTally()
	for n := range uint32(1000) {
		sub := share(j, n, j.Version)
		sub.Block = n == 500 || n == 999
		s.submit(sub, y.done(n))
	}
	var order []uint32
	sizes := 0
	for range 100 {
		if s.mu.Lock(); len(s.blocks)+len(s.shares) == 0 {
			s.mu.Unlock()
			break
		}
		s.mu.Unlock()
		line, batch := s.nextWrite(nil, nil)
		if len(line) > batchBytes+1000 {
			t.Errorf("a write of %d bytes", len(line))
		}
		if strings.Count(string(line), "\n") != len(batch) {
			t.Errorf("%d shares in %q", len(batch), line)
		}
		for _, p := range batch {
			order = append(order, p.share.Nonce)
		}
		sizes++
	}
	if len(order) != 1000 || order[0] != 500 || order[1] != 999 || order[2] != 0 || order[999] != 998 {
		t.Errorf("order %v…", order[:5])
	}
	if len(y.got) != 0 || len(s.outstanding) != 1000 {
		t.Errorf("%d verdicts, %d outstanding", len(y.got), len(s.outstanding))
	}
}

// torn takes n bytes and breaks.
type torn struct {
	net.Conn
	n int
}

func (c *torn) SetWriteDeadline(time.Time) error { return nil }
func (c *torn) Close() error                     { return nil }
func (c *torn) Write(b []byte) (int, error) {
	return min(c.n, len(b)), errors.New("torn")
}

// TestTornWrite: a share of which one byte went out may have arrived, one of
// which none did has not.
func TestTornWrite(t *testing.T) {
	probe, j := bare(t, nil)
	for n := range uint32(3) {
		probe.submit(share(j, n, j.Version), func(upstream.Verdict) {})
	}
	_, batch := probe.nextWrite(nil, nil)
	for written, unknown := range map[int]uint32{0: 0, 1: 1, batch[1].offset: 1, batch[1].offset + 1: 2, batch[2].offset: 2, batch[2].offset + 5: 3} {
		for _, secure := range []bool{false, true} {
			s, j := bare(t, &torn{n: written})
			s.e.secure = secure
			y := newTally()
			for n := range uint32(3) {
				s.submit(share(j, n, j.Version), y.done(n))
			}
			s.write()
			s.submit(share(j, 3, j.Version), y.done(3))
			s.settle()
			want := unknown
			if secure {
				want = 3 // what is inside a record cannot be told
			}
			for n := range uint32(4) {
				if len(y.got[n]) != 1 {
					t.Fatalf("share %d: %d verdicts", n, len(y.got[n]))
				}
				v := y.got[n][0]
				if n < want && v.State != upstream.Unknown || n >= want && (v.State != upstream.Rejected || v.Reason != events.RejectStale) {
					t.Errorf("%d bytes written, TLS %v: share %d: %+v", written, secure, n, v)
				}
			}
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	s, j := bare(t, nil)
	y := newTally()
	for n := range uint32(maxQueued + 10) {
		s.submit(share(j, n, j.Version), y.done(n))
	}
	if len(y.got) != 10 || y.got[maxQueued][0].State != upstream.Rejected {
		t.Errorf("%d verdicts", len(y.got))
	}
	block := share(j, 1<<30, j.Version)
	block.Block = true
	s.submit(block, y.done(1<<30))
	if len(y.got) != 10 {
		t.Error("a block was turned away")
	}
}
