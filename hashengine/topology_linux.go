// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// topologyFS is where the system describes its processors.
func topologyFS() fs.FS { return os.DirFS("/sys/devices/system/cpu") }

// allowedCPUs returns the processors on which the calling thread may run,
// rising. The kernel leaves out those that are offline or outside the cpuset.
func allowedCPUs() ([]int, error) {
	// The kernel refuses a set smaller than its own; machines with more than
	// 1,024 processors exist.
	for size := 1024; size <= MaxCPU+1; size *= 2 {
		set := unix.NewCPUSet(size)
		err := unix.SchedGetaffinityDynamic(0, set)
		if errors.Is(err, unix.EINVAL) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("asking which processors this process may use: %w", err)
		}
		var cpus []int
		for cpu := range size {
			if set.IsSet(cpu) {
				cpus = append(cpus, cpu)
			}
		}
		return cpus, nil
	}
	return nil, fmt.Errorf("asking which processors this process may use: %w", unix.EINVAL)
}
