// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/ballast-energy/ballast/workers/permit"
)

// Monotonic reads the clock that leases run on. It counts the time that the
// machine sleeps, too: a lease is over after a suspension.
func Monotonic() permit.Instant {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return permit.Instant(time.Since(started))
	}
	return permit.Instant(ts.Nano())
}

var started = time.Now()
