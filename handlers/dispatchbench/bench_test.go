// SPDX-License-Identifier: Apache-2.0

package dispatchbench_test

import (
	"context"
	"testing"

	"github.com/ballast-energy/ballast/handlers/dispatchbench"
)

// TestBothFoldsAgree holds the two ways into the decider against each other;
// how fast they are is not judged here.
func TestBothFoldsAgree(t *testing.T) {
	j, err := dispatchbench.NewJournal(50, 20)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r, err := range dispatchbench.Run(context.Background(), j, 1) {
		if err != nil {
			t.Fatal(err)
		}
		t.Log(r)
		n++
	}
	if n != 2 || j.Outputs == 0 {
		t.Errorf("%d results, %d outputs", n, j.Outputs)
	}
}

func BenchmarkFold(b *testing.B) {
	j, err := dispatchbench.NewJournal(1000, 60)
	if err != nil {
		b.Fatal(err)
	}
	for name, fold := range map[string]func(*dispatchbench.Journal) error{"decoded": dispatchbench.FoldDecoded, "json": dispatchbench.FoldJSON} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := fold(j); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*float64(len(j.Events))/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// TestTreeJournal holds two folds of a small power tree against each other.
func TestTreeJournal(t *testing.T) {
	j, err := dispatchbench.NewTreeJournal(1_000, 450, 20)
	if err != nil {
		t.Fatal(err)
	}
	r, d, err := dispatchbench.RunTree(context.Background(), j, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	t.Log(d)
	if d.Largest.Changed == 0 {
		t.Error("no reading changes anything")
	}
	if x, err := dispatchbench.Trip(j); err != nil {
		t.Error(err)
	} else {
		t.Logf("a full feed lowers %d units in %v", x.Changed, x.Took)
	}
}

// TestLevelsJournal: a reading changes units with levels, too.
func TestLevelsJournal(t *testing.T) {
	j, err := dispatchbench.NewLevelsJournal(1_000, 450, 20)
	if err != nil {
		t.Fatal(err)
	}
	_, d, err := dispatchbench.RunTree(context.Background(), j, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(d)
	if d.Largest.Changed == 0 {
		t.Error("no reading changes anything")
	}
}

// BenchmarkTree folds the journal of 10,000 units in a tree of 2,000 nodes, and
// BenchmarkLevels that of as many with three levels each.
func BenchmarkTree(b *testing.B)   { benchmarkTree(b, dispatchbench.NewTreeJournal) }
func BenchmarkLevels(b *testing.B) { benchmarkTree(b, dispatchbench.NewLevelsJournal) }

func benchmarkTree(b *testing.B, journal func(workers, nodes, seconds int) (*dispatchbench.Journal, error)) {
	j, err := journal(10_000, 2_000, 40)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("fold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := dispatchbench.FoldDecoded(j); err != nil {
				b.Fatal(err)
			}
		}
		rate := float64(b.N) * float64(len(j.Events)) / b.Elapsed().Seconds()
		b.ReportMetric(rate, "events/s")
		b.ReportMetric(rate/dispatchbench.TargetTree, "×target")
	})
	b.Run("decision", func(b *testing.B) {
		var d dispatchbench.Decided
		for b.Loop() {
			if d, err = dispatchbench.Decisions(j); err != nil {
				b.Fatal(err)
			}
		}
		b.Log(d)
		b.ReportMetric(float64(d.P50.Took.Nanoseconds()), "ns-p50")
		b.ReportMetric(float64(d.P99.Took.Nanoseconds()), "ns-p99")
		b.ReportMetric(float64(d.P99.Took)/float64(dispatchbench.TargetDecision), "p99/target")
	})
	b.Run("trip", func(b *testing.B) {
		var x dispatchbench.Decision
		for b.Loop() {
			if x, err = dispatchbench.Trip(j); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(x.Changed), "units")
		b.ReportMetric(float64(x.Took.Nanoseconds())/float64(x.Changed), "ns/unit")
	})
}
