// SPDX-License-Identifier: Apache-2.0

// Package agent connects units that draw power to the bus: it announces them,
// folds commands into their permit machines (package permit), drives them, and
// reports what they do.
//
// # Usage
//
//	a, err := agent.New(agent.Config{Site: "tx1", Agent: "rig-17"}, bus, driver)
//	err = a.Run(ctx) // until ctx ends; then powers down and says goodbye
//
// A [Driver] is whatever stands behind the units: the software miner, modelled
// machines, a fleet of ASICs. It lists its units, takes orders in watts and
// fills in measurements. A driver that also is a [Worker] is given mining work;
// one that is a [Drainer] is asked to finish on shutdown. An [Outbox] keeps
// what a worker has to publish until the bus has it.
//
// # What it hears and says
//
// Reductions come straight from the wire, on command.curtail.<agent> and
// command.broadcast; raises only as the server repeats them after storing,
// on stored.command.ramp.<agent>; renewals on permit.renewed.<agent>. It
// publishes worker.status: an announcement at start, when the connection comes
// back, and every AnnouncePeriod; every unit every StatusPeriod; and at once
// for units whose state changed or that obeyed a command; answers to a broadcast
// come within some hundredths of a second. Announcements are
// repeated until the bus acknowledges them. There is nothing to subscribe to
// for "announce yourself": who starts late hears everybody within
// AnnouncePeriod.
//
// When the bus is lost the agent goes on: leases run out and the units go to
// failsafe by themselves.
//
// # Concurrency properties
//
// One goroutine per agent does everything: it receives from one channel that
// all subscriptions feed, so messages are folded in the order in which the
// connection delivered them, and it calls the driver. Hundreds of agents may
// share a connection or have one each. Methods of Agent and Outbox may be
// called from anywhere; those of a Driver are called by the agent's goroutine
// only, and must not block.
package agent
