// SPDX-License-Identifier: Apache-2.0

// Package software is a worker that really hashes SHA-256d on this machine's
// processors, as one unit whose power can be set.
//
// # Usage
//
//	w, err := software.New(software.Config{Site: "tx1", Agent: "rig-17"}, bus)
//	defer w.Close()
//	err = w.Run(ctx) // until ctx ends
//
// # Hashing
//
// Without more said, the fastest kernel of package hashengine runs on one
// thread per physical core, at the lowest priority. Config names another
// kernel, the number of threads, the processors they keep to, whether each is
// pinned to its core, and their nice value.
//
// # Power
//
// The unit's full power is Threads × WattsPerThread. A setpoint below it is
// kept by a duty cycle of all threads; a setpoint below MinWatts, such as 0,
// stops hashing within a millisecond.
//
// Where Linux offers the processor's energy counter (RAPL) to this user, the
// power reported is the measured increase over the draw while not hashing.
// Elsewhere, and until there is a measurement, it is the model's: full power ×
// duty cycle. Every status says which, with power_modelled. The hashing is real
// either way.
//
// # Work
//
// Work comes as work.assigned. The worker chooses extranonces, the miner rolls
// versions and nonces, and when all extranonces are used up the time. Solutions
// go to the bus through an outbox that keeps them until they are stored. A unit
// without work, or with none newer than WorkTimeout, says that it is not
// healthy, so that no power is planned for it.
//
// # Concurrency properties
//
// The hashing threads are the miner's (see package hashengine), at the lowest
// priority. Besides them a worker has its agent's goroutine and its outbox's.
package software
