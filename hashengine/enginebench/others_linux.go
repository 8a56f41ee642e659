// SPDX-License-Identifier: Apache-2.0

package enginebench

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// others returns the processor time that other processes of the machine, and
// other tenants that were given its processors, have had so far.
func others() (time.Duration, bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	all, ok := busy(string(stat))
	return all - ownTime(), ok
}

// ownTime returns the processor time that this process has had so far.
func ownTime() time.Duration { return timeOf(unix.RUSAGE_SELF) }

// threadTime returns that of the calling thread.
func threadTime() time.Duration { return timeOf(unix.RUSAGE_THREAD) }

func timeOf(who int) time.Duration {
	var u unix.Rusage
	if unix.Getrusage(who, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// busy adds up the first line of /proc/stat: user, nice, system, idle, iowait,
// irq, softirq and steal, all processors together, in hundredths of a second
// (USER_HZ, the same on every architecture that Go runs on). Guests are
// contained in user.
func busy(stat string) (time.Duration, bool) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	var ticks int64
	for i, f := range fields[1:9] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, false
		}
		if idle := i == 3 || i == 4; !idle {
			ticks += n
		}
	}
	return time.Duration(ticks) * (time.Second / 100), true
}
