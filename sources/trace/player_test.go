// SPDX-License-Identifier: Apache-2.0

package trace_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/sources/trace"
)

// shelf keeps what is published, by site.
type shelf struct {
	mu  sync.Mutex
	got map[string][]*events.Event
}

func (s *shelf) Publish(_ context.Context, evs ...*events.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range evs {
		s.got[e.Site] = append(s.got[e.Site], e)
	}
	return nil
}

// TestManySitesPlayAtOnce plays one recording at three sites at 60×: every
// sample arrives at each, in order, with the present time. A player that is late
// leaves out what is over, so time waits for it here.
func TestManySitesPlayAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf := &shelf{got: map[string][]*events.Event{}}
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
			p, err := trace.NewPlayer(s, trace.PlayerConfig{Site: fmt.Sprintf("site-%d", i), Source: "ai", Speed: 60}, shelf, slog.New(slog.DiscardHandler))
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
			got := shelf.got[fmt.Sprintf("site-%d", i)]
			if len(got) != 20 {
				t.Errorf("site-%d: %d readings of 20", i, len(got))
			}
			for n, e := range got {
				r := e.Data.(*events.MeterReading)
				if r.PowerWatts != int64(100+n) {
					t.Errorf("site-%d: reading %d is %d W", i, n, r.PowerWatts)
				}
				// 2 s of the recording in a sixtieth, and a timer that looks a moment later.
				if at := start.Add(time.Duration(n) * 2 * time.Second / 60); r.SampledAt.Before(at) || r.SampledAt.After(at.Add(time.Millisecond)) {
					t.Errorf("site-%d: sampled %s after the start, not %s: readings of a compressed trace carry the present time", i, r.SampledAt.Sub(start), at.Sub(start))
				}
			}
		}
	})
}

// The bus takes what a player publishes.
func TestPlaysOnTheBus(t *testing.T) {
	b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir(), Durability: bus.ProcessCrash})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	s, err := trace.Parse(strings.NewReader("time,watts\n1000,100\n1002,101\n"), trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := trace.NewPlayer(s, trace.PlayerConfig{Site: "demo", Source: "ai", Loop: true}, b, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	for ev, err := range events.Read[events.MeterReading](ctx, b, events.AtSite("demo"), events.Follow()) {
		if err != nil {
			t.Fatal(err)
		}
		if w := ev.Data.PowerWatts; w != 100 && w != 101 {
			t.Errorf("%d W", w)
		}
		break
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want the context's error", err)
	}
}

func TestPricesAreSignalsAndEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shelf := &shelf{got: map[string][]*events.Event{}}
		s, err := trace.Parse(strings.NewReader("time,price\n1000,20.5\n1900,20.5\n2800,-3.25\n"), trace.Options{Quantity: trace.Price})
		if err != nil {
			t.Fatal(err)
		}
		p, err := trace.NewPlayer(s, trace.PlayerConfig{Site: "demo", Source: "market", Speed: 3600, Loop: true}, shelf, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		// Three quarters of an hour in as many seconds, and a little of the next.
		ctx, cancel := context.WithTimeout(t.Context(), 2700*time.Second/3600+100*time.Millisecond)
		defer cancel()
		if err := p.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run returned %v, want the context's error", err)
		}
		var got []int64
		for _, e := range shelf.got["demo"] {
			s := e.Data.(*events.GridSignal)
			if s.Kind != events.SignalPrice {
				t.Fatalf("kind %s, want price", s.Kind)
			}
			got = append(got, *s.PriceMicrousdPerMWh)
		}
		if !slices.Equal(got, []int64{20_500_000, -3_250_000, 20_500_000}) {
			t.Errorf("prices %v: want each change once, then the loop", got)
		}
	})
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
