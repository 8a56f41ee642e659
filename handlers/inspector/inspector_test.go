// SPDX-License-Identifier: Apache-2.0

package inspector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

const site = "tx1"

// patience is how long a test waits for what must come: so long that only what
// never comes fails it, on a machine that is busy with other things, too.
const patience = 3 * time.Minute

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The client library starts it on a connection that was closed before:
		// its channel is nil then and it waits for ever. Only kills do that.
		goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func openBus(t testing.TB, dir string) *bus.Bus {
	t.Helper()
	b, err := bus.Open(testContext(t), bus.Config{DataDir: dir, Name: "test", Durability: bus.ProcessCrash})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBus(b) })
	return b
}

func closeBus(b *bus.Bus) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = b.Close(ctx)
}

func start(t testing.TB, b *bus.Bus, change ...func(*Config)) (stop func()) {
	t.Helper()
	cfg := Config{Bus: b, Name: "inspector", Sites: []string{site}}
	for _, c := range change {
		c(&cfg)
	}
	i, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := i.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// letters are the dead letters by stream and sequence of their originals.
func letters(t testing.TB, b *bus.Bus) map[string][]*events.DeadLetter {
	t.Helper()
	out := map[string][]*events.DeadLetter{}
	for e, err := range events.Read[events.DeadLetter](testContext(t), b) {
		if err != nil {
			t.Fatal(err)
		}
		k := fmt.Sprintf("%s/%d", e.Data.Stream, e.Data.Sequence)
		out[k] = append(out[k], &e.Data)
	}
	return out
}

func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for: %s", patience, what)
		}
	}
}

// put publishes raw bytes into a stream and returns where they are.
func put(t testing.TB, b *bus.Bus, subject string, h nats.Header, data string) string {
	t.Helper()
	ack, err := b.JetStream().PublishMsg(testContext(t), &nats.Msg{Subject: subject, Header: h, Data: []byte(data)})
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return fmt.Sprintf("%s/%d", ack.Stream, ack.Sequence)
}

func TestGarbageGetsOneLetterEach(t *testing.T) {
	dir := t.TempDir()
	b := openBus(t, dir)
	start(t, b)
	stopTwin := start(t, b) // a replica writes no second letter
	now := time.Now().UTC().Format(time.RFC3339)
	good := fmt.Sprintf(`{"power_watts":5,"sampled_at":%q,"quality":"good"}`, now)
	at := map[string]events.DeadReason{}
	for _, c := range []struct {
		subject, data string
		h             nats.Header
		want          events.DeadReason
	}{
		{"ballast.tx1.meter.reading.m", `{`, nil, events.DeadUnreadable},
		{"ballast.tx1.meter.reading.m", ``, nil, events.DeadUnreadable},
		{"ballast.tx1.meter.reading.m", `{"power_watts":"many"}`, nil, events.DeadUnreadable},
		{"ballast.tx1.meter.reading.m", `{"power_watts":NaN,"quality":"good"}`, nil, events.DeadUnreadable},
		{"ballast.tx1.meter.reading.m", strings.Replace(good, ":5", ":1e300", 1), nil, events.DeadUnreadable},
		{"ballast.tx1.meter.reading.m", strings.Replace(good, `"good"`, `"splendid"`, 1), nil, events.DeadInvalid},
		{"ballast.tx1.meter.reading.m", strings.Replace(good, now, "1970-01-01T00:00:00Z", 1), nil, events.DeadTooOld},
		{"ballast.tx1.meter.reading.m", good, nats.Header{events.HeaderCETime: {"2999-01-01T00:00:00Z"}}, events.DeadTooOld},
		{"ballast.tx1.meter.reading.m", good, nats.Header{events.HeaderCETime: {"yesterday"}}, events.DeadInvalid},
		{"ballast.tx1.clock.tick.site", `{"second":1}`, nil, events.DeadTooOld},
		{"ballast.nowhere.meter.reading.m", good, nil, events.DeadUnknownSite},
		{"ballast.TX1.meter.reading.m", good, nil, events.DeadSubject},
		{"ballast.tx1.grid.signal.ercot", `{"kind":"dance"}`, nil, events.DeadInvalid},
		{"ballast.tx1.journal.grid.signal.ercot", `{"kind":"emergency"}`, nil, events.DeadInvalid},
		{"ballast.tx1.share.found.a", `[]`, nil, events.DeadUnreadable},
		{"ballast.tx1.command.curtail.a", `7`, nil, events.DeadUnreadable},
		{"ballast.tx1.revenue.settled.site", `{"x":1}`, nil, events.DeadUnreadable},
		{"ballast.tx1.work.assigned.a", `nope`, nil, events.DeadUnreadable},
		{"ballast.tx1.meter.reading.big", strings.Repeat("x", 900_000), nil, events.DeadUnreadable},
	} {
		at[put(t, b, c.subject, c.h, c.data)] = c.want
	}
	fine := put(t, b, "ballast.tx1.meter.reading.m", nil, good)
	until(t, "all letters", func() bool { return len(letters(t, b)) >= len(at) })
	check := func() {
		t.Helper()
		have := letters(t, b)
		for k, want := range at {
			if len(have[k]) != 1 {
				t.Errorf("%s has %d letters", k, len(have[k]))
				continue
			}
			if l := have[k][0]; l.Reason != want && !(want == events.DeadUnreadable && l.Reason == events.DeadInvalid) {
				t.Errorf("%s: reason %s (%s), wanted %s", k, l.Reason, l.Detail, want)
			}
		}
		if len(have) != len(at) || len(have[fine]) > 0 {
			t.Errorf("%d messages have letters, %d are bad", len(have), len(at))
		}
	}
	check()
	stopTwin()

	// Larger than the server takes: the sender sees it.
	err := b.Conn().Publish("ballast.tx1.meter.reading.big", make([]byte, 2<<20))
	if err == nil {
		t.Error("the server took a message beyond its limit")
	}
}

// A restart repeats no letter and inspects what came meanwhile.
func TestRestartGoesOn(t *testing.T) {
	b := openBus(t, t.TempDir())
	stop := start(t, b)
	one := put(t, b, "ballast.tx1.meter.reading.m", nil, `{`)
	until(t, "the first letter", func() bool { return len(letters(t, b)) == 1 })
	stop()
	two := put(t, b, "ballast.tx1.meter.reading.m", nil, `{`)
	// The id of the first letter may be forgotten by then: what is known is
	// read.
	stop = start(t, b)
	until(t, "the second letter", func() bool { return len(letters(t, b)) == 2 })
	stop()
	store, err := b.SnapshotStore(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Streams {
		_ = store.Delete(testContext(t), "inspector/inspector/"+s)
	}
	stop = start(t, b) // inspects everything again
	three := put(t, b, "ballast.tx1.meter.reading.m", nil, `{`)
	until(t, "the third letter", func() bool { return len(letters(t, b)) == 3 })
	stop()
	for k, l := range letters(t, b) {
		if len(l) != 1 || k != one && k != two && k != three {
			t.Errorf("%s has %d letters", k, len(l))
		}
	}
}

func TestFloodIsBoundedWithOneAlert(t *testing.T) {
	b := openBus(t, t.TempDir())
	began := time.Now()
	start(t, b, func(c *Config) { c.PerMinute = 5; c.quietEvery = 50 * time.Millisecond })
	var msgs []*nats.Msg
	for range 3000 {
		msgs = append(msgs, &nats.Msg{Subject: "ballast.tx1.meter.reading.m", Data: []byte(`{`)})
	}
	// What a busy server acknowledges late is there all the same.
	if _, err := b.PublishMsgs(testContext(t), msgs...); err != nil && !errors.Is(err, bus.ErrOutcomeUnknown) {
		t.Fatal(err)
	}
	// Behind the flood, from somebody else.
	last := put(t, b, "ballast.tx1.meter.reading.other", nil, `{`)
	until(t, "what came behind the flood", func() bool { return len(letters(t, b)[last]) == 1 })
	// Each minute has its letters.
	minutes := 1 + int(time.Now().Truncate(time.Minute).Sub(began.Truncate(time.Minute))/time.Minute)
	if n := len(letters(t, b)); n < 6 || n > 1+5*minutes {
		t.Errorf("%d letters about 3000 bad messages in %d minutes", n, minutes)
	}
	raised := 0
	until(t, "the alert", func() bool {
		raised = 0
		for _, err := range events.Read[events.AlertRaised](testContext(t), b) {
			if err != nil {
				t.Fatal(err)
			}
			raised++
		}
		return raised > 0
	})
	if raised != 1 {
		t.Errorf("%d alerts", raised)
	}
}

func TestFloodsEndAndAreForgotten(t *testing.T) {
	begun, ended := 0, uint64(0)
	f := floods{
		most: 2, by: map[string]*flow{},
		begun: func(string, string, int64) { begun++ },
		ended: func(_, _ string, _ int64, n uint64) { ended += n },
	}
	t0 := time.Unix(6000, 0)
	for i := range 10 {
		if got := f.admit("ballast.tx1.meter.reading.m", t0); got != (i < 2) {
			t.Errorf("message %d admitted: %v", i, got)
		}
	}
	f.quiet(t0.Add(61 * time.Second))
	if begun != 1 || ended != 0 || len(f.by) != 1 {
		t.Errorf("after a minute: begun %d, ended with %d, %d senders", begun, ended, len(f.by))
	}
	f.quiet(t0.Add(3 * time.Minute))
	if ended != 8 || len(f.by) != 0 {
		t.Errorf("in the end: ended with %d, %d senders", ended, len(f.by))
	}
	for i := range 2 * maxFlooders {
		f.admit(fmt.Sprintf("ballast.tx1.meter.reading.m%d", i), t0)
	}
	if len(f.by) > maxFlooders+1 {
		t.Errorf("%d senders remembered", len(f.by))
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("ballast.tx1.meter.reading.m", "2020-01-01T00:00:00Z", []byte(`{"power_watts":1,"sampled_at":"2020-01-01T00:00:00Z","quality":"good"}`))
	f.Add("a.b", "", []byte(nil))
	f.Fuzz(func(t *testing.T, subject, at string, data []byte) {
		var dec events.Decoder
		m := bus.Raw{Stream: events.StreamJournal, Sequence: 1, Arrived: time.Unix(1_600_000_000, 0), Subject: subject, Data: data,
			Header: nats.Header{events.HeaderCETime: {at}}}
		v := check(&dec, &m, func(string) bool { return true })
		sender(subject)
		if v.err != nil && v.reason == "" {
			t.Error("a verdict without a reason")
		}
	})
}
