// SPDX-License-Identifier: Apache-2.0

package trace_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/sources/trace"
)

func open(t *testing.T) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir(), Durability: bus.ProcessCrash})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestManySitesPlayAtOnce plays one recording at three sites at 60×: every
// sample arrives at each, in order, with the present time.
func TestManySitesPlayAtOnce(t *testing.T) {
	b := open(t)
	var csv strings.Builder
	csv.WriteString("time,watts\n")
	for i := range 20 {
		fmt.Fprintf(&csv, "%d,%d\n", 1000+2*i, 100+i)
	}
	s, err := trace.Parse(strings.NewReader(csv.String()), trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	done := make(chan error, 3)
	for i := range 3 {
		p, err := trace.NewPlayer(s, trace.PlayerConfig{Site: fmt.Sprintf("site-%d", i), Source: "ai", Speed: 60}, b, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- p.Run(t.Context()) }()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		last, n := int64(0), 0
		for ev, err := range events.Read[events.MeterReading](t.Context(), b, events.AtSite(fmt.Sprintf("site-%d", i))) {
			if err != nil {
				t.Fatal(err)
			}
			if ev.Data.PowerWatts < last {
				t.Errorf("site-%d: %d after %d", i, ev.Data.PowerWatts, last)
			}
			if ev.Data.SampledAt.Before(start) || ev.Data.SampledAt.After(time.Now()) {
				t.Errorf("site-%d: sampled at %v: readings of a compressed trace carry the present time", i, ev.Data.SampledAt)
			}
			last = ev.Data.PowerWatts
			n++
		}
		if last != 119 || n < 15 {
			t.Errorf("site-%d: %d readings, the last %d W; want all up to 119", i, n, last)
		}
	}
}

func TestPricesAreSignalsAndEndWithTheContext(t *testing.T) {
	b := open(t)
	s, err := trace.Parse(strings.NewReader("time,price\n1000,20.5\n1900,20.5\n2800,-3.25\n"), trace.Options{Quantity: trace.Price})
	if err != nil {
		t.Fatal(err)
	}
	p, err := trace.NewPlayer(s, trace.PlayerConfig{Site: "demo", Source: "market", Speed: 3600, Loop: true}, b, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var got []int64
	for ev, err := range events.Read[events.GridSignal](ctx, b, events.Follow()) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Data.Kind != events.SignalPrice {
			t.Fatalf("kind %s, want price", ev.Data.Kind)
		}
		if got = append(got, *ev.Data.PriceMicrousdPerMWh); len(got) == 3 {
			break
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want the context's error", err)
	}
	if len(got) != 3 || got[0] != 20_500_000 || got[1] != -3_250_000 || got[2] != 20_500_000 {
		t.Errorf("prices %v: want each change once, then the loop", got)
	}
}

func TestPlayerRefusesBadConfig(t *testing.T) {
	s, err := trace.Parse(strings.NewReader("time,watts\n1,1\n2,2\n"), trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []trace.PlayerConfig{
		{Site: "UP", Source: "a"}, {Site: "a", Source: "a.b"}, {Site: "a", Source: "b", Speed: -1}, {Site: "a", Source: "b", Speed: 3601},
		{Site: "a", Source: "b", Period: time.Millisecond}, {Site: "a", Source: "b", ScaleNum: 1}, {Site: "a", Source: "b", ScaleNum: -1, ScaleDen: 1},
	} {
		if _, err := trace.NewPlayer(s, c, nil, nil); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}
