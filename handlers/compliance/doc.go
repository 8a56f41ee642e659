// SPDX-License-Identifier: Apache-2.0

// Package compliance is the decider that measures what a site did in answer to
// the grid: one programme.performed per event, with the requested and achieved
// power, the response, the energy per interval, and several baselines side by
// side. It reads the same journal as dispatch and knows nothing of it: it
// believes meters only.
//
//	d, err := compliance.New(compliance.Config{})
//	out.Begin(ev)
//	d.Fold(ev, &out) // outputs appear on ticks
//
// # Events
//
// A curtail, setpoint, import limit or emergency opens an event; a stop, a
// price or a test restore does not. What the signal means, where it counts and
// what its load is comes from its programme (site.config); without one it is
// mining at the point of connection (an import limit: all load), due a minute
// after the instruction, with a twentieth of the reduction as tolerance.
//
//	announced → begun → running → over
//
// An event begins when the load may first react: when the signal arrives or,
// announced, when its window opens, less the ramp. The mean of the five whole
// minutes before is the load that a shed is subtracted from. The clock of the
// response starts at the issuer's instruction, not at the arrival. From the
// deadline on every reading counts: energy above the limit is shortfall, below
// it over-delivery.
//
//	met             at the level, within the tolerance, by the deadline, and no
//	                more energy above it than the tolerance's share of what was
//	                asked for
//	late            at the level after the deadline, and held from then on
//	short           never there, or not held
//	not-measurable  more than a tenth of the time rests on no reading, or no
//	                meter sees the load
//	not-called      a test that moves no power, cancelled before it began, or
//	                over before its deadline
//
// The same signal again with other figures changes the running event; a lower
// limit is then due by its own deadline. A restore, a signal that supersedes, or
// the same id with another meaning ends it; not before its least duration,
// unless the operator says so.
//
// The first word comes at the tick after the window and the grace of the tariff;
// the last one, which names the first as reversed, a quarter of an hour after
// the window (Config.After): by then counters have proven what was estimated
// and the load has had time to return. An event longer than
// events.MaxPerformanceLines intervals comes in parts.
//
// # Energy
//
// Power is held from reading to reading, by arrival, at most until the meter is
// stale; what is held beyond is estimated. A counter that moves replaces what
// was booked since it last moved, where it can be right: within the range of
// its meter, and less than a factor of two from the power readings of a minute
// or more. The load of a node is that of its topmost meters: the total meter,
// else the sum of AI, house and mining; mining or AI without meters of their own
// is what the total leaves.
//
// Intervals are those of the tariff, five minutes to an hour; 46 days of them
// are kept per point. Points are the point of connection, the nodes of
// programmes, and nodes that live signals name, 16 at most; what is called
// elsewhere is measured at the point of connection.
//
// Curtailments, emergencies, stops and everything under a programme mark their
// intervals as event time, at the node, above and below it: such days are no
// like days. A setpoint or import limit without a programme is a standing
// instruction and marks nothing.
//
// Beside the energy each interval keeps what units did not draw because energy
// was too dear, by their own word: so that a baseline can tell how far a site
// has lowered it itself.
//
// # Limits
//
// Local days follow the calendar of the site.config: its offsets from UTC and its
// holidays, which count as weekend; without one they are UTC days. At most 128 events are live at once; of more an
// alert tells. Time that leaps by more than a day is bridged by nothing, and
// time set back by more than an hour forgets the intervals that come again.
//
// # Concurrency
//
// One goroutine per Decider. Deciders share nothing.
package compliance
