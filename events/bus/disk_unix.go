// SPDX-License-Identifier: Apache-2.0

//go:build unix

package bus

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// diskSpace is what the file system of dir has free for us, and in all, bytes.
func diskSpace(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("disk space of %s: %w", dir, err)
	}
	size := uint64(st.Bsize)
	return uint64(st.Bavail) * size, uint64(st.Blocks) * size, nil //nolint:unconvert // other systems have other widths
}
