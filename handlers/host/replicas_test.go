// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/decider/decidertest"
)

func TestReplicasStoreOneCopy(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b := openBus(t, t.TempDir(), 2*time.Minute)
			var hosts []*running
			for i := range n {
				hosts = append(hosts, start(t, b, fmt.Sprintf("host-%d", i), toy("1.0")))
			}
			until(t, "all speak", func() bool {
				for _, h := range hosts {
					if !h.Standings()[0].Speaks {
						return false
					}
				}
				return true
			})
			for i := range 10 {
				readings(t, b, 900+100*i, 100)
			}
			for _, h := range hosts {
				settled(t, h, lastSequence(t, b, events.StreamJournal))
			}
			for _, h := range hosts {
				h.kill()
			}
			sameAsUndisturbed(t, b, "1.0")
		})
	}
}

func TestKilledTwentyTimesUnderLoad(t *testing.T) {
	b := openBus(t, t.TempDir(), 2*time.Minute)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var alive atomic.Pointer[running]
	wg.Go(func() {
		for i := 0; ; {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			// Always load, and never more than the machine can ever work off.
			if h := alive.Load(); h == nil || lastSequence(t, b, events.StreamJournal) > h.Standings()[0].Confirmed+500 {
				continue
			}
			readings(t, b, 900+10*i, 10)
			i++
		}
	})
	for range 20 {
		h := start(t, b, "host-a", toy("1.0"))
		alive.Store(h)
		from := lastSequence(t, b, events.StreamJournal)
		settled(t, h, from+uint64(rand.IntN(60)))
		h.kill()
	}
	close(stop)
	wg.Wait()
	h := start(t, b, "host-a", toy("1.0"))
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	h.kill()
	sameAsUndisturbed(t, b, "1.0")
	if n := len(storedOutputs(t, b, events.StreamCommands)); n < 100 {
		t.Errorf("only %d commands: no load", n)
	}
}

// A host that stands still for longer than the server remembers ids finds what
// its replica said meanwhile and repeats none of it.
func TestPausedHostRepeatsNothing(t *testing.T) {
	const window = 30 * time.Second // half of it is more than a busy machine makes a message wait
	b := openBus(t, t.TempDir(), window)
	var stopAt atomic.Uint64
	gate := make(chan struct{})
	stopped := make(chan struct{})
	var once sync.Once
	paused := start(t, b, "paused", toy("1.0"), func(c *Config) {
		c.hooks.folding = func(_ string, seq uint64) {
			if at := stopAt.Load(); at > 0 && seq >= at {
				once.Do(func() { close(stopped) })
				<-gate
			}
		}
	})
	steady := start(t, b, "steady", toy("1.0"))
	until(t, "both speak", func() bool { return paused.Standings()[0].Speaks && steady.Standings()[0].Speaks })
	readings(t, b, 900, 100)
	stopAt.Store(lastSequence(t, b, events.StreamJournal) + 5)
	readings(t, b, 1000, 100)
	<-stopped
	settled(t, steady, lastSequence(t, b, events.StreamJournal))
	// Longer than the window since the last of it was stored.
	end := time.Now().Add(window + 2*time.Second)
	until(t, "the window has passed", func() bool { return time.Now().After(end) })
	readings(t, b, 2000, 20)
	close(gate)
	settled(t, paused, lastSequence(t, b, events.StreamJournal))
	settled(t, steady, lastSequence(t, b, events.StreamJournal))
	paused.kill()
	steady.kill()
	// If the machine itself stood still for a good part of the window, the server
	// may have forgotten an id while a message was on its way: then what is stored
	// again must be the same, and no more is promised.
	still := standstill(t, b)
	equalOutputs(t, b, undisturbed(t, b, "1.0"), func(first, second time.Time) bool {
		if second.Sub(first) < window || still < window/4 {
			return false
		}
		t.Logf("FORGIVEN: stored again after %v with a window of %v: the machine stood still for %v", second.Sub(first), window, still)
		return true
	})
}

// standstill is the longest time for which the journal got no tick, or one was on
// its way: every host offers one each second.
func standstill(t testing.TB, b *bus.Bus) (longest time.Duration) {
	t.Helper()
	var before time.Time
	for e, err := range events.Read[events.ClockTick](testContext(t), b, events.AtSite(site)) {
		if err != nil {
			t.Fatal(err)
		}
		if longest = max(longest, e.Arrived.Sub(time.Unix(e.Data.Second, 0))); !before.IsZero() {
			longest = max(longest, e.Arrived.Sub(before))
		}
		before = e.Arrived
	}
	return longest
}

// The same with the process asleep: nothing moves, not even its clock, until
// the wall clock has jumped.
func TestSleptHostLooksFirst(t *testing.T) {
	b := openBus(t, t.TempDir(), 2*time.Minute)
	var jump atomic.Int64
	h := start(t, b, "host-a", toy("1.0"), func(c *Config) {
		c.hooks.now = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
	})
	until(t, "it speaks", func() bool { return h.Standings()[0].Speaks })
	readings(t, b, 900, 100)
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	jump.Store(int64(10 * time.Minute))
	readings(t, b, 1000, 100)
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	h.kill()
	sameAsUndisturbed(t, b, "1.0")
}

func TestChangedVersionIsSilentUntilActivated(t *testing.T) {
	b := openBus(t, t.TempDir(), 2*time.Minute)
	old := start(t, b, "old", toy("1.0"))
	until(t, "the old one speaks", func() bool { return old.Standings()[0].Speaks })
	fresh := start(t, b, "new", toy("2.0"))
	readings(t, b, 900, 100)
	last := lastSequence(t, b, events.StreamJournal)
	settled(t, old, last)
	settled(t, fresh, last)
	if fresh.Standings()[0].Speaks {
		t.Fatal("the new version speaks without being activated")
	}
	if err := Activate(testContext(t), b, site, decidertest.New("2.0").Identity(), fresh.Standings()[0].StateHash, "somebody"); err != nil {
		t.Fatal(err)
	}
	until(t, "the new one speaks", func() bool { return fresh.Standings()[0].Speaks })
	readings(t, b, 1000, 100)
	last = lastSequence(t, b, events.StreamJournal)
	settled(t, old, last)
	settled(t, fresh, last)
	if old.Standings()[0].Speaks {
		t.Error("the old version still speaks")
	}
	old.kill()
	fresh.kill()
	one, two := undisturbed(t, b, "1.0"), undisturbed(t, b, "2.0")
	want := append(one[events.StreamCommands], two[events.StreamCommands]...)
	have := storedOutputs(t, b, events.StreamCommands)
	if len(have) != len(want) {
		t.Fatalf("%d commands stored, %d wanted", len(have), len(want))
	}
	for i := range have {
		if have[i] != want[i] {
			t.Fatalf("command %d: stored %+v, wanted %+v", i, have[i], want[i])
		}
	}
}

// A replica with a spoilt state says nothing after the first checkpoint, tells
// somebody, and comes back once its state is right again.
func TestDivergedReplicaFallsSilentAndRebuilds(t *testing.T) {
	b := openBus(t, t.TempDir(), 2*time.Minute)
	var made atomic.Int64
	spoilt := func() (decider.Decider, error) {
		d := decidertest.New("1.0")
		if made.Add(1) == 2 { // the first is New's look at the identity
			d.Broken = 120
		}
		return d, nil
	}
	good := start(t, b, "good", toy("1.0"))
	until(t, "the good one speaks", func() bool { return good.Standings()[0].Speaks })
	readings(t, b, 900, 300)
	settled(t, good, lastSequence(t, b, events.StreamJournal))
	// Nothing stored to start from: the bad one must fold all of it.
	store, err := b.SnapshotStore(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	_ = store.Delete(testContext(t), SnapshotKey(site, decidertest.New("1.0").Identity()))
	bad := start(t, b, "bad", spoilt)
	alert := "decider-diverged/" + site + "/toy/bad"
	raised, cleared := false, false
	until(t, "alert raised and cleared", func() bool {
		raised, cleared = alerts(t, b, alert)
		return raised && cleared
	})
	until(t, "it speaks again", func() bool { return bad.Standings()[0].Speaks })
	readings(t, b, 2000, 100)
	last := lastSequence(t, b, events.StreamJournal)
	settled(t, bad, last)
	settled(t, good, last)
	if g, s := good.Standings()[0].StateHash, bad.Standings()[0].StateHash; g == "" || s == "" {
		t.Errorf("state hashes %q and %q", g, s)
	}
	bad.kill()
	good.kill()
	sameAsUndisturbed(t, b, "1.0")
}

func alerts(t testing.TB, b interface {
	events.Log
}, id string) (raised, cleared bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for e, err := range b.Events(ctx, events.ReadRequest{Stream: events.StreamCommands, Types: []events.Type{events.TypeAlertRaised, events.TypeAlertCleared}}) {
		if err != nil {
			t.Fatal(err)
		}
		switch p := e.Data.(type) {
		case *events.AlertRaised:
			raised = raised || p.Alert == id
		case *events.AlertCleared:
			cleared = cleared || p.Alert == id
		}
	}
	return raised, cleared
}

// More outputs than an atomic batch holds are cut at fixed ordinals.
func TestWideCause(t *testing.T) {
	wide := func(d *decidertest.Toy) { d.Wide = 2500 }
	f := func() (decider.Decider, error) {
		d := decidertest.New("1.0")
		wide(d)
		return d, nil
	}
	b := openBus(t, t.TempDir(), 2*time.Minute)
	one, two := start(t, b, "one", f), start(t, b, "two", f)
	until(t, "both speak", func() bool { return one.Standings()[0].Speaks && two.Standings()[0].Speaks })
	readings(t, b, 1001, 6)
	last := lastSequence(t, b, events.StreamJournal)
	settled(t, one, last)
	settled(t, two, last)
	one.kill()
	two.kill()
	sameAsUndisturbed(t, b, "1.0", wide)
}
