// SPDX-License-Identifier: Apache-2.0

package practice_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/practice"
)

// jobOf introduces a modelled agent and waits for its work.
func jobOf(t testing.TB, b *bus.Bus, id string) *events.WorkAssigned {
	t.Helper()
	work := make(chan *events.WorkAssigned, 100)
	sub, err := b.Conn().Subscribe(events.Subject(b.Prefix(), site, events.TypeWorkAssigned, id), func(m *nats.Msg) {
		e, err := events.Decode(m.Subject, m.Header, m.Data)
		if err != nil {
			t.Errorf("the pool published garbage: %v", err)
			return
		}
		work <- e.Data.(*events.WorkAssigned)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	deadline := time.After(patience)
	for counter := uint64(1); ; counter++ {
		status := &events.WorkerStatus{BootID: "b", Counter: counter, Announce: true, Units: []events.UnitStatus{{
			Unit: id, State: events.PermitBoot, Healthy: true, Modelled: true,
			Capabilities: &events.Capabilities{Class: "s21", NameplateWatts: 3500, MinWatts: 3500, MillijoulesPerTerahash: 17500},
		}}}
		publish(t, b, events.New(site, id, status))
		select {
		case w := <-work:
			return w
		case <-time.After(500 * time.Millisecond): // the pool may not listen yet
		case <-deadline:
			t.Fatal("no work came")
		}
	}
}

func publish(t testing.TB, b *bus.Bus, evs ...*events.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Publish(ctx, evs...); err != nil {
		t.Fatal(err)
	}
}

// shares makes n modelled shares of a job.
func shares(w *events.WorkAssigned, id string, from, n int) []*events.Event {
	var out []*events.Event
	for i := range n {
		d := sha256.Sum256([]byte(fmt.Sprint(w.JobID, from+i)))
		s := &events.ShareFound{
			ShareID: hex.EncodeToString(d[:]), JobID: w.JobID, Gateway: gateway, Unit: id,
			Difficulty: w.ShareDifficulty, FoundAt: time.Now().UTC(), Modelled: true,
		}
		out = append(out, events.New(site, id, s).WithID(s.ShareID))
	}
	return out
}

// fragile crashes its pool around the storing of verdicts.
type fragile struct {
	*bus.Bus
	crash func()
	// left is how many batches pass; the one after crashes before or after it
	// is stored.
	left  atomic.Int64
	after bool
}

var errCrash = errors.New("crash")

func (f *fragile) PublishBatch(ctx context.Context, stream string, evs ...*events.Event) (bus.BatchResult, error) {
	if f.left.Add(-1) >= 0 {
		return f.Bus.PublishBatch(ctx, stream, evs...)
	}
	if f.after {
		if _, err := f.Bus.PublishBatch(ctx, stream, evs...); err != nil {
			return bus.BatchResult{}, err
		}
	}
	f.crash()
	return bus.BatchResult{}, errCrash
}

// Every pool of this test dies in the middle of a round, before or after its
// verdicts are stored and always before the shares are acknowledged. The next
// one knows only what is stored.
func TestPoolsThatCrashLoseNothingAndBookNothingTwice(t *testing.T) {
	b := openBus(t, t.TempDir())
	random := rand.New(rand.NewPCG(1, 2))
	l := ledger{t, b}
	total := 0
	var job *events.WorkAssigned
	for life := range 12 {
		ctx, cancel := context.WithCancel(context.Background())
		f := &fragile{Bus: b, crash: cancel, after: life%2 == 0}
		f.left.Store(1 << 40)
		pool := newPool(t, f, practice.Config{})
		done := make(chan error, 1)
		go func() { done <- pool.Run(ctx) }()
		if life%3 == 0 {
			job = jobOf(t, b, "hall")
		}
		f.left.Store(int64(random.IntN(3)))
		// Shares of this pool's jobs and of earlier pools'.
		for range 4 {
			n := 1 + random.IntN(40)
			publish(t, b, shares(job, "hall", total, n)...)
			total += n
		}
		// Until it has crashed there is always another share to judge.
		for ctx.Err() == nil {
			publish(t, b, shares(job, "hall", total, 1)...)
			total++
		}
		<-done
	}
	run(t, newPool(t, b, practice.Config{}).Run)
	s := l.await("a verdict for every share", func(s tally) bool { return len(s.found) == total && s.judged() >= total })
	l.balanced(s)
	if len(s.accepted) != total {
		t.Errorf("%d of %d accepted; rejected %v, unknown %d", len(s.accepted), total, s.rejected, s.unknown)
	}
}

func TestPoolThatLostItsJobsSaysUnknown(t *testing.T) {
	b := openBus(t, t.TempDir())
	stop := run(t, newPool(t, b, practice.Config{}).Run)
	job := jobOf(t, b, "hall")
	stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := b.JetStream().Stream(ctx, events.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	publish(t, b, shares(job, "hall", 0, 3)...)
	run(t, newPool(t, b, practice.Config{}).Run)
	l := ledger{t, b}
	s := l.await("verdicts", func(s tally) bool { return s.judged() == 3 })
	l.balanced(s)
	if s.unknown != 3 {
		t.Errorf("%+v", s)
	}
}

func TestPoolLeavesOtherGatewaysAndGarbageAlone(t *testing.T) {
	b := openBus(t, t.TempDir())
	run(t, newPool(t, b, practice.Config{}).Run)
	job := jobOf(t, b, "hall")
	foreign := shares(job, "hall", 100, 1)
	foreign[0].Data.(*events.ShareFound).Gateway = "another"
	publish(t, b, foreign...)
	if err := b.Conn().Publish(events.Subject(b.Prefix(), site, events.TypeShareFound, "hall"), []byte("{nonsense")); err != nil {
		t.Fatal(err)
	}
	publish(t, b, shares(job, "hall", 0, 1)...)
	l := ledger{t, b}
	l.await("the verdict", func(s tally) bool { return s.judged() == 1 && len(s.accepted) == 1 })
	// The dead letter is the inspector's.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for e, err := range events.Read[events.DeadLetter](ctx, b, events.AtSite(site)) {
		t.Errorf("a second letter: %+v %v", e, err)
	}
}

func TestEverybodyHasWorkAtOnceHoweverMany(t *testing.T) {
	b := openBus(t, t.TempDir())
	pool := newPool(t, b, practice.Config{})
	run(t, pool.Run)
	jobOf(t, b, "first")
	var all []*events.Event
	for i := range 1000 {
		id := fmt.Sprint("m-", i)
		all = append(all, events.New(site, id, &events.WorkerStatus{BootID: "b", Counter: 1, Announce: true, Units: []events.UnitStatus{{
			Unit: id, State: events.PermitBoot, Healthy: true, Modelled: true,
			Capabilities: &events.Capabilities{Class: "s21", NameplateWatts: 3500, MinWatts: 3500, MillijoulesPerTerahash: 17500},
		}}}))
	}
	got := make(chan string, 2000)
	sub, err := b.Conn().Subscribe(events.Subject(b.Prefix(), site, events.TypeWorkAssigned, "*"), func(m *nats.Msg) {
		e, err := events.Decode(m.Subject, m.Header, m.Data)
		if err != nil {
			t.Error(err)
			return
		}
		got <- e.Data.(*events.WorkAssigned).ExtranoncePrefix
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	begin := time.Now()
	publish(t, b, all...)
	prefixes := map[string]bool{}
	deadline := time.After(patience)
	for len(prefixes) < 1000 {
		select {
		case p := <-got:
			prefixes[p] = true
		case <-deadline:
			t.Fatalf("%d of 1000 have work, each with a slice of its own", len(prefixes))
		}
	}
	t.Logf("1000 agents had work after %s", time.Since(begin))
}

func TestPoolJudgesWhatIsLeftWhenItEnds(t *testing.T) {
	b := openBus(t, t.TempDir())
	stop := run(t, newPool(t, b, practice.Config{DrainTime: patience}).Run)
	job := jobOf(t, b, "hall")
	publish(t, b, shares(job, "hall", 0, 900)...)
	stop()
	l := ledger{t, b}
	s := l.read()
	l.balanced(s)
	if len(s.accepted) != 900 {
		t.Errorf("%d of 900 accepted", len(s.accepted))
	}
}
