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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const site = "tx1"

// patience bounds every wait; nothing is timed.
const patience = 20 * time.Second

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
	s.PowerWatts, s.HashrateGHs, s.Healthy, s.Modelled = r.watts[unit], r.watts[unit], true, true
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
		Reason: events.ReasonAvailable, IssuedAt: now, ValidUntil: now.Add(lease),
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

// start runs an agent until the test ends or stop is called, which returns
// what Run returned.
func start(t testing.TB, cfg agent.Config, b agent.Bus, driver agent.Driver) (a *agent.Agent, stop func() error) {
	t.Helper()
	cfg.Site = site
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

func TestAgentObeys(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)

	s := d.status("rig")
	if !s.Announce || s.BootID != a.BootID() || s.Units[0].State != events.PermitBoot || s.Units[0].Capabilities == nil {
		t.Fatalf("announcement: %+v", s)
	}
	d.ramp("rig", 3000, 12*time.Second, "rig")
	r.await(t, 3000)
	d.awaitUnit("rig", func(u events.UnitStatus) bool {
		return u.State == events.PermitRunning && u.SetpointWatts == 3000 && u.Applied != nil && u.LeaseMilliseconds > 0
	})
	key := d.curtail("rig", 1000, "rig")
	r.await(t, 1000)
	d.awaitUnit("rig", func(u events.UnitStatus) bool {
		return u.Applied != nil && *u.Applied == key && u.SetpointWatts == 1000
	})
	d.ramp("rig", 2000, 12*time.Second, "rig")
	r.await(t, 2000)
	d.say("rig", d.renewOf(d.status("rig"), 500, 12*time.Second, "rig"))
	r.await(t, 500)
	d.ramp("rig", 2000, 12*time.Second, "rig")
	r.await(t, 2000)
	d.curtail(events.BroadcastSource, 0)
	r.await(t, 0)
}

func TestAgentObeysRampsOnlyAsStored(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)
	ramp := d.rampOf(d.status("rig"), "rig", 3000, 12*time.Second, "rig")
	m, err := events.Encode(b.Prefix(), events.New(site, "rig", ramp))
	if err != nil {
		t.Fatal(err)
	}
	// A ramp that the stream refuses crosses the wire all the same.
	m.Header.Set("Nats-Expected-Stream", "NO-SUCH-STREAM")
	if _, err := b.Conn().RequestMsg(m, patience); err != nil {
		t.Fatal(err)
	}
	// What follows on the same connection is folded later.
	limit := int64(700)
	if err := a.SetLimit("rig", &limit); err != nil {
		t.Fatal(err)
	}
	d.curtail("rig", 10, "rig")
	d.awaitUnit("rig", func(u events.UnitStatus) bool { return u.Applied != nil })
	if got := r.highest(); got != 0 {
		t.Fatalf("an unstored ramp raised to %d W", got)
	}
}

func TestAgentFallsToFailsafeWithItsLeaseAndLeavesItOnRequestOnly(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)
	before := d.status("rig")
	d.ramp("rig", 3000, time.Second, "rig")
	r.await(t, 3000)
	r.await(t, 0) // nobody renews
	d.awaitUnit("rig", func(u events.UnitStatus) bool { return u.State == events.PermitFailsafe })
	r.reset()
	d.say("rig", d.renewOf(d.status("rig"), 3000, 12*time.Second, "rig"))
	d.say("rig", d.rampOf(before, "rig", 3000, 12*time.Second, "rig")) // does not know of the failsafe
	d.curtail("rig", 50, "rig")
	d.awaitUnit("rig", func(u events.UnitStatus) bool { return u.Applied != nil && u.Applied.Sequence == d.seq })
	if got := r.highest(); got != 0 {
		t.Fatalf("failsafe was left by itself: %d W", got)
	}
	d.ramp("rig", 3000, 12*time.Second, "rig")
	r.await(t, 3000)
}

func TestAgentSpeaksForManyUnitsInParts(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1201)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)
	d.await("all units", func() bool { return len(d.units) == 1201 })
	d.mu.Lock()
	for i, e := range d.statuses {
		s := e.Data.(*events.WorkerStatus)
		if len(s.Units) > agent.MaxUnitsPerStatus || s.Counter != uint64(i+1) {
			t.Errorf("status %d: %d units, counter %d", i, len(s.Units), s.Counter)
		}
	}
	d.mu.Unlock()
	var ids []string
	for _, u := range r.units {
		ids = append(ids, u.ID)
	}
	d.ramp("rig", 3000, 12*time.Second, ids...)
	r.await(t, 3000*1201)
	d.curtail(events.BroadcastSource, 0)
	r.await(t, 0)
}

func TestAgentIgnoresGarbage(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)
	nc := b.Conn()
	for _, body := range []string{"", "{", "null", "[]", `{"units":[{"unit":"rig","setpoint_watts":1e99}]}`, `{"decider":1}`, "\xff\xfe"} {
		for _, subject := range []string{
			events.Subject(b.Prefix(), site, events.TypeCommandCurtail, "rig"),
			events.StoredSubject(b.Prefix(), site, events.TypeCommandRamp, "rig"),
			events.Subject(b.Prefix(), site, events.TypePermitRenewed, "rig"),
			events.Subject(b.Prefix(), site, events.TypeWorkAssigned, "rig"),
			events.BroadcastSubject(b.Prefix(), site),
		} {
			if err := nc.Publish(subject, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.ramp("rig", 3000, 12*time.Second, "rig")
	r.await(t, 3000)
}

func TestAgentLocalLimit(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)
	d.ramp("rig", 3000, 12*time.Second, "rig")
	r.await(t, 3000)
	limit := int64(800)
	if err := a.SetLimit("rig", &limit); err != nil {
		t.Fatal(err)
	}
	r.await(t, 800)
	d.awaitUnit("rig", func(u events.UnitStatus) bool {
		return u.State == events.PermitLocal && u.LocalLimitWatts != nil && *u.LocalLimitWatts == 800
	})
	if err := a.SetLimit("rig", nil); err != nil {
		t.Fatal(err)
	}
	r.await(t, 3000)
	if err := a.SetLimit("other", nil); err == nil {
		t.Fatal("no error for a unit that is not there")
	}
}

func TestAgentHandsOutWork(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)
	d.say("rig", &events.WorkAssigned{
		JobID: "j1", Gateway: "pool", Version: "20000000", VersionMask: "1fffe000",
		PrevHash:  "0000000000000000000000000000000000000000000000000000000000000000",
		Coinbase1: "01", Coinbase2: "00", ExtranoncePrefix: "00000001", ExtranonceBytes: 4,
		NTime: 1700000000, NBits: "1d00ffff", Height: 1, ShareDifficulty: "0.01",
		Payout: events.Payout{Pool: "pool", NBits: "1d00ffff", RewardSats: 1, Scheme: events.SchemePPS, Basis: events.BasisPractice},
	})
	select {
	case w := <-r.jobs:
		if w.JobID != "j1" {
			t.Fatalf("%+v", w)
		}
	case <-time.After(patience):
		t.Fatal("no work came")
	}
}

func TestAgentSaysGoodbye(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 2)
	a, stop := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)
	d.ramp("rig", 3000, 12*time.Second, "rig-0", "rig-1")
	r.await(t, 6000)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	r.await(t, 0)
	if !r.drained {
		t.Error("the driver was not drained")
	}
	d.await("a goodbye", func() bool {
		s := d.newest["rig"]
		return s.Leaving && len(s.Units) == 2 && s.Units[0].SetpointWatts == 0
	})
	if err := a.SetLimit("rig-0", nil); err == nil {
		t.Error("a stopped agent took a limit")
	}
	if err := a.Run(context.Background()); err == nil {
		t.Error("ran twice")
	}
}

func TestNewRefuses(t *testing.T) {
	b := openBus(t, t.TempDir())
	double := newRack("rig", 2)
	double.units[1].ID = double.units[0].ID
	for name, c := range map[string]struct {
		cfg agent.Config
		r   *rack
	}{
		"no site":       {agent.Config{Agent: "rig"}, newRack("rig", 1)},
		"bad agent":     {agent.Config{Site: site, Agent: "Rig 1"}, newRack("rig", 1)},
		"no units":      {agent.Config{Site: site, Agent: "rig"}, newRack("rig", 0)},
		"bad unit":      {agent.Config{Site: site, Agent: "rig"}, newRack("RIG", 1)},
		"twin units":    {agent.Config{Site: site, Agent: "rig"}, double},
		"negative time": {agent.Config{Site: site, Agent: "rig", StatusPeriod: -1}, newRack("rig", 1)},
	} {
		if _, err := agent.New(c.cfg, b, c.r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// connOf lets an agent use a bare connection.
type connOf struct{ nc *nats.Conn }

func (c connOf) Conn() *nats.Conn { return c.nc }
func (c connOf) Prefix() string   { return events.DefaultPrefix }
