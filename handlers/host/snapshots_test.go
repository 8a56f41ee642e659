// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/decider/decidertest"
)

// A snapshot taken while a host folds what was said long ago must lead the next
// look to all of that, not only to what was said after the restart: behind a
// duplicate window everything between would be stored a second time.
func TestSnapshotOfACatchUpLeadsToWhatWasSaid(t *testing.T) {
	ctx := testContext(t)
	b := openBus(t, t.TempDir(), 2*time.Minute)
	first := start(t, b, "host-a", toy("1.0"), func(c *Config) { c.SnapshotEvery = 1_000_000 })
	until(t, "the toy speaks", func() bool { return first.Standings()[0].Speaks })
	readings(t, b, 900, 350)
	settled(t, first, lastSequence(t, b, events.StreamJournal))
	first.kill()

	second := start(t, b, "host-a", toy("1.0"))
	settled(t, second, lastSequence(t, b, events.StreamJournal))
	store, err := b.SnapshotStore(ctx)
	if err != nil {
		t.Fatal(err)
	}
	key := SnapshotKey(site, decidertest.New("1.0").Identity())
	until(t, "a snapshot", func() bool {
		p, ok, err := snapshotPlace(ctx, store, key)
		return err == nil && ok && p.Sequence >= 300
	})
	second.kill()
	data, err := store.GetBytes(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	head, _, err := decider.ReadHeader(data)
	if err != nil {
		t.Fatal(err)
	}
	behind := 0
	for _, stream := range outputStreams {
		for m, err := range b.RawEvents(ctx, events.ReadRequest{Stream: stream, Site: site}) {
			if err != nil {
				t.Fatal(err)
			}
			_, name, key, ok := decider.ParseMessageID(m.Header.Get(events.HeaderMsgID))
			if !ok || name != decidertest.Name || key.Sequence <= head.Sequence {
				continue
			}
			behind++
			if m.Sequence <= head.Outputs[stream] {
				t.Fatalf("snapshot at journal sequence %d: the next look begins behind %s/%d, but %s/%d is of sequence %d",
					head.Sequence, stream, head.Outputs[stream], stream, m.Sequence, key.Sequence)
			}
		}
	}
	if behind == 0 {
		t.Fatalf("nothing was said after the snapshot at %d: this proves nothing", head.Sequence)
	}
}
