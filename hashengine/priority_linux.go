// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// lowerThreadPriority gives the calling thread the nice value. On Linux
// nice values belong to threads, not to processes as POSIX has it. Where the
// kernel groups tasks (control groups, autogroup), the value counts within the
// group only; a service that shall yield to others needs a low CPUWeight, too.
func lowerThreadPriority(nice int) error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice); err != nil {
		return fmt.Errorf("lowering the priority of a hashing thread to nice %d: %w", nice, err)
	}
	return nil
}
