// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// reference is the ledger as one undisturbed pass writes it.
func reference(t *testing.T, b *bus.Bus) []string {
	t.Helper()
	s := openStore(t, filepath.Join(t.TempDir(), "reference"))
	stop := run(t, b, s)
	until(t, b, s)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	return dump(t, s)
}

func same(t *testing.T, what string, have, want []string) {
	t.Helper()
	if slices.Equal(have, want) {
		return
	}
	for _, l := range want {
		if !slices.Contains(have, l) {
			t.Errorf("%s: missing %s", what, l)
		}
	}
	for _, l := range have {
		if !slices.Contains(want, l) {
			t.Errorf("%s: too much %s", what, l)
		}
	}
	t.Fatalf("%s: %d rows, wanted %d", what, len(have), len(want))
}

// Transactions are ended at every step, projectors are killed and replaced,
// two write at once: every row is there once, in both databases alike.
func TestKilledAnywhereAndTwiceAtOnce(t *testing.T) {
	b := openBus(t)
	f := newFacts(1)
	f.store(t, b, 700)
	want := reference(t, b)
	onEach(t, func(t *testing.T, address string) {
		s := openStore(t, address)
		r := rand.New(rand.NewPCG(2, 2))
		for round := range 40 {
			ctx, cancel := context.WithCancel(testContext(t))
			steps := r.IntN(60) + round
			p, err := New(Config{Bus: b, Store: s, firstDelay: time.Millisecond, between: func() {
				if steps--; steps < 0 {
					cancel()
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			// One stream at a time: the steps are counted by one goroutine.
			if err := p.keepWritingFor(ctx, Streams[round%len(Streams)]); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		one, two := run(t, b, s), run(t, b, s)
		until(t, b, s)
		same(t, "after kills", dump(t, s), want)
		f := newFacts(3)
		f.n = 100_000
		f.store(t, b, 200)
		until(t, b, s)
		if err := errors.Join(one(), two()); err != nil {
			t.Fatal(err)
		}
		want = reference(t, b)
		same(t, "with two writers", dump(t, s), want)
	})
}

// keepWritingFor writes one stream until ctx ends or it is written.
func (p *Projector) keepWritingFor(ctx context.Context, stream string) error {
	at, err := p.cfg.Store.position(context.WithoutCancel(ctx), stream)
	if err != nil {
		return err
	}
	w := &writing{store: p.cfg.Store, log: p.cfg.Logger, m: p.m, between: p.cfg.between, stream: stream, at: at, committed: func() {}}
	err = w.read(ctx, p.cfg.Bus, events.ReadRequest{Stream: stream, FromSequence: at.sequence + 1})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func TestRebuildEqualsWhatWasWritten(t *testing.T) {
	b := openBus(t)
	newFacts(5).store(t, b, 500)
	want := reference(t, b)
	onEach(t, func(t *testing.T, address string) {
		ctx := testContext(t)
		var steps []uint64
		var of uint64
		st, err := Rebuild(ctx, b, address, RebuildOptions{Progress: func(n, total uint64) { steps, of = append(steps, n), total }})
		if err != nil {
			t.Fatal(err)
		}
		if len(steps) < 3 || steps[len(steps)-1] != of || !slices.IsSorted(steps) {
			t.Errorf("progress %v of %d", steps, of)
		}
		for _, s := range st.Streams {
			if s.Lag != 0 || s.Other || s.Sequence == 0 {
				t.Errorf("status %+v", s)
			}
		}
		s := openStore(t, address)
		same(t, "rebuilt", dump(t, s), want)

		if _, err := Rebuild(ctx, b, address, RebuildOptions{}); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("over rows: %v", err)
		}
		// Rows that do not belong, a projector at work, and a rebuild that
		// is killed first: the old rows stand, then the new ones.
		if _, err := s.db.ExecContext(ctx, "UPDATE accruals SET value_millisats = value_millisats + 1"); err != nil {
			t.Fatal(err)
		}
		damaged := dump(t, s)
		killed, cancel := context.WithCancel(ctx)
		n := 0
		if _, err := Rebuild(killed, b, address, RebuildOptions{Force: true, between: func() {
			if n++; n == 12 {
				cancel()
			}
		}}); !errors.Is(err, context.Canceled) {
			t.Errorf("killed: %v", err)
		}
		same(t, "after a killed rebuild", dump(t, s), damaged)
		stop := run(t, b, s)
		if _, err := Rebuild(ctx, b, address, RebuildOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		until(t, b, s)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		same(t, "rebuilt by force", dump(t, s), want)
		if s.path != "" {
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(s.path), "*rebuild*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		}
	})
}

func TestOtherStreamIsRefused(t *testing.T) {
	one, two := openBus(t), openBus(t)
	newFacts(1).store(t, one, 60)
	newFacts(1).store(t, two, 90)
	onEach(t, func(t *testing.T, address string) {
		s := openStore(t, address)
		stop := run(t, one, s)
		until(t, one, s)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		before := dump(t, s)
		p, err := New(Config{Bus: two, Store: s})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(testContext(t)); !errors.Is(err, ErrOtherStream) || !strings.Contains(err.Error(), "rebuild") {
			t.Errorf("another bus: %v", err)
		}
		same(t, "after the refusal", dump(t, s), before)
		st, err := s.Status(testContext(t), two)
		if err != nil {
			t.Fatal(err)
		}
		if !st.Streams[0].Other {
			t.Errorf("status %+v", st.Streams)
		}
	})
}

// A stream of events that comes while the database fails again and again.
func TestDatabaseThatIsAwayIsTriedAgain(t *testing.T) {
	b := openBus(t)
	newFacts(8).store(t, b, 120)
	onEach(t, func(t *testing.T, address string) {
		s := openStore(t, address)
		ctx := testContext(t)
		if _, err := s.db.ExecContext(ctx, "ALTER TABLE unit_hours RENAME TO away"); err != nil {
			t.Fatal(err)
		}
		reg := newRegistry()
		stop := run(t, b, s, func(c *Config) { c.Registerer = reg })
		for end := time.Now().Add(3 * time.Minute); counter(t, reg, "ballast_ledger_failures_total") < 3; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("no failure was counted")
			}
		}
		if n, err := s.rows(ctx, shareTable); err != nil || n != 0 {
			t.Fatalf("%d shares without their hours: %v", n, err)
		}
		if _, err := s.db.ExecContext(ctx, "ALTER TABLE away RENAME TO unit_hours"); err != nil {
			t.Fatal(err)
		}
		until(t, b, s)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		same(t, "after the outage", dump(t, s), reference(t, b))
	})
}

// The server ends every session again and again, in the middle of whatever
// they do.
func TestPostgresEndsSessions(t *testing.T) {
	address := postgresLedger(t)
	b := openBus(t)
	s := openStore(t, address)
	reg := newRegistry()
	stop := run(t, b, s, func(c *Config) { c.Registerer = reg })
	f := newFacts(21)
	for range 30 {
		f.store(t, b, 40)
		if err := startedPostgres.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ballast ledger' AND pid <> pg_backend_pid()"); err != nil {
			t.Fatal(err)
		}
	}
	until(t, b, s)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if counter(t, reg, "ballast_ledger_failures_total") == 0 {
		t.Error("no session was lost: nothing was tested")
	}
	same(t, "after lost sessions", dump(t, s), reference(t, b))
}
