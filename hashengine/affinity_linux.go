// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// canBind: whether threads can be bound to processors here.
const canBind = true

// bindThread lets the calling thread run on these processors only, and makes
// sure that the system did as it was told.
func bindThread(cpus []int) error {
	set := unix.NewCPUSet(slices.Max(cpus) + 1)
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinityDynamic(0, set); err != nil {
		return fmt.Errorf("binding a hashing thread to processors %s: %w", FormatCPUs(cpus), err)
	}
	// The system leaves out what a cpuset or an unplugging took away meanwhile.
	got, err := allowedCPUs()
	if err != nil {
		return err
	}
	if !slices.Equal(got, slices.Sorted(slices.Values(cpus))) {
		return fmt.Errorf("%w: binding to %s gave %s", ErrCPUs, FormatCPUs(cpus), FormatCPUs(got))
	}
	return nil
}
