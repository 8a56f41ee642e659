// SPDX-License-Identifier: Apache-2.0

// Package schemas holds the contract of Ballast's events for every language:
// one JSON Schema (2020-12) per event type, shared definitions in
// defs.schema.json, and one AsyncAPI 3 document over them. The files are the
// source of truth; this package embeds them and checks JSON against them.
//
// # Usage
//
//	for _, t := range schemas.List() { fmt.Println(t) }   // meter.reading, …
//	err := schemas.Validate("grid.signal", []byte(`{"kind":"curtail"}`))
//	// grid.signal: /: power_watts is missing; add it
//
// Validate is for the edges, where events enter from people and foreign
// systems: it takes tens of microseconds. Between our own processes the typed
// checks of package events do the same work for much less.
//
// # Publishers strict, readers lenient
//
// A schema knows every field of its type and refuses all others, so that a
// misspelt field is found where it is written. Readers ignore what they do not
// know, so that an older reader survives a newer publisher; a field may
// therefore be added to a schema at any time if it is optional. Nothing is
// ever removed, renamed, narrowed or given another unit: that is a new type.
//
// # What a schema cannot say
//
// Rules between fields (the energy balance, an interval that divides a day,
// a unit named once) are said in the descriptions and enforced by the Validate
// methods of package events.
//
// # Numbers
//
// Every number is an integer within ±(2^53−1), written without fraction or
// exponent; x-unit names its unit. Difficulties, sums and hashes that may
// exceed it are strings.
//
// # Concurrency
//
// All functions are safe for concurrent use. A schema is compiled at its first
// use, once.
package schemas
