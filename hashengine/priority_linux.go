// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// lowestNice is the weakest claim to the processor among ordinary threads: a
// share of 15 against the usual 1024.
const lowestNice = 19

// lowerThreadPriority gives the calling thread the lowest priority. On Linux
// nice values belong to threads, not to processes as POSIX has it. Where the
// kernel groups tasks (control groups, autogroup), the value counts within the
// group only; a service that shall yield to others needs a low CPUWeight, too.
func lowerThreadPriority() error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), lowestNice); err != nil {
		return fmt.Errorf("lowering the priority of a hashing thread to nice %d: %w", lowestNice, err)
	}
	return nil
}
