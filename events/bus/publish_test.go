// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ballast-energy/ballast/events"
)

func TestPublishStoresAllInOrder(t *testing.T) {
	b, ctx := newRig(t), deadline(t)
	const n = 3 * publishWindow / 2
	evs := make([]*events.Event, n)
	for i := range evs {
		evs[i] = reading(i)
	}
	if err := b.Publish(ctx, evs...); err != nil {
		t.Fatal(err)
	}
	i := 0
	for e, err := range b.Events(ctx, events.ReadRequest{Stream: events.StreamJournal}) {
		if err != nil {
			t.Fatal(err)
		}
		if r := e.Data.(*events.MeterReading); r.PowerWatts != int64(i) || e.Sequence != uint64(i+1) {
			t.Fatalf("event %d: %+v", i, e)
		}
		if e.ID != evs[i].ID || e.ID == "" || !e.Time.Equal(evs[i].Time) || e.Time.IsZero() || e.Arrived.IsZero() || e.Stream != events.StreamJournal {
			t.Fatalf("event %d: envelope %+v, published %+v", i, e.Meta, evs[i].Meta)
		}
		i++
	}
	if i != n {
		t.Fatalf("read %d of %d", i, n)
	}
}

func TestPublishRefusesWholeCall(t *testing.T) {
	b, ctx := newRig(t), deadline(t)
	big := events.New("tx1", "dispatch", &events.DeadLetter{
		Subject: "ballast.tx1.meter.reading.a", Stream: events.StreamJournal, Sequence: 1, Consumer: "dispatch",
		Reason: events.DeadUnreadable, Detail: "large", Attempts: 1, Payload: make([]byte, b.nc.MaxPayload()),
	})
	badSite := reading(1)
	badSite.Site = "no such.token"
	for name, bad := range map[string]*events.Event{
		"too large": big, "bad site": badSite, "nil": nil, "no payload": {Meta: events.Meta{Site: "a", Source: "b"}},
	} {
		err := b.Publish(ctx, reading(0), bad)
		if err == nil || !strings.Contains(err.Error(), "#1") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "too large" && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m, err := b.encode(alert("raw"))
	if err != nil {
		t.Fatal(err)
	}
	m.Data = make([]byte, b.nc.MaxPayload()+1)
	if _, err := b.PublishMsgs(ctx, m); !errors.Is(err, ErrTooLarge) {
		t.Errorf("raw: %v", err)
	}
	info, err := b.newCursor(ctx, plan{prefix: b.prefix, stream: events.StreamJournal})
	if err != nil || !info.done {
		t.Fatalf("something was stored: %v", err)
	}
}

func TestPublishNamesWhatFailed(t *testing.T) {
	b, ctx := newRig(t), deadline(t)
	m, err := b.encode(reading(1))
	if err != nil {
		t.Fatal(err)
	}
	nowhere, err := b.encode(reading(2))
	if err != nil {
		t.Fatal(err)
	}
	nowhere.Subject = "ballast.nowhere"
	_, err = b.PublishMsgs(ctx, m, nowhere)
	var pe *PublishError
	if !errors.As(err, &pe) || !errors.Is(err, ErrNoStream) || pe.Stored != 1 || len(pe.Failed) != 1 || pe.Failed[0].Index != 1 {
		t.Fatalf("%v", err)
	}
}

func TestPublishStopsWithContext(t *testing.T) {
	b := newRig(t)
	// Nobody answers on this subject, but somebody listens.
	sub, err := b.nc.SubscribeSync("ballast.silent")
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.encode(reading(1))
	if err != nil {
		t.Fatal(err)
	}
	m.Subject = sub.Subject
	ctx, cancel := context.WithCancel(deadline(t))
	go func() {
		_, _ = sub.NextMsg(patience)
		cancel()
	}()
	if _, err := b.PublishMsgs(ctx, m); !errors.Is(err, ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	b.acks.mu.Lock()
	defer b.acks.mu.Unlock()
	if len(b.acks.pending) != 0 || len(b.acks.slots) != 0 {
		t.Fatalf("left behind: %d pending, %d places", len(b.acks.pending), len(b.acks.slots))
	}
}

func TestPublishDuplicates(t *testing.T) {
	b, ctx := newRig(t), deadline(t)
	a, err := b.PublishAsync(ctx, alert("same"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := a.Wait(ctx); err != nil || s != (Stored{Stream: events.StreamCommands, Sequence: 1}) {
		t.Fatalf("%+v %v", s, err)
	}
	if a, err = b.PublishAsync(ctx, alert("same")); err != nil {
		t.Fatal(err)
	}
	if s, err := a.Wait(ctx); err != nil || !s.Duplicate || s.Sequence != 1 {
		t.Fatalf("%+v %v", s, err)
	}
}

func TestBatchIsStoredWhole(t *testing.T) {
	b, ctx := newRig(t), deadline(t)
	batch := func(from, n int) []*events.Event {
		evs := make([]*events.Event, n)
		for i := range evs {
			evs[i] = alert(fmt.Sprintf("id-%d", from+i))
		}
		return evs
	}
	r, err := b.PublishBatch(ctx, events.StreamCommands, batch(0, events.MaxBatch)...)
	if err != nil || !r.Atomic || r.New != events.MaxBatch || r.Stored[0].Sequence != 1 || r.Stored[events.MaxBatch-1].Sequence != events.MaxBatch {
		t.Fatalf("%v: %+v", err, r.Stored[:min(3, len(r.Stored))])
	}
	// A replica's copy: all known.
	r, err = b.PublishBatch(ctx, events.StreamCommands, batch(0, 10)...)
	if err != nil || r.Atomic || r.New != 0 || r.Duplicates != 10 {
		t.Fatalf("%v: %+v", err, r)
	}
	// Half of it known.
	r, err = b.PublishBatch(ctx, events.StreamCommands, batch(events.MaxBatch-5, 10)...)
	if err != nil || r.New != 5 || r.Duplicates != 5 || r.Stored[9].Sequence != events.MaxBatch+5 {
		t.Fatalf("%v: %+v", err, r)
	}
	if _, err = b.PublishBatch(ctx, events.StreamCommands, batch(0, events.MaxBatch+1)...); !errors.Is(err, ErrBatchTooLong) {
		t.Fatalf("%v", err)
	}
	if _, err = b.PublishBatch(ctx, events.StreamCommands, alert("x"), reading(1)); err == nil {
		t.Fatal("a reading went to COMMANDS")
	}
	r, err = b.PublishBatch(ctx, events.StreamJournal, reading(0), reading(1), reading(2))
	if err != nil || r.Atomic || r.New != 3 || r.Stored[2].Sequence != 3 {
		t.Fatalf("%v: %+v", err, r)
	}
}

func TestBatchComparesAndSets(t *testing.T) {
	b, ctx := newRig(t), deadline(t)
	zero := uint64(0)
	opened := func(n uint64) *events.Event {
		return events.New("tx1", "host", &events.JournalOpened{Epoch: n, OpenedBy: "host", Reason: "test"})
	}
	x := Expect{Subject: "ballast.tx1.journal.opened.*"}
	if _, err := b.PublishBatchIf(ctx, events.StreamInputs, x, opened(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.PublishBatchIf(ctx, events.StreamInputs, x, opened(1)); !errors.Is(err, ErrConflict) {
		t.Fatalf("%v", err)
	}
	x.SubjectSequence = 1
	if _, err := b.PublishBatchIf(ctx, events.StreamInputs, x, opened(2)); err != nil {
		t.Fatal(err)
	}
	x = Expect{LastSequence: &zero}
	if r, err := b.PublishBatchIf(ctx, events.StreamCommands, x, alert("1"), alert("2")); err != nil || !r.Atomic {
		t.Fatal(err)
	}
	if _, err := b.PublishBatchIf(ctx, events.StreamCommands, x, alert("3"), alert("4")); !errors.Is(err, ErrConflict) {
		t.Fatalf("%v", err)
	}
	two := uint64(2)
	if _, err := b.PublishBatchIf(ctx, events.StreamCommands, Expect{LastSequence: &two}, alert("2"), alert("5")); !isCode(err, codeBatchDuplicate) {
		t.Fatalf("%v", err)
	}
}

func TestBatchFirstMessageIsHeardAtOnce(t *testing.T) {
	b, ctx := newRig(t), deadline(t)
	heard := make(chan string, 10)
	sub, err := b.Subscribe(ctx, Filter{Types: []events.Type{events.TypeAlertRaised}}, func(e *events.Event) { heard <- e.ID })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	if _, err := b.PublishBatch(ctx, events.StreamCommands, alert("1"), alert("2"), alert("3")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1", "2", "3"} {
		if got := <-heard; got != want {
			t.Fatalf("heard %s, want %s", got, want)
		}
	}
}

func TestParseAck(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Stored
		fail string
	}{
		{`{"stream":"JOURNAL","seq":17}`, Stored{Stream: "JOURNAL", Sequence: 17}, ""},
		{`{"stream":"JOURNAL", "seq":17}`, Stored{Stream: "JOURNAL", Sequence: 17}, ""},
		{`{"stream":"X","domain":"hub","seq":1}`, Stored{Stream: "X", Sequence: 1}, ""},
		{`{"stream":"X","seq":1,"duplicate":true}`, Stored{Stream: "X", Sequence: 1, Duplicate: true}, ""},
		{``, Stored{}, ""},
		{`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"},"stream":"X","seq":0}`, Stored{}, "moved on"},
		{`{"stream":"X"`, Stored{}, "no JSON"},
		{`{}`, Stored{}, "no stream"},
	} {
		got, err := parseAck([]byte(c.in))
		if got != c.want || (err == nil) != (c.fail == "") || err != nil && !strings.Contains(err.Error(), c.fail) {
			t.Errorf("%s: %+v %v", c.in, got, err)
		}
	}
}

func FuzzParseAck(f *testing.F) {
	f.Add([]byte(`{"stream":"JOURNAL","seq":17}`))
	f.Add([]byte(`{"stream":"X","domain":"hub","seq":1,"duplicate":true}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := fastAck(b)
		if !ok {
			return
		}
		// Whatever the short cut reads, the plain reader reads the same.
		var want struct {
			Stream string `json:"stream"`
			Seq    uint64 `json:"seq"`
		}
		if err := json.Unmarshal(b, &want); err == nil && (want.Stream != s.Stream && utf8.ValidString(s.Stream) || want.Seq != s.Sequence) {
			t.Fatalf("%q: %+v, want %+v", b, s, want)
		}
	})
}
