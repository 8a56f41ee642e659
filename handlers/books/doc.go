// SPDX-License-Identifier: Apache-2.0

// Package books writes what was settled into a SQL database, where people and
// their tools can query it: energy, revenue, accruals, what was forgone,
// reconciliations, pool statements, blocks, and the verdict on every share. SQLite in a file, or
// PostgreSQL.
//
// # Usage
//
//	store, err := books.Open(ctx, "ledger.sqlite") // or postgres://user@host/name
//	p, err := books.New(books.Config{Bus: b, Store: store})
//	err = p.Run(ctx) // until ctx ends
//
// Rebuild makes the same rows anew from the streams, which are never trimmed.
//
// # Once
//
// Each stream is read in its order. The rows of a batch and the position
// behind it are one transaction, so an event has its effect exactly once,
// whatever is killed when; a second copy of an event is told by its id and
// leaves no row. Several projectors may write to one database: the position
// moves only from where its writer read it, and who comes second starts over
// from there.
//
// # Rows
//
// Nothing is edited. A correction is a row of its own that names in reverses
// the event it takes back; the views whose names begin with standing_ show
// what is left, and every other view is made of these. The hours of units
// (unit_hours) are the one table of sums: exact, and grown in the transaction
// that stores the shares. Of several verdicts on one share the first counts
// (counted), as in settlement.
//
// Amounts are integers; what exceeds 64 bits (difficulties, carries) is
// NUMERIC in PostgreSQL and decimal text in SQLite. Times are UTC and cut to
// microseconds, which both databases hold. In SQLite they are text of one
// width, so they sort.
//
// # Failure
//
// What is no event is passed over: the inspector keeps a dead letter of it. A
// database that is away is tried again with growing pauses. ErrOtherStream
// ends Run: the database and the bus do not belong together.
//
// # Concurrency
//
// Store and Projector are safe for concurrent use; Run may be called once.
package books
