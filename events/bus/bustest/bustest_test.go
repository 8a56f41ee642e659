// SPDX-License-Identifier: Apache-2.0

package bustest_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/bus/bustest"
)

func TestPublishStores(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{DataDir: t.TempDir(), Durability: bus.ProcessCrash, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.WithoutCancel(ctx)) }()
	want := events.New("demo", "meter", &events.MeterReading{PowerWatts: 1, SampledAt: time.Now(), Quality: events.QualityGood})
	bustest.Publish(ctx, t, b, want)
	for e, err := range b.Events(ctx, events.ReadRequest{Stream: events.StreamJournal}) {
		if err != nil || e.ID != want.ID {
			t.Fatalf("%v, %v", e, err)
		}
		return
	}
	t.Fatal("nothing is stored")
}

func TestFreeAddressesAreFreeAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		addr := bustest.FreeAddress(t)
		if seen[addr] {
			t.Fatalf("%s is given twice", addr)
		}
		seen[addr] = true
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
}
