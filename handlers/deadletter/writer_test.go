// SPDX-License-Identifier: Apache-2.0

package deadletter_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/deadletter"
)

// A letter is possible about anything that can cross the bus, and is stored
// once.
func TestLettersAboutAnything(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{DataDir: t.TempDir(), Name: "test", Durability: bus.ProcessCrash, MaxPayload: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(ctx) }()
	w, err := deadletter.NewWriter(b, "tester")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := deadletter.NewWriter(b, "no token"); err == nil {
		t.Error("a consumer that is no token was accepted")
	}
	why := errors.New(strings.Repeat("why ", 1000))
	originals := []deadletter.Original{
		{Stream: events.StreamInputs, Sequence: 1, Subject: "ballast.tx1.grid.signal.x", Data: nil},
		{Stream: events.StreamInputs, Sequence: 2, Subject: "ballast.tx1.grid.signal.x", Data: []byte(strings.Repeat("x", 60<<10)), ID: "fine-id"},
		{Stream: events.StreamJournal, Sequence: 2, Subject: "ballast.TX1.\xff\xfe", Data: []byte{0xff}, ID: "a b\r\n"},
		{Stream: events.StreamJournal, Sequence: 2, Arrived: time.Unix(1, 0), Subject: strings.Repeat("long.", 3000)},
	}
	for range 2 {
		for i := range originals {
			if err := w.Put(ctx, w.Letter(&originals[i], events.DeadInvalid, why, 1)); err != nil {
				t.Fatalf("letter %d: %v", i, err)
			}
		}
	}
	n := 0
	for e, err := range events.Read[events.DeadLetter](ctx, b) {
		if err != nil {
			t.Fatal(err)
		}
		if o := originals[n]; e.Data.Truncated != (len(e.Data.Payload) < len(o.Data)) {
			t.Errorf("letter %d: truncated %v, kept %d of %d bytes", n, e.Data.Truncated, len(e.Data.Payload), len(o.Data))
		}
		n++
	}
	if n != len(originals) {
		t.Errorf("%d letters stored of %d", n, len(originals))
	}
	known, err := w.Known(ctx, time.Time{})
	if err != nil || len(known) != n || !known[w.ID(events.StreamInputs, 2, time.Time{})] {
		t.Errorf("known: %v, %v", known, err)
	}
}
