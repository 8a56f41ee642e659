// SPDX-License-Identifier: Apache-2.0

package auditbench_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/ballast-energy/ballast/handlers/audit"
	"github.com/ballast-energy/ballast/handlers/auditbench"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
	"github.com/ballast-energy/ballast/handlers/settlement"
)

func deciders() []audit.Factory {
	return []audit.Factory{
		func() (decider.Decider, error) { return dispatch.New(dispatch.Config{}), nil },
		func() (decider.Decider, error) { return settlement.New(settlement.Config{}) },
	}
}

// A made-up journal is the same every time, and everything in it follows.
func TestWriteAndMeasure(t *testing.T) {
	c := auditbench.Config{Events: 30_000, Workers: 50, Deciders: deciders(), SnapshotEvery: 10_000}
	var one, two bytes.Buffer
	n, err := auditbench.Write(t.Context(), &one, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auditbench.Write(t.Context(), &two, c, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the same journal, made twice, differs")
	}
	path := filepath.Join(t.TempDir(), "bench.zst")
	if err := os.WriteFile(path, one.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := auditbench.Measure(t.Context(), path, deciders(), nil)
	if err != nil {
		t.Fatal(err)
	}
	stored := uint64(0)
	for _, r := range all {
		if err := r.Report.Err(); err != nil || !r.Report.Complete() || r.Report.Messages != c.Events || r.Report.Compared == 0 || r.Report.Compared != r.Report.Equal {
			t.Errorf("%s: %v\n%s", r.Decider, err, r.Report)
		}
		stored += r.Report.Stored + r.Report.Checkpoints
	}
	if snapshots := 2 * c.Events / c.SnapshotEvery; n != c.Events+stored+snapshots {
		t.Errorf("%d messages written, %d found with their snapshots", n, c.Events+stored+snapshots)
	}
}

// Memory does not grow with the journal.
func BenchmarkVerify(b *testing.B) {
	for i, name := range []string{"dispatch", "settlement"} {
		b.Run(name, func(b *testing.B) {
			c := auditbench.Config{Events: 400_000, Workers: 1000, Deciders: deciders()}
			path := filepath.Join(b.TempDir(), "bench.zst")
			f, err := os.Create(path)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := auditbench.Write(b.Context(), f, c, nil); err != nil {
				b.Fatal(err)
			}
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				r, err := auditbench.Measure(b.Context(), path, deciders()[i:i+1], nil)
				if err != nil || !r[0].Report.Clean() {
					b.Fatal(err, r)
				}
				b.ReportMetric(r[0].Rate, "events/s")
				b.ReportMetric(float64(r[0].PeakHeap)/(1<<20), "MiB")
			}
		})
	}
}
