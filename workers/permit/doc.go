// SPDX-License-Identifier: Apache-2.0

// Package permit is the part of a worker that obeys: one small state machine
// per unit, which says how many watts the unit may draw at this moment and why.
//
// # Usage
//
//	panel, err := permit.NewPanel(permit.Config{Agent: "rig-17", Boot: boot}, specs)
//	out := panel.Curtail(now, curtail)          // from the wire, at once
//	out = panel.Ramp(now, wall, stored, ramp)   // as stored in COMMANDS
//	out = panel.Renew(now, renewal)
//	out = panel.Tick(now)                       // not later than panel.Next
//	for _, i := range out.Changed { driver.Set(i, panel.Setpoint(i)) }
//	counter := panel.Send(now, units)           // a status is about to leave
//
// A [Machine] is the fold of one unit; a [Panel] folds the messages of one
// agent into thousands of them and keeps the instants at which statuses were
// sent. Both are pure: they look at no clock and start nothing, so they run
// under a virtual clock, and the same inputs give the same states.
//
// # Rules
//
//   - A unit starts at its failsafe setpoint and is above it only while a lease
//     lives: strictly before its end, on the monotonic clock.
//   - A lease is counted from the instant at which the status was sent that the
//     grant answers, never from receipt. A counter that was not sent by this
//     boot, or is too old to be remembered, gives no lease.
//   - Only a ramp raises, and only as stored, within a live lease, before its
//     valid_until, with a key newer than that of any command of that decider
//     for the unit.
//   - A curtail is obeyed at once and however late, unless the unit has obeyed
//     a higher key of the same decider already. An equal key is a copy.
//   - A renewal prolongs a lease that lives and lowers; it never raises and
//     never revives.
//   - When the lease ends the unit goes to failsafe, which is left only by a
//     ramp whose counter is that of the unit's own failsafe status or a later
//     one.
//   - Every decider's limit, and the local one, is kept apart; the lowest
//     rules. With several deciders each needs its own lease once it has given
//     one.
//   - A unit that holds only some powers is set to the highest of them that is
//     permitted; what was permitted is kept, so a limit that is lifted brings
//     the higher level back.
//   - A unit says why it draws less than it could: the reason and signal of the
//     command that set the setpoint in force, or lease, local, boot, worker. A
//     command that takes nothing away changes nothing about it.
//
// Two finer points follow from how messages travel. A renewal is sent directly
// while the ramp of the same cause waits for the disk, so a renewal does not
// outrank commands: a ramp that arrives after a renewal of a later cause is
// obeyed up to what that renewal said, and a renewal of the same cause says
// nothing against it. And after a raise that was refused no older raise is
// obeyed, while an older reduction still is.
//
// # Concurrency
//
// One goroutine per Panel or Machine.
package permit
