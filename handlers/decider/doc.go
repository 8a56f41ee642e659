// SPDX-License-Identifier: Apache-2.0

// Package decider is the contract between the pure folds that decide and the
// hosts that feed them: the Decider interface, the Outbox for its outputs, and
// the Runner that keeps what every decider needs besides its own state (epoch,
// relayed facts already folded, activation, journal chain).
//
// Nothing in this package touches a bus, a clock or a disk, so hosts, audit
// replay, scenario tests and simulations all run the same code.
//
// # Concurrency
//
// One goroutine per Decider, Outbox and Runner. Different sites or deciders
// share nothing.
package decider
