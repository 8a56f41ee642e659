// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package hashengine

import (
	"errors"
	"io/fs"
)

// topologyFS: there is no description of the processors as files.
func topologyFS() fs.FS { return nil }

// allowedCPUs reports that the system has no numbers for its processors that a
// process could use.
func allowedCPUs() ([]int, error) { return nil, errors.ErrUnsupported }
