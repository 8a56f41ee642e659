// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// checked folds one event and holds the outcome against the rules that must be
// true whatever the journal says.
func checked(d *Dispatch, e *events.Event, out *decider.Outbox, wild bool) error {
	before := make(map[*unit]int64, len(d.order))
	for _, u := range d.order {
		before[u] = u.set
	}
	starting := make(map[*node]int64, len(d.nodes))
	for _, n := range d.nodes {
		starting[n] = n.starting
	}
	out.Begin(e)
	d.Fold(e, out)
	if err := d.consistent(); err != nil {
		return err
	}
	if e.Sequence%32 == 0 {
		if err := d.waterfall(); err != nil {
			return err
		}
	}
	for _, n := range d.nodes {
		if room := max(n.load.ShedCap, 0); n.setSum-n.fixedSum > room {
			return fmt.Errorf("permits of %d W at %s, beyond its cap of %d W", n.setSum-n.fixedSum, n.id, room)
		}
	}
	for _, n := range d.nodes {
		if n.maxStarts > 0 && n.starting > max(n.maxStarts, starting[n]) {
			return fmt.Errorf("%d units are starting at %s, %d may", n.starting, n.id, n.maxStarts)
		}
	}
	seenRamp, seenDecided, lastKey := false, false, events.OrderKey{}
	for i, o := range out.Outputs() {
		if err := o.Data.Validate(); err != nil && !wild {
			return fmt.Errorf("output %d: %w", i, err)
		}
		if seenDecided && o.Stored {
			return fmt.Errorf("output %d comes after dispatch.decided", i)
		}
		switch c := o.Data.(type) {
		case *events.CommandCurtail:
			if seenRamp {
				return fmt.Errorf("output %d: a reduction after a ramp", i)
			}
			lastKey = c.Key
		case *events.CommandRamp:
			seenRamp, lastKey = true, c.Key
			if d.tickGen != d.gen {
				return fmt.Errorf("a ramp without a fresh tick")
			}
			for _, p := range c.Units {
				u := d.agents[c.Agent].find(p.Unit)
				if p.SetpointWatts != u.set || u.fixed || !u.healthy {
					return fmt.Errorf("a ramp of %s to %d W, permitted %d W", p.Unit, p.SetpointWatts, u.set)
				}
				for n := u.node; n != nil; n = n.up {
					if !n.load.Fresh || u.homeless {
						return fmt.Errorf("a ramp of %s without fresh meters at %s", p.Unit, n.id)
					}
					if u.set > before[u] && n.raiseSum > n.load.Cap {
						return fmt.Errorf("a ramp of %s although %d W of %d W are booked at %s", p.Unit, n.raiseSum, n.load.Cap, n.id)
					}
				}
			}
		case *events.PermitRenewed:
			if e.Data.EventType() != events.TypeClockTick {
				return fmt.Errorf("a renewal caused by %s", e.Data.EventType())
			}
			a := d.agents[o.Source]
			if a.gen != d.gen || c.Counter != a.counter {
				return fmt.Errorf("a renewal of %s without a fresh status", o.Source)
			}
			for _, p := range c.Units {
				if p.SetpointWatts != a.find(p.Unit).set {
					return fmt.Errorf("a renewal raises %s to %d W", p.Unit, p.SetpointWatts)
				}
			}
		case *events.DispatchDecided:
			seenDecided, lastKey = true, c.Key
			if err := d.explained(c, before); err != nil {
				return fmt.Errorf("why: %w", err)
			}
		}
		if o.Stored && lastKey != (events.OrderKey{}) && lastKey.Sequence != e.Sequence {
			return fmt.Errorf("output %d has the key of another cause", i)
		}
	}
	// Whoever stands higher than before was told so by a ramp; whoever stands
	// lower was told so, or fell by itself.
	ramped := make(map[string]bool)
	for _, o := range out.Outputs() {
		if c, ok := o.Data.(*events.CommandRamp); ok {
			for _, p := range c.Units {
				ramped[c.Agent+"/"+p.Unit] = true
			}
		}
	}
	for _, u := range d.order {
		if old, known := before[u]; known && u.set > old && !ramped[u.agent.id+"/"+u.id] {
			return fmt.Errorf("%s rose from %d to %d W without a ramp", u.id, old, u.set)
		}
	}
	return nil
}

// consistent compares every sum and digest with what the entries give.
func (d *Dispatch) consistent() error {
	want := make(map[*node]books, len(d.nodes))
	sum := uint64(0)
	units := 0
	for _, u := range d.order {
		for n := u.node; n != nil; n = n.up {
			w, b := want[n], booksOf(u)
			want[n] = books{w.setSum + b.setSum, w.fixedSum + b.fixedSum, w.extraSum + b.extraSum, w.raiseSum + b.raiseSum, w.fallSum + b.fallSum, w.seenSum + b.seenSum, w.starting + b.starting}
		}
		if n, known := d.home(u); u.node != n || u.homeless == known {
			return fmt.Errorf("unit %s hangs on %s", u.id, u.node.id)
		}
		if u.h != u.hash() {
			return fmt.Errorf("unit %s changed without its digest", u.id)
		}
		if want := max(u.set, u.power, u.setpoint, u.inflight, u.held); u.raiseBook != want {
			return fmt.Errorf("unit %s is booked with %d W, not %d", u.id, u.raiseBook, want)
		}
		if u.set < 0 || u.set > u.caps.NameplateWatts && u.set != u.fit(u.set) {
			return fmt.Errorf("unit %s has an impossible setpoint %d W of %d", u.id, u.set, u.caps.NameplateWatts)
		}
		if u.reason != "" {
			return fmt.Errorf("unit %s keeps the reason of an earlier fold", u.id)
		}
		sum += u.h
	}
	for i, a := range d.roster {
		if a.h != a.hash() {
			return fmt.Errorf("agent %s changed without its digest", a.id)
		}
		if i > 0 && d.roster[i-1].id >= a.id || d.agents[a.id] != a {
			return fmt.Errorf("agent %s is out of order", a.id)
		}
		low := int64(0)
		for _, u := range a.units {
			if u.lowering {
				low++
			}
		}
		if low != a.lowering {
			return fmt.Errorf("agent %s counts %d reductions, has %d", a.id, a.lowering, low)
		}
		units += len(a.units)
		sum += a.h
	}
	for _, u := range d.order {
		held := int64(0)
		for i := range u.steps {
			s := &u.steps[i]
			held += u.holds(s)
			if i > 0 && !s.sleeps && (s.merit <= u.steps[i-1].merit || s.floor != u.steps[i-1].top) || s.top < s.floor || s.top == s.floor && len(u.steps) > 1 {
				return fmt.Errorf("unit %s: step %d from %d to %d W is out of place", u.id, i, s.floor, s.top)
			}
		}
		if held != u.set || u.risen {
			return fmt.Errorf("unit %s holds %d W of %d on its steps", u.id, held, u.set)
		}
	}
	for i := 1; i < len(d.steps) && !d.unranked; i++ {
		if byStep(d.steps[i-1], d.steps[i]) >= 0 {
			return fmt.Errorf("a step of unit %s is out of merit order", d.steps[i].u.id)
		}
	}
	for i := 1; i < len(d.order); i++ {
		if byMerit(d.order[i-1], d.order[i]) >= 0 {
			return fmt.Errorf("unit %s is out of merit order", d.order[i].id)
		}
	}
	for _, m := range d.site.meters {
		if m.h != m.hash() {
			return fmt.Errorf("meter %s changed without its digest", m.cfg.Meter)
		}
		sum += m.h
	}
	for _, s := range d.signals.live {
		sum += s.hash()
	}
	for _, p := range d.programmes {
		sum += p.hash()
	}
	if err := d.consistentSignals(); err != nil {
		return err
	}
	for _, n := range d.nodes {
		if d.site.tree {
			sum += n.h
		}
	}
	if err := d.consistentNodes(want); err != nil {
		return err
	}
	verified, err := d.consistentVerification()
	if err != nil {
		return err
	}
	sum += verified
	jobs, err := d.consistentJobs()
	if err != nil {
		return err
	}
	sum += jobs + d.consistentWork()
	switch {
	case sum != d.entries:
		return fmt.Errorf("the digest of the entries is off")
	case units != len(d.order) || len(d.agents) != len(d.roster):
		return fmt.Errorf("units or agents are lost")
	case len(d.signals.live) > MaxSignals+MaxPrices+2*maxMerged+events.MaxProgrammes:
		return fmt.Errorf("%d signals are live", len(d.signals.live))
	}
	return nil
}

func outputsJSON(t testing.TB, out *decider.Outbox) []byte {
	b, err := json.Marshal(out.Outputs())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// restored is a decider that goes on from a snapshot of d.
func restored(t testing.TB, d *Dispatch) *Dispatch {
	t.Helper()
	b, err := d.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	twin := New(Config{})
	if err := twin.Restore(b); err != nil {
		t.Fatal(err)
	}
	return twin
}

// TestRandomJournals holds random journals, tame and hostile, against the
// rules; and takes a snapshot now and then, after which the restored decider
// must say the same for ever.
func TestRandomJournals(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	ramps, curtails, renewals := 0, 0, 0
	outcomes, rungs := make(map[events.MeteredOutcome]int), make(map[events.Rung]int)
	for seed := range seeds {
		w := newWorld(seeded{rand.New(rand.NewPCG(uint64(seed), 7))}, []int{0, 1, 5, 30}[seed%4])
		w.wild, w.tree, w.jobs, w.thrifty, w.lie = seed%8 >= 4, seed%3 != 0, seed%2 == 1, seed%5 < 2, seed%4 >= 2
		d := New(Config{})
		var twin *Dispatch
		var out, out2 decider.Outbox
		for n := range 4_000 {
			e := w.next()
			if err := checked(d, e, &out, w.wild); err != nil {
				t.Fatalf("seed %d, event %d (%s of %s): %v", seed, n, e.Type, e.Source, err)
			}
			if twin != nil {
				out2.Begin(e)
				twin.Fold(e, &out2)
				if a, b := outputsJSON(t, &out), outputsJSON(t, &out2); !bytes.Equal(a, b) {
					t.Fatalf("seed %d, event %d (%s of %s): the restored decider says\n%s\nnot\n%s", seed, n, e.Type, e.Source, b, a)
				}
				if d.StateHash() != twin.StateHash() {
					t.Fatalf("seed %d, event %d (%s of %s): the restored decider has another state", seed, n, e.Type, e.Source)
				}
			}
			if n%97 == 0 {
				twin = restored(t, d)
				if err := twin.consistent(); err != nil {
					t.Fatalf("seed %d, event %d: restored: %v", seed, n, err)
				}
				if d.StateHash() != twin.StateHash() {
					t.Fatalf("seed %d, event %d: restored another state", seed, n)
				}
			}
			for _, o := range out.Outputs() {
				switch p := o.Data.(type) {
				case *events.CurtailmentMetered:
					outcomes[p.Outcome]++
				case *events.UnitEscalated:
					rungs[p.Rung]++
				case *events.CommandRamp:
					ramps++
				case *events.CommandCurtail:
					curtails++
				case *events.PermitRenewed:
					renewals++
				}
				w.obey(o.Data, o.Source)
			}
		}
	}
	t.Logf("%d ramps, %d curtails, %d renewals, metered %v, escalated %v", ramps, curtails, renewals, outcomes, rungs)
	if !testing.Short() && (len(outcomes) < 4 || len(rungs) < 5) {
		t.Errorf("the journals are too dull: metered %v, escalated %v", outcomes, rungs)
	}
	if ramps < seeds || curtails < seeds || renewals < 10*seeds {
		t.Errorf("the journals are too dull: %d ramps, %d curtails, %d renewals", ramps, curtails, renewals)
	}
}

// TestSameJournalSameOutputs folds one journal twice.
func TestSameJournalSameOutputs(t *testing.T) {
	run := func() (uint64, []byte) {
		w := newWorld(seeded{rand.New(rand.NewPCG(3, 9))}, 5)
		d := New(Config{})
		var out decider.Outbox
		var all bytes.Buffer
		for range 5_000 {
			e := w.next()
			out.Begin(e)
			d.Fold(e, &out)
			all.Write(outputsJSON(t, &out))
			for _, o := range out.Outputs() {
				w.obey(o.Data, o.Source)
			}
		}
		return d.StateHash(), all.Bytes()
	}
	h1, b1 := run()
	h2, b2 := run()
	if h1 != h2 || !bytes.Equal(b1, b2) {
		t.Error("two folds of one journal differ")
	}
}

// FuzzFold lets the fuzzer write the journal.
func FuzzFold(f *testing.F) {
	f.Add([]byte("seed"), byte(10))
	f.Add(bytes.Repeat([]byte{7, 200, 13, 90}, 400), byte(50))
	f.Fuzz(func(t *testing.T, b []byte, hostile byte) {
		src := &bytewise{b: b}
		w := newWorld(src, int(hostile)%101)
		w.wild, w.tree, w.thrifty = hostile >= 128, len(b)%2 == 1, len(b)%4 > 1
		d := New(Config{})
		var out decider.Outbox
		for src.i < len(src.b) || w.seq < 3 {
			e := w.next()
			if err := checked(d, e, &out, w.wild); err != nil {
				t.Fatalf("event %d (%s of %s): %v", w.seq, e.Type, e.Source, err)
			}
			for _, o := range out.Outputs() {
				w.obey(o.Data, o.Source)
			}
		}
		twin := restored(t, d)
		if d.StateHash() != twin.StateHash() {
			t.Fatal("restored another state")
		}
	})
}
