// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/job"
	"github.com/ballast-energy/ballast/workers/upstream"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The client library starts it on a connection that was closed before:
		// its channel is nil then and it waits for ever. Only kills do that.
		goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

const (
	site = "demo"
	// patience bounds every wait; nothing is timed.
	patience = 60 * time.Second
	// hardBits is a network target that no test ever meets.
	hardBits = 0x17034219
)

func openBus(t testing.TB) *bus.Bus {
	t.Helper()
	return openBusWith(t, bus.ProcessCrash)
}

func openBusWith(t testing.TB, durability bus.Durability) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Durability: durability})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Logf("closing the bus: %v", err)
		}
	})
	return b
}

// run runs f until the test ends or stop is called.
func run(t testing.TB, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// logger shows what gateways say when asked to.
func logger(t testing.TB) *slog.Logger {
	if os.Getenv("GATEWAY_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("test", t.Name())
}

func newGateway(t testing.TB, b gateway.Bus, id string, up upstream.Upstream, more ...func(*gateway.Config)) *gateway.Gateway {
	t.Helper()
	cfg := gateway.Config{Site: site, Gateway: id, Upstream: up, Logger: logger(t)}
	for _, f := range more {
		f(&cfg)
	}
	g, err := gateway.New(cfg, b)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// pool is a scripted upstream.
type pool struct {
	id         string
	difficulty string
	bits       uint32
	reward     int64
	en2        int
	// answer to a share; nil leaves it open until the session closes.
	answer func(upstream.Submission) *upstream.Verdict

	mu      sync.Mutex
	sink    upstream.Sink
	session string
	number  int
	jobs    int
	height  int64
	open    map[string]func(upstream.Verdict)
	written []upstream.Submission
	replied map[string]bool
}

func newPool(difficulty string) *pool {
	return &pool{
		id: "pool-a", difficulty: difficulty, bits: hardBits, reward: 317_500_000, en2: 8, height: 900_000,
		answer: func(upstream.Submission) *upstream.Verdict { return &upstream.Verdict{State: upstream.Accepted} },
		open:   make(map[string]func(upstream.Verdict)), replied: make(map[string]bool),
	}
}

func (p *pool) ID() string      { return p.id }
func (p *pool) Address() string { return "stratum+tcp://pool.example:3333" }

func (p *pool) Run(ctx context.Context, sink upstream.Sink) error {
	p.mu.Lock()
	p.sink = sink
	p.mu.Unlock()
	p.begin()
	p.job(true)
	<-ctx.Done()
	p.end(nil)
	p.mu.Lock()
	p.sink = nil
	p.mu.Unlock()
	return nil
}

// begin opens a session.
func (p *pool) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.number++
	p.session = fmt.Sprintf("%s-s%d", p.id, p.number)
	p.sink.Opened(upstream.Session{ID: p.session, Address: p.Address(), Primary: true, VersionMask: hashengine.VersionRollingMask})
}

// job hands out a new one; clean begins a new block.
func (p *pool) job(clean bool) *upstream.Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jobs++
	if clean {
		p.height++
	}
	now := uint32(time.Now().Unix())
	j := &upstream.Job{
		Session: p.session, ID: fmt.Sprint("job/", p.jobs), Version: 0x20000000, VersionMask: hashengine.VersionRollingMask,
		PrevHash:  hashengine.DoubleSHA256(binary.LittleEndian.AppendUint64([]byte(p.id), uint64(p.height))),
		Coinbase1: append([]byte("coinbase one"), byte(p.jobs)), Coinbase2: []byte("coinbase two"),
		Extranonce1: binary.BigEndian.AppendUint32(nil, uint32(p.number)), Extranonce2Bytes: p.en2,
		Branches: []hashengine.Hash{hashengine.DoubleSHA256([]byte("a")), hashengine.DoubleSHA256([]byte("b"))},
		NTime:    now, MinTime: now - 600, MaxTime: now + 7200, Bits: p.bits, Height: p.height,
		Difficulty: p.difficulty, Clean: clean, Received: time.Now(),
		Terms: upstream.Terms{Scheme: events.SchemeFPPS, FeePPM: 20_000, RewardSats: p.reward, Basis: events.BasisLive},
	}
	p.sink.Job(j)
	return j
}

// end closes the session; what waits for an answer is unknown.
func (p *pool) end(cause error) {
	p.mu.Lock()
	open, session := p.open, p.session
	p.open, p.session = make(map[string]func(upstream.Verdict)), ""
	sink := p.sink
	p.mu.Unlock()
	for _, done := range open {
		done(upstream.Verdict{State: upstream.Unknown, Detail: "the session closed before the answer"})
	}
	if session != "" {
		sink.Closed(session, cause)
	}
}

func (p *pool) Submit(s upstream.Submission, done func(upstream.Verdict)) {
	id := s.Hash.String()
	p.mu.Lock()
	if s.Session != p.session {
		p.mu.Unlock()
		done(upstream.Verdict{State: upstream.Rejected, Reason: events.RejectStale, Detail: "not written: the session has closed"})
		return
	}
	p.written = append(p.written, s)
	v := p.answer(s)
	if v == nil {
		p.open[id] = done
		p.mu.Unlock()
		return
	}
	p.replied[id] = true
	p.mu.Unlock()
	go done(*v)
}

// submissions so far.
func (p *pool) submissions() []upstream.Submission {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]upstream.Submission(nil), p.written...)
}

// rig is an agent of the tests: it announces itself and keeps the work it got.
type rig struct {
	t    testing.TB
	b    *bus.Bus
	id   string
	boot string
	n    uint64
	mu   sync.Mutex
	work []*events.WorkAssigned
	news chan struct{}
}

func newRig(t testing.TB, b *bus.Bus, id string) *rig {
	t.Helper()
	r := &rig{t: t, b: b, id: id, boot: "b1", news: make(chan struct{}, 1)}
	sub, err := b.Conn().Subscribe(events.Subject(b.Prefix(), site, events.TypeWorkAssigned, id), func(m *nats.Msg) {
		e, err := events.Decode(m.Subject, m.Header, m.Data)
		if err != nil {
			t.Errorf("the gateway published garbage: %v", err)
			return
		}
		r.mu.Lock()
		r.work = append(r.work, e.Data.(*events.WorkAssigned))
		r.mu.Unlock()
		select {
		case r.news <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return r
}

// status of the rig: 1 kH/s.
func (r *rig) status(announce bool) *events.Event {
	r.n++
	s := &events.WorkerStatus{BootID: r.boot, Counter: r.n, Announce: announce, Units: []events.UnitStatus{{Unit: r.id, State: events.PermitRunning, Healthy: true}}}
	if announce {
		s.Units[0].Capabilities = &events.Capabilities{Class: "cpu", NameplateWatts: 100, MinWatts: 1, MillijoulesPerTerahash: 100_000_000_000_000}
	}
	return events.New(site, r.id, s)
}

// await says who it is until its work fits.
func (r *rig) await(what string, ok func(*events.WorkAssigned) bool) *events.WorkAssigned {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		for i := len(r.work) - 1; i >= 0; i-- {
			if w := r.work[i]; ok(w) {
				r.mu.Unlock()
				return w
			}
		}
		r.mu.Unlock()
		select {
		case <-r.news:
		case <-time.After(200 * time.Millisecond): // nobody may listen yet
			publish(r.t, r.b, r.status(true))
		case <-deadline:
			r.t.Fatalf("%s waited in vain for %s", r.id, what)
		}
	}
}

func (r *rig) any() *events.WorkAssigned {
	r.t.Helper()
	publish(r.t, r.b, r.status(true))
	return r.await("work", func(*events.WorkAssigned) bool { return true })
}

// solve finds n shares of a job that meet the difficulty, from a place on.
func solve(t testing.TB, w *events.WorkAssigned, unit, difficulty string, from, n int) []*events.ShareFound {
	t.Helper()
	tmpl, err := job.Parse(w)
	if err != nil {
		t.Fatal(err)
	}
	target, err := hashengine.TargetFromDifficultyText(difficulty)
	if err != nil {
		t.Fatal(err)
	}
	var out []*events.ShareFound
	for x := from; ; x++ {
		extranonce := make([]byte, tmpl.ExtranonceBytes)
		for i := range extranonce {
			extranonce[len(extranonce)-1-i] = byte(x >> (8 * i))
		}
		h, err := tmpl.Header(extranonce)
		if err != nil {
			t.Fatal(err)
		}
		for nonce := range uint32(20_000) {
			h.SetNonce(nonce)
			hash := h.Hash()
			if !target.Met(&hash) {
				continue
			}
			out = append(out, &events.ShareFound{
				ShareID: hash.String(), JobID: w.JobID, Gateway: w.Gateway, Unit: unit, Version: job.WordText(h.Version()), NTime: int64(h.Time()),
				Nonce: job.WordText(nonce), Extranonce: hex.EncodeToString(extranonce), Difficulty: w.ShareDifficulty, FoundAt: time.Now().UTC(),
			})
			if len(out) == n {
				return out
			}
		}
	}
}

// hearsShares waits until a first share has its verdict. Work is handed out while
// a gateway still reads what is stored: one that is told to end then leaves the
// shares to its next start.
func hearsShares(t testing.TB, b *bus.Bus, r *rig, w *events.WorkAssigned) {
	t.Helper()
	r.found(solve(t, w, r.id, w.ShareDifficulty, 9000, 1)...) // where no test searches
	await(t, b, "the first verdict", func(s tally) bool { return len(s.accepted) == 1 })
}

func (r *rig) found(shares ...*events.ShareFound) {
	r.t.Helper()
	var evs []*events.Event
	for _, s := range shares {
		evs = append(evs, events.New(site, r.id, s).WithID(s.ShareID))
	}
	publish(r.t, r.b, evs...)
}

func publish(t testing.TB, b *bus.Bus, evs ...*events.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Publish(ctx, evs...); err != nil {
		t.Fatal(err)
	}
}

// tally is what SHARES holds.
type tally struct {
	found     map[uint64]*events.ShareFound
	submitted map[string]*events.ShareSubmitted
	accepted  []*events.ShareAccepted
	rejected  map[events.RejectReason]int
	refused   []*events.ShareRejected
	unknown   map[string]*events.ShareUnknown
	ids       map[string]int
	order     []string // of types and share ids
	blocks    []string // types of block events
}

func read(t testing.TB, b *bus.Bus) tally {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := tally{
		found: map[uint64]*events.ShareFound{}, submitted: map[string]*events.ShareSubmitted{},
		rejected: map[events.RejectReason]int{}, unknown: map[string]*events.ShareUnknown{}, ids: map[string]int{},
	}
	for e, err := range b.Events(ctx, events.ReadRequest{Stream: events.StreamShares, Site: site}) {
		if err != nil {
			continue // garbage has its own test
		}
		switch d := e.Data.(type) {
		case *events.ShareFound:
			s.found[e.Sequence] = d
			s.order = append(s.order, "found "+d.ShareID)
		case *events.ShareSubmitted:
			s.submitted[d.ShareID] = d
			s.order = append(s.order, "submitted "+d.ShareID)
		case *events.ShareAccepted:
			s.accepted = append(s.accepted, d)
			s.ids[e.ID]++
			s.order = append(s.order, "accepted "+d.ShareID)
		case *events.ShareRejected:
			s.rejected[d.Reason]++
			s.refused = append(s.refused, d)
			s.ids[e.ID]++
		case *events.ShareUnknown:
			s.unknown[d.ShareID] = d
			s.ids[e.ID]++
		case *events.BlockFound, *events.BlockMatured, *events.BlockOrphaned:
			s.blocks = append(s.blocks, string(e.Type)+" "+e.Source)
		}
	}
	return s
}

func (s tally) judged() int { return len(s.accepted) + len(s.refused) + len(s.unknown) }

// await reads SHARES until ok holds.
func await(t testing.TB, b *bus.Bus, what string, ok func(tally) bool) tally {
	t.Helper()
	deadline := time.Now().Add(patience)
	wake := make(chan struct{}, 1)
	sub, err := b.Conn().Subscribe(b.Prefix()+"."+site+".>", func(*nats.Msg) {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for {
		s := read(t, b)
		if ok(s) {
			return s
		}
		select {
		case <-wake:
		case <-time.After(min(time.Until(deadline), time.Second)):
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain for %s: %d found, %d accepted, rejected %v, %d unknown, blocks %v", what, len(s.found), len(s.accepted), s.rejected, len(s.unknown), s.blocks)
			}
		}
	}
}

// balanced fails unless every share has exactly one verdict.
func (s tally) balanced(t testing.TB) {
	t.Helper()
	if s.judged() != len(s.found) {
		t.Errorf("%d found, %d accepted + %d rejected + %d unknown", len(s.found), len(s.accepted), len(s.refused), len(s.unknown))
	}
	for id, n := range s.ids {
		if n != 1 {
			t.Errorf("verdict %s is stored %d times", id, n)
		}
	}
	for id := range s.submitted {
		if !hasFound(s, id) {
			t.Errorf("%s was submitted and is not found", id)
		}
	}
}

func hasFound(s tally, id string) bool {
	for _, f := range s.found {
		if f.ShareID == id {
			return true
		}
	}
	return false
}
