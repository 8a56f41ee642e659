// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package agent

import (
	"time"

	"github.com/ballast-energy/ballast/workers/permit"
)

// Monotonic reads the clock that leases run on.
func Monotonic() permit.Instant { return permit.Instant(time.Since(started)) }

var started = time.Now()
