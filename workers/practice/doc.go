// SPDX-License-Identifier: Apache-2.0

// Package practice is a pool for a private practice chain: it hands out real
// work, checks real shares, and needs no network. Nothing it credits is money,
// and every verdict says so.
//
// # Usage
//
//	pool, err := practice.New(practice.Config{Site: "demo", Gateway: "practice"}, bus)
//	err = pool.Run(ctx)
//
// # What it does
//
// It hears worker.status. An agent that announces itself has work within the
// moment, with an extranonce slice of its own and a share difficulty after its
// announced hash rate; everybody gets new work every JobPeriod and whenever a
// share solves a block of the practice chain.
//
// It consumes share.found through a durable consumer and publishes one verdict
// for each: accepted, rejected with a reason, or unknown when the work is not
// known any more. A real share is checked in full: coinbase, merkle root,
// header, hash, target, time, version bits, duplicate. A share that is labelled
// as modelled has nothing to check; it is credited on the modelled basis, at the
// newest market quote (package quotes). Real and modelled never mix: a share of the one kind for
// a job of the other is rejected.
//
// Verdicts of one round are stored in one atomic batch before the shares are
// acknowledged. On any failure, and after a kill, it starts over from what is
// stored: the work in JOBS and the verdicts in SHARES behind the consumer's
// acknowledged place. So no share is lost and none gets two verdicts, however
// long it was away.
//
// One pool at a time runs per site and gateway id.
//
// # The seam
//
// Work and shares travel as events only, so a gateway to a real pool takes the
// place of this package without any other room noticing.
//
// # Concurrency
//
// Run's goroutine owns everything; Stats may be called from anywhere.
package practice
