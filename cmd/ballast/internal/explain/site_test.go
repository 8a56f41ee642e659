// SPDX-License-Identifier: Apache-2.0

package explain_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/explain"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/bus/bustest"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
	"github.com/ballast-energy/ballast/handlers/host"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The client library starts it on a connection that was closed before.
		goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

// deadline of everything that is waited for.
const deadline = 3 * time.Minute

// site is a real bus with a real host, and a farm of four machines that says by
// hand what it does.
type site struct {
	t       *testing.T
	id      string
	b       *bus.Bus
	x       *explain.Explainer
	counter uint64
	sets    map[string]int64
	applied map[string]events.OrderKey
	seen    uint64 // in COMMANDS
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// newBus opens an embedded bus.
func newBus(t *testing.T) *bus.Bus {
	t.Helper()
	b, err := bus.Open(testContext(t), bus.Config{DataDir: t.TempDir(), Name: "test", Durability: bus.ProcessCrash})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Logf("close bus: %v", err)
		}
	})
	return b
}

// machines of the farm, best first.
var machines = []struct {
	unit string
	mj   int64
}{{"new-1", 15_000}, {"new-2", 15_500}, {"old-1", 30_000}, {"old-2", 31_000}}

const full = 3_500 // W of a machine

// newSite runs a site and waits until all machines are permitted.
func newSite(t *testing.T, b *bus.Bus, id string, change func(*events.SiteConfig)) *site {
	t.Helper()
	s := &site{t: t, id: id, b: b, x: explain.New(b), sets: map[string]int64{}, applied: map[string]events.OrderKey{}}
	c := &events.SiteConfig{
		LimitWatts: 100_000, ContinuousFactorPPM: 1_000_000, ContractedWatts: 100_000,
		Reserve: events.ReserveConfig{FloorWatts: 2_000, MarginWatts: 1_000},
		Meters: []events.MeterConfig{
			{Meter: "ai", Measures: events.MeasuresAI, PeriodMilliseconds: 60_000, StaleMilliseconds: 300_000, MaxWatts: 100_000},
			{Meter: "rack-ai", Node: "rack-7", Measures: events.MeasuresAI, PeriodMilliseconds: 60_000, StaleMilliseconds: 300_000, MaxWatts: 20_000},
		},
		Nodes: []events.NodeConfig{
			{Node: "pdu-1", LimitWatts: 50_000, ContinuousFactorPPM: 1_000_000},
			{Node: "rack-7", Parent: "pdu-1", LimitWatts: 20_000, ContinuousFactorPPM: 800_000, AINameplateWatts: 12_000, Agents: []string{"farm"}},
		},
		Policy: events.PolicyConfig{LeaseMilliseconds: 15_000, DeadMilliseconds: 600_000, RampWattsPerSecond: 100_000, RampBurstWatts: 100_000},
		Tariff: events.TariffConfig{IntervalSeconds: 300, GraceSeconds: 10, AccrualSeconds: 60, Scheme: events.SchemeFPPS},
	}
	if change != nil {
		change(c)
	}
	s.publish(events.SiteSource, c)
	s.host()
	stop := s.calm()
	s.say(true)
	batch := s.decision(func(d *events.DispatchDecided) bool { return d.PermittedAfterWatts == 4*full })
	stop()
	s.obey(batch)
	return s
}

// calm publishes readings until it is stopped: the machines may join late.
func (s *site) calm() (stop func()) {
	s.reading("ai", 40_000)
	s.reading("rack-ai", 2_000)
	ctx, cancel := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for meter, w := range map[string]int64{"ai": 40_000, "rack-ai": 2_000} {
				e := events.New(s.id, meter, &events.MeterReading{PowerWatts: w, SampledAt: time.Now().UTC(), Quality: events.QualityGood})
				// One that a busy server acknowledges late is none the worse.
				if err := s.b.Publish(ctx, e); err != nil && ctx.Err() == nil && !errors.Is(err, bus.ErrOutcomeUnknown) {
					s.t.Errorf("reading: %v", err)
				}
			}
		}
	})
	stop = func() { cancel(); wg.Wait() }
	s.t.Cleanup(stop)
	return stop
}

// host decides until the end of the test.
func (s *site) host() {
	s.t.Helper()
	own, err := s.b.Dial(testContext(s.t), "host-"+s.id, bus.Credentials{})
	if err != nil {
		s.t.Fatal(err)
	}
	h, err := host.New(host.Config{Bus: own, Site: s.id, Name: "host", ActivateIfNone: true,
		Deciders: []host.Factory{func() (decider.Decider, error) { return dispatch.New(dispatch.Config{}), nil }}})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := h.Run(ctx); err != nil {
			s.t.Errorf("host: %v", err)
		}
	}()
	s.t.Cleanup(func() {
		cancel()
		<-ended
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		_ = own.Close(ctx)
	})
	// What the journal holds after the activation is answered.
	r := events.ReadRequest{Stream: events.StreamJournal, Site: s.id, Types: []events.Type{events.TypeDeciderActivated}, Follow: true}
	for _, err := range s.b.Events(testContext(s.t), r) {
		if err != nil {
			s.t.Fatalf("the host does not speak: %v", err)
		}
		return
	}
	s.t.Fatal("the host does not speak")
}

func (s *site) publish(source string, p events.Payload) {
	s.t.Helper()
	bustest.Publish(testContext(s.t), s.t, s.b, events.New(s.id, source, p))
}

func (s *site) reading(meter string, watts int64) {
	s.t.Helper()
	s.publish(meter, &events.MeterReading{PowerWatts: watts, SampledAt: time.Now().UTC(), Quality: events.QualityGood})
}

// say publishes the condition of the farm.
func (s *site) say(announce bool) {
	s.t.Helper()
	s.counter++
	st := &events.WorkerStatus{BootID: "boot-1", Counter: s.counter, Announce: announce}
	for _, m := range machines {
		u := events.UnitStatus{Unit: m.unit, State: events.PermitLimited, SetpointWatts: s.sets[m.unit], PowerWatts: s.sets[m.unit], Healthy: true, Modelled: true}
		if k, ok := s.applied[m.unit]; ok {
			u.Applied = &k
		}
		if announce {
			u.Capabilities = &events.Capabilities{Class: "s21", NameplateWatts: full, MinWatts: full, LevelsWatts: []int64{full},
				MillijoulesPerTerahash: m.mj, FallMilliseconds: 1_000, BootMilliseconds: 1_000}
		}
		st.Units = append(st.Units, u)
	}
	s.publish("farm", st)
}

// decision waits for one that satisfies ok and returns it with its commands, the
// decision last.
func (s *site) decision(ok func(*events.DispatchDecided) bool) []*events.Event {
	s.t.Helper()
	var batch []*events.Event
	r := events.ReadRequest{Stream: events.StreamCommands, Site: s.id, FromSequence: s.seen + 1, Follow: true,
		Types: []events.Type{events.TypeCommandCurtail, events.TypeCommandRamp, events.TypeDispatchDecided}}
	for e, err := range s.b.Events(testContext(s.t), r) {
		if err != nil {
			s.t.Fatal(err)
		}
		s.seen = e.Sequence
		batch = append(batch, e)
		d, is := e.Data.(*events.DispatchDecided)
		if !is {
			continue
		}
		if ok(d) {
			return batch
		}
		s.obey(batch)
		batch = nil
	}
	s.t.Fatal("no such decision")
	return nil
}

// obey lets the farm follow commands, and say so.
func (s *site) obey(batch []*events.Event) {
	s.t.Helper()
	told := false
	set := func(unit string, w int64, k events.OrderKey) {
		s.sets[unit], s.applied[unit], told = w, k, true
	}
	for _, e := range batch {
		switch c := e.Data.(type) {
		case *events.CommandCurtail:
			for _, m := range machines {
				if c.AllUnitsWatts != nil {
					set(m.unit, min(s.sets[m.unit], *c.AllUnitsWatts), c.Key)
				}
			}
			for _, u := range c.Units {
				set(u.Unit, u.SetpointWatts, c.Key)
			}
		case *events.CommandRamp:
			for _, u := range c.Units {
				set(u.Unit, u.SetpointWatts, c.Key)
			}
		}
	}
	if told {
		s.say(false)
	}
}

// lowered waits for the decision that lowers because of something, obeys it and
// returns the id of its first command.
func (s *site) lowered(why events.Reason) string {
	s.t.Helper()
	batch := s.decision(func(d *events.DispatchDecided) bool { return d.Binding == why && d.UnitsLowered > 0 })
	s.obey(batch)
	// The units have no meter: their acknowledgement ends the verification.
	key := batch[len(batch)-1].Data.(*events.DispatchDecided).Key
	r := events.ReadRequest{Types: []events.Type{events.TypeCurtailmentMetered}, Site: s.id, Follow: true}
	for e, err := range s.b.Events(testContext(s.t), r) {
		if err != nil {
			s.t.Fatal(err)
		}
		if e.Data.(*events.CurtailmentMetered).Key.Sequence == key.Sequence {
			return batch[0].ID
		}
	}
	s.t.Fatal("the reduction is not verified")
	return ""
}

// chain explains an id.
func (s *site) chain(ref string) *explain.Chain {
	s.t.Helper()
	r, err := explain.ParseRef(ref)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := s.x.Chain(testContext(s.t), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// snapshot stores one of the site's state now, as a host does, and returns the
// sequence it is of.
func (s *site) snapshot() uint64 {
	s.t.Helper()
	ctx := testContext(s.t)
	d := dispatch.New(dispatch.Config{})
	r, err := decider.NewRunner(s.b.Prefix(), s.id, d)
	if err != nil {
		s.t.Fatal(err)
	}
	for m, err := range s.b.RawEvents(ctx, events.ReadRequest{Stream: events.StreamJournal, Site: s.id}) {
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := r.Feed(&decider.Raw{Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: m.Sequence, Arrived: m.Arrived}); err != nil {
			s.t.Fatal(err)
		}
	}
	data, err := r.Snapshot(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	store, err := s.b.SnapshotStore(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := store.PutBytes(ctx, host.SnapshotKey(s.id, d.Identity()), data); err != nil {
		s.t.Fatal(err)
	}
	return r.Sequence()
}
