// SPDX-License-Identifier: Apache-2.0

//go:build !race

package simulate

// racing: the race detector is on.
const racing = false
