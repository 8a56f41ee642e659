// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/bus/bustest"
	"github.com/ballast-energy/ballast/workers/agent"
)

func serve(t testing.TB, dir, listen string) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{DataDir: dir, Listen: listen, Durability: bus.ProcessCrash, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBus(t, b) })
	return b
}

func join(t testing.TB, listen, name string) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{URL: "nats://" + listen, Name: name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBus(t, b) })
	return b
}

func TestBusLossAndReturn(t *testing.T) {
	dir, listen := t.TempDir(), bustest.FreeAddress(t)
	server := serve(t, dir, listen)
	d := newDispatcher(t, server)
	const n = 1000
	r := newRack("rig", n)
	clock := newStopwatch()
	a, _ := start(t, agent.Config{Agent: "rig", Clock: clock.now}, join(t, listen, "rig"), r)
	awaitReady(t, a)
	d.await("all units", func() bool { return len(d.units) == n })
	var ids []string
	for _, u := range r.units {
		ids = append(ids, u.ID)
	}
	d.ramp("rig", 3000, 2*time.Second, ids...)
	r.await(t, 3000*n)
	before := d.status("rig")
	closeBus(t, server)

	clock.release()
	r.await(t, 0) // by the lease alone
	clock.hold()
	r.reset()
	server = serve(t, dir, listen)
	again := newDispatcher(t, server)
	again.seq = d.seq
	a.Announce() // it may have done so before this dispatcher listened
	again.awaitUnit("rig-0", func(u events.UnitStatus) bool { return u.State == events.PermitFailsafe && u.Capabilities != nil })
	// A replica that remembers the time before the loss gives no power.
	again.say("rig", again.rampOf(before, "rig", 3000, 12*time.Second, ids...))
	again.say("rig", again.renewOf(before, 3000, 12*time.Second, ids...))
	again.say("rig", again.renewOf(again.status("rig"), 3000, 12*time.Second, ids...))
	again.curtail("rig", 1, "rig-0")
	again.awaitUnit("rig-0", func(u events.UnitStatus) bool { return u.Applied != nil && u.Applied.Sequence == again.seq })
	if got := r.highest(); got != 0 {
		t.Fatalf("%d W before a fresh command", got)
	}
	again.ramp("rig", 3000, 12*time.Second, ids...)
	r.await(t, 3000*n)
}

// A dispatcher replica that was cut off goes on renewing by what it folded
// last. Its keys rise, its statuses do not.
func TestOldReplicaCannotKeepALeaseAlive(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	clock := newStopwatch()
	a, _ := start(t, agent.Config{Agent: "rig", StatusPeriod: 100 * time.Millisecond, Clock: clock.now}, b, r)
	awaitReady(t, a)
	old := d.status("rig")
	d.say("rig", d.rampOf(old, "rig", 3000, 2*time.Second, "rig"))
	r.await(t, 3000)
	clock.release()
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := events.Encode(b.Prefix(), events.New(site, "rig", d.renewOf(old, 3000, 2*time.Second, "rig")))
			if err == nil {
				err = b.Conn().PublishMsg(m)
			}
			if err != nil {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	r.await(t, 0)
	close(stop)
	<-done
	d.awaitUnit("rig", func(u events.UnitStatus) bool { return u.State == events.PermitFailsafe })
}

func TestAnnouncesUntilTheBusIsSetUp(t *testing.T) {
	b := openBus(t, t.TempDir())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.JetStream().DeleteStream(ctx, events.StreamJournal); err != nil {
		t.Fatal(err)
	}
	r := newRack("rig", 1)
	a, stop := start(t, agent.Config{Agent: "rig", DrainTimeout: patience, Clock: agent.Monotonic}, b, r) // it tries again after a while
	select {
	case <-a.Ready():
		t.Fatal("ready without a journal")
	default:
	}
	if err := b.EnsureStreams(ctx); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, a)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestOutboxKeepsWhatTheBusDoesNotTake(t *testing.T) {
	dir, listen := t.TempDir(), bustest.FreeAddress(t)
	server := serve(t, dir, listen)
	client := join(t, listen, "rig")
	o := agent.NewOutbox(client, 50, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	share := func(n int) *events.Event {
		id := fmt.Sprintf("%064x", n)
		return events.New(site, "rig", &events.ShareFound{
			ShareID: id, JobID: "j", Gateway: "g", Unit: "rig", Difficulty: "1", FoundAt: time.Now().UTC(), Modelled: true,
		}).WithID(id)
	}
	for n := range 20 {
		if err := o.Add(share(n)); err != nil {
			t.Fatal(err)
		}
	}
	drain := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return o.Drain(ctx)
	}
	if err := drain(); err != nil {
		t.Fatal(err)
	}
	closeBus(t, server)
	for n := range 40 {
		if err := o.Add(share(20 + n)); err != nil {
			t.Fatal(err)
		}
	}
	server = serve(t, dir, listen)
	if err := drain(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for e, err := range events.Read[events.ShareFound](context.Background(), server, events.AtSite(site)) {
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Data.ShareID]++
	}
	if len(seen) != 60 {
		t.Errorf("%d of 60 shares are stored", len(seen))
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s is stored %d times", id, n)
		}
	}
	cancel()
	<-done
	for n := range 60 {
		err := o.Add(share(1000 + n))
		if full := n >= 50; full != (err != nil) {
			t.Fatalf("event %d: %v", n, err)
		}
	}
	if o.Dropped() != 10 || o.Waiting() != 50 {
		t.Errorf("%d dropped, %d waiting", o.Dropped(), o.Waiting())
	}
	bad := share(1)
	bad.Data.(*events.ShareFound).Difficulty = "0"
	if o.Add(bad) == nil || o.Add(events.New(site, "rig", share(2).Data)) == nil {
		t.Error("took an event that can never be stored, or one without an id")
	}
}

// The machine sleeps: timers stand still, the clock of leases does not. On
// waking the lease is found to be over without waiting for its timer.
func TestLeaseEndsWhileTheMachineSleeps(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	clock := newStopwatch()
	a, _ := start(t, agent.Config{Agent: "rig", Clock: clock.now, StatusPeriod: 2 * time.Hour, AnnouncePeriod: 2 * time.Hour}, b, r)
	awaitReady(t, a)
	d.ramp("rig", 3000, 12*time.Second, "rig")
	r.await(t, 3000)
	clock.skip(time.Hour) // no timer goes off by that
	r.await(t, 0)
}
