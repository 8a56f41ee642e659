// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/hashengine"
)

// hashFlags say how a CPU worker of this process hashes, where the
// configuration does not.
type hashFlags struct {
	cmd *cobra.Command
	config.Worker
}

// add defines the flags of a command; threads is the default of --threads and
// zero what its zero means.
func (h *hashFlags) add(c *cobra.Command, threads int, zero string) {
	h.cmd = c
	f := c.Flags()
	f.StringVar(&h.Kernel, "kernel", hashengine.AutoKernel, "`name` of the hash kernel; auto measures which is fastest here")
	f.IntVar(&h.Threads, "threads", threads, "hashing threads; 0 "+zero)
	f.StringVar(&h.CPUs, "cpus", "", "hash on these processors only, a `list` like 2-7,10 (Linux)")
	f.BoolVar(&h.Pin, "pin", false, "keep each hashing thread on a core of its own (Linux)")
	f.IntVar(&h.Nice, "nice", hashengine.DefaultNice, "nice value of the hashing threads: 1 to 19, or 0 for normal priority")
}

// over returns the configuration with the flags that were given laid over it.
func (h *hashFlags) over(w config.Worker) config.Worker {
	for name, set := range map[string]func(){
		"kernel":           func() { w.Kernel = h.Kernel },
		"threads":          func() { w.Threads = h.Threads },
		"cpus":             func() { w.CPUs = h.CPUs },
		"pin":              func() { w.Pin = h.Pin },
		"nice":             func() { w.Nice = h.Nice },
		"watts-per-thread": func() { w.WattsPerThread = h.WattsPerThread },
	} {
		if h.cmd.Flags().Changed(name) {
			set()
		}
	}
	return w
}

// hashingOf fills in the options of a worker role. What is wrong is wrong usage.
func hashingOf(w config.Worker, o *roles.WorkerOptions) error {
	cpus, err := checkHashing(&w)
	if err != nil {
		return withCode(exitUsage, fmt.Errorf("worker: %w", err))
	}
	o.Kernel, o.Threads, o.CPUs, o.Pin, o.WattsPerThread = w.Kernel, w.Threads, cpus, w.Pin, w.WattsPerThread
	o.Nice, o.NormalPriority = w.Nice, w.Nice == 0
	return nil
}

// checkHashing finds what cannot work here before anything is connected or
// started, and returns the processors to hash on.
func checkHashing(w *config.Worker) ([]int, error) {
	if err := w.Validate(); err != nil {
		return nil, err
	}
	if w.Kernel != hashengine.AutoKernel { // which is measured when it is needed
		kernel, err := hashengine.KernelByName(w.Kernel)
		if err == nil {
			_, err = kernel.New()
		}
		if err != nil {
			return nil, err
		}
	}
	cpus, err := w.Processors()
	if err == nil {
		_, err = hashengine.DefaultThreads(cpus)
	}
	return cpus, err
}
