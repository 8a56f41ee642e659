// SPDX-License-Identifier: Apache-2.0

package downstream_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/gateway/downstream"
	"github.com/ballast-energy/ballast/workers/stratum/server"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// narrow is a connection to a pool whose sessions have an extranonce2 of a few
// bytes, each an extranonce1 of its own.
type narrow struct {
	pool
	number, size int
	// next wants another job.
	next chan struct{}
}

func newNarrow(number, size int) *narrow {
	return &narrow{number: number, size: size, next: make(chan struct{})}
}

func (n *narrow) Run(ctx context.Context, sink upstream.Sink) error {
	id := fmt.Sprint("s", n.number)
	sink.Opened(upstream.Session{ID: id, Address: n.Address(), Primary: true})
	for jobs := 1; ; jobs++ {
		now := uint32(time.Now().Unix())
		sink.Job(&upstream.Job{
			Session: id, ID: fmt.Sprint(jobs), Version: 0x20000000, PrevHash: hashengine.DoubleSHA256([]byte("prev")),
			Coinbase1: []byte(strings.Repeat("a", 60)), Coinbase2: []byte(strings.Repeat("b", 60)), Extranonce1: []byte{9, 9, 9, byte(n.number)},
			Extranonce2Bytes: n.size, NTime: now, MinTime: now - 600, MaxTime: now + 7200, Bits: 0x17034219, Height: 900_000,
			Difficulty: "0.0000001", Clean: true, Received: time.Now(),
			Terms: upstream.Terms{Scheme: events.SchemeFPPS, RewardSats: 317_500_000, Basis: events.BasisLive},
		})
		select {
		case <-n.next:
		case <-ctx.Done():
			sink.Closed(id, nil)
			return nil
		}
	}
}

// hall is a gateway with a server for miners.
type hall struct {
	t       *testing.T
	b       *bus.Bus
	srv     *server.Server
	mu      sync.Mutex
	pools   []*narrow
	address string
}

// all connections to the pool that there are.
func (h *hall) all() []*narrow {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*narrow(nil), h.pools...)
}

func (h *hall) connect(size int) *narrow {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := newNarrow(len(h.pools)+1, size)
	h.pools = append(h.pools, n)
	return n
}

func newHall(t *testing.T, size, connections int, limits server.Limits) *hall {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Durability: bus.ProcessCrash})
	if err != nil {
		t.Fatal(err)
	}
	h := &hall{t: t, b: b}
	joint := downstream.New(nil)
	h.srv, err = server.Listen(server.Config{
		Endpoints: []server.Endpoint{{Address: "127.0.0.1:0"}}, Sink: joint, OnFull: joint.Full, Authoriser: server.AuthoriserFunc(server.AnyName),
		MinDifficulty: "0.0000001", StartDifficulty: "0.0000001", Limits: limits,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.address = h.srv.Addresses()[0].String()
	c := gateway.Config{
		Site: "demo", Gateway: "gw-1", Upstream: h.connect(size), MaxConnections: connections,
		OnJob: joint.Job, OnSlice: joint.Slice, OnClosed: joint.Closed, Connections: joint.Connections,
	}
	if connections > 1 {
		c.Another = func(int) (upstream.Upstream, error) { return h.connect(size), nil }
	}
	g, err := gateway.New(c, b)
	if err != nil {
		t.Fatal(err)
	}
	joint.Join(h.srv, g)
	stops := []func(){func() { _ = b.Close(context.Background()) }}
	for _, f := range []func(context.Context) error{g.Run, h.srv.Run, joint.Run} {
		stops = append(stops, run(t, f))
	}
	t.Cleanup(func() {
		for i := len(stops) - 1; i >= 0; i-- {
			stops[i]()
		}
	})
	return h
}

func (h *hall) dial() *miner {
	h.t.Helper()
	nc, err := net.Dial("tcp", h.address)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = nc.Close() })
	return &miner{t: h.t, nc: nc, lines: bufio.NewScanner(nc)}
}

// work takes a miner in until it has work.
func (h *hall) work(name string) *miner {
	h.t.Helper()
	m := h.dial()
	sub := m.ask("mining.subscribe", "test/1")
	var parts []json.RawMessage
	if err := json.Unmarshal(sub.Result, &parts); err != nil || len(parts) != 3 {
		h.t.Fatalf("%s: %s %v: %v", name, sub.Result, sub.Error, err)
	}
	if err := json.Unmarshal(parts[1], &m.en1); err != nil {
		h.t.Fatal(err)
	}
	if err := json.Unmarshal(parts[2], &m.en2); err != nil {
		h.t.Fatal(err)
	}
	if v := m.ask("mining.authorize", name, "x"); v.Error != nil {
		h.t.Fatal(v.Error)
	}
	for m.notify == nil {
		m.next()
	}
	return m
}

// share has a miner's share taken.
func (m *miner) share(name string, x byte) {
	m.t.Helper()
	en2, ntime, nonce := m.solve(x)
	if v := m.ask("mining.submit", name, m.notify[0], en2, ntime, nonce); string(v.Result) != "true" {
		m.t.Fatalf("%s: %s %v", name, v.Result, v.Error)
	}
}

// As many miners as there are find room, whatever the size of the pool's
// extranonce2: in further slices of a session, and in further sessions. Each
// has a search space of its own, and what it finds reaches the pool.
func TestThereIsRoomForMoreMiners(t *testing.T) {
	for _, c := range []struct{ size, miners, sessions int }{
		{2, 5, 5},    // a session each
		{3, 60, 1},   // a slice each, of 256
		{3, 300, 2},  // more than a session has
		{4, 1100, 1}, // more than the first slices have
		{8, 20, 1},
	} {
		t.Run(fmt.Sprintf("%d bytes, %d miners", c.size, c.miners), func(t *testing.T) {
			h := newHall(t, c.size, 8, server.Limits{})
			seen := map[string]int{}
			var miners []*miner
			var names []string
			for n := range c.miners {
				m := h.work(fmt.Sprint("a.rig-", n))
				if n%50 == 0 || c.size == 2 {
					miners = append(miners, m)
					names = append(names, fmt.Sprint("a.rig-", n))
				}
				if other, twice := seen[m.en1]; twice {
					t.Fatalf("%d and %d have extranonce1 %s", other, n, m.en1)
				}
				seen[m.en1] = n
				if m.en2 < 2 || len(m.en1)/2+m.en2 != 4+c.size {
					t.Fatalf("extranonce1 %s and %d bytes of a session of %d", m.en1, m.en2, c.size)
				}
			}
			for i, m := range miners {
				m.share(names[i], byte(i))
			}
			pools := h.all()
			if n := len(pools); n < c.sessions || n > c.sessions+1 {
				t.Errorf("%d sessions for %d miners, not %d or one ahead", n, c.miners, c.sessions)
			}
			got := 0
			deadline := time.Now().Add(patience)
			for look := time.NewTicker(time.Millisecond); got < len(miners); <-look.C {
				got = 0
				for _, p := range pools {
					p.mu.Lock()
					got += len(p.got)
					for _, s := range p.got {
						prefix := hex.EncodeToString(s.Job.Extranonce1)
						if len(s.Extranonce2) != c.size || s.Job.Extranonce1[3] != byte(p.number) {
							t.Errorf("pool %d was given %s, %x", p.number, prefix, s.Extranonce2)
						}
					}
					p.mu.Unlock()
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d of %d shares reached the pool", got, len(miners))
				}
			}
		})
	}
}

// Where no more room can be had an alert says so, with what to do; who comes is
// told, and who works goes on. Room that there is again clears the alert.
func TestNoRoomIsSaidAndDisturbsNobody(t *testing.T) {
	h := newHall(t, 2, 2, server.Limits{Wait: 200 * time.Millisecond})
	alerts := make(chan *nats.Msg, 64)
	for _, kind := range []events.Type{events.TypeAlertRaised, events.TypeAlertCleared} {
		sub, err := h.b.Conn().ChanSubscribe(events.Subject(h.b.Prefix(), "demo", kind, "gw-1"), alerts)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	await := func(kind events.Type) string {
		t.Helper()
		for {
			select {
			case m := <-alerts:
				if strings.Contains(m.Subject, string(kind)) && strings.Contains(string(m.Data), "search-space/gw-1/downstream") {
					return string(m.Data)
				}
			case <-time.After(patience):
				t.Fatalf("nobody said %s", kind)
			}
		}
	}
	// Whoever comes before there is a session for it is refused after a while.
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	sessions := func(n uint64) {
		for h.srv.Room().Slots < n {
			<-look.C
		}
	}
	sessions(1)
	one := h.work("a.one")
	sessions(2)
	two := h.work("a.two")
	text := await(events.TypeAlertRaised)
	for _, part := range []string{"no room", "2 have work", "2 bytes of extranonce2", "larger extranonce2", "keep it"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not said: %s", part, text)
		}
	}
	three := h.dial()
	if v := three.ask("mining.subscribe", "test/1"); v.Error == nil {
		t.Errorf("there was room: %s", v.Result)
	}
	for x := range byte(3) {
		one.share("a.one", x)
		two.share("a.two", x)
	}
	// The next job reaches both; with it the place of one that went is free.
	_ = two.nc.Close()
	for h.srv.Stats().Connections > 1 {
		<-look.C
	}
	for _, p := range h.all() {
		p.next <- struct{}{}
	}
	one.notify = nil
	for one.notify == nil {
		one.next()
	}
	one.share("a.one", 9)
	await(events.TypeAlertCleared)
	h.work("a.four").share("a.four", 1)
}
