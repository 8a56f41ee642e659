// SPDX-License-Identifier: Apache-2.0

// Package eventreport makes a report of a grid event: one HTML file that needs
// nothing beside it, and a CSV for whoever settles the event.
//
//	list, err := eventreport.List(ctx, log, eventreport.Query{SignalID: "EEA2-7"})
//	r, err := eventreport.Collect(ctx, log, list[0])
//	err = r.HTML(w)
//	err = r.CSV(w)
//
// All figures come from programme.performed, which is kept for ever. The
// journal and the stream of commands add what they still hold: the readings at
// their own resolution, and the moments at which the first command was stored
// and the first unit reported it.
//
// The HTML has no script and refers to nothing outside; its charts are SVG,
// drawn twice, for wide and for narrow windows, of which style sheets show one.
//
// # CSV
//
// RFC 4180, UTF-8, one line per interval and baseline: beginning and end in UTC
// (ISO 8601), energies in kWh with six decimals, powers in kW with three, all
// exact. See Columns.
//
// # Concurrency
//
// Functions share nothing; a Report is read-only once collected.
package eventreport
