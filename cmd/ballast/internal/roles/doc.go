// SPDX-License-Identifier: Apache-2.0

// Package roles holds one fx module per role of a Ballast process: the bus, the
// dispatcher, the practice pool, a modelled fleet, a CPU worker, the ledger in
// SQL, and the sources of a demo. `ballast up` puts all of them into one process, `ballast
// serve` and `ballast worker` any of them; nothing else knows fx.
//
// # Usage
//
//	app := fx.New(roles.Bus(cfg), roles.Dispatcher(roles.DispatcherOptions{…}), roles.Worker(…))
//
// # Order
//
// Modules start in the order given and stop in reverse, so name them bus first
// and workers last: on shutdown power goes down before anything else, then
// sources and pools end, deciders drain, and the bus closes last. Start hooks
// do not block; every stop hook bounds itself.
//
// # Concurrency
//
// Each role runs in goroutines of its own and shares only the bus.
package roles
