// SPDX-License-Identifier: Apache-2.0

package server

import (
	"slices"
	"time"
)

// crowdVariable of the environment makes the test binary a crowd of miners: a
// process of its own, so that its memory, files and processor time are not the
// server's.
const crowdVariable = "BALLAST_TEST_CROWD"

// crowdPlan is what the crowd does.
type crowdPlan struct {
	Address string
	TLS     bool
	// Miners that connect, from as many source addresses as it takes.
	Miners int
	// Every is the time between two shares of a miner; 0 sends none.
	Every time.Duration
}

// crowdReport is what the crowd saw, written when its input ends.
type crowdReport struct {
	// Answers that were true, and others.
	Taken, Refused int
	// Quiet is the time from a share's write to its answer's arrival before the
	// first line of the crowd's input, Busy after it.
	Quiet, Busy crowdTimes
	// QuietCPU is the crowd's own processor time in the former.
	QuietCPU time.Duration
	// Arrivals of jobs at the miners.
	Arrivals map[string]crowdArrival
}

// crowdArrival is how many miners a job reached, and when 99 % of those and the
// last.
type crowdArrival struct {
	N         int
	P99, Last time.Time
}

// crowdTimes are quantiles.
type crowdTimes struct {
	N             int
	P50, P99, Max time.Duration
}

func quantiles(times []time.Duration) crowdTimes {
	slices.Sort(times)
	n := len(times)
	if n == 0 {
		return crowdTimes{}
	}
	return crowdTimes{N: n, P50: times[n/2], P99: times[n*99/100], Max: times[n-1]}
}
