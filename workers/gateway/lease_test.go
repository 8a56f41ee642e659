// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// slicesOf is the bucket that holds the leases, too.
func slicesOf(t *testing.T, b *bus.Bus) jetstream.KeyValue {
	t.Helper()
	kv, err := b.SliceStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// serving starts a gateway and waits until it serves.
func serving(t *testing.T, b gateway.Bus, id string, up upstream.Upstream, more ...func(*gateway.Config)) (stop func()) {
	t.Helper()
	serves := make(chan struct{})
	stop = run(t, newGateway(t, b, id, up, append(more, func(c *gateway.Config) { c.OnServe = func() { close(serves) } })...).Run)
	<-serves
	return stop
}

func TestASecondGatewayOfAnIDRefusesToStart(t *testing.T) {
	b := openBus(t)
	p := newPool("0.000001")
	stop := serving(t, b, "gw-1", p)
	r := newRig(t, b, "rig-1")
	w := r.any()
	err := newGateway(t, b, "gw-1", newPool("0.000001")).Run(t.Context())
	if !errors.Is(err, gateway.ErrRunning) {
		t.Fatalf("the second ended with %v", err)
	}
	host, _ := os.Hostname()
	for _, part := range []string{"gw-1", "host " + host, "process ", "since 20", "--id"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	// The first has not noticed anything.
	r.found(solve(t, w, "rig-1", w.ShareDifficulty, 0, 20)...)
	s := await(t, b, "verdicts", func(s tally) bool { return len(s.accepted) == 20 })
	s.balanced(t)
	// Another id, and the same at another site, are free.
	serving(t, b, "gw-2", newPool("0.000001"))()
	serving(t, b, "gw-1", newPool("0.000001"), func(c *gateway.Config) { c.Site = "elsewhere" })()
	stop()
	// One that ended leaves the id to the next at once: its lease would last.
	serving(t, b, "gw-1", newPool("0.000001"))()
}

func TestAStandbyTakesOver(t *testing.T) {
	b := openBus(t)
	stop := serving(t, b, "gw-1", newPool("0.000001"))
	serves := make(chan struct{})
	p := newPool("0.000001")
	run(t, newGateway(t, b, "gw-1", p, func(c *gateway.Config) {
		c.Standby = true
		c.OnServe = func() { close(serves) }
	}).Run)
	r := newRig(t, b, "rig-1")
	w := r.any()
	r.found(solve(t, w, "rig-1", w.ShareDifficulty, 0, 5)...)
	await(t, b, "verdicts", func(s tally) bool { return len(s.accepted) == 5 })
	select {
	case <-serves:
		t.Fatal("both serve")
	default:
	}
	stop()
	<-serves
	next := r.await("work of the standby", func(x *events.WorkAssigned) bool {
		return strings.SplitN(x.JobID, "-", 2)[0] != strings.SplitN(w.JobID, "-", 2)[0]
	})
	r.found(solve(t, next, "rig-1", next.ShareDifficulty, 0, 5)...)
	s := await(t, b, "verdicts of the standby", func(s tally) bool { return len(s.accepted) == 10 })
	s.balanced(t)
	if len(p.submissions()) == 0 {
		t.Error("nothing went to the standby's pool")
	}
}

// A standby that waits can be ended.
func TestAStandbyEndsWithItsContext(t *testing.T) {
	b := openBus(t)
	serving(t, b, "gw-1", newPool("0.000001"))
	stop := run(t, newGateway(t, b, "gw-1", newPool("0.000001"), func(c *gateway.Config) { c.Standby = true }).Run)
	stop()
}

// frozen holds up everything that a gateway says to the bus while it is shut:
// as a process does that is stopped, or whose line is cut.
type frozen struct {
	*bus.Bus
	shut chan struct{} // closed: frozen
	thaw chan struct{} // closed: no longer
	// arrived is poked when a batch waits.
	arrived chan struct{}
}

func newFrozen(b *bus.Bus) *frozen {
	return &frozen{Bus: b, shut: make(chan struct{}), thaw: make(chan struct{}), arrived: make(chan struct{}, 64)}
}

func (f *frozen) wait() {
	select {
	case <-f.shut:
		select {
		case f.arrived <- struct{}{}:
		default:
		}
		<-f.thaw
	default:
	}
}

func (f *frozen) PublishBatch(ctx context.Context, stream string, evs ...*events.Event) (bus.BatchResult, error) {
	f.wait()
	return f.Bus.PublishBatch(ctx, stream, evs...)
}

func (f *frozen) SliceStore(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := f.Bus.SliceStore(ctx)
	return frozenStore{kv, f}, err
}

type frozenStore struct {
	jetstream.KeyValue
	f *frozen
}

func (s frozenStore) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	s.f.wait()
	return s.KeyValue.Update(ctx, key, value, revision)
}

// A gateway that cannot move for longer than its lease loses its id. It writes
// nothing more to its pool and ends with an error; every share has one verdict.
func TestAGatewayThatLosesItsLeaseStopsSubmitting(t *testing.T) {
	b := openBus(t)
	f := newFrozen(b)
	p := newPool("0.0000011")
	short := func(c *gateway.Config) { c.LeaseTime = 400 * time.Millisecond }
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	alerts := make(chan *nats.Msg, 64)
	sub, err := b.Conn().ChanSubscribe(events.Subject(b.Prefix(), site, events.TypeAlertRaised, "gw-1"), alerts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	old := newGateway(t, f, "gw-1", p, short)
	go func() { ended <- old.Run(ctx) }()
	r := newRig(t, b, "rig-1")
	w := r.any()
	r.found(solve(t, w, "rig-1", w.ShareDifficulty, 0, 10)...)
	await(t, b, "the first verdicts", func(s tally) bool { return len(s.accepted) == 10 })
	written := len(p.submissions())
	close(f.shut)
	r.found(solve(t, w, "rig-1", w.ShareDifficulty, 100, 20)...)
	<-f.arrived
	// The process lives, so only time shows that it does not move.
	q := newPool("0.0000011")
	q.number = 10
	serving(t, b, "gw-1", q, func(c *gateway.Config) { c.Standby = true })
	next := r.await("work of the other", func(x *events.WorkAssigned) bool {
		return strings.SplitN(x.JobID, "-", 2)[0] != strings.SplitN(w.JobID, "-", 2)[0]
	})
	r.found(solve(t, next, "rig-1", next.ShareDifficulty, 0, 30)...)
	close(f.thaw)
	select {
	case err := <-ended:
		if !errors.Is(err, gateway.ErrLeaseLost) || !strings.Contains(err.Error(), "host ") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	s := await(t, b, "a verdict for every share", func(s tally) bool { return s.judged() >= 60 })
	s.balanced(t)
	if n := len(p.submissions()); n != written {
		t.Errorf("%d shares were written after the lease was lost", n-written)
	}
	if len(s.accepted) != 40 {
		t.Errorf("%d of 40 accepted: 10 of the first, 30 of the other; rejected %v, %d unknown", len(s.accepted), s.rejected, len(s.unknown))
	}
	for m := range alerts {
		if strings.Contains(string(m.Data), "gateway-twice") {
			break
		}
	}
}

// A share of a job that another start made is not called stale before it is
// certain that this start was not later.
func TestSharesOfASuccessorAreNotCalledStale(t *testing.T) {
	b := openBus(t)
	f := newFrozen(b)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	old := newGateway(t, f, "gw-1", newPool("0.0000011"), func(c *gateway.Config) { c.LeaseTime = 400 * time.Millisecond })
	go func() { ended <- old.Run(ctx) }()
	r := newRig(t, b, "rig-1")
	w := r.any()
	close(f.shut)
	q := newPool("0.0000011")
	q.number = 10
	serving(t, b, "gw-1", q, func(c *gateway.Config) { c.Standby = true })
	next := r.await("work of the other", func(x *events.WorkAssigned) bool {
		return strings.SplitN(x.JobID, "-", 2)[0] != strings.SplitN(w.JobID, "-", 2)[0]
	})
	// Both hear of shares: whom the consumer gives them to is chance.
	for n := range 10 {
		r.found(solve(t, next, "rig-1", next.ShareDifficulty, 100*n, 10)...)
	}
	close(f.thaw)
	if err := <-ended; !errors.Is(err, gateway.ErrLeaseLost) {
		t.Errorf("it ended with %v", err)
	}
	// Those that the first had been given come again when it has not said a word
	// for long; the next start knows them all the same.
	s := await(t, b, "a verdict for every share", func(s tally) bool { return s.judged() >= 100 })
	s.balanced(t)
	if len(s.accepted) != 100 {
		t.Errorf("%d of 100 accepted, rejected %v", len(s.accepted), s.rejected)
	}
}

// What another host, or a process that is gone, left in the bucket.
func TestLeaseOfWhoIsGone(t *testing.T) {
	b := openBus(t)
	kv := slicesOf(t, b)
	put := func(text string) {
		t.Helper()
		if _, err := kv.Put(t.Context(), "lease."+site+".gw-1", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	take := func(text string) {
		t.Helper()
		put(text)
		serving(t, b, "gw-1", newPool("0.000001"))()
	}
	// On another host nobody knows: the time that it had itself passes.
	take(`{"instance":"aaaa","host":"far","since":"2026-01-02T03:04:05Z","lease_milliseconds":50}`)
	take(`{"instance":"aaaa","host":"far","process":{"boot":"another","namespace":"pid:[1]","pid":1,"started":"1"},"since":"2026-01-02T03:04:05Z","lease_milliseconds":50}`)
	take(`{"lease_milliseconds":-5}`)
	// A process that has ended needs no time.
	dead := exec.Command("sleep", "0")
	if err := dead.Run(); err != nil {
		t.Skipf("SKIPPED: a process that has ended is needed: %v", err)
	}
	stop := serving(t, b, "gw-1", newPool("0.000001"))
	have, err := kv.Get(t.Context(), "lease."+site+".gw-1")
	if err != nil {
		t.Fatal(err)
	}
	var h map[string]any
	if err := json.Unmarshal(have.Value(), &h); err != nil {
		t.Fatal(err)
	}
	stop()
	process, ok := h["process"].(map[string]any)
	if !ok {
		t.Skip("SKIPPED: this system does not tell processes apart")
	}
	h["instance"], h["lease_milliseconds"] = "bbbb", 120_000 // longer than anybody waits here
	for _, change := range []func(){
		func() { process["pid"] = dead.Process.Pid },
		func() { process["pid"], process["started"] = os.Getpid(), "1" }, // the id given to another
	} {
		change()
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		take(string(text))
	}
}
