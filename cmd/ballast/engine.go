// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/hashengine/enginebench"
)

func (a *app) engineCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "engine list|selftest|bench",
		Short: "The hash engine of this machine: its kernels, their proof, their speed",
		Long: `A kernel is one way of computing double SHA-256 on one instruction set. At the
start those that run on this processor are checked with known answers and
measured for a few milliseconds; the quickest is used where a pool allows
version rolling, and the quickest where it does not. No bus is needed.`,
		Example: `  ballast engine list
  ballast engine selftest
  ballast engine bench --json | jq 'select(.case == "kernel")'`,
	}
	c.AddCommand(a.engineListCommand(), a.engineSelfTestCommand(), a.engineBenchCommand())
	return c
}

// Roles that a kernel can be chosen for.
const (
	roleRolling = "version-rolling"
	roleFixed   = "fixed-version"
)

// chosenFor are the roles of a kernel on this machine.
func chosenFor(c *hashengine.Choice, name string) []string {
	chosen := []string{}
	if c.Rolling.Kernel.Name == name {
		chosen = append(chosen, roleRolling)
	}
	if c.Fixed.Kernel.Name == name {
		chosen = append(chosen, roleFixed)
	}
	return chosen
}

// listedKernel is a line of engine list --json.
type listedKernel struct {
	Kernel  string `json:"kernel"`
	Summary string `json:"summary"`
	// Runs: the machine can run it and it computes correctly; WhyNot if not.
	Runs   bool   `json:"runs"`
	WhyNot string `json:"why_not,omitempty"`
	// ChosenFor is empty, or some of version-rolling and fixed-version.
	ChosenFor []string `json:"chosen_for"`
	// Clean rates of one core, with --measure.
	RollingMHs float64 `json:"rolling_clean_mhs_per_core,omitempty"`
	FixedMHs   float64 `json:"fixed_clean_mhs_per_core,omitempty"`
}

func (a *app) engineListCommand() *cobra.Command {
	var measure bool
	c := &cobra.Command{
		Use:   "list",
		Short: "Kernels, whether they run here, and which are chosen",
		Long: `Lists all kernels of this build: whether this machine can run them or what it
lacks, and which are used where versions may be rolled and where they are
fixed. With --measure also the best speed of one core, from a second of
measuring; ballast engine bench takes its time.`,
		Example: `  ballast engine list
  ballast engine list --measure
  ballast engine list --json | jq -r 'select(.runs) | .kernel'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			choice, err := hashengine.Choose()
			if err != nil {
				return err
			}
			var list []listedKernel
			for _, k := range hashengine.Kernels() {
				l := listedKernel{Kernel: k.Name, Summary: k.Summary, Runs: true, ChosenFor: chosenFor(&choice, k.Name)}
				if why := choice.Refused[k.Name]; why != nil {
					l.Runs, l.WhyNot = false, why.Error()
				}
				list = append(list, l)
			}
			if measure {
				if err := a.measureKernels(cmd.Context(), list); err != nil {
					return err
				}
			}
			return a.printer().kernels(list)
		},
	}
	c.Flags().BoolVar(&measure, "measure", false, "measure each kernel, for two seconds in all")
	return c
}

// measureKernels fills in the speeds.
func (a *app) measureKernels(ctx context.Context, list []listedKernel) error {
	bar := a.steps("measuring", 1000)
	r, err := enginebench.Kernels(ctx, enginebench.Config{Duration: 4 * time.Second}, func(_ string, permille int) { _ = bar.Set(permille) })
	_ = bar.Finish()
	if err != nil {
		return err
	}
	for i := range list {
		for _, k := range r.Kernels {
			switch {
			case k.Kernel != list[i].Kernel:
			case k.VersionRolling:
				list[i].RollingMHs = k.CleanRate
			default:
				list[i].FixedMHs = k.CleanRate
			}
		}
	}
	return nil
}

// kernels prints the list.
func (p *printer) kernels(list []listedKernel) error {
	width := 0
	for _, l := range list {
		width = max(width, len(l.Kernel))
	}
	for _, l := range list {
		if p.json {
			if err := p.value(l); err != nil {
				return err
			}
			continue
		}
		mark, code, what := " ", "", "runs here"
		switch {
		case !l.Runs:
			code, what = codeDim, l.WhyNot
		case len(l.ChosenFor) == 2:
			mark, code, what = "*", codeGood, "chosen for all work"
		case len(l.ChosenFor) == 1 && l.ChosenFor[0] == roleRolling:
			mark, code, what = "*", codeGood, "chosen where versions roll"
		case len(l.ChosenFor) == 1:
			mark, code, what = "*", codeGood, "chosen where the version is fixed"
		}
		if l.RollingMHs > 0 {
			what += fmt.Sprintf(" · %.1f MH/s per core rolling, %.1f fixed", l.RollingMHs, l.FixedMHs)
		}
		p.linef("%s %-*s %s", mark, width, l.Kernel, p.paint(code, strings.TrimPrefix(what, "kernel "+l.Kernel+": ")))
		p.linef("  %-*s %s", width, "", p.paint(codeDim, l.Summary))
	}
	return nil
}

// steps is a bar of counted steps on standard error, silent where that is no
// terminal.
func (a *app) steps(what string, of int64) *progressbar.ProgressBar {
	if a.json || !isatty.IsTerminal(a.err.Fd()) {
		return progressbar.DefaultSilent(of)
	}
	return progressbar.NewOptions64(of, progressbar.OptionSetWriter(a.err), progressbar.OptionSetDescription(what),
		progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionEnableColorCodes(false))
}

// kernelsNamed are those of a flag, or all.
func kernelsNamed(names []string) ([]hashengine.Kernel, error) {
	if len(names) == 0 {
		return hashengine.Kernels(), nil
	}
	var out []hashengine.Kernel
	for _, name := range names {
		k, err := hashengine.KernelByName(name)
		if errors.Is(err, hashengine.ErrUnknownKernel) {
			return nil, withCode(exitUsage, err)
		}
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(out, func(o hashengine.Kernel) bool { return o.Name == k.Name }) {
			out = append(out, k)
		}
	}
	return out, nil
}
