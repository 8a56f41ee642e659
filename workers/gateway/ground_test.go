// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/judge"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// nowhere is an upstream that the tests speak for.
type nowhere struct{}

func (nowhere) ID() string                                           { return "pool-a" }
func (nowhere) Address() string                                      { return "stratum+tcp://pool.example:3333" }
func (nowhere) Run(ctx context.Context, _ upstream.Sink) error       { <-ctx.Done(); return nil }
func (nowhere) Submit(upstream.Submission, func(v upstream.Verdict)) {}

// mute refuses to publish while it is shut.
type mute struct {
	*bus.Bus
	shut bool
}

func (m *mute) PublishMsgs(ctx context.Context, msgs ...*nats.Msg) ([]bus.Stored, error) {
	if m.shut {
		return nil, errors.New("nobody answers")
	}
	return m.Bus.PublishMsgs(ctx, msgs...)
}

// desk is a dispatcher that nobody runs: the test makes it take jobs in and
// hand work out, at a time that stands still.
type desk struct {
	t   *testing.T
	g   *Gateway
	d   *dispatcher
	l   *link
	b   *mute
	now time.Time
	n   int // jobs so far
}

func newDesk(t *testing.T, more ...func(*Config)) *desk {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Logf("closing the bus: %v", err)
		}
	})
	k := &desk{t: t, b: &mute{Bus: b}, now: time.Unix(1_800_000_000, 0)}
	cfg := Config{Site: "demo", Gateway: "gw-1", Upstream: nowhere{}, Now: func() time.Time { return k.now }}
	for _, f := range more {
		f(&cfg)
	}
	if k.g, err = New(cfg, k.b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.g.alarms.close)
	k.d = newDispatcher(k.g, func(upstream.Upstream) {})
	k.l = &link{up: nowhere{}, wake: k.g.wake}
	k.g.links = []*link{k.l}
	k.g.sessions[k.l] = map[string]*session{}
	k.d.opened(k.l, &upstream.Session{ID: "s1", Address: nowhere{}.Address()})
	return k
}

// agent announces itself.
func (k *desk) agent(id string) {
	k.d.roster.Heard(id, &events.WorkerStatus{BootID: "b1", Counter: 1, Announce: true, Units: []events.UnitStatus{{
		Unit: id, State: events.PermitRunning, Healthy: true,
		Capabilities: &events.Capabilities{Class: "cpu", NameplateWatts: 100, MinWatts: 1, MillijoulesPerTerahash: 100_000_000_000_000},
	}}}, k.now)
}

// job is taken in: content tells what is searched.
func (k *desk) job(content string, clean bool, bend ...func(*upstream.Job)) {
	k.t.Helper()
	k.n++
	at := uint32(1_800_000_000)
	j := &upstream.Job{
		Session: "s1", ID: fmt.Sprint("job-", k.n), Version: 0x20000000, VersionMask: hashengine.VersionRollingMask,
		PrevHash: hashengine.DoubleSHA256([]byte("prev")), Coinbase1: []byte("one " + content), Coinbase2: []byte("two"),
		Extranonce1: []byte{1, 2, 3, 4}, Extranonce2Bytes: 8, NTime: at, MinTime: at, MaxTime: at + 600, Bits: 0x17034219, Height: 900_000,
		Difficulty: "1", Clean: clean, Received: k.now,
		Terms: upstream.Terms{Scheme: events.SchemeFPPS, RewardSats: 317_500_000, Basis: events.BasisLive},
	}
	for _, f := range bend {
		f(j)
	}
	if !k.d.job(k.l, j, clean) {
		k.t.Fatalf("job %s is not taken", content)
	}
}

// sweep hands out what is due and returns it.
func (k *desk) sweep() []*issue {
	k.t.Helper()
	before := len(k.g.issued.order)
	k.d.sweep(context.Background())
	return k.g.issued.order[before:]
}

// searches fails when one is handed out a second time.
type searches map[string]bool

func (s searches) add(t *testing.T, k *desk, given ...*issue) {
	t.Helper()
	for _, i := range given {
		w := i.Work
		key := fmt.Sprint(w.PrevHash, w.Coinbase1, w.ExtranoncePrefix, w.Coinbase2, w.MerkleBranches, w.NBits, w.NTime)
		if s[key] {
			t.Fatalf("job %s is the search of another at time %d again", i.task.ID, w.NTime)
		}
		s[key] = true
		if w.NTime < int64(i.task.NTime) || w.NTime > int64(i.task.maxTime()) {
			t.Fatalf("time %d of a job from %d to %d", w.NTime, i.task.NTime, i.task.maxTime())
		}
	}
}

func TestJobsThatComeAgainAreNotSearchedAgain(t *testing.T) {
	for name, rounds := range map[string]func(n int) string{
		"one under many ids": func(int) string { return "a" },
		"two in turns":       func(n int) string { return "ab"[n%2 : n%2+1] },
		"more than are remembered, in turns": func(n int) string {
			return fmt.Sprint(n % (3 * keptGrounds))
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newDesk(t)
			k.agent("rig-1")
			k.agent("rig-2")
			seen := searches{}
			given := 0
			// Longer than all times of a slice last, and by another clock tick
			// now and then.
			for n := range 3000 {
				k.job(rounds(n), true)
				out := k.sweep()
				seen.add(t, k, out...)
				if given += len(out); len(out) != 2 {
					t.Fatalf("round %d: %d agents got work that voids what they had", n, len(out))
				}
				if n%100 == 0 {
					k.now = k.now.Add(time.Second)
				}
			}
			slices := map[string]bool{}
			for _, i := range k.g.issued.order {
				slices[string(i.slice)] = true
			}
			if len(slices) < 2 || len(slices) > 40 {
				t.Errorf("%d slices for %d searches", len(slices), given)
			}
		})
	}
}

func TestAJobWithAnotherMaskIsNoNewSearch(t *testing.T) {
	k := newDesk(t)
	k.agent("rig-1")
	seen := searches{}
	k.job("a", true)
	seen.add(t, k, k.sweep()...)
	for _, bend := range []func(*upstream.Job){
		func(j *upstream.Job) { j.VersionMask = 0x0000e000 }, func(j *upstream.Job) { j.Difficulty = "2" }, func(j *upstream.Job) { j.Version, j.VersionMask = 0x20002000, 0 },
	} {
		k.job("a", false, bend)
		out := k.sweep()
		if len(out) != 1 {
			t.Fatalf("%d agents got the job", len(out))
		}
		seen.add(t, k, out...)
	}
	// Another time alone is what the pool says, unless it was reached already.
	k.job("a", false, func(j *upstream.Job) { j.NTime += 3 })
	out := k.sweep()
	seen.add(t, k, out...)
	if out[0].Work.NTime != 1_800_000_004 && out[0].Work.NTime != 1_800_000_003 {
		t.Errorf("begins at %d", out[0].Work.NTime)
	}
}

// TestAnAgentGoesOnWithWhatItHas: the same work again is no reason to run ahead
// of the clock.
func TestAnAgentGoesOnWithWhatItHas(t *testing.T) {
	k := newDesk(t)
	k.agent("rig-1")
	k.job("a", true)
	n := len(k.sweep())
	for range 500 {
		k.job("a", false)
		n += len(k.sweep())
	}
	if n != 1+aheadOfTime {
		t.Errorf("%d times the same work", n)
	}
	k.now = k.now.Add(10 * time.Second)
	for _, want := range []int{1, 0} { // the clock has caught up
		if out := k.sweep(); len(out) != want {
			t.Errorf("%d agents got it again, want %d", len(out), want)
		}
	}
	k.job("b", false)
	if out := k.sweep(); len(out) != 1 || out[0].Work.NTime != 1_800_000_000 {
		t.Errorf("%d agents got the next job, or not from its time on", len(out))
	}
}

// TestTheSameJobForHoursKeepsAgentsAtWork: a pool with nothing new sends it
// again and again, its time standing still, and shares of work that was handed
// out long ago are refused.
func TestTheSameJobForHoursKeepsAgentsAtWork(t *testing.T) {
	k := newDesk(t)
	seen := searches{}
	var newest *issue
	for n := range 12 * 60 * 4 {
		k.agent("rig-1") // or it is forgotten
		k.job("a", n == 0)
		if out := k.sweep(); len(out) > 0 {
			seen.add(t, k, out...)
			newest = out[len(out)-1]
		}
		if age := k.now.Sub(newest.At); age > 2*k.g.cfg.RefreshPeriod {
			t.Fatalf("after %s the work is %s old", time.Duration(n)*15*time.Second, age)
		}
		k.now = k.now.Add(15 * time.Second)
	}
}

func TestCleanIsSaidToWhoeverHasOlderWork(t *testing.T) {
	k := newDesk(t)
	k.agent("rig-1")
	k.job("a", true)
	if out := k.sweep(); len(out) != 1 || !out[0].Work.Clean {
		t.Fatal("the first work voids nothing")
	}
	// rig-1 has work that stays valid; others begin.
	for n := 2; n <= 9; n++ {
		k.agent(fmt.Sprint("rig-", n))
	}
	k.job("b", false)
	out := k.sweep()
	if len(out) != 9 {
		t.Fatalf("%d agents got work", len(out))
	}
	for _, i := range out {
		if i.Work.Clean != (i.Agent != "rig-1") {
			t.Errorf("%s: clean %v", i.Agent, i.Work.Clean)
		}
	}
}

func TestWorkThatMayNotHaveArrivedComesAgain(t *testing.T) {
	k := newDesk(t)
	k.agent("rig-1")
	seen := searches{}
	k.job("a", true)
	seen.add(t, k, k.sweep()...)
	k.job("b", true)
	k.b.shut = true
	seen.add(t, k, k.sweep()...)
	k.b.shut = false
	out := k.sweep()
	if len(out) != 1 || !out[0].Work.Clean || out[0].task.ID != "job-2" {
		t.Fatalf("%d agents got it again, or were not told that their work is void", len(out))
	}
	seen.add(t, k, out...) // at another time: it may have arrived
	if out := k.sweep(); len(out) != 0 {
		t.Errorf("%d agents got it a third time", len(out))
	}
	// A job that does not fit the bus leaves agents what they have.
	k.job("c", true, func(j *upstream.Job) { j.Coinbase1 = make([]byte, 1<<20) })
	if out := k.sweep(); len(out) != 0 || k.d.seats["rig-1"].task == nil || k.d.seats["rig-1"].task.ID != "job-2" {
		t.Errorf("%d agents got it", len(out))
	}
	k.job("d", false)
	if out := k.sweep(); len(out) != 1 || !out[0].Work.Clean {
		t.Error("what was void by the job before is not said to be")
	}
}

func TestJobsHandedOutAreForgottenWithoutCopies(t *testing.T) {
	table := newIssues()
	at := time.Unix(1_800_000_000, 0)
	const lifetime, all = 100, 100_000
	for n := range all {
		now := at.Add(time.Duration(n) * time.Second)
		table.add(&issue{Job: judge.Job{Work: &events.WorkAssigned{JobID: fmt.Sprint(n)}, At: now}})
		table.forget(now.Add(-lifetime * time.Second))
	}
	if len(table.byID) != lifetime+1 || len(table.order) != lifetime+1 || cap(table.order) > 10*lifetime || table.byID[fmt.Sprint(all-lifetime-1)] == nil {
		t.Errorf("%d jobs, %d in order, room for %d", len(table.byID), len(table.order), cap(table.order))
	}
	if n := testing.AllocsPerRun(10, func() { table.forget(at) }); n != 0 {
		t.Errorf("%g allocations to forget nothing", n)
	}
}
