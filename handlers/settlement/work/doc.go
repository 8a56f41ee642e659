// SPDX-License-Identifier: Apache-2.0

// Package work is the exact arithmetic of proof of work: targets, difficulty,
// work, subsidy, and what an accepted share is worth. Everything is an integer
// or a rational; nothing is rounded before a booking, and what a booking
// rounds off is handed back to be carried into the next one.
//
// The value of a share of difficulty D under a payout epoch is
//
//	reward · D · T(nBits) / D1 · (10^6 − fee) / 10^6, at most reward · (10^6 − fee) / 10^6
//
// with D1 = 0xffff·2^208. D is a decimal text, kept as D·10^30. In
// millisatoshi every epoch has the same denominator, Denominator, so one carry
// serves all epochs of a pool:
//
//	ep, err := work.NewEpoch("17034219", 317_500_000, 20_000)
//	d, err := work.ParseDifficulty("1048576")
//	var sum work.Sum
//	ep.Add(&sum, d)
//	credit, carry := ep.Credit(&sum, carry, events.MaxInteger)
//
// # Concurrency
//
// Functions are safe for concurrent use. An Epoch is read-only once made; a
// Sum belongs to one goroutine.
package work
