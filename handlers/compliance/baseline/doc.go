// SPDX-License-Identifier: Apache-2.0

// Package baseline says what a load would have drawn had nobody asked it to
// curtail: several methods side by side, because contracts differ and each
// flatters somebody. Every method is a pure function over a history of interval
// loads; figures are integers, divisions are exact until the last step and
// then rounded down, so that a baseline is never flattered by rounding.
//
//	for _, r := range baseline.All(baseline.Input{
//		StepSeconds: 900, First: first, Count: 8, Known: known, History: h,
//	}) {
//		fmt.Println(r.Method, r.Version, r.Unavailable, r.Watts)
//	}
//
// # Methods
//
//	ten-in-ten           mean of the ten newest like days
//	ten-in-ten-adjusted  the same times what the load of the day was before the
//	                     reduction ÷ what those days were then: once within
//	                     ±20 %, once within ±40 %
//	middle-eight-of-ten  of the ten without the highest and the lowest
//	nearest-day          the like day that was most alike before the reduction
//	regression           least squares on the hour of the day and the type of day
//	maximum-base-load    the level that the load has to stay below; what is
//	                     delivered is the margin beneath it
//	meter-before-after   the mean of the minutes before the reduction began
//
// A like day is an earlier day of the same type, weekday or weekend and
// holiday, in the time of the Calendar, on which no event was in force and all
// intervals of the event's time of day were measured. Fewer than ten count if
// there are five. Days reach back as far as Parameters say.
//
// A load that stays off when energy is dear lowers its own baseline. Each result
// therefore also tells by how many watts price had lowered it
// (Result.PriceLoweredWatts): the same arithmetic over the power that the
// machines did not draw for that reason.
//
// Result.InputHash covers the parameters and every interval read, in order:
// equal hashes mean equal inputs.
//
// # Concurrency
//
// Functions only read their input; everything is safe for concurrent use as
// long as the History is.
package baseline
