// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
)

// Every subject of the contract belongs to the stream that the contract names,
// and to no other.
func TestStreamsCoverTheContract(t *testing.T) {
	streams := Streams(Config{DataDir: "x"})
	owners := func(subject string) (out []string) {
		for _, s := range streams {
			for _, filter := range s.Subjects {
				if server.SubjectsCollide(filter, subject) {
					out = append(out, s.Name)
				}
			}
		}
		return out
	}
	expect := func(subject, stream string) {
		t.Helper()
		got := owners(subject)
		if stream == "" && len(got) == 0 || len(got) == 1 && got[0] == stream {
			return
		}
		t.Errorf("%s: stored by %v, want %q", subject, got, stream)
	}
	for _, info := range events.Types() {
		expect(events.Subject("ballast", "demo", info.Type, "x"), info.Stream)
		journal := ""
		if info.Relayed {
			journal = events.StreamJournal
		}
		expect(events.JournalSubject("ballast", "demo", info.Type, "x"), journal)
		expect(events.StoredSubject("ballast", "demo", info.Type, "x"), "")
	}
	expect(events.BroadcastSubject("ballast", "demo"), events.StreamCommands)
	expect("ballast.demo."+events.StoredToken+"."+events.BroadcastType, "")
	expect("ballast-replay.demo.meter.reading.x", events.StreamReplay)
	expect("ballast.demo.anything", "")
	for i, a := range streams {
		for _, b := range streams[i+1:] {
			for _, x := range a.Subjects {
				for _, y := range b.Subjects {
					if server.SubjectsCollide(x, y) {
						t.Errorf("%s (%s) and %s (%s) overlap", a.Name, x, b.Name, y)
					}
				}
			}
		}
	}
}

func TestStreamsKeepWhatTheDesignSays(t *testing.T) {
	by := func(c Config) map[string]jetstream.StreamConfig {
		m := make(map[string]jetstream.StreamConfig)
		for _, s := range Streams(c) {
			m[s.Name] = s
		}
		return m
	}
	single, crash, cluster := by(Config{}), by(Config{Durability: ProcessCrash}), by(Config{Replicas: 3})
	for name, want := range map[string]jetstream.PersistModeType{
		events.StreamJournal: jetstream.AsyncPersistMode, events.StreamReplay: jetstream.AsyncPersistMode,
		events.StreamInputs: jetstream.DefaultPersistMode, events.StreamRevenue: jetstream.DefaultPersistMode,
		events.StreamShares: jetstream.DefaultPersistMode, events.StreamCommands: jetstream.DefaultPersistMode,
	} {
		if got := single[name].PersistMode; got != want {
			t.Errorf("%s persists %v, want %v", name, got, want)
		}
		if crash[name].PersistMode != jetstream.DefaultPersistMode || cluster[name].PersistMode != jetstream.DefaultPersistMode {
			t.Errorf("%s: asynchronous beyond power-loss on one server", name)
		}
		if cluster[name].Replicas != 3 {
			t.Errorf("%s: %d replicas", name, cluster[name].Replicas)
		}
	}
	for _, name := range []string{events.StreamInputs, events.StreamJournal, events.StreamShares, events.StreamRevenue} {
		if s := single[name]; s.MaxAge != 0 || s.MaxBytes != -1 || s.MaxMsgs != -1 {
			t.Errorf("%s is bounded by the server: %+v", name, s)
		}
	}
	if r := single[events.StreamRevenue]; !r.DenyDelete || !r.DenyPurge {
		t.Error("REVENUE may be deleted from")
	}
	for _, name := range []string{events.StreamCommands, events.StreamShares, events.StreamRevenue} {
		if !single[name].AllowAtomicPublish {
			t.Errorf("%s takes no atomic batches", name)
		}
	}
	if got := by(Config{Retention: Retention{CommandsAge: -1, DeadLetterBytes: -1}}); got[events.StreamCommands].MaxAge != 0 || got[events.StreamDeadLetter].MaxBytes != -1 {
		t.Error("a negative bound is not none")
	}
}

func TestEnsureStreamsRepairsDriftAndSaysWhatItCannot(t *testing.T) {
	ctx := testContext(t)
	b := openTest(t, testConfig(t))
	s, err := b.js.Stream(ctx, events.StreamDeadLetter)
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	c.MaxAge, c.Metadata["mine"] = time.Hour, "kept"
	c.Duplicates = time.Minute
	if _, err := b.js.UpdateStream(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := b.js.DeleteStream(ctx, events.StreamJobs); err != nil {
		t.Fatal(err)
	}
	drift, err := b.CheckStreams(ctx)
	if err != nil || len(drift) != 2 || !drift[0].Missing || drift[0].Stream != events.StreamJobs || len(drift[1].Differences) != 2 {
		t.Fatalf("drift %+v, %v", drift, err)
	}
	// Any number of processes may do it at once.
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = b.EnsureStreams(ctx) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if drift, err = b.CheckStreams(ctx); err != nil || len(drift) != 0 {
		t.Fatalf("drift %+v, %v", drift, err)
	}
	if s, err = b.js.Stream(ctx, events.StreamDeadLetter); err != nil || s.CachedInfo().Config.Metadata["mine"] != "kept" {
		t.Errorf("what is not declared was not kept: %v, %v", s.CachedInfo().Config.Metadata, err)
	}
	// A stream that took another shape in a way that cannot be undone.
	if err := b.js.DeleteStream(ctx, events.StreamJobs); err != nil {
		t.Fatal(err)
	}
	if _, err := b.js.CreateStream(ctx, jetstream.StreamConfig{Name: events.StreamJobs, Subjects: []string{"elsewhere"}, Storage: jetstream.FileStorage}); err != nil {
		t.Fatal(err)
	}
	if err := b.EnsureStreams(ctx); err == nil {
		t.Error("changing the storage of a stream went unnoticed")
	} else {
		t.Log(err)
	}
}

// batchMsg is message n of an atomic batch.
func batchMsg(batch string, n int, commit bool, subject, id string) *nats.Msg {
	m := &nats.Msg{Subject: subject, Header: nats.Header{}, Data: []byte(id)}
	m.Header[events.HeaderBatchID] = []string{batch}
	m.Header[events.HeaderBatchSeq] = []string{strconv.Itoa(n)}
	m.Header[events.HeaderMsgID] = []string{id}
	if commit {
		m.Header[events.HeaderBatchCommit] = []string{"1"}
	}
	return m
}

// Agents hear a ramp as stored from the server's repetition: it must come for
// messages of atomic batches, only once the batch is stored, and never for what
// was refused.
func TestCommandsAreRepeatedOnceStored(t *testing.T) {
	for _, d := range []Durability{PowerLoss, ProcessCrash} {
		t.Run(string(d), func(t *testing.T) {
			ctx := testContext(t)
			c := testConfig(t)
			c.Durability = d
			b := openTest(t, c)
			heard := make(chan *nats.Msg, 100)
			if _, err := b.nc.ChanSubscribe("ballast.*.stored.>", heard); err != nil {
				t.Fatal(err)
			}
			quiet := func(when string) {
				t.Helper()
				if err := b.nc.Flush(); err != nil {
					t.Fatal(err)
				}
				select {
				case m := <-heard:
					t.Fatalf("%s: %s repeated", when, m.Subject)
				default:
				}
			}
			subject := func(n int) string { return fmt.Sprintf("ballast.demo.command.ramp.rig-%d", n) }
			request := func(m *nats.Msg) string {
				t.Helper()
				r, err := b.nc.RequestMsgWithContext(ctx, m)
				if err != nil {
					t.Fatal(err)
				}
				return string(r.Data)
			}
			batch := func(name string, commit bool) (last string) {
				for n := 1; n <= 3; n++ {
					s := subject(n)
					if n == 3 {
						s = events.BroadcastSubject("ballast", "demo")
					}
					last = request(batchMsg(name, n, commit && n == 3, s, fmt.Sprint("demo/dispatch/1/7/", n)))
				}
				return last
			}
			batch("abandoned", false)
			quiet("before the commit")
			t.Log(batch("whole", true))
			for n := 1; n <= 3; n++ {
				want := fmt.Sprintf("ballast.demo.stored.command.ramp.rig-%d", n)
				if n == 3 {
					want = "ballast.demo.stored.command.broadcast"
				}
				select {
				case m := <-heard:
					if m.Subject != want || m.Header.Get("Nats-Sequence") != strconv.Itoa(n) {
						t.Fatalf("heard %s at %s, want %s", m.Subject, m.Header.Get("Nats-Sequence"), want)
					}
					seq := uint64(n)
					s, err := b.js.Stream(ctx, events.StreamCommands)
					if err != nil {
						t.Fatal(err)
					}
					if raw, err := s.GetMsg(ctx, seq); err != nil || string(raw.Data) != string(m.Data) {
						t.Fatalf("heard before it was stored: %v, %v", raw, err)
					}
				case <-ctx.Done():
					t.Fatalf("%s was not repeated", want)
				}
			}
			// The second replica's copy is refused whole.
			t.Log(batch("copy", true))
			if _, err := b.js.PublishMsg(ctx, &nats.Msg{Subject: subject(1), Data: []byte("x")}, jetstream.WithMsgID("demo/dispatch/1/7/1")); err != nil {
				t.Fatal(err)
			}
			quiet("duplicates")
			// A single one counts as stored as well.
			if _, err := b.js.Publish(ctx, subject(9), nil, jetstream.WithMsgID("demo/dispatch/1/8/0")); err != nil {
				t.Fatal(err)
			}
			if m := <-heard; m.Subject != "ballast.demo.stored.command.ramp.rig-9" {
				t.Fatalf("heard %s", m.Subject)
			}
			// Decisions and checkpoints are nobody's orders.
			if _, err := b.js.Publish(ctx, "ballast.demo.dispatch.decided.site", nil); err != nil {
				t.Fatal(err)
			}
			quiet("a decision")
		})
	}
}

// What the server is told about persistence is what it does.
func TestPersistModesAreInForce(t *testing.T) {
	ctx := testContext(t)
	b := openTest(t, testConfig(t))
	for name, want := range map[string]jetstream.PersistModeType{events.StreamJournal: jetstream.AsyncPersistMode, events.StreamInputs: jetstream.DefaultPersistMode} {
		s, err := b.js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CachedInfo().Config.PersistMode; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	v, err := b.server.Varz(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !v.JetStream.Config.SyncAlways {
		t.Error("the server does not sync always")
	}
	// Money cannot be removed, not even by us.
	if _, err := b.js.Publish(ctx, "ballast.demo.revenue.settled.site", nil); err != nil {
		t.Fatal(err)
	}
	s, err := b.js.Stream(ctx, events.StreamRevenue)
	if err != nil {
		t.Fatal(err)
	}
	if s.Purge(ctx) == nil || s.DeleteMsg(ctx, 1) == nil {
		t.Error("REVENUE let go of a message")
	}
}
