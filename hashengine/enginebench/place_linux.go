// SPDX-License-Identifier: Apache-2.0

package enginebench

import (
	"math/bits"

	"golang.org/x/sys/unix"
)

// stay keeps the calling thread on the last of the processors that it may use
// (the first has most of the interrupts), and reports whether that worked.
func stay() bool {
	var allowed, one unix.CPUSet
	if unix.SchedGetaffinity(0, &allowed) != nil {
		return false
	}
	for cpu := len(allowed)*bits.UintSize - 1; cpu >= 0; cpu-- {
		if allowed.IsSet(cpu) {
			one.Set(cpu)
			return unix.SchedSetaffinity(0, &one) == nil
		}
	}
	return false
}

// yieldTo lowers the calling thread to a nice value, as a miner lowers its own.
func yieldTo(nice int) {
	// Refused it stays at normal priority, as the miner's threads then do.
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice)
}
