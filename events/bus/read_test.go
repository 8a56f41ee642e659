// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/internal/pull"
)

// relay copies an event into JOURNAL as decider hosts do.
func (r *rig) relay(t testing.TB, e *events.Event, origin string) {
	t.Helper()
	m, err := r.encode(e)
	if err != nil {
		t.Fatal(err)
	}
	m.Subject = events.JournalSubject(r.prefix, e.Site, e.Data.EventType(), e.Source)
	m.Header.Set(events.HeaderOrigin, origin)
	if _, err := r.PublishMsgs(deadline(t), m); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) publish(t testing.TB, evs ...*events.Event) {
	t.Helper()
	if err := r.Publish(deadline(t), evs...); err != nil {
		t.Fatal(err)
	}
}

func opened(site string, epoch, last uint64) *events.Event {
	return events.New(site, "host", &events.JournalOpened{Epoch: epoch, LastSequence: last, OpenedBy: "host", Reason: "test"})
}

func sequences(t testing.TB, b *Bus, r events.ReadRequest) []uint64 {
	t.Helper()
	var out []uint64
	for e, err := range b.Events(deadline(t), r) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.Sequence)
	}
	return out
}

func TestReadSelects(t *testing.T) {
	b := newRig(t)
	two := reading(2)
	two.Site = "tx2"
	three := reading(3)
	three.Source = "feeder-b"
	b.publish(t, reading(1))
	b.publish(t, two)
	b.publish(t, three)
	b.relay(t, opened("tx1", 1, 0), "INPUTS/1")
	b.publish(t, reading(5))
	var at []time.Time
	for r, err := range b.RawEvents(deadline(t), events.ReadRequest{Stream: events.StreamJournal}) {
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, r.Arrived)
	}
	for name, c := range map[string]struct {
		r    events.ReadRequest
		want string
	}{
		"all":          {events.ReadRequest{Stream: events.StreamJournal}, "[1 2 3 4 5]"},
		"type":         {events.ReadRequest{Types: []events.Type{events.TypeMeterReading}}, "[1 2 3 5]"},
		"site":         {events.ReadRequest{Stream: events.StreamJournal, Site: "tx1"}, "[1 3 4 5]"},
		"source":       {events.ReadRequest{Stream: events.StreamJournal, Source: "feeder-b"}, "[3]"},
		"relayed":      {events.ReadRequest{Stream: events.StreamJournal, Types: []events.Type{events.TypeJournalOpened}}, "[4]"},
		"sequence":     {events.ReadRequest{Stream: events.StreamJournal, FromSequence: 4}, "[4 5]"},
		"since":        {events.ReadRequest{Stream: events.StreamJournal, Since: at[2]}, "[3 4 5]"},
		"until":        {events.ReadRequest{Stream: events.StreamJournal, Until: at[2]}, "[1 2]"},
		"since future": {events.ReadRequest{Stream: events.StreamJournal, Since: time.Now().Add(time.Hour)}, "[]"},
		"next":         {events.ReadRequest{Stream: events.StreamJournal, FromSequence: 6}, "[]"},
		"nothing":      {events.ReadRequest{Stream: events.StreamCommands}, "[]"},
		"no such site": {events.ReadRequest{Stream: events.StreamJournal, Site: "nowhere"}, "[]"},
	} {
		if got := fmt.Sprint(sequences(t, b.Bus, c.r)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for name, r := range map[string]events.ReadRequest{
		"no stream":      {},
		"never stored":   {Types: []events.Type{events.TypePermitRenewed}},
		"foreign type":   {Stream: events.StreamJournal, Types: []events.Type{events.TypeAlertRaised}},
		"two starts":     {Stream: events.StreamJournal, FromSequence: 1, NewOnly: true},
		"bad site":       {Stream: events.StreamJournal, Site: "*"},
		"beyond the end": {Stream: events.StreamJournal, FromSequence: 7},
	} {
		var err error
		for _, err = range b.Events(deadline(t), r) {
			break
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if name == "beyond the end" && !errors.Is(err, ErrJournalBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadYieldsBadMessagesAndGoesOn(t *testing.T) {
	b := newRig(t)
	b.publish(t, reading(1))
	if _, err := b.PublishMsgs(deadline(t), &nats.Msg{Subject: "ballast.tx1.meter.reading.feeder-a", Data: []byte("garbage")}); err != nil {
		t.Fatal(err)
	}
	b.publish(t, reading(3))
	var got []string
	for e, err := range b.Events(deadline(t), events.ReadRequest{Stream: events.StreamJournal}) {
		var bad *BadMessage
		var de *events.DecodeError
		switch {
		case err == nil:
			got = append(got, fmt.Sprint(e.Sequence))
		case errors.As(err, &bad) && errors.As(err, &de):
			got = append(got, fmt.Sprintf("bad %d %s %s", bad.Raw.Sequence, de.Reason, bad.Raw.Data))
		default:
			t.Fatal(err)
		}
	}
	if s := strings.Join(got, ", "); s != "1, bad 2 unreadable garbage, 3" {
		t.Fatal(s)
	}
}

func TestReadTracksEpochs(t *testing.T) {
	b, ctx := newRig(t), deadline(t)
	b.publish(t, reading(1))
	b.relay(t, opened("tx1", 1, 1), "INPUTS/1")
	b.publish(t, reading(3))
	b.relay(t, opened("tx2", 7, 3), "INPUTS/2")
	b.publish(t, reading(5))
	b.relay(t, opened("tx1", 2, 5), "INPUTS/3")
	b.publish(t, reading(7))
	epochs := func(r events.ReadRequest) string {
		var out []string
		for e, err := range b.Events(ctx, r) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%d:%d", e.Sequence, e.Epoch))
		}
		return strings.Join(out, " ")
	}
	for want, r := range map[string]events.ReadRequest{
		"1:0 2:1 3:1 4:7 5:1 6:2 7:2": {Stream: events.StreamJournal},
		"5:1 6:2 7:2":                 {Stream: events.StreamJournal, FromSequence: 5},
		"7:2":                         {Stream: events.StreamJournal, FromSequence: 7, Site: "tx1"},
		"1:0 3:1 5:1 7:2":             {Types: []events.Type{events.TypeMeterReading}, Site: "tx1"},
	} {
		if got := epochs(r); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	// The copies are purged; the originals tell.
	b.publish(t, opened("tx1", 1, 1), opened("tx2", 7, 3), opened("tx1", 2, 5))
	s, err := b.js.Stream(ctx, events.StreamJournal)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(7)); err != nil {
		t.Fatal(err)
	}
	b.publish(t, reading(8))
	if got := epochs(events.ReadRequest{Stream: events.StreamJournal}); got != "7:2 8:2" {
		t.Errorf("after the purge: %s", got)
	}
}

// follower reads the journal in the background and hands on what it sees.
func (r *rig) follower(t testing.TB, ctx context.Context, q events.ReadRequest) (<-chan uint64, <-chan error) {
	seen, end := make(chan uint64, 100_000), make(chan error, 1)
	go func() {
		for e, err := range r.Events(ctx, q) {
			if err != nil {
				end <- err
				return
			}
			seen <- e.Sequence
		}
		end <- nil
	}()
	return seen, end
}

func expect(t testing.TB, seen <-chan uint64, end <-chan error, from, to uint64) {
	t.Helper()
	late := time.After(patience)
	for want := from; want <= to; want++ {
		select {
		case got := <-seen:
			if got != want {
				t.Fatalf("read %d, want %d", got, want)
			}
		case err := <-end:
			t.Fatalf("ended before %d: %v", want, err)
		case <-late:
			t.Fatalf("nothing came after %d", want-1)
		}
	}
}

func TestFollowSurvivesEverything(t *testing.T) {
	b := newRig(t)
	ctx, cancel := context.WithCancel(deadline(t))
	publish := func(n int) {
		evs := make([]*events.Event, n)
		for i := range evs {
			evs[i] = reading(i)
		}
		for len(evs) > 0 {
			err := b.Publish(ctx, evs...)
			if err == nil {
				return
			}
			var pe *PublishError
			if !errors.As(err, &pe) || pe.Stored > 0 {
				t.Fatal(err)
			}
		}
	}
	publish(3000)
	seen, end := b.follower(t, ctx, events.ReadRequest{Stream: events.StreamJournal, Follow: true})
	newer, newEnd := b.follower(t, ctx, events.ReadRequest{Stream: events.StreamJournal, NewOnly: true})
	expect(t, seen, end, 1, 3000)
	b.waitReaders(t, 2)
	publish(100)
	expect(t, seen, end, 3001, 3100)
	expect(t, newer, newEnd, 3001, 3100)

	// The consumers vanish.
	b.killReaders(t)
	publish(100)
	expect(t, seen, end, 3101, 3200)
	expect(t, newer, newEnd, 3101, 3200)

	// The server restarts.
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
	b.start(t)
	publish(100)
	expect(t, seen, end, 3201, 3300)
	expect(t, newer, newEnd, 3201, 3300)

	// The journal is purged ahead of nobody, and goes on.
	s, err := b.js.Stream(ctx, events.StreamJournal)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	publish(10)
	expect(t, seen, end, 3301, 3310)

	cancel()
	if err := <-end; err != nil {
		t.Fatalf("following ended with %v", err)
	}
	<-newEnd
	b.waitReaders(t, 0)
}

func (r *rig) readers(t testing.TB) (names []string) {
	s, err := r.js.Stream(deadline(t), events.StreamJournal)
	if err != nil {
		t.Fatal(err)
	}
	l := s.ConsumerNames(deadline(t))
	for n := range l.Name() {
		names = append(names, n)
	}
	return names
}

func (r *rig) waitReaders(t testing.TB, n int) {
	t.Helper()
	for limit := time.Now().Add(patience); len(r.readers(t)) != n; {
		if time.Now().After(limit) {
			t.Fatalf("consumers: %v, want %d", r.readers(t), n)
		}
	}
}

// killReaders deletes the consumers of all readers. One that its reader has given
// up meanwhile is gone already.
func (r *rig) killReaders(t testing.TB) {
	t.Helper()
	for _, n := range r.readers(t) {
		if err := r.js.DeleteConsumer(deadline(t), events.StreamJournal, n); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			t.Fatal(err)
		}
	}
}

func TestFollowNoticesAnotherJournal(t *testing.T) {
	for name, again := range map[string]int{"shorter": 3, "as long": 10, "longer": 20} {
		t.Run(name, func(t *testing.T) {
			b := newRig(t)
			ctx, cancel := context.WithCancel(deadline(t))
			defer cancel()
			for i := range 10 {
				b.publish(t, reading(i))
			}
			seen, end := b.follower(t, ctx, events.ReadRequest{Stream: events.StreamJournal, Follow: true})
			expect(t, seen, end, 1, 10)
			if err := b.js.DeleteStream(ctx, events.StreamJournal); err != nil {
				t.Fatal(err)
			}
			b.stream(t, events.StreamJournal)
			for i := range again {
				b.publish(t, reading(100+i))
			}
			if err := <-end; !errors.Is(err, ErrJournalBroken) {
				t.Fatalf("%v", err)
			}
		})
	}
}

// An idle follower keeps its consumer: heartbeats and expired requests are no
// reason to start anew.
func TestFollowIdles(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a request to expire")
	}
	b := newRig(t)
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	b.publish(t, reading(0))
	seen, end := b.follower(t, ctx, events.ReadRequest{Stream: events.StreamJournal, Follow: true})
	expect(t, seen, end, 1, 1)
	before := b.readers(t)
	for wait := time.Now().Add(pull.Expiry + pull.Silence); time.Now().Before(wait); {
		if now := b.readers(t); len(now) != 1 || now[0] != before[0] {
			t.Fatalf("consumers %v, before %v", now, before)
		}
		time.Sleep(pull.Heartbeat) // the clock of the server is what is waited for
	}
	b.publish(t, reading(1))
	expect(t, seen, end, 2, 2)
	cancel()
	<-end
}
