// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// diskSpace is what the file system of dir has free for us, and in all, bytes.
func diskSpace(dir string) (free, total uint64, err error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err == nil {
		err = windows.GetDiskFreeSpaceEx(p, &free, &total, nil)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("disk space of %s: %w", dir, err)
	}
	return free, total, nil
}
