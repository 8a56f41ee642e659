// SPDX-License-Identifier: Apache-2.0

//go:build race

package settlement

// underRace says that the race detector slows everything down.
const underRace = true
