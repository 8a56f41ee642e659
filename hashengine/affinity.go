// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
)

// ErrCPUs is wrapped when hashing threads cannot be placed as the configuration
// asks.
var ErrCPUs = errors.New("hashing threads cannot be placed on these processors")

// DefaultThreads returns the number of threads that a [Miner] has whose
// configuration says [MinerConfig.Threads] 0 and these [MinerConfig.CPUs].
//
// It is the number of physical cores among the processors that may be used: a
// second thread on a core of the kind that runs two adds little, and takes
// from everything else. If the runtime keeps GOMAXPROCS below the number of
// processors, because of a container's limit or because somebody set it, there
// are at most that number less one, but never less than one: nothing but the
// limit itself holds back hashing within it, since it counts time regardless
// of priorities, and when the time of a period is used up the whole process
// stands still.
func DefaultThreads(cpus []int) (int, error) {
	cores, err := chosenCores(cpus)
	if err != nil {
		return 0, err
	}
	return defaultThreads(len(cores), givenProcs(), runtime.NumCPU()), nil
}

// place settles the number of threads and returns for each the processors that
// it is bound to, nil for those that are not bound.
func (c *MinerConfig) place() ([][]int, error) {
	if c.Threads < 0 || c.Threads > MaxThreads {
		return nil, fmt.Errorf("%w: %d, want 1 to %d, or 0 for one per physical core", ErrThreads, c.Threads, MaxThreads)
	}
	if c.Pin && !canBind {
		return nil, errCannotBind()
	}
	if c.Threads == 0 {
		n, err := DefaultThreads(c.CPUs)
		if err != nil {
			return nil, err
		}
		c.Threads = min(n, MaxThreads)
	}
	cores, err := chosenCores(c.CPUs)
	if err != nil {
		return nil, err
	}
	return placeThreads(cores, c.Threads, len(c.CPUs) > 0, c.Pin)
}

// errCannotBind names what the system does not offer.
func errCannotBind() error {
	return fmt.Errorf("binding threads to processors on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// defaultThreads is the rule: given is GOMAXPROCS without what miners added,
// all what it would be without a limit.
func defaultThreads(cores, given, all int) int {
	if given >= all {
		return cores
	}
	return max(1, min(cores, given-1))
}

// chosenCores returns the cores of the chosen processors. No choice means all.
func chosenCores(cpus []int) ([]Core, error) {
	if len(cpus) == 0 {
		return Cores(), nil
	}
	if !canBind {
		return nil, errCannotBind()
	}
	return restrictCores(Cores(), cpus)
}

// restrictCores reduces cores to the chosen processors, in the order of cores.
func restrictCores(cores []Core, cpus []int) ([]Core, error) {
	var allowed []int
	var chosen []Core
	for _, core := range cores {
		allowed = append(allowed, core.CPUs...)
		core.CPUs = slices.DeleteFunc(slices.Clone(core.CPUs), func(cpu int) bool { return !slices.Contains(cpus, cpu) })
		if len(core.CPUs) > 0 {
			chosen = append(chosen, core)
		}
	}
	var strange []int
	for _, cpu := range cpus {
		if !slices.Contains(allowed, cpu) {
			strange = append(strange, cpu)
		}
	}
	if len(strange) > 0 {
		return nil, fmt.Errorf("%w: this process may use processors %s, not %s", ErrCPUs, FormatCPUs(allowed), FormatCPUs(strange))
	}
	return chosen, nil
}

// placeThreads returns for each of n threads the processors that it is bound
// to, nil for a thread that is not bound. Pinned threads go round the cores; a
// thread that has a core to itself may use all of its processors, so that it
// can step aside from whatever else runs on one of them, and threads that share
// a core get one processor each. Threads that are not pinned may use all chosen
// processors.
func placeThreads(cores []Core, n int, choose, pin bool) ([][]int, error) {
	places := make([][]int, n)
	switch {
	case pin:
		have := 0
		for _, core := range cores {
			have += len(core.CPUs)
		}
		if n > have {
			return nil, fmt.Errorf("%w: %d threads cannot be pinned to %d processors", ErrCPUs, n, have)
		}
		for i, round := 0, 0; i < n; round++ {
			for c := 0; c < len(cores) && i < n; c++ {
				if round < len(cores[c].CPUs) {
					places[i] = cores[c].CPUs[round : round+1]
					i++
				}
			}
		}
		widenLone(cores, places)
	case choose:
		var all []int
		for _, core := range cores {
			all = append(all, core.CPUs...)
		}
		slices.Sort(all)
		for i := range places {
			places[i] = all
		}
	}
	return places, nil
}

// widenLone gives every thread that is alone on its core the whole core.
func widenLone(cores []Core, places [][]int) {
	for _, core := range cores {
		lone, threads := 0, 0
		for i, cpus := range places {
			if slices.Contains(core.CPUs, cpus[0]) {
				lone = i
				threads++
			}
		}
		if threads == 1 {
			places[lone] = core.CPUs
		}
	}
}
