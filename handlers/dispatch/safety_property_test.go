// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// command is what safety rules ask of one.
type command struct {
	key    events.OrderKey
	reason events.Reason
	what   string
}

func commandOf(p events.Payload) (command, bool) {
	switch c := p.(type) {
	case *events.CommandCurtail:
		return command{c.Key, c.Reason, "curtail"}, true
	case *events.CommandRamp:
		return command{c.Key, c.Reason, "ramp"}, true
	case *events.CommandOutlet:
		return command{c.Key, events.Reason(c.Reason), "outlet"}, true
	case *events.PermitRenewed:
		return command{key: c.Key, what: "renewal"}, true
	}
	return command{}, false
}

// hostileWorld is one of several kinds of site, with trees, jobs and liars.
func hostileWorld(seed int, stream uint64) *world {
	w := newWorld(seeded{rand.New(rand.NewPCG(uint64(seed), stream))}, []int{0, 3, 20}[seed%3])
	w.tree, w.jobs, w.thrifty, w.lie = seed%2 == 0, seed%3 == 1, seed%4 > 1, seed%5 > 1
	return w
}

// TestKeysOnlyRise (S6): whatever comes, the key of every command is that of its
// cause in the journal and higher than all before it; a replica that goes on from
// a snapshot gives the same keys.
func TestKeysOnlyRise(t *testing.T) {
	for seed := range 8 {
		w := hostileWorld(seed, 60)
		d := New(Config{})
		var twin *Dispatch
		var out, out2 decider.Outbox
		var last events.OrderKey
		commands := 0
		for n := range 3_000 {
			e := w.next()
			out.Begin(e)
			d.Fold(e, &out)
			if twin != nil {
				out2.Begin(e)
				twin.Fold(e, &out2)
				if a, b := outputsJSON(t, &out), outputsJSON(t, &out2); !bytes.Equal(a, b) && !(out.Empty() && out2.Empty()) {
					t.Fatalf("seed %d, event %d: a replica says\n%s\nnot\n%s", seed, n, b, a)
				}
			}
			if n == 1_500 {
				twin = restored(t, d)
			}
			for _, o := range out.Outputs() {
				c, ok := commandOf(o.Data)
				if !ok {
					continue
				}
				commands++
				if c.key.Epoch != e.Epoch || c.key.Sequence != e.Sequence {
					t.Fatalf("seed %d, event %d/%d: a %s with key %+v", seed, e.Epoch, e.Sequence, c.what, c.key)
				}
				// Renewals are sent beside what is stored and share a key.
				if o.Stored && c.key.Compare(last) <= 0 {
					t.Fatalf("seed %d: a %s with key %+v after %+v", seed, c.what, c.key, last)
				}
				if o.Stored {
					last = c.key
				}
			}
			for _, o := range out.Outputs() {
				w.obey(o.Data, o.Source)
			}
		}
		if commands < 100 {
			t.Errorf("seed %d: only %d commands", seed, commands)
		}
	}
}

// TestEveryCommandIsExplained (S12): a command names a reason; in the same step a decision names the decider, its
// configuration, the event of the journal, and why. Only the copy of a ramp that
// got lost has none of its own.
func TestEveryCommandIsExplained(t *testing.T) {
	explained := 0
	for seed := range 8 {
		w := hostileWorld(seed, 120)
		d := New(Config{})
		known := make(map[string]int64) // what a decision has explained
		var out decider.Outbox
		for range 3_000 {
			e := w.next()
			out.Begin(e)
			d.Fold(e, &out)
			var decided *events.DispatchDecided
			commands, repeats := 0, 0
			for _, o := range out.Outputs() {
				if p, ok := o.Data.(*events.DispatchDecided); ok {
					decided = p
				}
				if c, ok := commandOf(o.Data); ok && (c.what == "curtail" || c.what == "ramp") {
					if commands++; c.reason == "" {
						t.Fatalf("seed %d, event %d: a %s for no reason", seed, e.Sequence, c.what)
					}
				}
				if p, ok := o.Data.(*events.CommandRamp); ok && !slices.ContainsFunc(p.Units, func(u events.UnitSetpoint) bool { return known[p.Agent+"/"+u.Unit] != u.SetpointWatts }) {
					repeats++
				}
				w.obey(o.Data, o.Source)
			}
			if commands == 0 || decided == nil && commands == repeats {
				continue
			}
			for _, u := range d.order {
				known[u.agent.id+"/"+u.id] = u.set
			}
			explained++
			who := d.Identity()
			if decided == nil || decided.Version != who.Version || decided.ConfigHash != who.ConfigHash || decided.Key.Sequence != e.Sequence {
				t.Fatalf("seed %d, event %d: %d commands, decided %+v", seed, e.Sequence, commands, decided)
			}
			if decided.CauseID != e.ID || decided.CauseType != e.Type || decided.Why == nil {
				t.Fatalf("seed %d: event %d (%s) caused commands, the decision says %+v", seed, e.Sequence, e.Type, decided)
			}
		}
	}
	if explained < 200 {
		t.Errorf("only %d decisions", explained)
	}
}

// TestMoneyMovesNoLimit (S13): at every node what may flow is the same with
// prices and quotes as without, whatever they are.
func TestMoneyMovesNoLimit(t *testing.T) {
	for seed := range 8 {
		w := hostileWorld(seed, 130)
		d, poor := New(Config{}), New(Config{})
		var out, out2 decider.Outbox
		prices := 0
		for n := range 3_000 {
			e := w.next()
			free := *e
			switch p := e.Data.(type) {
			case *events.SiteConfig:
				p.Policy.Economics = true
				for i := range p.Programmes {
					// A shed and a ramp count from what runs at the moment.
					p.Programmes[i].LimitIs, p.Programmes[i].RampSeconds = events.LimitIsCap, 0
				}
				c := *p
				c.Policy.Economics = false
				free.Data = &c
			case *events.GridSignal:
				if p.RampSeconds = nil; p.Kind == events.SignalPrice {
					prices++
					// What it takes back is its issuer's word, not money.
					p.Cancels, p.Supersedes = "", ""
					far := e.Arrived.Add(-time.Hour)
					g := *p
					g.PriceMicrousdPerMWh, g.Kind, g.StartsAt, g.DurationSeconds = nil, "unheard-of", &far, 1
					free.Data = &g
				}
			case *events.MarketQuote:
				prices++
				free.Data = &events.ClockTick{Second: -1}
			}
			out2.Begin(&free)
			poor.Fold(&free, &out2)
			out.Begin(e)
			d.Fold(e, &out)
			for _, q := range [...]*Dispatch{d, poor} {
				// Ways back go on with any signal or tick, prices among them.
				q.runSignals()
				q.lookBound()
			}
			for i, x := range d.nodes {
				y := poor.nodes[i]
				if a, b := levelOf(x.sig.mining), levelOf(y.sig.mining); a != b {
					t.Fatalf("seed %d, event %d (%s): mining at %s is limited to %d W, without money to %d W", seed, n, e.Type, x.id, a, b)
				}
				if a, b := levelOf(x.sig.total), levelOf(y.sig.total); a != b || x.load.Usable != y.load.Usable {
					t.Fatalf("seed %d, event %d (%s): %s carries %d W (%d), without money %d W (%d)", seed, n, e.Type, x.id, x.load.Usable, a, y.load.Usable, b)
				}
			}
			for _, o := range out.Outputs() {
				w.obey(o.Data, o.Source)
			}
		}
		if prices < 5 {
			t.Errorf("seed %d: only %d prices", seed, prices)
		}
	}
}

// TestInstructionsOutliveTheirReader (S15): an instruction for later is carried
// out at its time by a decider that never saw it arrive, with nothing but ticks,
// and ends at its time.
func TestInstructionsOutliveTheirReader(t *testing.T) {
	s := newStranger(t)
	begins, watts := s.w.at.Add(60*time.Second), int64(1_000)
	s.fold("grid", &events.GridSignal{SignalID: "later", Kind: events.SignalCurtail, PowerWatts: &watts, StartsAt: &begins, DurationSeconds: 30})
	limited := fmt.Sprint
	want, got := "", ""
	for i := range 100 {
		// Every ten seconds another process takes over.
		if i%10 == 0 {
			s.d = restored(t, s.d)
		}
		s.tick()
		due := !s.w.at.Before(begins) && s.w.at.Before(begins.Add(30*time.Second))
		want += limited(due, " ")
		got += limited(s.d.root.load.Ceiling == watts, " ")
	}
	if want != got {
		t.Errorf("limited second by second: %s\nnot %s", got, want)
	}
}
