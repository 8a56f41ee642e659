// SPDX-License-Identifier: Apache-2.0

//go:build race

package simulate

// racing: the race detector is on, which makes a run ten times as long. A run
// has no second goroutine; a few are enough to prove it.
const racing = true
