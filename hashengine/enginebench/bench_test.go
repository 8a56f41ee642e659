// SPDX-License-Identifier: Apache-2.0

package enginebench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/hashengine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func portable(t testing.TB) hashengine.Kernel {
	t.Helper()
	k, err := hashengine.KernelByName("portable")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestMeasure runs every part for a moment: nothing may be missing; how fast is
// the benchmark's business.
func TestMeasure(t *testing.T) {
	furthest := 0
	r, err := measure(t.Context(), Config{
		Kernels: []hashengine.Kernel{portable(t)}, Threads: 2, Duration: 400 * time.Millisecond, Stops: 5,
	}, func(what string, permille int) {
		if what == "" || permille < furthest || permille > 1000 {
			t.Errorf("progress %q at %d after %d", what, permille, furthest)
		}
		furthest = permille
	})
	if err != nil {
		t.Fatal(err)
	}
	if furthest != 1000 {
		t.Errorf("the last progress was %d permille", furthest)
	}
	var names []string
	for _, k := range r.Kernels {
		names = append(names, k.Kernel)
		if k.NotMeasured != "" {
			t.Errorf("%s: %s", k.Kernel, k.NotMeasured)
		}
		if k.Chunks == 0 || k.Hashes == 0 || k.CleanRate <= 0 || k.SustainedRate <= 0 || k.MedianRate <= 0 || k.AllCores <= 0 || k.OverStdlib <= 0 {
			t.Errorf("%s: not measured: %+v", k.Kernel, k)
		}
		if k.CleanRate < k.SustainedRate || k.CleanRate < k.MedianRate {
			t.Errorf("%s: the best chunk is not the best: %+v", k.Kernel, k)
		}
		if known := r.Machine.Clock > 0; known != (k.CleanCycles > 0) || known != (k.MedianCycles > 0) || k.CleanCycles > k.MedianCycles {
			t.Errorf("%s: clock %g GHz, %g clean cycles, %g median", k.Kernel, r.Machine.Clock, k.CleanCycles, k.MedianCycles)
		}
	}
	if want := []string{"portable", "portable", peer, peer}; !slices.Equal(names, want) {
		t.Errorf("measured %v, want %v", names, want)
	}
	if known := addsPerRound > 0; known != (r.Machine.Clock > 0) {
		t.Errorf("clock %g GHz", r.Machine.Clock)
	}
	if hasShaUnit() != (r.Machine.CyclesPerRounds > 0) {
		t.Errorf("SHA256RNDS2 every %g cycles", r.Machine.CyclesPerRounds)
	}
	// The miner's threads stand back behind everybody's: beside others that take
	// the processors none may come in a window, and a median of 0 is the truth.
	e, alone := r.Engine, r.Machine.Others >= 0 && r.Machine.Others < 0.5
	if e.Windows < 4 || e.Jobs == 0 || e.BareRate <= 0 || e.EngineRate < 0 || e.OverBare < 0 || e.Faults != 0 || e.Threads != 2 ||
		alone && (e.EngineRate == 0 || e.OverBare == 0) {
		t.Errorf("engine beside %g processors busy with others: %+v", r.Machine.Others, e)
	}
	if s := r.Stop; s.Samples < 3 || s.P50 <= 0 || s.P99 < s.P50 || s.Max < s.P99 {
		t.Errorf("stop: %+v", s)
	}
	for _, c := range []Conditions{r.Pauses.World, r.Pauses.Neighbour} {
		if c.Idle.Samples == 0 || c.Hashing.Samples == 0 {
			t.Errorf("pauses: %+v", r.Pauses)
		}
	}
}

// TestReportIsJSON holds the names that readers of the JSON rely on.
func TestReportIsJSON(t *testing.T) {
	full := Report{Kernels: []KernelResult{{
		Kernel: "k", Chunks: 1, Hashes: 1, CleanCycles: 1, SustainedCycles: 1, MedianCycles: 1, CleanRate: 1, SustainedRate: 1,
		MedianRate: 1, AllCores: 1, OverStdlib: 1, ShareOf60: 1, ShareOfUnit: 1,
	}}}
	b, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"clean_cycles_per_hash", "sustained_cycles_per_hash", "median_cycles_per_hash", "clean_mhs_per_core", "median_mhs_per_core",
		"mhs_all_cores", "clean_ratio_to_stdlib", "share_of_60_cycle_limit", "share_of_sha_unit_limit", "version_rolling",
		"engine_over_bare", "processors_busy_with_others", "p50_us", "p99_us", "max_us", "world_stopped", "neighbour_late", "idle", "hashing", "p99_difference_us",
	} {
		if !bytes.Contains(b, []byte(`"`+name+`":`)) {
			t.Errorf("no %q in %s", name, b)
		}
	}
	b, err = json.Marshal(KernelResult{Kernel: "k", NotMeasured: "why"})
	if err != nil || strings.Contains(string(b), "cycles") {
		t.Errorf("what is unknown is left out: %s, %v", b, err)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, d := range []time.Duration{-1, 1, MinDuration - 1, MaxDuration + 1} {
		if _, err := Run(t.Context(), Config{Duration: d}, nil); !errors.Is(err, ErrDuration) {
			t.Errorf("%s: %v", d, err)
		}
		if _, err := Kernels(t.Context(), Config{Duration: d}, nil); !errors.Is(err, ErrDuration) {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	why := errors.New("somebody pressed Ctrl-C")
	for _, at := range []string{"kernels on one core", "kernels on all cores", "engine over bare kernel", "stops", "garbage collector"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := measure(ctx, Config{Kernels: []hashengine.Kernel{portable(t)}, Threads: 1, Duration: 2 * time.Second}, func(what string, _ int) {
			if what == at {
				cancel(why)
			}
		})
		if !errors.Is(err, why) {
			t.Errorf("cancelled during %s: %v", at, err)
		}
		cancel(nil)
	}
}

// TestUnableKernels: a kernel that this machine cannot run is listed with the
// reason.
func TestUnableKernels(t *testing.T) {
	r := run{Config: Config{Kernels: []hashengine.Kernel{{Name: "none"}}}}
	able, unable := r.lanes()
	if len(able) != 2 || len(unable) != 2 || unable[0].NotMeasured == "" || unable[0].Kernel != "none" {
		t.Errorf("able %d, unable %+v", len(able), unable)
	}
}

// TestBareLoopIsBare: what the engine is compared with must not pay for
// anything else.
func TestBareLoopIsBare(t *testing.T) {
	l, err := newLoop(portable(t), endless(true))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(20, func() { l.scan() }); n != 0 {
		t.Errorf("%g allocations a call", n)
	}
	l.work.LastRoll, l.work.LastNonce = 0, 10
	if err := l.engine.Load(&l.work); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if n := l.scan(); n != 11 {
			t.Errorf("%d hashes in a space of 11: it must begin anew at its end", n)
		}
	}
}

func TestCountTakesTheFastestClock(t *testing.T) {
	l := lane{times: []float64{2, 1}, clocks: []int{1, 30}}
	clocks := slices.Repeat([]float64{1}, 60)
	clocks[6], clocks[40] = 4, 9 // the second lies out of reach of either chunk
	l.count(clocks)
	if want := []float64{8, 1}; !slices.Equal(l.cycles, want) {
		t.Errorf("cycles %v, want %v", l.cycles, want)
	}
}

func TestSustained(t *testing.T) {
	long := slices.Repeat([]float64{3}, SustainedChunks)
	for _, tc := range []struct {
		name   string
		values []float64
		want   float64
	}{
		{"nothing", nil, 0},
		{"fewer than a run", []float64{2, 4}, 3},
		{"one quick chunk does not make a run", append([]float64{0}, slices.Repeat([]float64{16}, SustainedChunks-1)...), 15},
		{"the best run counts", slices.Concat(slices.Repeat([]float64{9}, 5), long, []float64{7}), 3},
	} {
		if got := sustained(tc.values); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%s: %g, want %g", tc.name, got, tc.want)
		}
	}
}

func TestSpread(t *testing.T) {
	var all []time.Duration
	for i := range 1000 {
		all = append(all, time.Duration(1000-i)*time.Microsecond)
	}
	if got, want := spread(all), (Spread{Samples: 1000, P50: 500, P99: 990, Max: 1000}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := spread([]time.Duration{1500}), (Spread{Samples: 1, P50: 1.5, P99: 1.5, Max: 1.5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := spread(nil); got != (Spread{}) {
		t.Errorf("%+v of nothing", got)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	if got := h.spread(); got != (Spread{}) {
		t.Errorf("%+v of nothing", got)
	}
	buckets := []float64{math.Inf(-1), 0, 1e-6, 2e-6, 3e-6, math.Inf(1)}
	h.add(&metrics.Float64Histogram{Counts: []uint64{0, 1, 1, 0, 5}, Buckets: buckets},
		&metrics.Float64Histogram{Counts: []uint64{0, 61, 40, 1, 5}, Buckets: buckets})
	if got, want := h.spread(), (Spread{Samples: 100, P50: 1, P99: 2, Max: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	h.add(&metrics.Float64Histogram{Counts: make([]uint64, 5), Buckets: buckets},
		&metrics.Float64Histogram{Counts: []uint64{0, 0, 0, 0, 1}, Buckets: buckets})
	if got := h.spread(); got.Max != 3 || got.Samples != 101 {
		t.Errorf("%+v: the last bucket is open and stands for its lower bound", got)
	}
}

func BenchmarkEngine(b *testing.B) {
	for range b.N {
		r, err := Run(b.Context(), Config{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, k := range r.Kernels {
			b.Logf("%+v", k)
		}
		b.Logf("%+v", r.Engine)
		b.Logf("%+v", r.Stop)
		b.Logf("%+v", r.Pauses)
		b.ReportMetric(r.Engine.OverBare, "engine-over-bare")
		b.ReportMetric(r.Stop.P99, "p99-us-stop")
	}
}
