// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package busbench

import "time"

// CPUTime is not known here: 0.
func CPUTime() time.Duration { return 0 }
