// SPDX-License-Identifier: Apache-2.0

// Package market publishes market.quote events from figures that a person
// gave: the network target, the block reward and the price of a bitcoin. It
// serves demos, tests and sites without a live feed, whose operators update
// the figures by hand.
//
// # Usage
//
//	err := market.Run(ctx, bus, "tx1", "desk", quote, time.Minute, log)
//
// # Concurrency
//
// Run belongs to one goroutine; several may run for different sites.
package market
