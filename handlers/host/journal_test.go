// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/decider/decidertest"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

func signals(t testing.TB, b *bus.Bus, from, n int) {
	t.Helper()
	w := int64(0)
	for i := range n {
		e := events.New(site, "grid", &events.GridSignal{Kind: events.SignalCurtail, PowerWatts: &w, Reason: fmt.Sprint("signal ", from+i)})
		publish(t, b, e)
	}
}

// relayedOrigins lists the origins of the relayed copies in the journal.
func relayedOrigins(t testing.TB, b *bus.Bus) []string {
	t.Helper()
	var out []string
	for m, err := range b.RawEvents(testContext(t), events.ReadRequest{Stream: events.StreamJournal, Site: site}) {
		if err != nil {
			t.Fatal(err)
		}
		if o := m.Header.Get(events.HeaderOrigin); o != "" {
			out = append(out, o)
		}
	}
	return out
}

// relayable lists what ought to be relayed, in order.
func relayable(t testing.TB, b *bus.Bus) []string {
	t.Helper()
	var out []string
	for _, stream := range replica.RelayedStreams() {
		r := events.ReadRequest{Stream: stream, Site: site, Types: replica.RelayedTypes(stream)}
		for m, err := range b.RawEvents(testContext(t), r) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%s/%d", stream, m.Sequence))
		}
	}
	return out
}

func TestRelayIsIdempotent(t *testing.T) {
	b := openBus(t, t.TempDir(), 2*time.Minute)
	signals(t, b, 0, 10) // before any host
	for round := range 3 {
		hosts := []*running{
			start(t, b, fmt.Sprintf("a%d", round), toy("1.0")),
			start(t, b, fmt.Sprintf("b%d", round), toy("1.0")),
		}
		signals(t, b, 10, 10)
		until(t, "all is relayed", func() bool { return len(relayedOrigins(t, b)) >= len(relayable(t, b)) })
		for _, h := range hosts {
			settled(t, h, lastSequence(t, b, events.StreamJournal))
			h.kill()
		}
	}
	if have, want := relayedOrigins(t, b), relayable(t, b); !slices.Equal(have, want) {
		t.Errorf("journal has copies of\n%v\nwanted\n%v", have, want)
	}
	sameAsUndisturbed(t, b, "1.0")
}

// A cut tail: the server comes back without the journal's last messages.
// Their sequences are handed out again under a new epoch, what was relayed is
// relayed again, and no new decision takes an old one's id.
func TestCutTail(t *testing.T) {
	dir := t.TempDir()
	b := openBus(t, dir, 2*time.Minute)
	h := start(t, b, "host-a", toy("1.0"))
	until(t, "it speaks", func() bool { return h.Standings()[0].Speaks })
	readings(t, b, 900, 120)
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	signals(t, b, 0, 5)
	until(t, "signals are relayed", func() bool { return len(relayedOrigins(t, b)) == len(relayable(t, b)) })
	readings(t, b, 2000, 20)
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	h.kill()
	before := lastSequence(t, b, events.StreamJournal)
	spoken := storedOutputs(t, b, events.StreamCommands)
	closeBus(t, b)

	cutJournal(t, dir, 10_000)

	b = openBus(t, dir, 2*time.Minute)
	cut := lastSequence(t, b, events.StreamJournal)
	if cut >= before {
		t.Fatalf("journal ends at %d, before the cut at %d: nothing was cut", cut, before)
	}
	h = start(t, b, "host-a", toy("1.0"))
	// The same sequences again, with other readings.
	readings(t, b, 3000, int(before-cut)+10)
	until(t, "signals are relayed again", func() bool {
		have := relayedOrigins(t, b)
		for _, o := range relayable(t, b) {
			if !slices.Contains(have, o) {
				return false
			}
		}
		return true
	})
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	if h.Standings()[0].Epoch == 0 {
		t.Error("still in epoch 0")
	}
	h.kill()
	have := storedOutputs(t, b, events.StreamCommands)
	if len(have) < len(spoken) || !slices.Equal(have[:len(spoken)], spoken) {
		t.Fatal("what was stored before the cut has changed")
	}
	// Everything that the present journal gives is stored.
	index := map[string]output{}
	for _, o := range have {
		index[o.id] = o
	}
	for _, w := range undisturbed(t, b, "1.0")[events.StreamCommands] {
		if index[w.id] != w {
			t.Fatalf("stored %+v\nfold   %+v", index[w.id], w)
		}
	}
}

// cutJournal takes bytes off the end of the newest block of JOURNAL.
func cutJournal(t testing.TB, dir string, bytes int64) {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(dir, "*", "*", "*", "streams", events.StreamJournal, "msgs", "*.blk"))
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) == 0 {
		var seen []string
		_ = filepath.WalkDir(dir, func(p string, _ os.DirEntry, _ error) error {
			if strings.HasSuffix(p, ".blk") {
				seen = append(seen, p)
			}
			return nil
		})
		t.Fatalf("no block file of %s below %s; there are %v", events.StreamJournal, dir, seen)
	}
	slices.Sort(blocks)
	newest := blocks[len(blocks)-1]
	info, err := os.Stat(newest)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() <= bytes {
		t.Fatalf("block of %d bytes is too small to cut %d", info.Size(), bytes)
	}
	if err := os.Truncate(newest, info.Size()-bytes); err != nil {
		t.Fatal(err)
	}
	// The index knows better than the file: without it the server recovers
	// what is there.
	for _, name := range []string{"index.db"} {
		_ = os.Remove(filepath.Join(filepath.Dir(newest), name))
	}
}

func TestSnapshotIsUsedAndForeignOnesAreNot(t *testing.T) {
	b := openBus(t, t.TempDir(), 2*time.Minute)
	id := decidertest.New("1.0").Identity()
	h := start(t, b, "host-a", toy("1.0"))
	until(t, "it speaks", func() bool { return h.Standings()[0].Speaks })
	readings(t, b, 900, 250)
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	ctx := testContext(t)
	store, err := b.SnapshotStore(ctx)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "a snapshot is stored", func() bool {
		_, ok, err := snapshotPlace(ctx, store, SnapshotKey(site, id))
		return err == nil && ok
	})
	h.kill()

	first := make(chan uint64, 1)
	notice := func(c *Config) {
		c.hooks.folding = func(_ string, seq uint64) {
			select {
			case first <- seq:
			default:
			}
		}
	}
	at, _, err := snapshotPlace(ctx, store, SnapshotKey(site, id))
	if err != nil {
		t.Fatal(err)
	}
	h = start(t, b, "host-b", toy("1.0"), notice)
	if seq := <-first; seq <= at.Sequence {
		t.Errorf("folding began at %d, the snapshot was taken at %d", seq, at.Sequence)
	}
	readings(t, b, 1200, 10)
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	h.kill()

	for name, spoil := range map[string]func([]byte) []byte{
		"damaged": func(d []byte) []byte { d[len(d)/2] ^= 1; return d },
		"of another journal": func([]byte) []byte {
			r, err := decider.NewRunner(b.Prefix(), site, decidertest.New("1.0"))
			if err != nil {
				t.Fatal(err)
			}
			m := decider.Raw{Subject: events.Subject(b.Prefix(), site, events.TypeClockTick, "site"), Data: []byte(`{"second":1}`), Sequence: at.Sequence + 1_000_000, Arrived: time.Unix(1, 0)}
			r.Opened(decider.Opening{Epoch: 77, After: at.Sequence})
			if _, err := r.Feed(&m); err != nil {
				t.Fatal(err)
			}
			d, err := r.Snapshot(nil)
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := store.GetBytes(ctx, SnapshotKey(site, id))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.PutBytes(ctx, SnapshotKey(site, id), spoil(data)); err != nil {
				t.Fatal(err)
			}
			for len(first) > 0 {
				<-first
			}
			h := start(t, b, "host-c", toy("1.0"), notice)
			defer h.kill()
			if seq := <-first; seq > at.Sequence {
				t.Errorf("folding began at %d: the snapshot was believed", seq)
			}
			settled(t, h, lastSequence(t, b, events.StreamJournal))
		})
	}
	sameAsUndisturbed(t, b, "1.0")
}

func TestPurgeKeepsWhatARestartNeeds(t *testing.T) {
	dir := t.TempDir()
	b, err := bus.Open(testContext(t), bus.Config{
		DataDir: dir, Name: "test", Durability: bus.ProcessCrash, Logger: logger(t),
		Retention: bus.Retention{JournalBytes: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBus(t, b) })
	h := start(t, b, "host-a", toy("1.0"), func(c *Config) { c.SnapshotEvery = 100 })
	until(t, "it speaks", func() bool { return h.Standings()[0].Speaks })
	ctx := testContext(t)
	if up, err := h.Purge(ctx); err != nil || up != 0 {
		t.Fatalf("purged up to %d (%v) without a snapshot", up, err)
	}
	readings(t, b, 900, 250)
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	store, err := b.SnapshotStore(ctx)
	if err != nil {
		t.Fatal(err)
	}
	key := SnapshotKey(site, decidertest.New("1.0").Identity())
	var at replica.Place
	until(t, "a snapshot is stored", func() bool {
		p, ok, err := snapshotPlace(ctx, store, key)
		at = p
		return err == nil && ok
	})
	up, err := h.Purge(ctx)
	if err != nil || up == 0 || up >= at.Sequence {
		t.Fatalf("purged up to %d (%v), the snapshot was taken at %d", up, err, at.Sequence)
	}
	before := storedOutputs(t, b, events.StreamCommands)
	h.kill()
	h = start(t, b, "host-b", toy("1.0"))
	readings(t, b, 2001, 1)
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	h.kill()
	if after := storedOutputs(t, b, events.StreamCommands); !slices.Equal(after, before) {
		t.Errorf("%d outputs before, %d after a restart from the snapshot", len(before), len(after))
	}
}
