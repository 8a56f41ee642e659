// SPDX-License-Identifier: Apache-2.0

package decider_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/decider/decidertest"
)

const (
	prefix = "ballast"
	site   = "tx1"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newRunner(t testing.TB, d decider.Decider) *decider.Runner {
	t.Helper()
	r, err := decider.NewRunner(prefix, site, d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// raw encodes an event as a message of the journal; relayed facts get an
// origin.
func raw(t testing.TB, seq uint64, source string, p events.Payload, origin uint64) *decider.Raw {
	t.Helper()
	e := events.New(site, source, p)
	if origin > 0 {
		e.ID = fmt.Sprintf("fact-%d", origin)
	}
	m, err := events.Encode(prefix, e)
	if err != nil {
		t.Fatal(err)
	}
	r := &decider.Raw{Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: seq, Arrived: start.Add(time.Duration(seq) * time.Second)}
	if origin > 0 {
		info, _ := events.Info(p.EventType())
		id := fmt.Sprintf("%s/%d", info.Stream, origin)
		r.Subject = events.JournalSubject(prefix, site, p.EventType(), source)
		r.Header[events.HeaderMsgID], r.Header[events.HeaderOrigin] = []string{id}, []string{id}
	}
	return r
}

func reading(t testing.TB, seq uint64, watts int64) *decider.Raw {
	return raw(t, seq, "meter", &events.MeterReading{PowerWatts: watts, SampledAt: start, Quality: events.QualityGood}, 0)
}

func activated(version string) events.Payload {
	id := decidertest.New(version).Identity()
	return &events.DeciderActivated{Decider: id.Name, Version: id.Version, ConfigHash: id.ConfigHash, ActivatedBy: "test"}
}

func signal() events.Payload {
	w := int64(0)
	return &events.GridSignal{Kind: events.SignalCurtail, PowerWatts: &w}
}

func feed(t testing.TB, r *decider.Runner, ms ...*decider.Raw) decider.Step {
	t.Helper()
	var st decider.Step
	for _, m := range ms {
		var err error
		if st, err = r.Feed(m); err != nil {
			t.Fatal(err)
		}
	}
	return st
}

func TestRunnerSkipsWhatIsNoNews(t *testing.T) {
	r := newRunner(t, decidertest.New("1.0"))
	for _, c := range []struct {
		name string
		m    *decider.Raw
		want decider.Outcome
	}{
		{"a reading", reading(t, 1, 5), decider.Folded},
		{"a relayed fact", raw(t, 3, "grid", signal(), 7), decider.Folded},
		{"the same fact again", raw(t, 4, "grid", signal(), 7), decider.Repeated},
		{"an older fact", raw(t, 5, "grid", signal(), 6), decider.Repeated},
		{"a newer one", raw(t, 6, "grid", signal(), 9), decider.Folded},
		{"a fact without origin", &decider.Raw{Subject: "ballast.tx1.journal.grid.signal.grid", Data: []byte(`{"kind":"emergency"}`), Sequence: 7, Arrived: start}, decider.Unusable},
		{"garbage", &decider.Raw{Subject: "ballast.tx1.meter.reading.m", Data: []byte(`{`), Sequence: 8, Arrived: start}, decider.Unusable},
		{"another site", &decider.Raw{Subject: "ballast.tx2.clock.tick.site", Data: []byte(`{"second":5}`), Sequence: 9, Arrived: start}, decider.Unusable},
	} {
		st := feed(t, r, c.m)
		if st.Outcome != c.want {
			t.Errorf("%s: outcome %d (%v), wanted %d", c.name, st.Outcome, st.Err, c.want)
		}
		if (st.Outcome == decider.Unusable) != (st.Err != nil) {
			t.Errorf("%s: error %v", c.name, st.Err)
		}
	}
	if got, want := r.Counts(), (decider.Counts{Folded: 3, Repeated: 2, Unusable: 3}); got != want {
		t.Errorf("counts %+v, wanted %+v", got, want)
	}
	if r.Origin(events.StreamInputs) != 9 || r.Sequence() != 9 {
		t.Errorf("origin %d, sequence %d", r.Origin(events.StreamInputs), r.Sequence())
	}
	if _, err := r.Feed(reading(t, 9, 1)); !errors.Is(err, decider.ErrNotAhead) {
		t.Errorf("a sequence that does not rise: %v", err)
	}
}

func TestRunnerFillsTheEnvelope(t *testing.T) {
	r := newRunner(t, decidertest.New("1.0"))
	r.Opened(decider.Opening{Epoch: 3, After: 10})
	st := feed(t, r, &decider.Raw{Subject: "ballast.tx1.clock.tick.site", Data: []byte(`{"second":77}`), Sequence: 12, Arrived: start.In(time.FixedZone("x", 3600))})
	e := st.Event
	if e.ID != "JOURNAL:3:12" || e.Epoch != 3 || e.Sequence != 12 || e.Stream != events.StreamJournal || !e.Arrived.Equal(start) || e.Arrived.Location() != time.UTC {
		t.Errorf("event %+v", e.Meta)
	}
	if r.Tick() != 77 {
		t.Errorf("tick %d", r.Tick())
	}
}

func TestOnlyTheActivatedVersionSpeaks(t *testing.T) {
	old, fresh := newRunner(t, decidertest.New("1.0")), newRunner(t, decidertest.New("2.0"))
	for i, c := range []struct {
		m          *decider.Raw
		old, fresh bool
	}{
		{reading(t, 1, 2), false, false},
		{raw(t, 2, "toy", activated("1.0"), 1), true, false},
		{reading(t, 3, 2), true, false},
		{raw(t, 4, "other", &events.DeciderActivated{Decider: "other", Version: "1.0", ConfigHash: "00000000000000aa", ActivatedBy: "test"}, 2), true, false},
		{raw(t, 5, "toy", activated("2.0"), 3), false, true},
		{reading(t, 6, 2), false, true},
		{raw(t, 7, "toy", activated("1.0"), 3), false, true}, // an old origin again
	} {
		feed(t, old, c.m)
		feed(t, fresh, c.m)
		if old.Speaks() != c.old || fresh.Speaks() != c.fresh {
			t.Errorf("message %d: old speaks %v, new speaks %v", i, old.Speaks(), fresh.Speaks())
		}
	}
}

func TestEpochBoundaryIsWhatTheOpeningSays(t *testing.T) {
	var e decider.Epochs
	for _, o := range []decider.Opening{{Epoch: 2, After: 100}, {Epoch: 1, After: 0}, {Epoch: 4, After: 90}, {Epoch: 3, After: 150}} {
		if !e.Add(o) || e.Add(o) {
			t.Fatalf("adding %+v", o)
		}
	}
	for seq, want := range map[uint64]uint64{1: 1, 90: 1, 91: 4, 150: 4, 200: 4} {
		if got := e.At(seq); got != want {
			t.Errorf("sequence %d is of epoch %d, wanted %d", seq, got, want)
		}
	}
	if e.Newest() != 4 {
		t.Errorf("newest %d", e.Newest())
	}
}

// A reading between the opening and its relayed copy is of the new epoch. A
// runner that did not know must start over.
func TestRunnerNoticesALateOpening(t *testing.T) {
	opened := raw(t, 12, "site", &events.JournalOpened{Epoch: 5, LastSequence: 10, OpenedBy: "x", Reason: "test"}, 30)
	r := newRunner(t, decidertest.New("1.0"))
	feed(t, r, reading(t, 10, 1), reading(t, 11, 1))
	if _, err := r.Feed(opened); !errors.Is(err, decider.ErrEpoch) {
		t.Fatalf("error %v", err)
	}
	again := newRunner(t, decidertest.New("1.0"))
	for _, o := range r.Openings() {
		again.Opened(o)
	}
	feed(t, again, reading(t, 10, 1), reading(t, 11, 1))
	if again.Epoch() != 5 {
		t.Errorf("epoch %d at 11", again.Epoch())
	}
	if st := feed(t, again, opened); st.Outcome != decider.Folded || st.Event.Epoch != 5 {
		t.Errorf("the opening: %+v", st)
	}
	// Nothing between: no harm done.
	r = newRunner(t, decidertest.New("1.0"))
	feed(t, r, reading(t, 10, 1), opened)
	if r.Epoch() != 5 {
		t.Errorf("epoch %d", r.Epoch())
	}
}

func TestSnapshotGoesOnAlike(t *testing.T) {
	a := newRunner(t, decidertest.New("1.0"))
	a.Opened(decider.Opening{Epoch: 1, After: 0})
	last := reading(t, 9, 1236)
	feed(t, a, raw(t, 1, "toy", activated("1.0"), 4), reading(t, 5, 1234), raw(t, 6, "grid", signal(), 8), last)
	snap, err := a.Snapshot(map[string]uint64{events.StreamCommands: 17})
	if err != nil {
		t.Fatal(err)
	}
	b := newRunner(t, decidertest.New("1.0"))
	head, err := b.Restore(snap)
	if err != nil {
		t.Fatal(err)
	}
	if head.Outputs[events.StreamCommands] != 17 || head.Sequence != 9 || !b.Speaks() {
		t.Errorf("header %+v, speaks %v", head, b.Speaks())
	}
	if !head.Follows(last, a.Openings()) {
		t.Error("the snapshot does not follow its own journal")
	}
	other := *last
	other.Data = []byte(`{}`)
	if head.Follows(&other, a.Openings()) {
		t.Error("another message at its place is accepted")
	}
	if head.Follows(last, append(a.Openings(), decider.Opening{Epoch: 2, After: 8})) {
		t.Error("a snapshot from behind a cut is accepted")
	}
	for _, m := range []*decider.Raw{raw(t, 10, "grid", signal(), 8), reading(t, 11, 3400), reading(t, 12, 14)} {
		x, y := feed(t, a, m), feed(t, b, m)
		if len(x.Outputs) != len(y.Outputs) || x.Outcome != y.Outcome {
			t.Fatalf("message %d: %d and %d outputs", m.Sequence, len(x.Outputs), len(y.Outputs))
		}
		if *a.Checkpoint() != *b.Checkpoint() {
			t.Fatalf("message %d: %+v and %+v", m.Sequence, a.Checkpoint(), b.Checkpoint())
		}
	}
}

func TestDamagedSnapshots(t *testing.T) {
	a := newRunner(t, decidertest.New("1.0"))
	feed(t, a, reading(t, 5, 1234))
	snap, err := a.Snapshot(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range snap {
		bad := bytes.Clone(snap)
		bad[i] ^= 0x10
		if _, err := newRunner(t, decidertest.New("1.0")).Restore(bad); !errors.Is(err, decider.ErrSnapshot) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
	for n := range snap {
		if _, err := newRunner(t, decidertest.New("1.0")).Restore(snap[:n]); !errors.Is(err, decider.ErrSnapshot) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := newRunner(t, decidertest.New("2.0")).Restore(snap); !errors.Is(err, decider.ErrSnapshot) {
		t.Errorf("of another version: %v", err)
	}
	elsewhere, err := decider.NewRunner(prefix, "tx2", decidertest.New("1.0"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := elsewhere.Restore(snap); !errors.Is(err, decider.ErrSnapshot) {
		t.Errorf("of another site: %v", err)
	}
}

func TestChainSeesEverything(t *testing.T) {
	base := func() []*decider.Raw { return []*decider.Raw{reading(t, 1, 5), reading(t, 2, 6)} }
	sum := func(ms []*decider.Raw, o ...decider.Opening) decider.Digest {
		r := newRunner(t, decidertest.New("1.0"))
		for _, x := range o {
			r.Opened(x)
		}
		feed(t, r, ms...)
		return r.Chain()
	}
	want := sum(base())
	if sum(base()) != want {
		t.Fatal("the chain is not reproducible")
	}
	for name, f := range map[string]func([]*decider.Raw) []*decider.Raw{
		"data":     func(m []*decider.Raw) []*decider.Raw { m[0].Data = append(m[0].Data, ' '); return m },
		"subject":  func(m []*decider.Raw) []*decider.Raw { m[0].Subject += "x"; return m },
		"arrival":  func(m []*decider.Raw) []*decider.Raw { m[0].Arrived = m[0].Arrived.Add(1); return m },
		"sequence": func(m []*decider.Raw) []*decider.Raw { m[1].Sequence++; return m },
		"id":       func(m []*decider.Raw) []*decider.Raw { m[1].Header = nats.Header{events.HeaderMsgID: {"x"}}; return m },
		"missing":  func(m []*decider.Raw) []*decider.Raw { return m[1:] },
	} {
		if sum(f(base())) == want {
			t.Errorf("%s: a change that the chain does not see", name)
		}
	}
	if sum(base(), decider.Opening{Epoch: 1, After: 1}) == want {
		t.Error("an epoch that the chain does not see")
	}
}

func TestBatchesAreCutAtFixedOrdinals(t *testing.T) {
	d := decidertest.New("1.0")
	d.Wide = 2300
	r := newRunner(t, d)
	st := feed(t, r, raw(t, 1, "toy", activated("1.0"), 4), reading(t, 2, 14_000))
	batches, sends, err := r.Batches(&st)
	if err != nil || len(sends) != 0 {
		t.Fatal(err, len(sends))
	}
	var got []string
	for _, b := range batches {
		got = append(got, fmt.Sprintf("%s/%d:%d", b.Stream, b.First.Ordinal, len(b.Messages)))
	}
	want := []string{"COMMANDS/0:1000", "COMMANDS/1000:1000", "COMMANDS/2000:301", "REVENUE/2301:1"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("batches %v, wanted %v", got, want)
	}
	if id := batches[2].Messages[300].Header.Get(events.HeaderMsgID); id != "tx1/toy/0/2/2300" {
		t.Errorf("id %s", id)
	}
	st = feed(t, r, raw(t, 3, "site", &events.ClockTick{Second: 4}, 0))
	batches, sends, err = r.Batches(&st)
	if err != nil || len(batches) != 0 || len(sends) != 1 || sends[0].Header.Get(events.HeaderMsgID) != "" {
		t.Errorf("a renewal: %v, %d batches, %d sends", err, len(batches), len(sends))
	}
}

func FuzzParseMessageID(f *testing.F) {
	f.Add("tx1/dispatch/3/4711/2")
	f.Add("tx1/dispatch/03/4711/2")
	f.Add("////")
	f.Fuzz(func(t *testing.T, id string) {
		site, name, k, ok := decider.ParseMessageID(id)
		if ok && decider.MessageID(site, name, k) != id {
			t.Errorf("%q has another spelling", id)
		}
	})
}

func FuzzReadHeader(f *testing.F) {
	r, err := decider.NewRunner(prefix, site, decidertest.New("1.0"))
	if err != nil {
		f.Fatal(err)
	}
	snap, err := r.Snapshot(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(snap)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, state, err := decider.ReadHeader(b)
		if err == nil && (h == nil || len(state) > len(b)) {
			t.Error("no header and no error")
		}
	})
}

// What the runner costs beside its decider, from stored bytes on.
func BenchmarkFeed(b *testing.B) {
	r := newRunner(b, decidertest.New("1.0"))
	m := reading(b, 1, 1_000_001)
	b.ReportAllocs()
	b.SetBytes(int64(len(m.Data)))
	for i := range b.N {
		m.Sequence = uint64(i + 1)
		if _, err := r.Feed(m); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// Only relayed facts have origins: a reading or a status that claims one must
// not make the relayed facts behind it look folded already.
func TestInventedOriginMutesNoSignal(t *testing.T) {
	r := newRunner(t, decidertest.New("1.0"))
	lie := reading(t, 1, 5000)
	lie.Header[events.HeaderOrigin] = []string{events.StreamInputs + "/999999999"}
	lie.Header[events.HeaderOriginTime] = []string{start.Add(time.Hour).Format(time.RFC3339)}
	if st := feed(t, r, lie); st.Outcome != decider.Folded || st.Event.OriginStream != "" || !st.Event.OriginArrived.IsZero() {
		t.Errorf("the reading: outcome %v, origin %q at %s", st.Outcome, st.Event.OriginStream, st.Event.OriginArrived)
	}
	if st := feed(t, r, raw(t, 2, "grid", signal(), 7)); st.Outcome != decider.Folded {
		t.Errorf("the signal behind it: outcome %v", st.Outcome)
	}
}
