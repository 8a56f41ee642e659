// SPDX-License-Identifier: Apache-2.0

// Package host runs deciders on the bus: it reads the journal of one site in
// order, folds it, and publishes what the folds decide, each decision once
// however many hosts run.
//
// # Usage
//
//	h, err := host.New(host.Config{
//		Bus: b, Site: "tx1", Name: "host-a", ActivateIfNone: true,
//		Deciders: []host.Factory{func() (decider.Decider, error) { return dispatch.New(cfg) }},
//	})
//	err = h.Run(ctx)
//
// Start as many as you like, in one process or on many machines: no leader is
// elected. Equal replicas give equal message ids and the server keeps one
// copy. Which version speaks is written in INPUTS (Activate); a host of
// another version folds silently.
//
// A host also relays INPUTS and share verdicts of its site into JOURNAL, offers
// the tick, and purges JOURNAL behind the stored snapshots.
//
// # What goes on the wire, and when
//
// The outputs of one cause are one atomic batch per stream. While batches are
// unconfirmed, the causes behind them gather into the next one, except
// reductions, which leave at once and take along what waits before them. After
// an error other than "already stored" the host goes back to the first
// unconfirmed cause. A replica that comes second leaves unhurried causes to the
// first for a moment and sends what it does not see stored by then.
//
// Before it repeats anything whose id the server may have forgotten, a host
// looks into the output streams: at its start, after a pause of its own longer
// than half the duplicate window by either clock, and for causes older than
// that.
//
// Where the journal has lost causes whose outputs are booked, the host that
// folds to its end reverses those bookings, once: what follows from the facts
// that were relayed again is booked anew.
//
// The rules are in package replica, without I/O: the simulation follows the same
// ones.
//
// # Concurrency
//
// Host is safe for concurrent use; Run may be called once. Each decider is
// folded by one goroutine.
package host
