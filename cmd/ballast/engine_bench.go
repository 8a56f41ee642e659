// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/hashengine/enginebench"
)

// engineBenchFlags of bench engine and engine bench.
type engineBenchFlags struct {
	kernels []string
	seconds float64
	threads int
}

func (a *app) engineBenchCommand() *cobra.Command {
	var f engineBenchFlags
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure the kernels, the engine over its bare kernel, stops and pauses",
		Long: `Times all kernels in turn on one core, in chunks of some 100 µs, and counts in
cycles of the core's own clock, measured beside each chunk:

  clean      the best chunk: what the core does undisturbed
  sustained  the best run of 16 chunks: with what only some calls do
  median     what it did here and now
  of 60      60 cycles, the limit of a core that starts one SHA256RNDS2 a cycle,
             as a share of the clean cycles
  of unit    the same with the cycles that this core's SHA unit needs

Then all cores; the engine as it is used (jobs, hits, checks, stop flag) over
the same kernel in bare loops; the time from the stop flag to the last thread's
end; what garbage collections cost others, idle and hashing. With --json one
value per line; hashengine/enginebench documents the fields.`,
		Example: `  ballast engine bench
  ballast engine bench --kernel shani_vr5 --kernel shani_n4 --seconds 60
  ballast engine bench --json | jq 'select(.case == "kernel") | {kernel, clean_cycles_per_hash}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchEngine(cmd.Context(), &f, a.printer()) },
	}
	fl := c.Flags()
	fl.StringSliceVar(&f.kernels, "kernel", nil, "time only the kernel `NAME` beside stdlib, and use it for the engine; may be repeated (default: all, and the chosen)")
	fl.Float64Var(&f.seconds, "seconds", enginebench.DefaultDuration.Seconds(), "duration of the whole, about")
	fl.IntVar(&f.threads, "threads", 0, "threads of the figures for all cores (default: those that a worker takes)")
	return c
}

// benchEngine measures and prints.
func (a *app) benchEngine(ctx context.Context, f *engineBenchFlags, p *printer) error {
	if f.seconds < enginebench.MinDuration.Seconds() || f.seconds > enginebench.MaxDuration.Seconds() || math.IsNaN(f.seconds) {
		return withCode(exitUsage, fmt.Errorf("--seconds %g: want %g to %g", f.seconds, enginebench.MinDuration.Seconds(), enginebench.MaxDuration.Seconds()))
	}
	if f.threads < 0 || f.threads > hashengine.MaxThreads {
		return withCode(exitUsage, fmt.Errorf("--threads %d: want 1 to %d, or 0", f.threads, hashengine.MaxThreads))
	}
	kernels, err := kernelsNamed(f.kernels)
	if err != nil {
		return err
	}
	cfg := enginebench.Config{Kernels: kernels, Threads: f.threads, Duration: time.Duration(f.seconds * float64(time.Second))}
	if len(f.kernels) > 0 {
		cfg.Engine = kernels[0]
		if _, err := cfg.Engine.New(); err != nil {
			return fmt.Errorf("no figures of the engine without its kernel: %w", err)
		}
	}
	bar := a.steps("measuring", 1000)
	r, err := enginebench.Run(ctx, cfg, func(what string, permille int) {
		bar.Describe(what)
		_ = bar.Set(permille)
	})
	_ = bar.Finish()
	if err != nil {
		return err
	}
	if p.json {
		return p.engineJSON(r)
	}
	p.engine(r)
	return nil
}

// engineJSON writes the report's parts, one per line.
func (p *printer) engineJSON(r *enginebench.Report) error {
	type part struct {
		Bench string `json:"bench"`
		Case  string `json:"case"`
	}
	of := func(name string) part { return part{"engine", name} }
	err := p.value(struct {
		part
		enginebench.Machine
	}{of("machine"), r.Machine})
	for _, k := range r.Kernels {
		err = errors.Join(err, p.value(struct {
			part
			enginebench.KernelResult
		}{of("kernel"), k}))
	}
	return errors.Join(err, p.value(struct {
		part
		enginebench.EngineResult
	}{of("engine"), r.Engine}), p.value(struct {
		part
		enginebench.StopResult
	}{of("stop"), r.Stop}), p.value(struct {
		part
		enginebench.PauseResult
	}{of("pauses"), r.Pauses}))
}

// engine writes the report for a person.
func (p *printer) engine(r *enginebench.Report) {
	m := &r.Machine
	where := []string{cmp.Or(m.Processor, m.Arch), fmt.Sprintf("%d of %s hash", m.Threads, figures.Count(int64(m.Processors), "processor"))}
	if m.Clock > 0 {
		where = append(where, fmt.Sprintf("%.2f GHz (%.2f to %.2f)", m.Clock, m.ClockLeast, m.ClockMost))
	}
	if m.CyclesPerRounds > 0 {
		where = append(where, fmt.Sprintf("one SHA256RNDS2 in %.2f cycles", m.CyclesPerRounds))
	}
	p.title("engine: " + strings.Join(where, ", "))
	if m.Others > 0.05 {
		p.linef("  %s", p.paint(codeWarn, fmt.Sprintf("others kept %.1f processors busy meanwhile: only the clean figures are the machine's", m.Others)))
	}
	width := len("fixed version")
	for _, k := range r.Kernels {
		width = max(width, len(k.Kernel)+2)
	}
	for _, rolling := range []bool{true, false} {
		name := "fixed version"
		if rolling {
			name = "versions roll"
		}
		p.linef("  %-*s %28s %28s", width, "", "cycles per hash", "MH/s of one core")
		p.linef("  %-*s %8s %10s %8s %8s %10s %8s %10s %8s %6s %8s", width, name, "clean", "sustained", "median",
			"clean", "sustained", "median", "all cores", "/ stdlib", "of 60", "of unit")
		for _, k := range r.Kernels {
			if k.VersionRolling == rolling {
				p.kernelLine(&k, width)
			}
		}
	}
	p.linef("  * used for such work on this machine; of unit: more than 100 %% takes other instructions")
	p.linef("")
	e := &r.Engine
	p.linef("  %-42s %.3f  at least %.2f%s  (%.1f of %.1f MH/s, %s by processor time, %d jobs, %d hits)", fmt.Sprintf("engine / bare %s, %s", e.Kernel, figures.Count(int64(e.Threads), "thread")),
		e.OverBare, e.Target, missed(e.Met), e.EngineRate, e.BareRate, figure("%.3f", e.OverBareCPU), e.Jobs, e.Hits)
	p.linef("  %-42s %s  at most %g µs at p99%s", "stop flag → last thread ended", micros(r.Stop.Spread), r.Stop.Target, missed(r.Stop.Met))
	for _, c := range []struct {
		name string
		enginebench.Conditions
	}{{"world stopped by collections", r.Pauses.World}, {"neighbour late during collections", r.Pauses.Neighbour}} {
		p.linef("  %-42s %s", c.name+", idle", micros(c.Idle))
		p.linef("  %-42s %s", strings.Repeat(" ", len(c.name)+2)+"hashing", micros(c.Hashing))
	}
}

func (p *printer) kernelLine(k *enginebench.KernelResult, width int) {
	name := "  " + k.Kernel
	if k.Chosen {
		name = "* " + k.Kernel
	}
	if k.NotMeasured != "" {
		p.linef("  %-*s %s", width, name, p.paint(codeDim, strings.TrimPrefix(k.NotMeasured, "kernel "+k.Kernel+": ")))
		return
	}
	p.linef("  %-*s %8s %10s %8s %8.2f %10.2f %8.2f %10.1f %7.2f× %6s %8s", width, name,
		figure("%.1f", k.CleanCycles), figure("%.1f", k.SustainedCycles), figure("%.1f", k.MedianCycles),
		k.CleanRate, k.SustainedRate, k.MedianRate, k.AllCores, k.OverStdlib,
		figure("%.0f %%", 100*k.ShareOf60), figure("%.0f %%", 100*k.ShareOfUnit))
}

// figure writes a number, or a dash where it is not known.
func figure(format string, v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

// micros writes a spread for a person.
func micros(s enginebench.Spread) string {
	return fmt.Sprintf("p50 %.0f  p99 %.0f  max %.0f µs of %s", s.P50, s.P99, s.Max, figures.Int(s.Samples))
}
