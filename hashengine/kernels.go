// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kernel is one way of computing the hashes.
type Kernel struct {
	// Name is a short word for configuration and reports.
	Name string
	// Summary says in one line what the kernel is.
	Summary string

	make func() (Engine, error)
}

// New returns a new engine with this kernel. It fails on machines and builds
// that the kernel cannot run on.
func (k Kernel) New() (Engine, error) {
	if k.make == nil {
		return nil, fmt.Errorf("kernel %q: %w: take one from Kernels", k.Name, ErrUnknownKernel)
	}
	return k.make()
}

// ErrUnknownKernel is wrapped when no kernel of a name exists.
var ErrUnknownKernel = errors.New("no such kernel")

// kernels is the explicit list: a new kernel is one file and one line here.
var kernels = []Kernel{
	{"stdlib", "crypto/sha256 from a midstate, with the processor's SHA instructions where Go uses them", newStdlib},
	{"generic", "plain Go, any processor", newGeneric},
}

// Kernels returns all kernels of this build in no order of merit.
func Kernels() []Kernel { return slices.Clone(kernels) }

// KernelByName returns the kernel with the given name.
func KernelByName(name string) (Kernel, error) {
	var names []string
	for _, k := range kernels {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kernel{}, fmt.Errorf("kernel %q: %w: choose one of %s", clip(name), ErrUnknownKernel, strings.Join(names, ", "))
}

// Fastest returns the kernel that does the most hashes per second on this
// machine, among those that run and pass [Check]. It is measured on the first
// call, which takes some milliseconds, and remembered. It fails only if no
// kernel computes correctly.
func Fastest() (Kernel, error) { return fastest() }

var fastest = sync.OnceValues(func() (Kernel, error) {
	var best Kernel
	var bestRate float64
	var refused error
	for _, k := range kernels {
		rate, err := k.rate()
		if err != nil {
			refused = errors.Join(refused, err)
			continue
		}
		if rate > bestRate {
			best, bestRate = k, rate
		}
	}
	if bestRate == 0 {
		return Kernel{}, fmt.Errorf("no kernel runs on this machine: %w", refused)
	}
	return best, nil
})

// rate returns hashes per second of the quickest of several calls: the one
// that other load disturbed least.
func (k Kernel) rate() (float64, error) {
	e, err := k.New()
	if err != nil {
		return 0, err
	}
	if err := Check(e); err != nil {
		return 0, fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	work := NewWork(knownBlocks[0].header(), VersionRollingMask, Target{31: 1})
	if err := e.Load(&work); err != nil {
		return 0, fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	const calls = 40 // the first ones find the size of a call
	var best float64
	var hits [1]Hit
	for range calls {
		begin := time.Now()
		r := e.Scan(hits[:])
		took := max(time.Since(begin), 1)
		best = max(best, float64(r.Hashes)/took.Seconds())
	}
	return best, nil
}
