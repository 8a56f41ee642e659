// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ballast-energy/ballast/hashengine/internal/sha256d"
)

// Kernel is one way of computing the hashes.
type Kernel struct {
	// Name is a short word for configuration and reports.
	Name string
	// Summary says in one line what the kernel is.
	Summary string

	// One of the two makes engines: make for kernels that compute one hash at
	// a time, lanes for those that [laneEngine] drives.
	make  func() (Engine, error)
	lanes func() (sha256d.Kernel, error)
}

// New returns a new engine with this kernel. It fails on machines and builds
// that the kernel cannot run on; the error says what is missing.
func (k Kernel) New() (Engine, error) {
	if k.lanes != nil {
		bare, err := k.lanes()
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", k.Name, err)
		}
		return newLaneEngine(bare), nil
	}
	if k.make == nil {
		return nil, fmt.Errorf("kernel %q: %w: take one from Kernels", k.Name, ErrUnknownKernel)
	}
	return k.make()
}

// ErrUnknownKernel is wrapped when no kernel of a name exists.
var ErrUnknownKernel = errors.New("no such kernel")

// ErrNoInstructions is wrapped by [Kernel.New] where the processor, or the
// system that runs on it, lacks instructions of the kernel.
var ErrNoInstructions = sha256d.ErrNoInstructions

// AutoKernel is the name under which [KernelByName] gives what [Fastest] does.
const AutoKernel = "auto"

// kernels is the explicit list: those of the architecture and those of all.
var kernels = slices.Concat(archKernels, []Kernel{
	{Name: "stdlib", Summary: "crypto/sha256 from a midstate, with the processor's SHA instructions where Go uses them", make: newStdlib},
	{Name: "portable", Summary: "plain Go, any processor", make: newPortable},
})

// Kernels returns all kernels of this build, also those that this machine
// cannot run ([Kernel.New] tells), in no order of merit.
func Kernels() []Kernel { return slices.Clone(kernels) }

// KernelByName returns the kernel with the given name, or for [AutoKernel] the
// one that [Fastest] returns.
func KernelByName(name string) (Kernel, error) {
	if name == AutoKernel {
		return Fastest()
	}
	var names []string
	for _, k := range kernels {
		if k.Name == name {
			return k, nil
		}
		names = append(names, k.Name)
	}
	return Kernel{}, fmt.Errorf("kernel %q: %w: choose one of %s, %s", clip(name), ErrUnknownKernel, AutoKernel, strings.Join(names, ", "))
}
