// SPDX-License-Identifier: Apache-2.0

//go:build race

package pubsub_test

// raceDetector: everything is several times slower, but the suite's own time
// limits are not.
const raceDetector = true
