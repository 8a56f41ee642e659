// SPDX-License-Identifier: Apache-2.0

package enginebench

import "time"

const (
	// clockRounds make a calibration of some 20 µs: long against what reading
	// the time costs, short against a chunk.
	clockRounds = 1024
	// unitRounds make a measurement of the SHA unit of 10 to 40 µs.
	unitRounds = 1500
)

// coreClock returns the cycles per nanosecond of this core now, 0 where that
// cannot be measured.
func coreClock() float64 {
	if addsPerRound == 0 {
		return 0
	}
	begin := time.Now()
	addChain(clockRounds)
	took := max(time.Since(begin), 1)
	return float64(clockRounds*addsPerRound) / float64(took)
}

// unitTime returns the nanoseconds that the core's SHA unit needs for one
// SHA256RNDS2 when it has always one to start.
func unitTime() float64 {
	begin := time.Now()
	shaChains(unitRounds)
	return float64(max(time.Since(begin), 1)) / float64(unitRounds*max(shaPerRound, 1))
}
