// SPDX-License-Identifier: Apache-2.0

package practice_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/agent"
	"github.com/ballast-energy/ballast/workers/modelled"
	"github.com/ballast-energy/ballast/workers/practice"
	"github.com/ballast-energy/ballast/workers/software"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The client library starts it on a connection that was closed before:
		// its channel is nil then and it waits for ever. Only kills do that.
		goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

const (
	site    = "demo"
	gateway = "practice"
	// patience bounds every wait; nothing is timed.
	patience = 60 * time.Second
)

func openBus(t testing.TB, dir string) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{DataDir: dir, Logger: slog.New(slog.DiscardHandler)})
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

// generous is a scripted dispatcher: every unit that is heard of may draw its
// full power for as long as it keeps speaking.
func generous(t testing.TB, b *bus.Bus) {
	t.Helper()
	var seq uint64
	full := map[string]int64{}
	publish := func(source string, p events.Payload) {
		m, err := events.Encode(b.Prefix(), events.New(site, source, p))
		if err == nil {
			err = b.Conn().PublishMsg(m)
		}
		if err != nil {
			t.Log(err)
		}
	}
	sub, err := b.Conn().Subscribe(events.Subject(b.Prefix(), site, events.TypeWorkerStatus, "*"), func(m *nats.Msg) {
		e, err := events.Decode(m.Subject, m.Header, m.Data)
		if err != nil {
			t.Errorf("an agent published garbage: %v", err)
			return
		}
		s := e.Data.(*events.WorkerStatus)
		if s.Leaving {
			return
		}
		seq++
		now := time.Now().UTC()
		key := events.OrderKey{Epoch: 1, Sequence: seq}
		var up, on []events.UnitSetpoint
		for _, u := range s.Units {
			if u.Capabilities != nil {
				full[u.Unit] = u.Capabilities.NameplateWatts
			}
			o := events.UnitSetpoint{Unit: u.Unit, SetpointWatts: full[u.Unit]}
			if u.State == events.PermitBoot || u.State == events.PermitFailsafe {
				up = append(up, o)
			} else {
				on = append(on, o)
			}
		}
		if len(up) > 0 {
			publish(e.Source, &events.CommandRamp{
				Decider: "dispatch", Key: key, Agent: e.Source, BootID: s.BootID, Counter: s.Counter, LeaseMilliseconds: 12000,
				Units: up, Reason: events.ReasonAvailable, IssuedAt: now, ValidUntil: now.Add(10 * time.Second),
			})
		}
		if len(on) > 0 {
			publish(e.Source, &events.PermitRenewed{
				Decider: "dispatch", Key: key, BootID: s.BootID, Counter: s.Counter, LeaseMilliseconds: 12000, Units: on,
			})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
}

// ledger counts shares and verdicts as they are stored.
type ledger struct {
	t testing.TB
	b *bus.Bus
}

// tally reads SHARES from its beginning.
type tally struct {
	found    map[uint64]*events.ShareFound
	accepted []*events.ShareAccepted
	rejected map[events.RejectReason]int
	unknown  int
	ids      map[string]int
	payouts  map[events.Basis]events.Payout
	order    []string
}

func (l ledger) read() tally {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := tally{found: map[uint64]*events.ShareFound{}, rejected: map[events.RejectReason]int{}, ids: map[string]int{}, payouts: map[events.Basis]events.Payout{}}
	for e, err := range l.b.Events(ctx, events.ReadRequest{Stream: events.StreamShares, Site: site}) {
		if err != nil {
			continue // garbage has its own test
		}
		switch d := e.Data.(type) {
		case *events.ShareFound:
			c := *d
			s.found[e.Sequence] = &c
		case *events.ShareAccepted:
			c := *d
			s.accepted = append(s.accepted, &c)
			s.payouts[d.Payout.Basis] = d.Payout
			s.ids[e.ID]++
			s.order = append(s.order, d.ShareID+" accepted")
		case *events.ShareRejected:
			s.rejected[d.Reason]++
			s.ids[e.ID]++
			s.order = append(s.order, d.ShareID+" "+string(d.Reason)+" "+d.Detail)
		case *events.ShareUnknown:
			s.unknown++
			s.ids[e.ID]++
		}
	}
	return s
}

func (s tally) judged() int {
	n := len(s.accepted) + s.unknown
	for _, r := range s.rejected {
		n += r
	}
	return n
}

// await reads until ok holds.
func (l ledger) await(what string, ok func(tally) bool) tally {
	l.t.Helper()
	deadline := time.Now().Add(patience)
	wake := make(chan struct{}, 1)
	sub, err := l.b.Conn().Subscribe(l.b.Prefix()+"."+site+".share.>", func(*nats.Msg) {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for {
		s := l.read()
		if ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("waited in vain for %s: %d found, %d accepted, rejected %v, %d unknown", what, len(s.found), len(s.accepted), s.rejected, s.unknown)
		}
		select {
		case <-wake:
		case <-time.After(100 * time.Millisecond): // a batch is heard before it is stored
		}
	}
}

// balanced fails unless every share has exactly one verdict.
func (l ledger) balanced(s tally) {
	l.t.Helper()
	if s.judged() != len(s.found) {
		l.t.Errorf("%d found, %d judged", len(s.found), s.judged())
	}
	for id, n := range s.ids {
		if n != 1 {
			l.t.Errorf("verdict %s is stored %d times", id, n)
		}
	}
}

func newPool(t testing.TB, b practice.Bus, cfg practice.Config) *practice.Pool {
	t.Helper()
	cfg.Site, cfg.Gateway = site, gateway
	p, err := practice.New(cfg, b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRealSharesEndToEnd(t *testing.T) {
	b := openBus(t, t.TempDir())
	generous(t, b)
	pool := newPool(t, b, practice.Config{SharesPerSecond: 20, NBits: "1f00ffff"}) // blocks come fast
	run(t, pool.Run)
	w, err := software.New(software.Config{Site: site, Agent: "cpu-1", Threads: 1, DrainTimeout: patience}, b)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, w.Run)
	l := ledger{t, b}
	l.await("accepted shares", func(s tally) bool { return len(s.accepted) >= 20 })
	stop()
	s := l.await("a verdict for every share", func(s tally) bool { return s.judged() == len(s.found) })
	l.balanced(s)
	if n := s.rejected[events.RejectInvalid] + s.rejected[events.RejectLow] + s.rejected[events.RejectDuplicate] + s.rejected[events.RejectUnknown] + s.unknown; n > 0 {
		t.Errorf("rejected %v, unknown %d: the worker did wrong work", s.rejected, s.unknown)
	}
	blocks := 0
	for _, a := range s.accepted {
		if a.Payout.Basis != events.BasisPractice || a.Agent != "cpu-1" {
			t.Fatalf("%+v", a)
		}
		if a.Block {
			blocks++
		}
	}
	// A block is counted once its verdict is stored: a moment after it can be read.
	st := pool.Stats()
	for late := time.Now().Add(patience); int64(blocks) != st.Blocks || st.Height < st.Blocks; st = pool.Stats() {
		if time.Now().After(late) {
			t.Fatalf("%d blocks in verdicts, stats %+v", blocks, st)
		}
		<-time.After(time.Millisecond)
	}
	t.Logf("%d accepted, %d stale, %d blocks", len(s.accepted), s.rejected[events.RejectStale], blocks)
}

func TestModelledSharesEndToEnd(t *testing.T) {
	b := openBus(t, t.TempDir())
	generous(t, b)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	quote := &events.MarketQuote{NBits: "1702068f", Height: 900000, SubsidySats: 312500000, FeesSats: 4000000, BTCPriceMicrousd: 90000_000000, QuotedAt: time.Now().UTC()}
	if err := b.Publish(ctx, events.New(site, "market", quote)); err != nil {
		t.Fatal(err)
	}
	run(t, newPool(t, b, practice.Config{ModelledSharesPerSecond: 50}).Run)
	plant, err := modelled.NewPlant(modelled.PlantConfig{Site: site, Period: 100 * time.Millisecond}, b)
	if err != nil {
		t.Fatal(err)
	}
	class := modelled.AntminerS21
	class.Boot = 0
	fleet, err := plant.NewFleet(modelled.FleetConfig{Agent: "hall", Count: 1000, Class: class, Meter: "mining"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(agent.Config{Site: site, Agent: "hall", DrainTimeout: patience}, b, fleet)
	if err != nil {
		t.Fatal(err)
	}
	stopPlant := run(t, plant.Run)
	stopAgent := run(t, a.Run)
	l := ledger{t, b}
	l.await("accepted shares", func(s tally) bool { return len(s.accepted) >= 50 })
	stopAgent()
	stopPlant()
	s := l.await("a verdict for every share", func(s tally) bool { return s.judged() == len(s.found) })
	l.balanced(s)
	if len(s.rejected) > 0 || s.unknown > 0 {
		t.Errorf("rejected %v, unknown %d", s.rejected, s.unknown)
	}
	o := s.payouts[events.BasisModelled]
	if len(s.payouts) != 1 || o.NBits != "1702068f" || o.RewardSats != 316500000 {
		t.Errorf("payouts %+v", s.payouts)
	}
}
