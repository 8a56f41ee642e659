// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/stratum"
	"github.com/ballast-energy/ballast/workers/stratum/crowdtest"
	"github.com/ballast-energy/ballast/workers/upstream"
)

func TestMain(m *testing.M) {
	if crowdtest.Main() { // the benchmarks start this binary once more as their miners
		return
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait; nothing is timed.
const patience = 60 * time.Second

// clock is a virtual one.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1_800_000_000, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// shelf is a sink that keeps what it gets, and answers with err.
type shelf struct {
	mu     sync.Mutex
	shares []Share
	err    error
	// hold keeps answers back until release.
	hold bool
	held []func(error)
}

func (s *shelf) Take(sh Share, done func(error)) {
	s.mu.Lock()
	s.shares = append(s.shares, sh)
	err := s.err
	if s.hold {
		s.held = append(s.held, done)
		done = nil
	}
	s.mu.Unlock()
	if done != nil {
		done(err)
	}
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *shelf) all() []Share {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Share(nil), s.shares...)
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sheetJob is the synthetic job of the protocol sheet, as an upstream has it.
func sheetJob(t testing.TB, session, id string) *upstream.Job {
	j := &upstream.Job{
		Session: session, ID: id, Version: 0x20000000, VersionMask: 0x1fffe000,
		Coinbase1:   unhex(t, "02000000010000000000000000000000000000000000000000000000000000000000000000ffffffff1b0341d10c092f62616c6c6173742f0c"),
		Coinbase2:   unhex(t, "ffffffff0260aaec1200000000160014751e76e8199196d454941c45d1b3a323f1433bd60000000000000000266a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf900000000"),
		Extranonce1: unhex(t, "a511026b"), Extranonce2Bytes: 8,
		NTime: 0x6b0211b3, MinTime: 0x6b0211b3, MaxTime: 0x6b0211b3 + 600, Bits: 0x17034219,
		Difficulty: "0.001", Clean: true,
		Terms: upstream.Terms{Scheme: events.SchemeFPPS, Basis: events.BasisLive},
	}
	copy(j.PrevHash[:], unhex(t, "d3c2b1a09f7e5d3c108f6e2a4b9c7d01c0b3d6e5f4a21788c6243e9d7a5c0b1f"))
	for _, b := range []string{"59bb1fe0d2b2202f6780bfe19f9d845f8709c745f358f826b2ab02a510da070e", "064e57314e3f26e664ffcbc1526ac0622c044a3dd3228c964340490da8e75b8a"} {
		j.Branches = append(j.Branches, hashengine.Hash(unhex(t, b)))
	}
	return j
}

// easy is 2^-32 as far as it is written, which almost every hash meets.
const easy = "0.000000000232830643653869628906"

// site is a server under test.
type site struct {
	*Server
	clock *clock
	shelf *shelf
	full  chan Room
}

func open(t testing.TB, change func(*Config)) *site {
	t.Helper()
	s := &site{clock: newClock(), shelf: &shelf{}, full: make(chan Room, 1024)}
	c := Config{
		Endpoints: []Endpoint{{Address: "127.0.0.1:0"}}, Sink: s.shelf, Authoriser: AuthoriserFunc(AnyName),
		MinDifficulty: easy, StartDifficulty: easy, Now: s.clock.Now,
		OnFull: func(r Room) {
			select {
			case s.full <- r:
			default:
			}
		},
	}
	if change != nil {
		change(&c)
	}
	var err error
	if s.Server, err = Listen(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			t.Error("the server does not end")
		}
		if st := s.Stats(); st.Connections != 0 || st.TLS != 0 || st.Ready != 0 {
			t.Errorf("after the end: %d connections, %d TLS, %d ready", st.Connections, st.TLS, st.Ready)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for id, sp := range s.sessions {
			if sp.used != 0 || len(sp.conns) != 0 {
				t.Errorf("session %s: %d slots and %d connections left", id, sp.used, len(sp.conns))
			}
		}
	})
	return s
}

func (s *site) setJob(t testing.TB, j *upstream.Job) {
	t.Helper()
	if err := s.SetJob(j); err != nil {
		t.Fatal(err)
	}
}

// message is anything that the server says.
type message struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
	Result json.RawMessage   `json:"result"`
	Error  json.RawMessage   `json:"error"`
}

func (m *message) code() int {
	e := stratum.ParseError(m.Error)
	if e == nil {
		return 0
	}
	return e.Code
}

// miner is a client.
type miner struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	id   int

	extranonce1 []byte
	size        int
	difficulty  string
	job         *stratum.Notify
}

func (s *site) dial(t testing.TB) *miner {
	t.Helper()
	c, err := net.Dial("tcp", s.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	return newMiner(t, c)
}

func newMiner(t testing.TB, c net.Conn) *miner {
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &miner{t: t, conn: c, r: bufio.NewReader(c)}
}

func (m *miner) say(lines ...string) {
	m.t.Helper()
	if _, err := m.conn.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		m.t.Fatal(err)
	}
}

// hear reads the next message and keeps what it says about work.
func (m *miner) hear() *message {
	m.t.Helper()
	line, err := m.r.ReadBytes('\n')
	if err != nil {
		m.t.Fatalf("%v; read %q", err, line)
	}
	var msg message
	if err := json.Unmarshal(line, &msg); err != nil {
		m.t.Fatalf("%s: %v", line, err)
	}
	var raw struct{ Params json.RawMessage }
	_ = json.Unmarshal(line, &raw)
	switch msg.Method {
	case stratum.MethodNotify:
		if m.job, err = stratum.ParseNotify(raw.Params); err != nil {
			m.t.Fatal(err)
		}
	case stratum.MethodSetDifficulty:
		m.difficulty = string(msg.Params[0])
	case stratum.MethodSetExtranonce:
		x, err := stratum.ParseSetExtranonce(raw.Params)
		if err != nil {
			m.t.Fatal(err)
		}
		m.extranonce1, m.size = x.Extranonce1, x.Extranonce2Bytes
	}
	return &msg
}

// until reads to the first message that fits.
func (m *miner) until(fits func(*message) bool) *message {
	m.t.Helper()
	for {
		if msg := m.hear(); fits(msg) {
			return msg
		}
	}
}

func (m *miner) untilMethod(name string) *message {
	m.t.Helper()
	return m.until(func(x *message) bool { return x.Method == name })
}

// ask sends a request and reads to its answer.
func (m *miner) ask(method, params string) *message {
	m.t.Helper()
	m.id++
	id := fmt.Sprint(m.id)
	m.say(`{"id":` + id + `,"method":"` + method + `","params":` + params + `}`)
	return m.until(func(x *message) bool { return x.Method == "" && string(x.ID) == id })
}

func (m *miner) subscribe() {
	m.t.Helper()
	x, err := stratum.ParseSubscribeResult(m.ask(stratum.MethodSubscribe, `["test/1.0"]`).Result)
	if err != nil {
		m.t.Fatal(err)
	}
	m.extranonce1, m.size = x.Extranonce1, x.Extranonce2Bytes
}

// start is the shortest opening: to the first job.
func (s *site) start(t testing.TB, user string) *miner {
	t.Helper()
	m := s.dial(t)
	m.subscribe()
	m.authorize(user, "x")
	m.untilMethod(stratum.MethodNotify)
	return m
}

func (m *miner) authorize(user, password string) {
	m.t.Helper()
	if a := m.ask(stratum.MethodAuthorize, fmt.Sprintf("[%q,%q]", user, password)); string(a.Result) != "true" {
		m.t.Fatalf("not authorised: %s", a.Error)
	}
}

// work is the header of the miner's job for an extranonce2.
func (m *miner) work(extranonce2 []byte, version uint32) hashengine.Header {
	coinbase := append([]byte(nil), m.job.Coinbase1...)
	coinbase = append(coinbase, m.extranonce1...)
	coinbase = append(coinbase, extranonce2...)
	coinbase = append(coinbase, m.job.Coinbase2...)
	root := hashengine.DoubleSHA256(coinbase)
	for _, b := range m.job.Branches {
		root = hashengine.DoubleSHA256(append(append([]byte(nil), root[:]...), b[:]...))
	}
	var h hashengine.Header
	h.SetVersion(version)
	h.SetPrevHash(m.job.PrevHash)
	h.SetMerkleRoot(root)
	h.SetTime(m.job.NTime)
	h.SetBits(m.job.Bits)
	return h
}

// find searches nonces from one on for a hash that does or does not meet the
// difficulty.
func (m *miner) find(extranonce2 []byte, from uint32, version uint32, difficulty string, met bool) uint32 {
	m.t.Helper()
	target, err := hashengine.TargetFromDifficultyText(difficulty)
	if err != nil {
		m.t.Fatal(err)
	}
	h := m.work(extranonce2, version)
	for nonce := from; ; nonce++ {
		h.SetNonce(nonce)
		hash := h.Hash()
		if target.Met(&hash) == met {
			return nonce
		}
	}
}

func (m *miner) submit(user, job string, extranonce2 []byte, ntime, nonce uint32) *message {
	m.t.Helper()
	return m.ask(stratum.MethodSubmit, fmt.Sprintf(`[%q,%q,"%x","%08x","%08x"]`, user, job, extranonce2, ntime, nonce))
}

// mine hands in one valid share and returns its answer.
func (m *miner) mine(user string, extranonce2 []byte, from uint32) (nonce uint32, answer *message) {
	m.t.Helper()
	nonce = m.find(extranonce2, from, m.job.Version, m.difficulty, true)
	return nonce, m.submit(user, m.job.JobID, extranonce2, m.job.NTime, nonce)
}

// ended waits until the server has closed the connection.
func (m *miner) ended() {
	m.t.Helper()
	for {
		if _, err := m.r.ReadBytes('\n'); err != nil {
			if isTimeout(err) {
				m.t.Fatal("the connection is still open")
			}
			m.conn.Close()
			return
		}
	}
}

// eventually waits for something of the server's to become true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("never: %s", what)
		}
	}
}
