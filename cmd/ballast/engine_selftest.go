// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/hashengine"
)

// Outcomes of a kernel's self-test.
const (
	testPassed  = "passed"
	testFailed  = "failed"
	testCannot  = "cannot-run-here"
	maxTestHits = 10_000_000
)

// testedKernel is a line of engine selftest --json.
type testedKernel struct {
	// Kernel is its name; the rest says what was done until the end or the
	// failure.
	hashengine.SelfTestReport
	// Result is passed, failed or cannot-run-here.
	Result string `json:"result"`
	// Error is why not passed.
	Error   string  `json:"error,omitempty"`
	Seed    uint64  `json:"seed"`
	Seconds float64 `json:"seconds"`
	err     error
}

// testKernel runs one self-test. It fails only if ctx ends.
func testKernel(ctx context.Context, k hashengine.Kernel, o hashengine.SelfTestOptions, progress func(done, of int)) (testedKernel, error) {
	begin := time.Now()
	r, err := k.SelfTest(ctx, o, progress)
	t := testedKernel{SelfTestReport: r, Result: testPassed, Seed: o.Seed, err: err}
	t.Kernel = k.Name
	switch {
	case err != nil && ctx.Err() != nil:
		return t, ctx.Err()
	case errors.Is(err, hashengine.ErrNoInstructions):
		t.Result = testCannot
	case err != nil:
		t.Result = testFailed
	}
	if err != nil {
		t.Error = err.Error()
	}
	t.Seconds = time.Since(begin).Seconds()
	return t, nil
}

func (a *app) engineSelfTestCommand() *cobra.Command {
	var names []string
	o := hashengine.SelfTestOptions{}
	c := &cobra.Command{
		Use:   "selftest",
		Short: "Prove that the kernels compute correctly on this processor",
		Long: `Every kernel has to find the blocks 0, 1 and 125552 of the main chain in every
lane, and hits planted at random places of random headers: each of them, once,
and nothing else. Plain code says what is to be found.

Exits 4 when a kernel fails, and 1 when no kernel that was asked for can run
here. Kernels that this processor cannot run are listed as such.`,
		Example: `  ballast engine selftest
  ballast engine selftest --kernel avx2 --hits 1000000
  ballast engine selftest --seed 7 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Hits < 1 || o.Hits > maxTestHits {
				return withCode(exitUsage, fmt.Errorf("--hits %d: want 1 to %d", o.Hits, maxTestHits))
			}
			if !cmd.Flags().Changed("seed") {
				o.Seed = rand.Uint64() >> 11 // exact in JSON as others read it
			}
			kernels, err := kernelsNamed(names)
			if err != nil {
				return err
			}
			p := a.printer()
			p.title(fmt.Sprintf("self-test: blocks 0, 1 and 125552, %s per kernel, seed %d", figures.Count(int64(o.Hits), "planted hit"), o.Seed))
			width, passed, failed := 0, 0, 0
			for _, k := range kernels {
				width = max(width, len(k.Name))
			}
			for _, k := range kernels {
				bar := a.steps(k.Name, int64(o.Hits))
				t, err := testKernel(cmd.Context(), k, o, func(done, _ int) { _ = bar.Set(done) })
				_ = bar.Finish()
				if err != nil {
					return err
				}
				switch t.Result {
				case testPassed:
					passed++
				case testFailed:
					failed++
				}
				if err := p.tested(t, width); err != nil {
					return err
				}
			}
			return verdict(passed, failed)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&names, "kernel", nil, "test only the kernel `NAME`; may be repeated (default: all)")
	f.IntVar(&o.Hits, "hits", hashengine.DefaultSelfTestHits, "hits to plant per kernel")
	f.Uint64Var(&o.Seed, "seed", 0, "seed of headers, places and targets (default: another each time; it is printed)")
	return c
}

// verdict of a number of self-tests as an exit code.
func verdict(passed, failed int) error {
	switch {
	case failed > 0:
		return withCode(exitDiffers, fmt.Errorf("%s computed wrongly: never trust what it finds on this machine", figures.Count(int64(failed), "kernel")))
	case passed == 0:
		return errors.New("no kernel that was asked for can run here: nothing was tested")
	}
	return nil
}

// tested prints the outcome of one self-test.
func (p *printer) tested(t testedKernel, width int) error {
	if p.json {
		return p.value(t)
	}
	why := strings.TrimPrefix(t.Error, "kernel "+t.Kernel+": ")
	switch t.Result {
	case testCannot:
		p.linef("  %-*s %s", width, t.Kernel, p.paint(codeDim, "cannot run here: "+why))
	case testFailed:
		p.linef("  %-*s %s", width, t.Kernel, p.paint(codeBad, "FAILED: "+why))
	default:
		lanes := ""
		if t.LanesOf > 0 {
			lanes = fmt.Sprintf(", at %s of %s of a tile", figures.Int(t.Lanes), figures.Count(int64(t.LanesOf), "place"))
		}
		p.linef("  %-*s %s: %s, %s of %s%s, %s compared, %.1f s", width, t.Kernel, p.paint(codeGood, "passed"), figures.Count(int64(t.Blocks), "block"),
			figures.Int(t.Found), figures.Count(int64(t.Planted), "hit"), lanes, figures.Int(t.Hashes)+" hashes", t.Seconds)
	}
	return nil
}
