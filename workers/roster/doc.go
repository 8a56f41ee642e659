// SPDX-License-Identifier: Apache-2.0

// Package roster keeps account of the agents that a pool or gateway serves, as
// their statuses tell: who lives, what each can hash, and how hard its shares
// should be.
//
// # Usage
//
//	r := roster.New()
//	miner, needs := r.Heard(agent, status, now)
//	scale := r.Scale(roster.Rates{PerAgent: 1, AllReal: 20, AllModelled: 20})
//	text := scale.Difficulty(miner)
//
// # Concurrency
//
// A Roster belongs to one goroutine at a time.
package roster
