// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package hashengine

import (
	"errors"
	"fmt"
)

// lowerThreadPriority reports that it cannot: outside Linux a nice value is
// that of the whole process, whose other goroutines are not to be slowed down.
// Start the process at a lower priority instead.
func lowerThreadPriority(int) error {
	return fmt.Errorf("lowering the priority of a single thread: %w", errors.ErrUnsupported)
}
