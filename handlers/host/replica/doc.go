// SPDX-License-Identifier: Apache-2.0

// Package replica has the rules by which any number of hosts run the same
// deciders, relay the same facts and offer the same ticks, and what they say is
// stored once:
//
//   - Outputs, Vigil, Anchors: what is said already, and when a host must look at
//     the streams before it speaks;
//   - Queue: what is said and not confirmed, and what goes again;
//   - Cadence, Weigh, Snapshots: when there are checkpoints and snapshots, what is
//     done at one, and when one may be stored;
//   - Belongs, RestsOn, Reversal: whether what is stored belongs to the journal as
//     it is, and what is booked and does not;
//   - Copy, StoredAlready, TickComesAgain: facts and ticks on their way into the
//     journal.
//
// They are decisions only. The I/O is the caller's: package host asks a server,
// the simulation its model of one, and both act on the same answers. So a rule
// that is broken here is broken for a host and for every simulated one.
//
// # Usage
//
//	outputs := replica.NewOutputs(site, identity, snapshot.Outputs)
//	for … { outputs.Take(stream, &message) } // all stored behind outputs.Next(stream)
//	outputs.Looked()
//	for … {
//		vigil.Turned(sinceLastMessage)
//		if vigil.MustLook(ageOfCause, sinceLastLook) { … } // Take again, then vigil.Looked
//		publish(outputs.Unsaid(cause, batches))
//	}
//
// # Concurrency
//
// Nothing here starts a goroutine, reads a clock or is safe for concurrent use,
// unless it says otherwise. Equal calls give equal answers.
package replica
