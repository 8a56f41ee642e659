// SPDX-License-Identifier: Apache-2.0

package busbench_test

import (
	"context"
	"crypto/sha256"
	"runtime"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/busbench"
)

func open(t testing.TB) *bus.Bus {
	t.Helper()
	b, err := bus.Open(context.Background(), bus.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

// TestRun checks that every case runs and moves all messages; how fast is the
// benchmark's business.
func TestRun(t *testing.T) {
	rs, err := busbench.Run(context.Background(), open(t), busbench.Config{Messages: 500, Runs: 2})
	if err != nil {
		t.Fatal(err)
	}
	if len(rs) != 7 {
		t.Errorf("%d results", len(rs))
	}
	for _, r := range rs {
		if r.Ours <= 0 || r.Raw <= 0 || r.Ratio <= 0 || len(r.Runs) != 2 || r.Name == "" {
			t.Errorf("%+v", r)
		}
	}
}

func BenchmarkBus(b *testing.B) {
	bb := open(b)
	for range b.N {
		rs, err := busbench.Run(context.Background(), bb, busbench.Config{
			Runs:        3,
			Middlewares: []message.HandlerMiddleware{middleware.Recoverer, middleware.CorrelationID},
			Report:      func(r busbench.Result) { b.Log(r) },
		})
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range rs {
			b.Logf("%s: ratio %.2f", r.Name, r.Ratio)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	busy := func(ctx context.Context) {
		var wg sync.WaitGroup
		for range runtime.NumCPU() {
			wg.Go(func() {
				for b := make([]byte, 80); ctx.Err() == nil; {
					for range 200 {
						sum := sha256.Sum256(b)
						copy(b, sum[:])
					}
				}
			})
		}
		wg.Wait()
	}
	ls, err := busbench.RoundTrip(context.Background(), open(t), busbench.LatencyConfig{Samples: 200, Load: busy})
	if err != nil {
		t.Fatal(err)
	}
	if len(ls) != 2 {
		t.Errorf("%d results", len(ls))
	}
	for _, l := range ls {
		t.Log(l)
		if l.Idle.Samples != 200 || l.Loaded.Samples != 200 || l.Idle.P50 <= 0 || l.Ratio <= 0 {
			t.Errorf("%+v", l)
		}
	}
}
