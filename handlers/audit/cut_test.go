// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/audit"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/decider/decidertest"
)

// After a cut tail, verify lists every decision whose cause is gone, and finds
// everything else in order.
func TestVerifyListsWhatACutTailLost(t *testing.T) {
	dir := t.TempDir()
	b := openBus(t, dir)
	decide(t, b, "1.0", 900, 200)
	before := lastSequence(t, b, events.StreamJournal)
	stored := outputs(t, audit.Live(b, site))
	closeBus(b)

	blocks, err := filepath.Glob(filepath.Join(dir, "*", "*", "*", "streams", events.StreamJournal, "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("no block files: %v", err)
	}
	slices.Sort(blocks)
	newest := blocks[len(blocks)-1]
	info, err := os.Stat(newest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(newest, info.Size()-10_000); err != nil {
		t.Fatal(err)
	}
	// The index tells of messages that are gone: the server makes a new one.
	if err := os.Remove(filepath.Join(filepath.Dir(newest), "index.db")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}

	b = openBus(t, dir)
	cut := lastSequence(t, b, events.StreamJournal)
	if cut >= before {
		t.Fatalf("the journal ends at %d, before at %d", cut, before)
	}
	lost := uint64(0)
	for _, k := range stored {
		if k.Sequence > cut {
			lost++
		}
	}
	decide(t, b, "1.0", 3000, int(before-cut)+50)
	r := verify(t, audit.Live(b, site), "1.0", audit.Options{})
	clean(t, r)
	listed := uint64(0)
	for _, l := range r.Lost {
		if !l.KnownCut || l.From <= cut {
			t.Errorf("lost span %+v, the journal was cut at %d", l, cut)
		}
		listed += l.Outputs
	}
	if lost == 0 || listed != lost {
		t.Errorf("%d outputs lost their cause, %d are listed\n%s", lost, listed, r)
	}
}

func outputs(t testing.TB, src audit.Source) []events.OrderKey {
	t.Helper()
	var out []events.OrderKey
	for _, stream := range []string{events.StreamCommands, events.StreamRevenue} {
		for m, err := range src.Read(testContext(t), stream, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if _, name, k, ok := decider.ParseMessageID(m.Header.Get(events.HeaderMsgID)); ok && name == decidertest.Name {
				out = append(out, k)
			}
		}
	}
	return out
}
