// SPDX-License-Identifier: Apache-2.0

package reactor_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/bus/bustest"
	"github.com/ballast-energy/ballast/handlers/reactor"
)

const site = "tx1"

// patience is how long a test waits for what must come: so long that only what
// never comes fails it, on a machine that is busy with other things, too.
const patience = 3 * time.Minute

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The client library starts it on a connection that was closed before:
		// its channel is nil then and it waits for ever. Only kills do that.
		goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func openBus(t testing.TB) *bus.Bus {
	t.Helper()
	b, err := bus.Open(testContext(t), bus.Config{DataDir: t.TempDir(), Name: "test", Durability: bus.ProcessCrash})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = b.Close(ctx)
	})
	return b
}

func newReactor(t testing.TB, b *bus.Bus) *reactor.Reactor {
	t.Helper()
	r, err := reactor.New(reactor.Config{
		Bus: b, Name: "tester", Tries: 3, FirstDelay: time.Millisecond, MostDelay: 4 * time.Millisecond,
		CloseTimeout: patience, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func run(t testing.TB, r *reactor.Reactor) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	<-r.Running()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func publish(t testing.TB, b *bus.Bus, evs ...*events.Event) {
	t.Helper()
	bustest.Publish(testContext(t), t, b, evs...)
}

func quote(h int64) *events.Event {
	return events.New(site, "market", &events.MarketQuote{NBits: "1d00ffff", Height: h, QuotedAt: time.Now()}).WithID(fmt.Sprint("quote-", h))
}

func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for: %s", patience, what)
		}
	}
}

func deadLetters(t testing.TB, b *bus.Bus) []events.Of[events.DeadLetter] {
	t.Helper()
	var out []events.Of[events.DeadLetter]
	for e, err := range events.Read[events.DeadLetter](testContext(t), b) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func TestRetriesThenDeadLetter(t *testing.T) {
	b := openBus(t)
	r := newReactor(t, b)
	var mu sync.Mutex
	tries := map[int64]int{}
	err := reactor.Handle(r, "quotes", "", func(_ context.Context, e events.Of[events.MarketQuote]) error {
		mu.Lock()
		defer mu.Unlock()
		h := e.Data.Height
		tries[h]++
		switch {
		case h == 1 && tries[h] < 3:
			return errors.New("not yet")
		case h == 2:
			return errors.New("never")
		case h == 3:
			panic("ouch")
		case h == 4:
			return backoff.Permanent(errors.New("hopeless"))
		}
		return nil
	}, reactor.Ordered())
	if err != nil {
		t.Fatal(err)
	}
	run(t, r)
	for h := range int64(6) {
		publish(t, b, quote(h))
	}
	if _, err := b.JetStream().Publish(testContext(t), "ballast.tx1.market.quote.market", []byte("{")); err != nil {
		t.Fatal(err)
	}
	publish(t, b, quote(6))
	until(t, "the last quote", func() bool { mu.Lock(); defer mu.Unlock(); return tries[6] > 0 })
	mu.Lock()
	defer mu.Unlock()
	for h, want := range map[int64]int{0: 1, 1: 3, 2: 3, 3: 3, 4: 1, 5: 1, 6: 1} {
		if tries[h] != want {
			t.Errorf("quote %d was tried %d times, wanted %d", h, tries[h], want)
		}
	}
	dead := deadLetters(t, b)
	if len(dead) != 4 {
		t.Fatalf("%d dead letters: %+v", len(dead), dead)
	}
	for i, want := range []struct {
		reason events.DeadReason
		tries  int64
	}{{events.DeadExhausted, 3}, {events.DeadExhausted, 3}, {events.DeadExhausted, 1}, {events.DeadUnreadable, 1}} {
		d := dead[i].Data
		if d.Reason != want.reason || d.Attempts != want.tries || d.Consumer != "tester" || d.Stream != events.StreamInputs {
			t.Errorf("letter %d: %+v", i, d)
		}
	}
}

func TestCausesAndPositionsSurvive(t *testing.T) {
	b := openBus(t)
	var seen atomic.Int64
	register := func(r *reactor.Reactor) {
		err := reactor.Handle(r, "quotes", "", func(ctx context.Context, e events.Of[events.MarketQuote]) error {
			seen.Add(1)
			return r.Publish(ctx, events.New(site, "tester", &events.AlertCleared{Alert: "seen/" + e.ID, Message: "seen"}).WithID("seen/"+e.ID))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r := newReactor(t, b)
	register(r)
	stop := run(t, r)
	publish(t, b, quote(1), quote(2))
	until(t, "two", func() bool { return seen.Load() == 2 })
	stop()
	publish(t, b, quote(3))
	r = newReactor(t, b)
	register(r)
	stop = run(t, r)
	until(t, "three", func() bool { return seen.Load() == 3 })
	stop()
	n := 0
	for e, err := range events.Read[events.AlertCleared](testContext(t), b) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if want := e.Data.Alert[len("seen/"):]; e.Causation != want || e.Correlation != want {
			t.Errorf("%s: causation %q, correlation %q", e.ID, e.Causation, e.Correlation)
		}
	}
	if n != 3 {
		t.Errorf("%d effects of 3 events", n)
	}
}

func TestBroadcastsAreCurtails(t *testing.T) {
	b := openBus(t)
	r := newReactor(t, b)
	var agents, all atomic.Int64
	err := reactor.Handle(r, "curtails", "", func(_ context.Context, e events.Of[events.CommandCurtail]) error {
		if e.Data.AllUnitsWatts != nil {
			all.Add(1)
		} else {
			agents.Add(1)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, r)
	zero := int64(0)
	now := time.Now()
	if err := b.Publish(testContext(t),
		events.New(site, events.BroadcastSource, &events.CommandCurtail{Decider: "d", AllUnitsWatts: &zero, Reason: events.ReasonStop, IssuedAt: now, ValidUntil: now}),
		events.New(site, "a", &events.CommandCurtail{Decider: "d", Agent: "a", Units: []events.UnitSetpoint{{Unit: "u"}}, Reason: events.ReasonStop, IssuedAt: now, ValidUntil: now}),
	); err != nil {
		t.Fatal(err)
	}
	until(t, "both", func() bool { return agents.Load() == 1 && all.Load() == 1 })
}

func TestRefusals(t *testing.T) {
	b := openBus(t)
	r := newReactor(t, b)
	never := func(context.Context, events.Of[events.PermitRenewed]) error { return nil }
	if err := reactor.Handle(r, "renewals", "", never); err == nil {
		t.Error("a type that is never stored was accepted")
	}
	wrong := func(context.Context, events.Of[events.MarketQuote]) error { return nil }
	if err := reactor.Handle(r, "quotes", events.StreamRevenue, wrong); err == nil {
		t.Error("a stream without the type was accepted")
	}
	if err := reactor.Handle(r, "Quotes!", "", wrong); err == nil {
		t.Error("a name that is no token was accepted")
	}
	if _, err := reactor.New(reactor.Config{Bus: b, Name: "x", Tries: -1}); err == nil {
		t.Error("less than one try was accepted")
	}
}

func BenchmarkSuccessfulEvent(b *testing.B) {
	// Through router and all middlewares, on the bus; see package pubsub for
	// what the subscriber alone costs.
	x := openBus(b)
	r := newReactor(b, x)
	var n atomic.Int64
	if err := reactor.Handle(r, "quotes", "", func(context.Context, events.Of[events.MarketQuote]) error { n.Add(1); return nil }); err != nil {
		b.Fatal(err)
	}
	var evs []*events.Event
	for i := range b.N {
		evs = append(evs, quote(int64(i)))
	}
	if err := x.Publish(testContext(b), evs...); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	run(b, r)
	until(b, "all", func() bool { return n.Load() >= int64(b.N) })
}
