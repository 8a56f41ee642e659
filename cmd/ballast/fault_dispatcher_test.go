// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
	"github.com/ballast-energy/ballast/handlers/host"
)

// The dispatcher is killed twenty times under load, at a random moment after a
// decision of its own. What it said in twenty-one lives is what one life would
// have said: no decision twice, none missing, none half.
func TestFaultDispatcherKilledTwentyTimes(t *testing.T) {
	s := newFaultSite(t, faultOptions{})
	random := rand.New(rand.NewPCG(1, 20))
	s.machines("fleet-1", 100)
	stop := s.running(s.feed, s.signals)
	for range 20 {
		d := s.role("dispatcher", "d")
		s.decided("a decision of the restarted dispatcher")
		<-time.After(time.Duration(random.IntN(1000)) * time.Millisecond) // the moment of death
		d.kill()
	}
	s.role("dispatcher", "d")
	s.decided("a decision of the last dispatcher")
	stop()
	s.quiet(3 * time.Second)

	s.identical(2 * time.Second)
	all := s.whole()
	if len(all) < 200 {
		t.Errorf("only %d decisions: no load", len(all))
	}
	t.Logf("%d decisions", len(all))
}

// Two and three dispatchers at once: the bus keeps one copy of each decision,
// and whichever of them dies or sleeps nobody notices. They sleep for longer
// than the bus remembers message ids, as a replica that was stopped for ten
// minutes does on a site with the usual window of five. Half the window here is
// more than a busy machine makes a message wait; if it stood still for longer, the
// journal shows that.
func TestFaultReplicas(t *testing.T) {
	for _, n := range []int{2, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			const window = 12 * time.Second
			s := newFaultSite(t, faultOptions{window: window})
			names := []string{"a", "b", "c"}[:n]
			hosts := make([]*process, n)
			for i, name := range names {
				hosts[i] = s.role("dispatcher", name)
			}
			m, _ := s.machines("fleet-1", 100)
			stop := s.running(s.feed, s.signals, s.probe)
			s.decided("the machines get power")
			began := time.Now()
			for i, name := range names {
				hosts[i].kill()
				s.decided("a decision while " + name + " is dead")
				hosts[i] = s.role("dispatcher", name)
			}
			for i, name := range names {
				hosts[i].signal(syscall.SIGSTOP)
				// For longer than the window the others decide alone.
				asleep := time.Now().Add(window + 2*time.Second)
				next(s, "decisions while "+name+" sleeps", func(e events.Of[events.DispatchDecided]) bool { return e.Arrived.After(asleep) })
				hosts[i].signal(syscall.SIGCONT)
				s.decided("a decision after " + name + " woke up")
			}
			ended := time.Now()
			stop()
			s.quiet(3 * time.Second)

			s.identical(2 * time.Second)
			s.whole()
			s.uninterrupted(began, ended)
			m.obeyedInOrder(s, began)
		})
	}
}

// uninterrupted fails the test if the clock of the site missed more than one
// tick between two instants, or any unit lost its permit, unless the journal shows
// that nothing could arrive then.
func (s *faultSite) uninterrupted(from, to time.Time) {
	s.t.Helper()
	still := s.standstills(from.Add(-s.lease), to)
	excused := false
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	r := events.ReadRequest{Stream: events.StreamJournal, Site: faultSiteID, Types: []events.Type{events.TypeClockTick, events.TypeWorkerStatus}, Since: from, Until: to}
	var second int64
	for e, err := range s.b.Events(ctx, r) {
		var bad *events.DecodeError
		if errors.As(err, &bad) {
			continue // more of it
		}
		if err != nil {
			s.t.Fatal(err)
		}
		switch p := e.Data.(type) {
		case *events.ClockTick:
			if e.Source != events.SiteSource {
				continue // garbage, where a test sends some
			}
			if second > 0 && p.Second > second+2 {
				missed := time.Duration(p.Second-second-2) * time.Second // more than one
				if stood := s.stood(still, time.Unix(second, 0), e.Arrived); stood >= missed {
					s.t.Logf("FORGIVEN: no tick between the seconds %d and %d: nothing reached the bus for %v of that", second, p.Second, stood)
				} else {
					s.t.Errorf("no tick between the seconds %d and %d (JOURNAL/%d at %s)", second, p.Second, e.Sequence, e.Arrived)
				}
			}
			second = max(second, p.Second)
		case *events.WorkerStatus:
			for _, u := range p.Units {
				if u.State != events.PermitFailsafe {
					continue
				}
				// A lease is renewed every second: most of one has no renewal.
				switch stood := s.stood(still, e.Arrived.Add(-2*s.lease), e.Arrived); {
				case stood < s.lease/2:
					s.t.Fatalf("unit %s lost its permit: JOURNAL/%d at %s says failsafe", u.Unit, e.Sequence, e.Arrived)
				case !excused:
					excused = true
					s.t.Logf("FORGIVEN: unit %s lost its permit: nothing reached the bus for %v of two leases", u.Unit, stood)
				}
			}
		}
	}
}

// obeyedInOrder fails the test if a unit ever obeyed a command older than one
// that it had obeyed before.
func (m *machines) obeyedInOrder(s *faultSite, from time.Time) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	newest := map[string]events.OrderKey{}
	for e, err := range events.Read[events.WorkerStatus](ctx, s.b, events.AtSite(faultSiteID), events.Since(from)) {
		if err != nil {
			s.t.Fatal(err)
		}
		for _, u := range e.Data.Units {
			if u.Applied == nil {
				continue
			}
			if u.Applied.Compare(newest[u.Unit]) < 0 {
				s.t.Fatalf("unit %s obeyed %v after %v (JOURNAL/%d)", u.Unit, *u.Applied, newest[u.Unit], e.Sequence)
			}
			newest[u.Unit] = *u.Applied
		}
	}
	if len(newest) == 0 {
		s.t.Error("no unit obeyed anything")
	}
}

// A replica of a changed version folds silently beside the active one until it
// is activated; then it speaks, and the old one falls silent. The journal says
// where the change is, and verification lists the span of the other version.
func TestFaultChangedVersionWaitsForActivation(t *testing.T) {
	s := newFaultSite(t, faultOptions{})
	s.role("dispatcher", "old")
	s.machines("fleet-1", 40)
	stop := s.running(s.feed, s.signals)
	s.decided("a decision of the old version")

	// The changed version is one with another configuration hash.
	factory := func() (decider.Decider, error) { return dispatch.New(dispatch.Config{NoReductions: true}), nil }
	changed, err := host.New(host.Config{Bus: s.connect("changed"), Site: faultSiteID, Name: "changed", Deciders: []host.Factory{factory}, ActivateIfNone: true})
	if err != nil {
		t.Fatal(err)
	}
	s.running(func(ctx context.Context) {
		if err := changed.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	until(t, patience, "the changed version has folded everything", func() bool { return changed.Standings()[0].CaughtUp })
	mine, _ := factory()
	id := mine.Identity()
	for range 5 {
		s.decided("the old version goes on")
	}
	if changed.Standings()[0].Speaks {
		t.Error("a version that nobody activated speaks")
	}
	if d := last[events.DispatchDecided](s, time.Now().Add(-time.Minute)); d.Data.ConfigHash == id.ConfigHash {
		t.Errorf("a version that nobody activated decided: COMMANDS/%d", d.Sequence)
	}

	if err := host.Activate(t.Context(), s.b, faultSiteID, id, changed.Standings()[0].StateHash, "test"); err != nil {
		t.Fatal(err)
	}
	next(s, "the changed version speaks", func(e events.Of[events.DispatchDecided]) bool { return e.Data.ConfigHash == id.ConfigHash })
	if out := mustBallast(t, s.dir, "decider", "ls", "--site", faultSiteID, "--server", s.url, "--json"); jsonLines(t, out)[0]["ours"] != false {
		t.Errorf("decider ls does not see that another version is active:\n%s", out)
	}
	// And back, as a person does it.
	mustBallast(t, s.dir, "decider", "activate", "dispatch", "--site", faultSiteID, "--server", s.url)
	next(s, "the old version speaks again", func(e events.Of[events.DispatchDecided]) bool { return e.Data.ConfigHash != id.ConfigHash })
	stop()
	s.quiet(3 * time.Second)

	// The versions took turns in the order of the journal, with no decision of
	// the wrong one in between.
	turns := s.turns()
	if len(turns) != 3 || turns[0] == id.ConfigHash || turns[1] != id.ConfigHash || turns[2] != turns[0] {
		t.Errorf("versions spoke in the order %v; want the old one, %s, the old one", turns, id.ConfigHash)
	}
	s.whole()
	r := s.verify(2 * time.Second)["dispatch"]
	if !r.Clean() || len(r.OtherVersions) != 1 || r.OtherVersions[0].ConfigHash != id.ConfigHash {
		t.Errorf("%s", r)
	}
}

// turns lists the configuration hashes of decisions in the order of their
// causes, without repetition.
func (s *faultSite) turns() []string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	by := map[uint64]string{}
	most := uint64(0)
	for e, err := range events.Read[events.DispatchDecided](ctx, s.b, events.AtSite(faultSiteID)) {
		if err != nil {
			s.t.Fatal(err)
		}
		by[e.Data.Key.Sequence] = e.Data.ConfigHash
		most = max(most, e.Data.Key.Sequence)
	}
	var out []string
	for seq := range most + 1 {
		if h, ok := by[seq]; ok && (len(out) == 0 || out[len(out)-1] != h) {
			out = append(out, h)
		}
	}
	return out
}
