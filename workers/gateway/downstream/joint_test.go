// SPDX-License-Identifier: Apache-2.0

package downstream_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/gateway/downstream"
	"github.com/ballast-energy/ballast/workers/job"
	"github.com/ballast-energy/ballast/workers/stratum/crowdtest"
	"github.com/ballast-energy/ballast/workers/stratum/server"
	"github.com/ballast-energy/ballast/workers/upstream"
)

func TestMain(m *testing.M) {
	if crowdtest.Main() {
		return
	}
	goleak.VerifyTestMain(m,
		// The client library starts it on a connection that was closed before:
		// its channel is nil then and it waits for ever. Only kills do that.
		goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

const patience = 60 * time.Second

// pool accepts everything.
type pool struct {
	mu  sync.Mutex
	got []upstream.Submission
}

func (*pool) ID() string      { return "pool-a" }
func (*pool) Address() string { return "stratum+tcp://pool.example:3333" }

func (*pool) Run(ctx context.Context, sink upstream.Sink) error {
	serve(sink, "s1", []byte{1, 2, 3, 4})
	<-ctx.Done()
	sink.Closed("s1", nil)
	return nil
}

// serve opens a session with a job.
func serve(sink upstream.Sink, session string, extranonce1 []byte) {
	sink.Opened(upstream.Session{ID: session, Address: "stratum+tcp://pool.example:3333", Primary: true})
	now := uint32(time.Now().Unix())
	sink.Job(&upstream.Job{
		Session: session, ID: "bf", Version: 0x20000000, PrevHash: hashengine.DoubleSHA256([]byte("prev")),
		Coinbase1: []byte(strings.Repeat("a", 60)), Coinbase2: []byte(strings.Repeat("b", 60)), Extranonce1: extranonce1, Extranonce2Bytes: 8,
		NTime: now, MinTime: now - 600, MaxTime: now + 7200, Bits: 0x17034219, Height: 900_000, Difficulty: "0.000008", Clean: true,
		Terms:    upstream.Terms{Scheme: events.SchemeFPPS, RewardSats: 317_500_000, Basis: events.BasisLive},
		Received: time.Now(),
	})
}

func (p *pool) Submit(s upstream.Submission, done func(upstream.Verdict)) {
	p.mu.Lock()
	p.got = append(p.got, s)
	p.mu.Unlock()
	done(upstream.Verdict{State: upstream.Accepted})
}

func run(t *testing.T, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// stack is a gateway on a bus of its own with a server for miners, of that
// lowest and first difficulty. All of it ends with the test, and so does ctx.
func stack(t *testing.T, up upstream.Upstream, lowest, start string) (context.Context, *bus.Bus, *server.Server, *gateway.Gateway) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience) // for a whole test
	t.Cleanup(cancel)
	b, err := bus.Open(ctx, bus.Config{DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(ctx) })
	joint := downstream.New(nil)
	srv, err := server.Listen(server.Config{
		Endpoints: []server.Endpoint{{Address: "127.0.0.1:0"}}, Sink: joint, Authoriser: server.AuthoriserFunc(server.AnyName),
		MinDifficulty: lowest, StartDifficulty: start,
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{
		Site: "demo", Gateway: "gw-1", Upstream: up, OnJob: joint.Job, OnClosed: joint.Closed, Connections: joint.Connections,
	}, b)
	if err != nil {
		t.Fatal(err)
	}
	joint.Join(srv, g)
	for _, f := range []func(context.Context) error{g.Run, srv.Run, joint.Run} {
		t.Cleanup(run(t, f))
	}
	return ctx, b, srv, g
}

// miner speaks the protocol by hand.
type miner struct {
	t      *testing.T
	nc     net.Conn
	lines  *bufio.Scanner
	id     int
	notify []any
	en1    string
	en2    int
	level  string
}

type message struct {
	ID     *int            `json:"id"`
	Method string          `json:"method"`
	Params []any           `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  any             `json:"error"`
}

// ask sends a request and reads until its reply.
func (m *miner) ask(method string, params ...any) message {
	m.t.Helper()
	m.id++
	text, err := json.Marshal(map[string]any{"id": m.id, "method": method, "params": params})
	if err == nil {
		_, err = m.nc.Write(append(text, '\n'))
	}
	if err != nil {
		m.t.Fatal(err)
	}
	for {
		if v := m.next(); v.ID != nil && *v.ID == m.id && v.Method == "" {
			return v
		}
	}
}

// next reads one message.
func (m *miner) next() message {
	m.t.Helper()
	if err := m.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	if !m.lines.Scan() {
		m.t.Fatalf("the server hung up: %v", m.lines.Err())
	}
	var v message
	d := json.NewDecoder(strings.NewReader(m.lines.Text()))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		m.t.Fatal(err)
	}
	switch v.Method {
	case "mining.notify":
		m.notify = v.Params
	case "mining.set_extranonce":
		m.en1 = v.Params[0].(string)
	case "mining.set_difficulty":
		m.level = v.Params[0].(json.Number).String()
	}
	return v
}

// dial connects a miner.
func dial(t *testing.T, srv *server.Server) *miner {
	t.Helper()
	nc, err := net.Dial("tcp", srv.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &miner{t: t, nc: nc, lines: bufio.NewScanner(nc)}
}

// subscribe waits, if need be, until there is work.
func (m *miner) subscribe() {
	m.t.Helper()
	sub := m.ask("mining.subscribe", "test/1")
	var parts []json.RawMessage
	if err := json.Unmarshal(sub.Result, &parts); err != nil || len(parts) != 3 {
		m.t.Fatalf("%s: %v", sub.Result, err)
	}
	if err := errors.Join(json.Unmarshal(parts[1], &m.en1), json.Unmarshal(parts[2], &m.en2)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *miner) word(i int) uint32 {
	v, err := job.Word(m.notify[i].(string))
	if err != nil {
		m.t.Fatal(err)
	}
	return v
}

// solve finds a share under an extranonce2.
func (m *miner) solve(x byte) (en2, ntime, nonce string) {
	m.t.Helper()
	extranonce2 := make([]byte, m.en2)
	extranonce2[m.en2-1] = x
	en2 = hex.EncodeToString(extranonce2)
	coinbase, err := hex.DecodeString(m.notify[2].(string) + m.en1 + en2 + m.notify[3].(string))
	if err != nil {
		m.t.Fatal(err)
	}
	prev, err := hex.DecodeString(m.notify[1].(string))
	if err != nil {
		m.t.Fatal(err)
	}
	var p hashengine.Hash
	for i := range p {
		p[i] = prev[i/4*4+3-i%4]
	}
	target, err := hashengine.TargetFromDifficultyText(m.level)
	if err != nil {
		m.t.Fatal(err)
	}
	var h hashengine.Header
	h.SetVersion(m.word(5))
	h.SetPrevHash(p)
	h.SetMerkleRoot(hashengine.DoubleSHA256(coinbase))
	h.SetBits(m.word(6))
	h.SetTime(m.word(7))
	for n := uint32(0); ; n++ {
		h.SetNonce(n)
		if hash := h.Hash(); target.Met(&hash) {
			return en2, m.notify[7].(string), job.WordText(n)
		}
	}
}

func TestMinersSharesBecomeEvents(t *testing.T) {
	ctx, b, srv, g := stack(t, new(pool), "0.0000001", "0.000001")
	m := dial(t, srv)
	m.subscribe()
	if !strings.HasPrefix(m.en1, "01020304ff") || len(m.en1)/2+m.en2 != 4+8 {
		t.Fatalf("extranonce1 %s and %d bytes: not a slice of the session's", m.en1, m.en2)
	}
	if v := m.ask("mining.authorize", "acct.Rig_7", "x"); v.Error != nil {
		t.Fatal(v.Error)
	}
	for m.notify == nil {
		m.next()
	}
	const shares = 40
	for x := range byte(shares) {
		en2, ntime, nonce := m.solve(x)
		v := m.ask("mining.submit", "acct.Rig_7", m.notify[0], en2, ntime, nonce)
		if string(v.Result) != "true" {
			t.Fatalf("share %d: %s %v", x, v.Result, v.Error)
		}
	}
	var found, local, submitted, accepted int
	for accepted < shares {
		found, local, submitted, accepted = 0, 0, 0, 0
		for e, err := range b.Events(ctx, events.ReadRequest{Stream: events.StreamShares, Site: "demo"}) {
			if err != nil {
				t.Fatal(err)
			}
			switch s := e.Data.(type) {
			case *events.ShareFound:
				found++
				if e.Source != "gw-1" || s.Unit != "rig-7" {
					t.Fatalf("%s: %+v", e.Source, s)
				}
			case *events.ShareSubmitted:
				submitted++
			case *events.ShareAccepted:
				accepted++
				if s.Local {
					local++
				}
				if s.Agent != "gw-1" || s.Unit != "rig-7" || s.Local && s.Difficulty == "0.000008" || !s.Local && s.Difficulty != "0.000008" {
					t.Fatalf("%+v", s)
				}
			default:
				t.Fatalf("%T %+v", e.Data, e.Data)
			}
		}
		if ctx.Err() != nil {
			t.Fatal("not all shares have verdicts")
		}
	}
	if found != shares || submitted+local != shares || local == 0 {
		t.Errorf("%d found, %d submitted, %d local, %d accepted", found, submitted, local, accepted)
	}
	// A verdict is counted once it is stored: a moment after it can be read.
	for st := g.Stats(); st.Found != shares || st.Accepted != shares || st.Local != int64(local); st = g.Stats() {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%+v", st)
		}
	}
	t.Log(fmt.Sprint(submitted, " of ", shares, " went to the pool"))
}

// refusing is a gateway that refuses every share.
type refusing struct{ err error }

func (r refusing) Downstream(_ gateway.DownstreamShare, done func(error)) { done(r.err) }

// TestDuplicateIsNamedToTheServer: only then can it tell its miner so.
func TestDuplicateIsNamedToTheServer(t *testing.T) {
	for _, c := range []struct {
		err       error
		duplicate bool
	}{{fmt.Errorf("share 00 of rig: %w", gateway.ErrDuplicate), true}, {gateway.ErrUnknownJob, false}, {nil, false}} {
		j := downstream.New(nil)
		j.Join(nil, refusing{c.err})
		answers := 0
		j.Take(server.Share{}, func(err error) {
			answers++
			if !errors.Is(err, c.err) || errors.Is(err, server.ErrDuplicate) != c.duplicate {
				t.Errorf("%v became %v", c.err, err)
			}
		})
		if answers != 1 {
			t.Errorf("%v: %d answers", c.err, answers)
		}
	}
}

// widening is a gateway that hears of room.
type widening struct {
	refusing
	heard []gateway.DownstreamRoom
}

func (w *widening) DownstreamRoom(r gateway.DownstreamRoom) { w.heard = append(w.heard, r) }

// TestRoomIsToldToTheGateway when it wants to hear of it.
func TestRoomIsToldToTheGateway(t *testing.T) {
	j := downstream.New(nil)
	full := server.Room{Full: true, Sessions: 2, Slots: 512, Used: 512, Waiting: 3}
	j.Full(full) // before Join
	j.Join(nil, refusing{})
	j.Full(full)
	w := new(widening)
	j.Join(nil, w)
	j.Full(full)
	j.Full(server.Room{Sessions: 3, Slots: 768, Used: 515})
	if len(w.heard) != 2 || w.heard[0] != (gateway.DownstreamRoom{Full: true, Sessions: 2, Slots: 512, Used: 512, Waiting: 3}) || w.heard[1].Full {
		t.Fatalf("%+v", w.heard)
	}
}

// choosy is a server that takes no job of some sessions.
type choosy struct {
	mu     sync.Mutex
	refuse map[string]bool
}

func (c *choosy) OpenSession(session string, _ []byte) error {
	if session == "shut" {
		return errors.New("no space")
	}
	return nil
}

func (c *choosy) SetJob(j *upstream.Job) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse[j.Session] {
		return errors.New("not a job")
	}
	return nil
}

func (*choosy) WidenSession(string, []byte) error { return nil }
func (*choosy) Room() server.Room                 { return server.Room{} }
func (*choosy) CloseSession(string)               {}
func (*choosy) Stats() server.Stats               { return server.Stats{} }

// alerting is a gateway that hears of trouble.
type alerting struct {
	refusing
	heard chan error
}

func (a *alerting) DownstreamTrouble(err error) { a.heard <- err }

// TestJobsThatMinersDoNotGetAreToldToTheGateway, and when they get them again.
func TestJobsThatMinersDoNotGetAreToldToTheGateway(t *testing.T) {
	j := downstream.New(nil)
	s, g := &choosy{refuse: map[string]bool{"s1": true}}, &alerting{heard: make(chan error, 10)}
	j.Join(s, g)
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- j.Run(ctx) }()
	expect := func(want string) {
		t.Helper()
		select {
		case err := <-g.heard:
			if err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
				t.Fatalf("heard %v, want %q", err, want)
			}
		case <-time.After(patience):
			t.Fatalf("heard nothing, want %q", want)
		}
	}
	job := func(session string) { j.Job(&upstream.Job{Session: session}, []byte{1}) }
	job("s1")
	expect("not a job")
	job("shut")
	expect("session shut: no space")
	job("s2") // which is well, and no reason to say so
	s.mu.Lock()
	s.refuse = nil
	s.mu.Unlock()
	job("s1") // the other one still fails
	j.Closed("shut")
	expect("")
	cancel()
	if err := <-over; err != nil {
		t.Error(err)
	}
	if len(g.heard) > 0 {
		t.Errorf("heard %v, too", <-g.heard)
	}
}

var _ downstream.Alerter = (*gateway.Gateway)(nil)
