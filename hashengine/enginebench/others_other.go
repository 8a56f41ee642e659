// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package enginebench

import "time"

// others is not known here.
func others() (time.Duration, bool) { return 0, false }

// ownTime is not known here.
func ownTime() time.Duration { return 0 }

// threadTime is not known here.
func threadTime() time.Duration { return 0 }
