// SPDX-License-Identifier: Apache-2.0

// Package outlet switches outlets: smart PDUs, relays, contactors. It is the last
// thing that dispatch can do against a machine that does not follow before it
// calls people.
//
// # Usage
//
//	a, err := outlet.New(outlet.Config{Site: "tx1", Controller: "pdu-7", Drivers: drivers}, bus)
//	err = a.Run(ctx)
//
// A [Driver] switches one outlet: [HTTP] sends a request of your making, [Command]
// starts a program, never through a shell. The agent hears command.outlet.<controller>
// and answers every command with outlet.status; what it has carried out it says
// again every StatusPeriod.
//
// # Rules
//
//   - Off is obeyed straight from the wire and however late; on only as the
//     server repeats it after storing, and before valid_until.
//   - The key of an outlet only rises: an older command is ignored, a copy is
//     answered and not carried out twice once it was carried out.
//   - A driver that fails is tried again for as long as its own policy says;
//     the status then carries its error. Dispatch repeats the command.
//   - Nothing is switched at start, at the end, or when the bus is lost: an outlet
//     stays as it is.
//
// # Concurrency
//
// Run owns one goroutine and one more per outlet that is being switched; commands
// for one outlet are carried out one after the other, the newest of those that
// wait, so that a slow outlet holds up no other. Run returns when all have ended.
package outlet
