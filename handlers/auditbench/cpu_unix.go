// SPDX-License-Identifier: Apache-2.0

//go:build unix

package auditbench

import (
	"syscall"
	"time"
)

// cpuTime of this process so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
