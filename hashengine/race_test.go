// SPDX-License-Identifier: Apache-2.0

//go:build race

package hashengine

// raceDetector: the compiler instruments what it would otherwise optimise
// away, so that crypto/sha256 allocates when it saves its state.
const raceDetector = true
