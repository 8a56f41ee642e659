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
