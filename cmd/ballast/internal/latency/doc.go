// SPDX-License-Identifier: Apache-2.0

// Package latency measures how long a grid signal takes to stop machines: on
// the real bus with fsync, through the real deciders, to real permit machines,
// while readings arrive and all cores hash.
//
// # Usage
//
//	r, err := latency.Run(ctx, latency.Config{Units: 1000, Rounds: 40}, progress)
//
// Each round waits until every unit runs, publishes a curtail to 0 W and takes
// the time until it is decided, received and the last unit is stopped; then it
// cancels the signal. [RunTrip] takes one meter reading in a power tree in the
// place of the signal, which lowers the units beneath a feed, until the last is
// stopped and its curtail stored. [RunEngine] measures the shorter way from a published
// reduction to a stopped hash engine.
//
// # Concurrency
//
// One Run at a time: it loads the whole machine on purpose.
package latency
