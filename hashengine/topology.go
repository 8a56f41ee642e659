// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"cmp"
	"io/fs"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Core is a physical core of this machine, as far as this process may use it.
// Logical processors of one core (SMT, hyper-threading) share its execution
// units, so that two hashing threads on one core do hardly more than one.
type Core struct {
	// Package is the socket it is in, or 0 where that is not known.
	Package int
	// Capacity is its speed relative to the fastest core of the machine, which
	// has 1024; 0 where the system does not say.
	Capacity int
	// CPUs are the numbers of its logical processors, rising, at least one.
	CPUs []int
}

// Cores returns the physical cores on which this process may run, in the order
// in which a [Miner] takes them: fast ones before slow ones, by turns from each
// socket. Processors that are offline or that the process was excluded from
// (affinity, cpuset) do not appear.
//
// On Linux it is what the system tells (/sys/devices/system/cpu). A processor
// of which it tells nothing, and every processor on other systems, counts as a
// core of its own.
func Cores() []Core {
	allowed, err := allowedCPUs()
	if err != nil || len(allowed) == 0 {
		allowed = make([]int, runtime.NumCPU())
		for i := range allowed {
			allowed[i] = i
		}
	}
	return groupCores(topologyFS(), allowed)
}

// groupCores makes cores of the allowed processors, by the files below sys,
// laid out as Linux does in /sys/devices/system/cpu. sys may be nil.
func groupCores(sys fs.FS, allowed []int) []Core {
	leader := make(map[int]int, len(allowed)) // union-find over processors
	for _, cpu := range allowed {
		leader[cpu] = cpu
	}
	find := func(cpu int) int {
		for leader[cpu] != cpu {
			cpu = leader[cpu]
		}
		return cpu
	}
	join := func(a, b int) {
		a, b = find(a), find(b)
		leader[max(a, b)] = min(a, b)
	}
	type place struct{ socket, core int }
	at := make(map[place]int)
	sockets := make(map[int]int, len(allowed))
	for _, cpu := range allowed {
		socket, hasSocket := topologyNumber(sys, cpu, "topology/physical_package_id")
		sockets[cpu] = socket
		if siblings, err := siblingsOf(sys, cpu); err == nil {
			for _, sibling := range siblings {
				if _, ok := leader[sibling]; ok {
					join(cpu, sibling)
				}
			}
			continue
		}
		core, hasCore := topologyNumber(sys, cpu, "topology/core_id")
		if !hasSocket || !hasCore {
			continue
		}
		if other, ok := at[place{socket, core}]; ok {
			join(cpu, other)
		} else {
			at[place{socket, core}] = cpu
		}
	}
	byLeader := make(map[int]*Core)
	for _, cpu := range allowed {
		l := find(cpu)
		c := byLeader[l]
		if c == nil {
			capacity, _ := topologyNumber(sys, l, "cpu_capacity")
			c = &Core{Package: sockets[l], Capacity: capacity}
			byLeader[l] = c
		}
		c.CPUs = append(c.CPUs, cpu)
	}
	cores := make([]Core, 0, len(byLeader))
	for _, c := range byLeader {
		slices.Sort(c.CPUs)
		cores = append(cores, *c)
	}
	return spread(cores)
}

// spread orders cores for hashing.
func spread(cores []Core) []Core {
	slices.SortFunc(cores, func(a, b Core) int { return a.CPUs[0] - b.CPUs[0] })
	// turn is the place of a core among its like of the same socket.
	type like struct{ socket, capacity int }
	seen := make(map[like]int)
	turn := make(map[int]int, len(cores))
	for _, c := range cores {
		l := like{c.Package, c.Capacity}
		turn[c.CPUs[0]] = seen[l]
		seen[l]++
	}
	slices.SortFunc(cores, func(a, b Core) int {
		return cmp.Or(
			cmp.Compare(b.Capacity, a.Capacity),
			cmp.Compare(turn[a.CPUs[0]], turn[b.CPUs[0]]),
			cmp.Compare(a.Package, b.Package),
			cmp.Compare(a.CPUs[0], b.CPUs[0]),
		)
	})
	return cores
}

// siblingsOf returns the logical processors of a processor's core. Of the two
// names of that list, the second is meant to replace the first one day.
func siblingsOf(sys fs.FS, cpu int) ([]int, error) {
	text, err := topologyText(sys, cpu, "topology/thread_siblings_list")
	if err != nil {
		text, err = topologyText(sys, cpu, "topology/core_cpus_list")
	}
	if err != nil {
		return nil, err
	}
	return ParseCPUs(text)
}

// topologyNumber reads a file that holds a number. Kernels write -1 for what
// they do not know.
func topologyNumber(sys fs.FS, cpu int, name string) (int, bool) {
	text, err := topologyText(sys, cpu, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, false
	}
	return n, true
}

func topologyText(sys fs.FS, cpu int, name string) (string, error) {
	if sys == nil {
		return "", fs.ErrNotExist
	}
	b, err := fs.ReadFile(sys, "cpu"+strconv.Itoa(cpu)+"/"+name)
	return strings.TrimSpace(string(b)), err
}
