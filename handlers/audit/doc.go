// SPDX-License-Identifier: Apache-2.0

// Package audit proves that what was decided follows from the journal, and
// carries journals from one place to another.
//
// # Usage
//
//	reports, err := audit.Verify(ctx, audit.Live(b, "tx1"), audit.Options{}, dispatchDecider)
//	if err == nil && !reports[0].Clean() { fmt.Println(reports[0]) }
//
// Verify folds the journal again, from its beginning or a snapshot, and
// compares every stored decision byte for byte with what the fold says. What
// cannot be compared is listed as such, never passed over: spans that another
// version decided, and decisions whose causes were lost in a cut tail.
//
// Export writes JOURNAL, COMMANDS and REVENUE of a site into one file that
// keeps epochs, sequences and arrival times. Import puts it into stream REPLAY,
// where nothing live listens. Verify works on the live streams, on an import,
// and on the file itself.
//
// # File format
//
// Lines of JSON, compressed with zstd. The first line is a FileHeader, every
// other a Line, the last one a count. Streams follow one another in the order
// JOURNAL, COMMANDS, REVENUE, each in the order of its sequences.
//
// # Concurrency
//
// All functions may be called concurrently; a Decider given to Verify belongs
// to the call.
package audit
