// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/bus/bustest"
	"github.com/ballast-energy/ballast/workers/agent"
	"github.com/ballast-energy/ballast/workers/modelled"
)

// faultSiteID is the site of the fault tests.
const faultSiteID = "tx1"

// patience is how long a fault test waits for what must come: so long that only
// what never comes fails it, on a machine that is busy with other things, too.
const patience = 3 * time.Minute

// faultSite is a site whose roles are processes of the real binary, to be
// killed, and whose load and machines are in the test, to be watched.
type faultSite struct {
	t *testing.T
	// dir holds data and configuration; url is where the bus listens.
	dir, url, conf string
	server         *process
	// b is the test's own connection.
	b *bus.Bus
	// lease of the site's permits, and window in which the bus remembers ids.
	lease, window time.Duration
	// storedTwice are the outputs that may be stored twice, by id, and how many
	// copies each decider has of them.
	storedTwice map[string]bool
	copiesOf    map[string]uint64
	// probed are the stalls of COMMANDS that a probe has seen.
	mu     sync.Mutex
	probed spans
}

// faultOptions of a site; zero values are filled in.
type faultOptions struct {
	// window in which the bus remembers message ids: what takes minutes on a
	// real site (a replica that sleeps longer than the window) takes seconds
	// with a small one.
	window time.Duration
	// lease of a permit.
	lease time.Duration
	// payload is the largest message, bytes.
	payload int
}

const faultConfig = `bus:
  data_dir: %s
  listen: %s
  duplicate_window: %s
  max_payload: %d
sites:
  - id: tx1
    limit: 1MW
    ai_nameplate: 1MW
    reserve: {margin: 10kW, envelope: 0s}
    meters:
      - {id: ai-feeder, measures: ai, period: 1s, stale: 5s, max: 2MW}
      - {id: mining-1, measures: mining, period: 1s, stale: 5s, max: 2MW}
    policy:
      lease: %s
      dead: 60s
      restart_delay: 0s
      ramp_per_second: 1MW
      ramp_burst: 1MW
      min_on: 0s
      min_off: 0s
      hysteresis: 0W
      economics: false
    tariff: {interval: 60s, grace: 1s, accrual: 2s, energy_price: 40.00, pool_fee: 1%%, scheme: fpps}
`

// newFaultSite starts the bus process and connects to it.
func newFaultSite(t *testing.T, o faultOptions) *faultSite {
	t.Helper()
	if o.window == 0 {
		o.window = 2 * time.Minute
	}
	if o.lease == 0 {
		o.lease = 10 * time.Second
	}
	if o.payload == 0 {
		o.payload = 1 << 20
	}
	s := &faultSite{t: t, dir: t.TempDir(), lease: o.lease, window: o.window}
	addr := bustest.FreeAddress(t)
	s.url = "nats://" + addr
	s.conf = filepath.Join(s.dir, "site.yaml")
	text := fmt.Sprintf(faultConfig, filepath.Join(s.dir, "data"), addr, o.window, o.payload, o.lease)
	if err := os.WriteFile(s.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.startBus()
	s.b = s.connect("test")
	return s
}

// startBus starts the bus process on the site's directory and port.
func (s *faultSite) startBus() {
	s.t.Helper()
	s.server = start(s.t, s.dir, "serve", "--role", "bus", "--config", s.conf, "--json")
	s.server.waitLine(`"serving"`, patience)
}

// role starts one more process of a role and waits until it serves.
func (s *faultSite) role(role, name string, args ...string) *process {
	s.t.Helper()
	p := start(s.t, s.dir, append([]string{"serve", "--role", role, "--site", faultSiteID, "--name", name, "--server", s.url, "--json"}, args...)...)
	p.waitLine(`"serving"`, patience)
	return p
}

// connect makes a connection to the bus that lasts until the end of the test.
func (s *faultSite) connect(name string) *bus.Bus {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{URL: s.url, Name: name})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_ = b.Close(ctx) // the server may be dead, which is what is tested
	})
	return b
}

// running starts loops that end, and are waited for, with stop or the test.
func (s *faultSite) running(loops ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	var wg sync.WaitGroup
	for _, loop := range loops {
		wg.Go(func() { loop(ctx) })
	}
	stop = func() { cancel(); wg.Wait() }
	s.t.Cleanup(stop)
	return stop
}

// Load of the fault tests: the AI load climbs in small steps, each of which
// takes power from some machine, falls back at once, and stays there for longer
// than dispatch rides through a dip, so that the machines get it all again.
const (
	feedPeriod = 4 * time.Millisecond
	feedLow    = 600_000
	feedRise   = 380_000
	feedClimb  = 6 * time.Second
	feedRest   = 7 * time.Second
)

// feed publishes readings of the AI meter, 250 a second, whatever becomes of
// them: a meter does not wait for the bus.
func (s *faultSite) feed(ctx context.Context) {
	tick := time.NewTicker(feedPeriod)
	defer tick.Stop()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		watts := int64(feedLow)
		if at := time.Since(began) % (feedClimb + feedRest); at < feedClimb {
			watts += feedRise * at.Milliseconds() / feedClimb.Milliseconds()
		}
		s.reading("ai-feeder", watts)
	}
}

// calm publishes readings of a constant AI load, 20 a second.
func (s *faultSite) calm(watts int64) func(context.Context) {
	return func(ctx context.Context) {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			s.reading("ai-feeder", watts)
		}
	}
}

// reading publishes one reading without waiting for anything.
func (s *faultSite) reading(meter string, watts int64) {
	now := time.Now().UTC()
	m, err := events.Encode(s.b.Prefix(), events.New(faultSiteID, meter, &events.MeterReading{PowerWatts: watts, SampledAt: now, Quality: events.QualityGood}).At(now))
	if err == nil {
		err = s.b.Conn().PublishMsg(m)
	}
	if err != nil && !s.b.Conn().IsReconnecting() {
		s.t.Logf("reading: %v", err)
	}
}

// signals publishes a curtail of one second every three seconds, and an emergency and
// its end now and then. Each is repeated until the bus has it.
func (s *faultSite) signals(ctx context.Context) {
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(3 * time.Second):
		}
		to := int64(50_000 * (n % 5))
		sig := &events.GridSignal{SignalID: fmt.Sprintf("curtail-%d", n), Kind: events.SignalCurtail, PowerWatts: &to, DurationSeconds: 1, Reason: "fault test"}
		if n%4 == 0 {
			sig.Kind, sig.PowerWatts = events.SignalEmergency, nil
		}
		s.publish(ctx, events.New(faultSiteID, "ercot", sig).WithID(faultSiteID+"/"+sig.SignalID))
	}
}

// publish stores an event, however often the bus goes away meanwhile.
func (s *faultSite) publish(ctx context.Context, e *events.Event) {
	var err error
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err = s.b.Publish(try, e)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err != nil {
		s.t.Logf("publish %s: %v", e.ID, err)
	}
}

func (s *faultSite) publishAll(evs ...*events.Event) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	bustest.Publish(ctx, s.t, s.b, evs...)
}

// machines are modelled machines behind one agent in the test, with a record
// of every order they got.
type machines struct {
	*modelled.Fleet
	agent *agent.Agent

	mu     sync.Mutex
	orders []order
}

// order to one machine at an instant of this process.
type order struct {
	at    time.Time
	unit  int
	watts int64
}

// quick is a machine that boots and falls fast enough for a test.
var quick = modelled.Class{Name: "quick", Levels: []modelled.Level{{Watts: 1750, HashrateGHs: 100_000}, {Watts: 3500, HashrateGHs: 200_000}}, Fall: 500 * time.Millisecond, Boot: 500 * time.Millisecond}

// machines starts count machines behind an agent with a connection of its own.
func (s *faultSite) machines(agentID string, count int) (*machines, func()) {
	s.t.Helper()
	b := s.connect(agentID)
	plant, err := modelled.NewPlant(modelled.PlantConfig{Site: faultSiteID, Period: 500 * time.Millisecond, Seed: 1}, b)
	if err != nil {
		s.t.Fatal(err)
	}
	fleet, err := plant.NewFleet(modelled.FleetConfig{Agent: agentID, Count: count, Class: quick, Meter: "mining-1"})
	if err != nil {
		s.t.Fatal(err)
	}
	m := &machines{Fleet: fleet}
	if m.agent, err = agent.New(agent.Config{Site: faultSiteID, Agent: agentID, StatusPeriod: time.Second, DrainTimeout: 2 * time.Second}, b, m); err != nil {
		s.t.Fatal(err)
	}
	stop := s.running(
		func(ctx context.Context) { _ = plant.Run(ctx) },   // what is left at the end is nobody's loss
		func(ctx context.Context) { _ = m.agent.Run(ctx) }, // no goodbye where the bus is dead
	)
	select {
	case <-m.agent.Ready():
	case <-time.After(patience):
		s.t.Fatalf("agent %s was not heard within %v; the bus says:\n%s", agentID, patience, s.server.output())
	}
	return m, stop
}

// Drive implements agent.Driver and remembers.
func (m *machines) Drive(orders []agent.Order) {
	now := time.Now()
	m.mu.Lock()
	for _, o := range orders {
		m.orders = append(m.orders, order{now, o.Unit, o.Watts})
	}
	m.mu.Unlock()
	m.Fleet.Drive(orders)
}

// since lists the orders after t.
func (m *machines) since(t time.Time) []order {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []order
	for _, o := range m.orders {
		if o.at.After(t) {
			out = append(out, o)
		}
	}
	return out
}

// permitted is the sum of the setpoints in force.
func (m *machines) permitted() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := map[int]int64{}
	for _, o := range m.orders {
		last[o.unit] = o.watts
	}
	var sum int64
	for _, w := range last {
		sum += w
	}
	return sum
}

// until waits for a condition.
func until(t *testing.T, within time.Duration, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		}
	}
}

// last is the newest event of a type at the site, nil when there is none.
func last[T any, P events.PayloadOf[T]](s *faultSite, from time.Time) *events.Of[T] {
	s.t.Helper()
	var out *events.Of[T]
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for e, err := range events.Read[T, P](ctx, s.b, events.AtSite(faultSiteID), events.Since(from)) {
		if err == nil {
			out = &e
		}
	}
	return out
}

// next waits for an event of a type that is stored from now on and satisfies
// ok, and returns it.
func next[T any, P events.PayloadOf[T]](s *faultSite, what string, ok func(events.Of[T]) bool) events.Of[T] {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for e, err := range events.Read[T, P](ctx, s.b, events.AtSite(faultSiteID), events.NewOnly()) {
		if err == nil && ok(e) {
			return e
		}
	}
	s.t.Fatalf("not within %v: %s", patience, what)
	panic("unreachable")
}

// first waits for the first stored event of a type that arrived after from and
// satisfies ok, and returns it.
func first[T any, P events.PayloadOf[T]](s *faultSite, from time.Time, what string, ok func(events.Of[T]) bool) (found events.Of[T]) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	until(s.t, patience, what, func() bool {
		for e, err := range events.Read[T, P](ctx, s.b, events.AtSite(faultSiteID), events.Since(from)) {
			if err == nil && ok(e) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// decided waits for a decision that is made from now on.
func (s *faultSite) decided(what string) {
	s.t.Helper()
	next(s, what, func(events.Of[events.DispatchDecided]) bool { return true })
}

// quiet waits until the journal has gone on for d after now, so that everything
// decided until now is older than d.
func (s *faultSite) quiet(d time.Duration) {
	s.t.Helper()
	from := time.Now().Add(d)
	next(s, "the clock goes on", func(e events.Of[events.ClockTick]) bool { return e.Arrived.After(from) })
}

// journalState is the newest sequence of JOURNAL and the present epoch.
func (s *faultSite) journalState() (last, epoch uint64) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	st, err := s.b.JetStream().Stream(ctx, events.StreamJournal)
	if err != nil {
		s.t.Fatal(err)
	}
	o, err := s.b.CurrentEpoch(ctx, faultSiteID)
	if err != nil {
		s.t.Fatal(err)
	}
	return st.CachedInfo().State.LastSeq, o.Epoch
}

// journalStateAgain is journalState once the test is connected to a bus that
// was started anew.
func (s *faultSite) journalStateAgain() (last, epoch uint64) {
	s.t.Helper()
	until(s.t, patience, "the test is connected again", s.b.Conn().IsConnected)
	return s.journalState()
}
