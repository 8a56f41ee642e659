// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/bus/bustest"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/decider/decidertest"
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

func logger(t testing.TB) *slog.Logger {
	if os.Getenv("BALLAST_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// openBus opens an embedded bus under dir.
func openBus(t testing.TB, dir string, window time.Duration) *bus.Bus {
	t.Helper()
	b, err := bus.Open(testContext(t), bus.Config{DataDir: dir, Name: "test", Durability: bus.ProcessCrash, DuplicateWindow: window, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBus(t, b) })
	return b
}

func closeBus(t testing.TB, b *bus.Bus) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Logf("close bus: %v", err)
	}
}

func toy(version string) Factory {
	return func() (decider.Decider, error) { return decidertest.New(version), nil }
}

// running is a host under test.
type running struct {
	*Host
	kill func() // stops it and waits
}

// start runs a host over a connection of its own.
func start(t testing.TB, b *bus.Bus, name string, f Factory, change ...func(*Config)) *running {
	t.Helper()
	own, err := b.Dial(testContext(t), name, bus.Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Bus: own, Site: site, Name: name, Deciders: []Factory{f}, ActivateIfNone: true,
		CheckpointEvery: 50, SnapshotEvery: 100, Logger: logger(t),
	}
	for _, c := range change {
		c(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := h.Run(ctx); err != nil {
			t.Errorf("host %s: %v", name, err)
		}
	}()
	r := &running{Host: h}
	dead := false
	r.kill = func() {
		if dead {
			return
		}
		dead = true
		// As a crash would: the connection goes first.
		own.Conn().Close()
		cancel()
		<-ended
		closeBus(t, own)
	}
	t.Cleanup(r.kill)
	return r
}

func publish(t testing.TB, b *bus.Bus, evs ...*events.Event) {
	t.Helper()
	bustest.Publish(testContext(t), t, b, evs...)
}

// readings publishes n readings with the watts from, from+1, ….
func readings(t testing.TB, b *bus.Bus, from, n int) {
	t.Helper()
	var evs []*events.Event
	for i := range n {
		evs = append(evs, events.New(site, "meter", &events.MeterReading{
			PowerWatts: int64(from + i), SampledAt: time.Now(), Quality: events.QualityGood,
		}))
	}
	publish(t, b, evs...)
}

// until waits for a condition.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// settled waits until the host has folded and stored everything up to
// sequence.
func settled(t testing.TB, h *running, sequence uint64) {
	t.Helper()
	until(t, fmt.Sprintf("%s at %d", h.cfg.Name, sequence), func() bool {
		st := h.Standings()[0]
		return st.Confirmed >= sequence && st.Sequence >= sequence
	})
}

func lastSequence(t testing.TB, b *bus.Bus, stream string) uint64 {
	t.Helper()
	st, err := streamState(testContext(t), b, stream, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return st.last
}

// output is one stored message of a decider.
type output struct {
	id, subject, data string
}

// storedOutputs lists what a stream holds of the toy, in order. What is there
// again is left out where again says so of its two arrivals.
func storedOutputs(t testing.TB, b *bus.Bus, stream string, again ...func(first, second time.Time) bool) []output {
	t.Helper()
	var out []output
	type stored struct {
		output
		arrived time.Time
	}
	firsts := map[string]stored{}
	for m, err := range b.RawEvents(testContext(t), events.ReadRequest{Stream: stream, Site: site}) {
		if err != nil {
			t.Fatal(err)
		}
		id := m.Header.Get(events.HeaderMsgID)
		if _, name, _, ok := decider.ParseMessageID(id); !ok || name != decidertest.Name {
			continue
		}
		o := output{id, m.Subject, string(m.Data)}
		first, twice := firsts[id]
		if !twice {
			firsts[id] = stored{o, m.Arrived}
		}
		if twice && len(again) > 0 && again[0](first.arrived, m.Arrived) {
			if first.output != o {
				t.Errorf("stored %+v and then %+v", first.output, o)
			}
			continue
		}
		out = append(out, o)
	}
	return out
}

// undisturbed folds the journal as it is now, once and in peace, and lists
// what ought to be stored.
func undisturbed(t testing.TB, b *bus.Bus, version string, change ...func(*decidertest.Toy)) map[string][]output {
	t.Helper()
	d := decidertest.New(version)
	for _, c := range change {
		c(d)
	}
	r, err := decider.NewRunner(b.Prefix(), site, d)
	if err != nil {
		t.Fatal(err)
	}
	known, err := openings(testContext(t), b, site)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range known {
		r.Opened(o)
	}
	out := map[string][]output{}
	for m, err := range b.RawEvents(testContext(t), events.ReadRequest{Stream: events.StreamJournal, Site: site}) {
		if err != nil {
			t.Fatal(err)
		}
		raw := rawOf(m)
		st, err := r.Feed(&raw)
		if err != nil {
			t.Fatal(err)
		}
		if !st.Speaks {
			continue
		}
		batches, _, err := r.Batches(&st)
		if err != nil {
			t.Fatal(err)
		}
		for _, batch := range batches {
			for _, msg := range batch.Messages {
				out[batch.Stream] = append(out[batch.Stream], output{msg.Header.Get(events.HeaderMsgID), msg.Subject, string(msg.Data)})
			}
		}
	}
	return out
}

// sameAsUndisturbed compares the output streams with the fold, in order.
func sameAsUndisturbed(t testing.TB, b *bus.Bus, version string, change ...func(*decidertest.Toy)) {
	t.Helper()
	equalOutputs(t, b, undisturbed(t, b, version, change...))
}

func equalOutputs(t testing.TB, b *bus.Bus, want map[string][]output, again ...func(first, second time.Time) bool) {
	t.Helper()
	for _, stream := range outputStreams {
		have := storedOutputs(t, b, stream, again...)
		if len(have) != len(want[stream]) {
			t.Errorf("%s holds %d outputs, the fold gives %d", stream, len(have), len(want[stream]))
		}
		for i := range min(len(have), len(want[stream])) {
			if have[i] != want[stream][i] {
				t.Fatalf("%s, output %d:\nstored %+v\nfold   %+v", stream, i, have[i], want[stream][i])
			}
		}
	}
}

func TestOneHostPublishesWhatTheFoldSays(t *testing.T) {
	b := openBus(t, t.TempDir(), 2*time.Minute)
	h := start(t, b, "host-a", toy("1.0"))
	until(t, "the toy speaks", func() bool { return h.Standings()[0].Speaks })
	readings(t, b, 900, 400)
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	h.kill()
	sameAsUndisturbed(t, b, "1.0")
	if n := len(storedOutputs(t, b, events.StreamRevenue)); n == 0 {
		t.Error("nothing in REVENUE")
	}
}
