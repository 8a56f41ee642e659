// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/agent"
	"github.com/ballast-energy/ballast/workers/permit"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The client library starts it on a connection that was closed before:
		// its channel is nil then and it waits for ever. Only kills do that.
		goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

const site = "tx1"

// patience bounds every wait; nothing is timed.
const patience = time.Minute

func openBus(t testing.TB, dir string) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{DataDir: dir, Durability: bus.ProcessCrash, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBus(t, b) })
	return b
}

func closeBus(t testing.TB, b *bus.Bus) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Logf("closing the bus: %v", err)
	}
}

// rack is a driver of n units that remembers its setpoints.
type rack struct {
	units []agent.Unit

	mu      sync.Mutex
	watts   []int64
	most    int64 // sum of setpoints since the last reset, at its highest
	changed chan struct{}
	jobs    chan *events.WorkAssigned
	drained bool
}

func newRack(id string, n int) *rack {
	r := &rack{watts: make([]int64, n), changed: make(chan struct{}, 1), jobs: make(chan *events.WorkAssigned, 10)}
	for i := range n {
		unit := id
		if n > 1 {
			unit = fmt.Sprintf("%s-%d", id, i)
		}
		r.units = append(r.units, agent.Unit{ID: unit, Capabilities: events.Capabilities{
			Class: "test", NameplateWatts: 3000, MinWatts: 100, MillijoulesPerTerahash: 17000,
		}})
	}
	return r
}

func (r *rack) Units() []agent.Unit { return r.units }

func (r *rack) Drive(orders []agent.Order) {
	r.mu.Lock()
	for _, o := range orders {
		r.watts[o.Unit] = o.Watts
	}
	r.most = max(r.most, r.sum())
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *rack) Measure(unit int, s *events.UnitStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.PowerWatts, s.HashrateMHs, s.Healthy, s.Modelled = r.watts[unit], r.watts[unit], true, true
}

func (r *rack) Work(w *events.WorkAssigned) { r.jobs <- w }

func (r *rack) Drain(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drained = true
	return nil
}

func (r *rack) sum() int64 {
	var s int64
	for _, w := range r.watts {
		s += w
	}
	return s
}

// await waits until all setpoints together are want.
func (r *rack) await(t testing.TB, want int64) {
	t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		have := r.sum()
		r.mu.Unlock()
		if have == want {
			return
		}
		select {
		case <-r.changed:
		case <-deadline:
			t.Fatalf("units are set to %d W together, want %d W", have, want)
		}
	}
}

// reset forgets the highest sum; highest returns it.
func (r *rack) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.most = r.sum()
}

func (r *rack) highest() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most
}

// dispatcher is a scripted one: it remembers the newest status of every agent
// and speaks on demand.
type dispatcher struct {
	t   testing.TB
	b   *bus.Bus
	seq uint64

	mu       sync.Mutex
	statuses []*events.Event
	newest   map[string]*events.WorkerStatus
	units    map[string]events.UnitStatus
	heard    chan struct{}
}

func newDispatcher(t testing.TB, b *bus.Bus) *dispatcher {
	t.Helper()
	d := &dispatcher{t: t, b: b, newest: map[string]*events.WorkerStatus{}, units: map[string]events.UnitStatus{}, heard: make(chan struct{}, 1)}
	sub, err := b.Conn().Subscribe(events.Subject(b.Prefix(), site, events.TypeWorkerStatus, "*"), func(m *nats.Msg) {
		e, err := events.Decode(m.Subject, m.Header, m.Data)
		if err != nil {
			t.Errorf("an agent published garbage: %v", err)
			return
		}
		d.hear(e)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return d
}

func (d *dispatcher) hear(e *events.Event) {
	s := e.Data.(*events.WorkerStatus)
	d.mu.Lock()
	d.statuses = append(d.statuses, e)
	d.newest[e.Source] = s
	for _, u := range s.Units {
		if u.Capabilities == nil { // remembered, as a real one does: who waits for them may look later
			u.Capabilities = d.units[u.Unit].Capabilities
		}
		d.units[u.Unit] = u
	}
	d.mu.Unlock()
	select {
	case d.heard <- struct{}{}:
	default:
	}
}

// await waits until ok holds, looking after every status.
func (d *dispatcher) await(what string, ok func() bool) {
	d.t.Helper()
	deadline := time.After(patience)
	for {
		d.mu.Lock()
		done := ok()
		d.mu.Unlock()
		if done {
			return
		}
		select {
		case <-d.heard:
		case <-deadline:
			d.t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (d *dispatcher) awaitUnit(unit string, ok func(events.UnitStatus) bool) {
	d.t.Helper()
	d.await("status of "+unit, func() bool { u, known := d.units[unit]; return known && ok(u) })
}

// status is the newest one of an agent.
func (d *dispatcher) status(id string) *events.WorkerStatus {
	d.t.Helper()
	d.await("a status of "+id, func() bool { return d.newest[id] != nil })
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.newest[id]
}

func (d *dispatcher) next() events.OrderKey {
	d.seq++
	return events.OrderKey{Epoch: 1, Sequence: d.seq}
}

func (d *dispatcher) say(source string, p events.Payload) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := d.b.Publish(ctx, events.New(site, source, p)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *dispatcher) rampOf(s *events.WorkerStatus, id string, watts int64, lease time.Duration, units ...string) *events.CommandRamp {
	now := time.Now().UTC()
	r := &events.CommandRamp{
		Decider: "dispatch", Key: d.next(), Agent: id, BootID: s.BootID, Counter: s.Counter, LeaseMilliseconds: lease.Milliseconds(),
		Reason: events.ReasonAvailable, IssuedAt: now, ValidUntil: now.Add(time.Minute), // how late it may be obeyed is not the lease's affair
	}
	for _, u := range units {
		r.Units = append(r.Units, events.UnitSetpoint{Unit: u, SetpointWatts: watts})
	}
	return r
}

func (d *dispatcher) ramp(id string, watts int64, lease time.Duration, units ...string) {
	d.t.Helper()
	d.say(id, d.rampOf(d.status(id), id, watts, lease, units...))
}

func (d *dispatcher) curtail(id string, watts int64, units ...string) events.OrderKey {
	d.t.Helper()
	now := time.Now().UTC()
	c := &events.CommandCurtail{Decider: "dispatch", Key: d.next(), Reason: events.ReasonHeadroom, IssuedAt: now, ValidUntil: now.Add(time.Minute)}
	source := id
	if id == events.BroadcastSource {
		c.AllUnitsWatts = &watts
	} else {
		c.Agent = id
		for _, u := range units {
			c.Units = append(c.Units, events.UnitSetpoint{Unit: u, SetpointWatts: watts})
		}
	}
	d.say(source, c)
	return c.Key
}

func (d *dispatcher) renewOf(s *events.WorkerStatus, watts int64, lease time.Duration, units ...string) *events.PermitRenewed {
	r := &events.PermitRenewed{Decider: "dispatch", Key: d.next(), BootID: s.BootID, Counter: s.Counter, LeaseMilliseconds: lease.Milliseconds()}
	for _, u := range units {
		r.Units = append(r.Units, events.UnitSetpoint{Unit: u, SetpointWatts: watts})
	}
	return r
}

// stopwatch is a clock of leases that stands still until it is let go: what a
// test does while a lease lives takes as long as it takes.
type stopwatch struct {
	mu   sync.Mutex
	held bool
	at   permit.Instant // while held
	lag  time.Duration  // behind the machine's clock, while it goes
}

func newStopwatch() *stopwatch { return &stopwatch{held: true, at: agent.Monotonic()} }

func (w *stopwatch) now() permit.Instant {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held {
		return w.at
	}
	return agent.Monotonic().Add(-w.lag)
}

func (w *stopwatch) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.held {
		w.held, w.at = true, agent.Monotonic().Add(-w.lag)
	}
}

func (w *stopwatch) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held {
		w.held, w.lag = false, agent.Monotonic().Sub(w.at)
	}
}

// skip lets time pass at once.
func (w *stopwatch) skip(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at, w.lag = w.at.Add(d), w.lag-d
}

// start runs an agent until the test ends or stop is called, which returns
// what Run returned. Without a clock of its own no lease of it runs out.
func start(t testing.TB, cfg agent.Config, b agent.Bus, driver agent.Driver) (a *agent.Agent, stop func() error) {
	t.Helper()
	cfg.Site = site
	if cfg.Clock == nil {
		cfg.Clock = newStopwatch().now
	}
	a, err := agent.New(cfg, b, driver)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() { cancel(); result = <-done })
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return a, stop
}

func awaitReady(t testing.TB, a *agent.Agent) {
	t.Helper()
	select {
	case <-a.Ready():
	case <-time.After(patience):
		t.Fatal("the announcement was not acknowledged")
	}
}

// connOf lets an agent use a bare connection.
type connOf struct{ nc *nats.Conn }

func (c connOf) Conn() *nats.Conn { return c.nc }
func (c connOf) Prefix() string   { return events.DefaultPrefix }
