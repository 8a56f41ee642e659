// SPDX-License-Identifier: Apache-2.0

package auditbench

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/ballast-energy/ballast/events/busbench"
	"github.com/ballast-energy/ballast/handlers/audit"
)

// Result of a measurement.
type Result struct {
	// Decider that was audited, and the Report of the audit.
	Decider string        `json:"decider"`
	Report  *audit.Report `json:"report"`
	// Took is the wall-clock time; Rate journal events per second of it, with
	// one thread that decodes, folds and compares, and one that decompresses.
	Took time.Duration `json:"took_ns"`
	Rate float64       `json:"events_per_second"`
	// CPU is the processor time that it took, of all threads, and PerCore
	// journal events per second of that: what counts on a machine that others
	// use as well. 0 where the system does not tell.
	CPU     time.Duration `json:"cpu_ns"`
	PerCore float64       `json:"events_per_cpu_second"`
	// PeakHeap is the most memory that the program held for objects at any of
	// the looks at it, bytes.
	PeakHeap uint64 `json:"peak_heap_bytes"`
}

// Measure verifies the export at path with one decider after the other.
// progress, when not nil, is told the sequence folded.
func Measure(ctx context.Context, path string, deciders []audit.Factory, progress func(uint64)) ([]Result, error) {
	src, err := audit.File(path)
	if err != nil {
		return nil, err
	}
	var out []Result
	for _, f := range deciders {
		runtime.GC()
		x := Result{}
		cpu, start := busbench.CPUTime(), time.Now()
		reports, err := audit.Verify(ctx, src, audit.Options{Progress: func(sequence uint64) {
			x.PeakHeap = max(x.PeakHeap, heap())
			if progress != nil {
				progress(sequence)
			}
		}}, f)
		if err != nil {
			return nil, err
		}
		x.Report, x.Decider, x.Took = reports[0], reports[0].Identity.Name, time.Since(start)
		if x.CPU = busbench.CPUTime() - cpu; x.CPU > 0 {
			x.PerCore = float64(x.Report.Messages) / x.CPU.Seconds()
		}
		x.Rate = float64(x.Report.Messages) / x.Took.Seconds()
		out = append(out, x)
	}
	return out, nil
}

// heap in use for objects, dead ones not collected yet included.
func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
