// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
)

// doctorHits are planted per kernel: enough for every lane, a fraction of a
// second for all.
const doctorHits = 200

// checkEngine tests the kernels of this machine. It fails only if ctx ends.
func checkEngine(ctx context.Context) ([]bus.Finding, error) {
	choice, err := hashengine.Choose()
	var tests []testedKernel
	for _, k := range hashengine.Kernels() {
		t, err := testKernel(ctx, k, hashengine.SelfTestOptions{Hits: doctorHits, Seed: 1}, nil)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return engineFindings(&choice, err, tests), nil
}

// engineFindings judges the kernels. refused is the error of the choice.
func engineFindings(choice *hashengine.Choice, refused error, tests []testedKernel) []bus.Finding {
	var out []bus.Finding
	tested, cannot := 0, []string{}
	for _, t := range tests {
		switch t.Result {
		case testPassed:
			tested++
		case testCannot:
			cannot = append(cannot, t.Kernel)
		default:
			out = append(out, bus.Finding{
				Check: "kernel " + t.Kernel, Level: bus.LevelCritical,
				Message: strings.TrimPrefix(t.Error, "kernel "+t.Kernel+": "),
				Remedy:  "repeat ballast engine selftest --kernel " + t.Kernel + "; if results change, the processor or its clock is at fault: do not mine here; if not, report it",
			})
		}
	}
	if refused != nil {
		return append(out, bus.Finding{Check: "hash engine", Level: bus.LevelCritical, Message: refused.Error(), Remedy: "this machine cannot hash: run workers elsewhere"})
	}
	rolling, fixed := choice.Rolling.Kernel.Name, choice.Fixed.Kernel.Name
	f := bus.Finding{Check: "hash engine", Level: bus.LevelOK, Message: rolling + " for all work"}
	if rolling != fixed {
		f.Message = rolling + " where versions roll, " + fixed + " where the version is fixed"
	}
	f.Message += fmt.Sprintf("; %d of %s pass their self-test", tested, figures.Count(int64(len(tests)), "kernel"))
	if len(cannot) > 0 {
		f.Message += ", this processor cannot run " + strings.Join(cannot, ", ")
	}
	if wide := len(tests) > 2; wide && slow(rolling) && slow(fixed) {
		f.Level = bus.LevelWarning
		f.Remedy = "hashing takes several times the energy that it must: if this is a virtual machine, let it see the processor's SHA and vector instructions"
	}
	return append(out, f)
}

// slow says whether a kernel is one for processors without any better: those
// that every build has.
func slow(kernel string) bool { return kernel == "portable" || kernel == "stdlib" }
