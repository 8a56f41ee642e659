// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/simulate"
)

// simulateFlags of the simulation.
type simulateFlags struct {
	seeds, seed uint64
	except      []uint
	scenario    string
	trace       bool
	parallel    int
	budget      time.Duration
	write       string
}

// shrinkFor bounds the time spent on making one failure small.
const shrinkFor = 2 * time.Minute

// gcPercent while a campaign runs: some hundred MB at most, for a fifth of the
// time.
const gcPercent = 800

func (a *app) simulateCommand() *cobra.Command {
	var f simulateFlags
	c := &cobra.Command{
		Use:   "simulate",
		Short: "Run the deciders and permit machines under a virtual clock, with faults",
		Long: `Plays the real deciders and the real permit machines together under a virtual
clock and a virtual network. Each seed is ten to twelve minutes at a site of its
own, most with a power tree of up to five levels, with two hosts, several agents,
eight units and six meters or more, changing loads, limits and signals, and at
least five faults: lost, late, repeated and overtaking messages, partitions, crashes
at the worst moments, a journal that loses its end, meters that lie, clocks that
jump, machines that do not obey, two versions at once.

After every step no unit may draw power without a live permit, no limit of any
node may be exceeded because of mining beyond the response time, no reduction
may wait, and a unit that draws on must be asked again, have others make room for
it, and lose its outlet or have people called, each in time. At the end energy and
money must balance, no unit may be off for which there is room, and a replay of
the journal must give the same commands, byte for byte. The summary counts what
the faults did.

A failing seed is made as small as possible and printed as a scenario file. It
needs no bus and writes nothing but what --write names.

Exit codes: 0 all rules held · 2 wrong usage or an unreadable scenario · 4 a rule
was broken.`,
		Example: `  ballast simulate --seeds 10000
  ballast simulate --seed 4711 --trace
  ballast simulate --scenario failure.scenario --trace
  ballast simulate --seeds 100000 --for 10m --write failure.scenario --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			one := cmd.Flags().Changed("seed") && !cmd.Flags().Changed("seeds")
			if f.scenario != "" && (one || cmd.Flags().Changed("seeds")) {
				return withCode(exitUsage, errors.New("--scenario is one run: leave out --seed and --seeds"))
			}
			if f.trace && f.scenario == "" && !one {
				return withCode(exitUsage, errors.New("--trace is for one run: give --seed alone, or --scenario"))
			}
			switch {
			case f.scenario != "":
				return a.simulateFile(cmd.Context(), &f)
			case one:
				return a.simulateOne(cmd.Context(), &f, simulate.NewStory(f.seed))
			}
			return a.simulateMany(cmd.Context(), &f)
		},
	}
	fl := c.Flags()
	fl.Uint64Var(&f.seeds, "seeds", 1000, "how many seeds to play")
	fl.Uint64Var(&f.seed, "seed", 0, "the first seed; without --seeds the only one")
	fl.UintSliceVar(&f.except, "except", nil, "seeds to leave out, such as those of open findings; the summary names them")
	fl.StringVar(&f.scenario, "scenario", "", "play the story of this `file`")
	fl.BoolVar(&f.trace, "trace", false, "write what happens, line by line")
	fl.IntVar(&f.parallel, "parallel", 0, "runs at once (default: one per processor)")
	fl.DurationVar(&f.budget, "for", 0, "begin no new seed after this `time`")
	fl.StringVar(&f.write, "write", "", "write the scenario of the first failure to this `file`, too")
	return c
}

// simulateFile plays one scenario.
func (a *app) simulateFile(ctx context.Context, f *simulateFlags) error {
	in, err := os.Open(f.scenario)
	if err != nil {
		return withCode(exitUsage, fmt.Errorf("scenario: %w", err))
	}
	defer in.Close()
	st, err := simulate.Read(in, f.scenario)
	if err != nil {
		return withCode(exitUsage, err)
	}
	return a.simulateOne(ctx, f, st)
}

// simulateOne plays one story, with a trace if asked for.
func (a *app) simulateOne(ctx context.Context, f *simulateFlags, st *simulate.Story) error {
	p := a.printer()
	var trace io.Writer
	if f.trace {
		trace = a.out
		if p.json {
			trace = a.err
		}
	}
	r, err := simulate.Run(st, trace)
	if err != nil {
		return withCode(exitUsage, err)
	}
	if r.Violation == nil {
		if p.json {
			return p.value(r)
		}
		p.linef("seed %d: all rules held for %s: %s folded, %s stored, %s Wh mined", r.Seed, r.Simulated,
			figures.Count(r.Events, "event"), figures.Count(r.Commands, "command"), figures.Int(r.MinedMilliwattHours/1000))
		return nil
	}
	if p.json {
		if err := p.value(r); err != nil {
			return err
		}
	}
	return a.simulateFailed(ctx, f, st, &r)
}

// simulateMany plays a campaign.
func (a *app) simulateMany(ctx context.Context, f *simulateFlags) error {
	p := a.printer()
	bar := a.steps("seeds", int64(min(f.seeds, 1<<62)))
	c := simulate.Campaign{First: f.seed, Seeds: f.seeds, Parallel: f.parallel, Budget: f.budget,
		Done: func(simulate.Result) { _ = bar.Add(1) }}
	for _, n := range f.except {
		if seed := uint64(n); seed >= f.seed && seed-f.seed < f.seeds && !slices.Contains(c.Except, seed) {
			c.Except = append(c.Except, seed)
		}
	}
	// A run makes much that is dead soon: collecting it rarely is cheaper.
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	s, err := c.Run(ctx)
	_ = bar.Finish()
	if err != nil {
		return err
	}
	slices.SortFunc(s.Failed, func(x, y simulate.Result) int {
		if x.Seed < y.Seed {
			return -1
		}
		return 1
	})
	if p.json {
		if err := p.value(struct {
			simulate.Summary
			HoursPerMinute int64 `json:"simulated_hours_per_minute"`
		}{s, int64(s.HoursPerMinute())}); err != nil {
			return err
		}
	} else {
		p.linef("%s, %.0f h simulated in %s: %.0f simulated hours per minute", figures.Count(int64(s.Seeds), "seed"), s.Simulated.Hours(), s.Took.Round(100*time.Millisecond), s.HoursPerMinute())
		if n := len(c.Except); n > 0 {
			p.linef("%s left out: %v", figures.Count(int64(n), "seed"), c.Except)
		}
		if past := s.Seeds + uint64(len(c.Except)); past < f.seeds && len(s.Failed) == 0 {
			p.linef("%s of %s were not begun within %s", figures.Int(f.seeds-past), figures.Count(int64(f.seeds), "seed"), f.budget)
		}
		p.linef("%s folded, %s stored, %s Wh mined, nothing mined in %s", figures.Count(s.Events, "event"), figures.Count(s.Commands, "command"),
			figures.Int(s.MinedMilliwattHours/1000), figures.Count(int64(s.Idle), "seed"))
		p.linef("%s: %s", figures.Count(int64(s.Faults), "fault"), s.Effects)
		for i := range s.Failed {
			p.linef("%s", p.paint(codeBad, fmt.Sprintf("seed %d: %s", s.Failed[i].Seed, s.Failed[i].Violation)))
		}
	}
	if len(s.Failed) == 0 {
		return nil
	}
	return a.simulateFailed(ctx, f, simulate.NewStory(s.Failed[0].Seed), &s.Failed[0])
}

// simulateFailed makes a failure small and prints it as a scenario file.
func (a *app) simulateFailed(ctx context.Context, f *simulateFlags, st *simulate.Story, r *simulate.Result) error {
	ctx, cancel := context.WithTimeout(ctx, shrinkFor)
	defer cancel()
	small := simulate.Shrink(ctx, st)
	after, err := simulate.Run(small, nil)
	if err != nil {
		return err
	}
	why := r.Violation.Error()
	if after.Violation != nil {
		why = after.Violation.Error()
	}
	var b bytes.Buffer
	if err := small.Write(&b, fmt.Sprintf("Found by seed %d. Broken %s\nPlay it with: ballast simulate --trace --scenario FILE", st.Seed, why)); err != nil {
		return err
	}
	p := a.printer()
	switch {
	case p.json:
		err = p.value(map[string]any{"seed": st.Seed, "rule": r.Violation.Rule, "scenario": b.String()})
	default:
		p.linef("\n%s", strings.TrimRight(b.String(), "\n"))
	}
	if f.write != "" {
		err = errors.Join(err, os.WriteFile(f.write, b.Bytes(), 0o644))
	}
	return errors.Join(err, withCode(exitDiffers, fmt.Errorf("seed %d: %w", st.Seed, r.Violation)))
}
