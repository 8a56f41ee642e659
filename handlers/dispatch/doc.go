// SPDX-License-Identifier: Apache-2.0

// Package dispatch is the decider that turns unused power into permits to mine
// and takes it back the moment the AI load or the grid wants it. It knows the
// power tree of a site, from the point of connection down to racks:
//
//	avail(n)    = usable(n) − AI load(n) − house load(n) − reserve(n)
//	headroom(n) = least avail over n and all above it
//
// and one list in merit order (millijoules per terahash rising, then id): of
// units, and where a unit has levels that differ in efficiency, of its steps, each
// at the margin, on the concave hull of its power curve. A site without nodes is
// a tree of one. It is a pure fold over the journal (see handlers/decider): the
// same journal gives the same commands, byte for byte.
//
// # When it acts
//
//   - Reductions leave with the very event that causes them: a higher reading,
//     a grid signal, the start of a window, a meter that has been silent too
//     long, a jump of the clock. They know no minimum times and no budget.
//   - Increases are decided on clock.tick, and within 100 ms of a unit
//     joining, and only with fresh good meters, a fresh tick, the reserve
//     kept, tokens in the ramp bucket, and a unit that is ready. A clearly
//     better unit that finds no room takes the place of worse ones, of which it
//     takes no more than it needs.
//   - Where a start has a price (the wear of the policy and the energy of the
//     boot) money starts and stops a unit by the rule of ski rental: start when
//     the margin forgone while it could have run has come to the price, stop when
//     as much has been lost; an account that turns is forgotten. Starts per day,
//     starts at once and jitter put off starts; a pace slows down reductions that
//     only money asks for. None of it touches another reduction.
//   - Permits are renewed on clock.tick, every agent every three seconds and
//     every agent with an unapplied reduction on each tick.
//
// # What it believes
//
// A reading of bad quality, out of range, older than the last one, or dated too
// far from its arrival is no reading. A suspect one can only lower power. A
// meter silent for more than two periods is replaced by the peak of the recent
// AI load, beyond its stale time by the AI nameplate, beyond the dead time
// mining gets only what is guaranteed to it (to the site: a node below the point
// of connection then gets nothing). A meter that reports one and the
// same value for longer than its stuck time, where it has one, counts as silent
// until the value moves. Where a total meter and mining
// meters allow a second estimate of the AI load, the higher one counts. That
// estimate pairs readings that come close together, and of the last two the
// higher one holds: mining that moves between the readings of a pair would
// otherwise make room that is not there. What was raised after the total was read
// is no part of it, and nothing rises beyond what the total itself leaves. A raise
// that is on its way while the total is read may be in it or not: a step of the
// load beside it is then seen one round of readings later, where no AI meter sees
// it.
//
// A node that is measured takes the higher of its own figure and of what is
// measured beneath it; stand-ins of nodes beneath count only where it is not
// measured itself, for then it is their sum.
//
// Draw that mining meters see and no unit explains takes room like any other;
// nor does what is booked for a raise explain it before the meters had the time
// to see the raise.
//
// Accepted shares of live pools are a second witness, in cells of a minute: work
// proves energy, at the least that its unit announces per hash. A unit that
// proves more than it may draw for three cells is booked with it. Mining meters
// that show less than the work beneath them proves count as silent; energy
// without work is told. All of that only lowers, and by bounds that hold for any
// number of shares (proven.go). A reading that falls to a thousandth of the one
// before looks like another unit, and is none (factor.go).
//
// # What it verifies
//
// A command is received, applied, metered. Every reduction is held against the
// mining meters nearest to its units until they show it (curtailment.metered).
// What they still see after the time to fall is booked there, so that others
// make room for it.
//
// # Grid programmes
//
// A signal limits mining beneath a node, or all that flows through the node; at
// every node the lowest limit in force rules. Its programme says how it comes
// (all at once, or along a ramp that ends in time), how long it stays at least,
// and how it goes (its limit holds, then rises along a line). What a programme
// says is kept with the signal when it comes. A ramp moves at whole seconds of
// elapsed time, with whatever event arrives then, a second ahead of its line; it
// ends at once when it can no longer be followed. While the issuer of a programme
// that repeats itself is silent, its limit for silence holds, or what it had in
// force does not end.
//
// # What it costs
//
// A reading recomputes its node and those above it, and moves its meter in a
// heap of deadlines: O(depth + log meters). Nodes keep sums of what hangs beneath
// them and the ranks of those units; where a sum is above its cap, one walk in
// merit order begins at the first unit that does not fit, found from the worst
// end: that costs what changes. Ticks are linear in units and nodes.
//
// # What bounds it
//
// State is bounded whatever arrives: at most MaxSignals instructions (the rest
// of a flood is merged into ceilings that are at least as low, and there is one way
// back for each issuer, programme and place), MaxAgents and
// MaxUnits workers, MaxNodes nodes and MaxMeters meters, and twenty open alerts of a kind.
//
// # Usage
//
//	d, err := dispatch.New(dispatch.Config{})
//	out := &decider.Outbox{}
//	out.Begin(event); d.Fold(event, out); for _, o := range out.Outputs() { … }
//
// # Concurrency
//
// One goroutine per Dispatch. Values share nothing.
package dispatch
