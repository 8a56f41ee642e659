// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/software"
)

// Worker is how this machine hashes: the CPU worker of ballast worker and of
// ballast up, whose flags go before.
type Worker struct {
	Kernel         string `yaml:"kernel"`
	Threads        int    `yaml:"threads"`
	CPUs           string `yaml:"cpus"`
	Pin            bool   `yaml:"pin"`
	Nice           int    `yaml:"nice"`
	WattsPerThread int64  `yaml:"watts_per_thread"`
}

// Validate checks what can be known without the machine that it is for: which
// kernels and processors there are differs between machines, and the worker
// says so when it starts.
func (w *Worker) Validate() error {
	var errs []error
	if w.Threads < 0 || w.Threads > hashengine.MaxThreads {
		errs = append(errs, fmt.Errorf("threads %d: 1 to %d, or 0 for one per physical core", w.Threads, hashengine.MaxThreads))
	}
	if _, err := w.Processors(); err != nil {
		errs = append(errs, fmt.Errorf("cpus: %w", err))
	}
	if w.Nice < 0 || w.Nice > hashengine.DefaultNice {
		errs = append(errs, fmt.Errorf("nice %d: 1 to %d, or 0 for normal priority", w.Nice, hashengine.DefaultNice))
	}
	if w.WattsPerThread < 1 || w.WattsPerThread > software.MaxWattsPerThread {
		errs = append(errs, fmt.Errorf("watts_per_thread %d: 1 to %d", w.WattsPerThread, software.MaxWattsPerThread))
	}
	return errors.Join(errs...)
}

// Processors to hash on, nil for all.
func (w *Worker) Processors() ([]int, error) {
	if w.CPUs == "" {
		return nil, nil
	}
	return hashengine.ParseCPUs(w.CPUs)
}
