// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/bus/bustest"
	"github.com/ballast-energy/ballast/handlers/audit"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/decider/decidertest"
	"github.com/ballast-energy/ballast/handlers/host"
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

// decide runs a host of a version over n readings and waits until all of it is
// stored.
func decide(t testing.TB, b *bus.Bus, version string, from, n int) {
	t.Helper()
	h, err := host.New(host.Config{
		Bus: b, Site: site, Name: "host-a", ActivateIfNone: true, CheckpointEvery: 50, SnapshotEvery: 100,
		Deciders: []host.Factory{func() (decider.Decider, error) { return decidertest.New(version), nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	defer func() { cancel(); <-done }()
	until(t, func() bool { return h.Standings()[0].Speaks })
	var evs []*events.Event
	for i := range n {
		evs = append(evs, events.New(site, "meter", &events.MeterReading{PowerWatts: int64(from + i), SampledAt: time.Now(), Quality: events.QualityGood}))
	}
	publish(t, b, evs...)
	last := lastSequence(t, b, events.StreamJournal)
	until(t, func() bool { st := h.Standings()[0]; return st.Sequence >= last && st.Confirmed >= last })
}

func publish(t testing.TB, b *bus.Bus, evs ...*events.Event) {
	t.Helper()
	bustest.Publish(testContext(t), t, b, evs...)
}

func until(t testing.TB, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v", patience)
		}
	}
}

func lastSequence(t testing.TB, b *bus.Bus, stream string) uint64 {
	t.Helper()
	s, err := b.JetStream().Stream(testContext(t), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.LastSeq
}

func verify(t testing.TB, src audit.Source, version string, o audit.Options) *audit.Report {
	t.Helper()
	// The journal stands still: nothing is on its way.
	o.Grace = time.Nanosecond
	r, err := audit.Verify(testContext(t), src, o, toy(decidertest.New(version)))
	if err != nil {
		t.Fatal(err)
	}
	return r[0]
}

// toy makes the decider anew as often as it is asked for.
func toy(like *decidertest.Toy) audit.Factory {
	return func() (decider.Decider, error) { return decidertest.New(like.Identity().Version), nil }
}

func clean(t testing.TB, r *audit.Report) {
	t.Helper()
	if err := r.Err(); err != nil {
		t.Fatalf("%v\n%s", err, r)
	}
	if r.Compared == 0 || r.Equal != r.Compared {
		t.Fatalf("compared %d, equal %d\n%s", r.Compared, r.Equal, r)
	}
}

func TestVerifyLiveFileAndImport(t *testing.T) {
	dir := t.TempDir()
	b := openBus(t, dir)
	decide(t, b, "1.0", 900, 300)
	first := verify(t, audit.Live(b, site), "1.0", audit.Options{})
	clean(t, first)
	if first.Checkpoints == 0 {
		t.Error("no checkpoint compared")
	}

	path := filepath.Join(t.TempDir(), "tx1.export")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := audit.Export(testContext(t), b, site, "test", time.Time{}, time.Time{}, f)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	src, err := audit.File(path)
	if err != nil {
		t.Fatal(err)
	}
	same := func(r *audit.Report) {
		t.Helper()
		clean(t, r)
		if r.Equal != first.Equal || r.StateHash != first.StateHash || r.Last < first.Last {
			t.Errorf("equal %d, state %s, last %d; live: %d, %s, %d", r.Equal, r.StateHash, r.Last, first.Equal, first.StateHash, first.Last)
		}
	}
	same(verify(t, src, "1.0", audit.Options{}))

	other := openBus(t, t.TempDir())
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	m, err := audit.Import(testContext(t), other, "case-1", in)
	if err != nil {
		t.Fatal(err)
	}
	if m != n {
		t.Errorf("%d messages exported, %d imported", n, m)
	}
	for _, stream := range []string{events.StreamJournal, events.StreamCommands, events.StreamRevenue} {
		if l := lastSequence(t, other, stream); l != 0 {
			t.Errorf("the import put %d messages into %s", l, stream)
		}
	}
	imp, err := audit.Imported(testContext(t), other, "case-1")
	if err != nil {
		t.Fatal(err)
	}
	same(verify(t, imp, "1.0", audit.Options{}))

	if _, err := in.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Import(testContext(t), other, "case-1", in); !errors.Is(err, audit.ErrImported) {
		t.Errorf("a second import under one name: %v", err)
	}
	if err := audit.Forget(testContext(t), other, "case-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Imported(testContext(t), other, "case-1"); err == nil {
		t.Error("forgotten and still there")
	}
}

func TestVerifyFromSnapshot(t *testing.T) {
	b := openBus(t, t.TempDir())
	decide(t, b, "1.0", 900, 250)
	store, err := b.SnapshotStore(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	decide(t, b, "1.0", 2000, 20)
	if data, err = store.GetBytes(testContext(t), host.SnapshotKey(site, decidertest.New("1.0").Identity())); err != nil {
		t.Fatal(err)
	}
	decide(t, b, "1.0", 3000, 100)
	r := verify(t, audit.Live(b, site), "1.0", audit.Options{Begin: map[string][]byte{decidertest.Name: data}})
	clean(t, r)
	if !r.Anchored || r.Before == 0 {
		t.Errorf("anchored %v, %d outputs before\n%s", r.Anchored, r.Before, r)
	}
}

func TestVerifyListsOtherVersions(t *testing.T) {
	b := openBus(t, t.TempDir())
	decide(t, b, "1.0", 900, 50)
	if err := host.Activate(testContext(t), b, site, decidertest.New("2.0").Identity(), "", "somebody"); err != nil {
		t.Fatal(err)
	}
	decide(t, b, "2.0", 2000, 50)
	r := verify(t, audit.Live(b, site), "1.0", audit.Options{})
	clean(t, r)
	if len(r.OtherVersions) != 1 || r.OtherVersions[0].Version != "2.0" || r.OtherVersions[0].Outputs == 0 {
		t.Errorf("other versions: %+v", r.OtherVersions)
	}
	r = verify(t, audit.Live(b, site), "2.0", audit.Options{})
	clean(t, r)
	if len(r.OtherVersions) != 1 || r.OtherVersions[0].Version != "1.0" {
		t.Errorf("other versions: %+v", r.OtherVersions)
	}
}

// Every way in which a stored decision can be wrong is found.
func TestVerifyFindsForgeries(t *testing.T) {
	forge := func(key events.OrderKey, e *events.Event) func(*testing.T, *bus.Bus) {
		return func(t *testing.T, b *bus.Bus) {
			t.Helper()
			e.WithID(decider.MessageID(site, decidertest.Name, key))
			publish(t, b, e)
		}
	}
	ramp := func(key events.OrderKey) *events.Event {
		return events.New(site, "agent-0", &events.CommandRamp{
			Decider: decidertest.Name, Key: key, Agent: "agent-0", BootID: "b", Counter: 1, LeaseMilliseconds: 12000,
			Units: []events.UnitSetpoint{{Unit: "u", SetpointWatts: 5}}, Reason: events.ReasonAvailable,
			IssuedAt: time.Unix(1, 0).UTC(), ValidUntil: time.Unix(2, 0).UTC(),
		}).At(time.Unix(1, 0))
	}
	for name, c := range map[string]struct {
		key  events.OrderKey
		want func(*audit.Report) bool
	}{
		"extra output of a real cause": {
			events.OrderKey{Sequence: 20, Ordinal: 9},
			func(r *audit.Report) bool { return r.Extra.Count == 1 && r.Extra.List[0].StoredData != "" },
		},
		"cause that never was": {
			events.OrderKey{Sequence: 1_000_000},
			func(r *audit.Report) bool { return len(r.Lost) == 1 && !r.Lost[0].KnownCut },
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := openBus(t, t.TempDir())
			decide(t, b, "1.0", 900, 50)
			forge(c.key, ramp(c.key))(t, b)
			r := verify(t, audit.Live(b, site), "1.0", audit.Options{})
			if r.Clean() || !c.want(r) {
				t.Errorf("not found:\n%s", r)
			}
		})
	}
	t.Run("another policy under the same version", func(t *testing.T) {
		b := openBus(t, t.TempDir())
		decide(t, b, "1.0", 1000, 50)
		rs, err := audit.Verify(testContext(t), audit.Live(b, site), audit.Options{Grace: time.Nanosecond}, func() (decider.Decider, error) {
			d := decidertest.New("1.0")
			d.Broken = 10
			return d, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		r := rs[0]
		if r.Clean() || r.Differing.Count == 0 {
			t.Fatalf("not found:\n%s", r)
		}
		if f := r.Differing.List[0]; f.StoredData == "" || f.Folded == "" || f.StoredData == f.Folded {
			t.Errorf("first divergence without both payloads: %+v", f)
		}
		if s := r.String(); !strings.Contains(s, "DOES NOT FOLLOW") || !strings.Contains(s, "stored: ") {
			t.Errorf("report:\n%s", s)
		}
	})
}

// While the streams of a live site are exported one after the other, outputs are
// stored whose causes the file does not have any more. They are no finding; those
// of a cause that the journal lost are.
func TestExportOfALiveSite(t *testing.T) {
	b := openBus(t, t.TempDir())
	decide(t, b, "1.0", 900, 50)
	last := lastSequence(t, b, events.StreamJournal)
	say := func(sequence uint64, at time.Time) {
		key := events.OrderKey{Sequence: sequence}
		publish(t, b, events.New(site, "agent-0", &events.CommandRamp{
			Decider: decidertest.Name, Key: key, Agent: "agent-0", BootID: "b", Counter: 1, LeaseMilliseconds: 12000,
			Units: []events.UnitSetpoint{{Unit: "u", SetpointWatts: 5}}, Reason: events.ReasonAvailable, IssuedAt: at, ValidUntil: at.Add(time.Second),
		}).At(at).WithID(decider.MessageID(site, decidertest.Name, key)))
	}
	exported := func() *audit.Report {
		name := filepath.Join(t.TempDir(), "x.ndjson.zst")
		file, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := audit.Export(testContext(t), b, site, "test", time.Time{}, time.Time{}, file); err != nil {
			t.Fatal(err)
		}
		src, err := audit.File(name)
		if err != nil {
			t.Fatal(err)
		}
		return verify(t, src, "1.0", audit.Options{})
	}
	say(last+1, time.Now().UTC().Add(time.Hour)) // after the journal was read, whenever that is
	r := exported()
	clean(t, r)
	if r.Behind != 0 || r.Stored != r.Equal {
		t.Errorf("the file holds an output of a cause behind its journal:\n%s", r)
	}
	say(last+2, time.Now().UTC().Add(-time.Hour))
	if r = exported(); len(r.Lost) != 1 || r.Lost[0].KnownCut || r.Lost[0].Outputs != 1 {
		t.Errorf("the cause that the journal lost is not found:\n%s", r)
	}
}

func TestDamagedFile(t *testing.T) {
	b := openBus(t, t.TempDir())
	decide(t, b, "1.0", 1000, 50)
	var buf bytes.Buffer
	if _, err := audit.Export(testContext(t), b, site, "test", time.Time{}, time.Time{}, &buf); err != nil {
		t.Fatal(err)
	}
	whole := buf.Bytes()
	for name, data := range map[string][]byte{
		"cut":     whole[:len(whole)-10],
		"half":    whole[:len(whole)/2],
		"no zstd": []byte("{}"),
		"empty":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := audit.Import(testContext(t), b, "bad", bytes.NewReader(data)); !errors.Is(err, audit.ErrFile) {
				t.Errorf("error %v", err)
			}
			if err := audit.Forget(testContext(t), b, "bad"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// The lines under the compression are the interesting part.
func FuzzReadFile(f *testing.F) {
	f.Add([]byte(`{"format":"ballast-export/1","site":"tx1","prefix":"ballast"}
{"stream":"JOURNAL","sequence":1,"arrived":"2026-01-01T00:00:00Z","subject":"a.b","payload":"{}"}
{"lines":1}
`))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var buf bytes.Buffer
		z, err := zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstd.MinWindowSize))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		for _, in := range [][]byte{data, buf.Bytes()} {
			_, lines, err := audit.ReadFile(bytes.NewReader(in))
			if err != nil {
				continue
			}
			for l, err := range lines {
				if err == nil && l.Stream == "" {
					t.Error("a line without a stream")
				}
			}
		}
	})
}
