// SPDX-License-Identifier: Apache-2.0

//go:build unix

package busbench

import (
	"syscall"
	"time"
)

// CPUTime of this process so far, of all its threads; 0 where the system does not
// tell.
func CPUTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
