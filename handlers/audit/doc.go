// SPDX-License-Identifier: Apache-2.0

// Package audit proves that what was decided follows from the journal, and
// carries journals from one place to another.
//
// # Usage
//
//	reports, err := audit.Verify(ctx, audit.Live(b, "tx1"), audit.Options{}, newDispatch)
//	if err == nil && !reports[0].Clean() { fmt.Println(reports[0]) }
//
// Verify folds the journal again, from its beginning or any snapshot, and
// compares every stored decision byte for byte with what the fold says. It
// reads journal, commands and bookings once, side by side; what it holds is
// what is on one side and not yet on the other. What cannot be compared is
// listed as such, never passed over: spans that another version decided, and
// decisions whose causes were lost in a cut tail.
//
// The first divergence comes with its cause, both outputs and both states
// (Divergence). The state as recorded is that of a snapshot a host stored,
// folded on to the place, or where it lies behind the place the replay folded
// on to it; between snapshots only hashes are recorded, in checkpoints, and the
// report says which two of them bound the difference.
//
// An auditor keeps a Directory of snapshots of the own replay (Options.Record).
// A later audit can begin at any of them, and Locate finds by a binary search
// over their checkpoints between which two the recorded states left the replay.
//
// Export writes JOURNAL, COMMANDS and REVENUE of a site, and the snapshots of
// its hosts, into one file that keeps epochs, sequences and arrival times.
// Import puts it into stream REPLAY, where nothing live listens. Verify works on
// the live streams, on an import, and on the file itself.
//
// # File format
//
// Lines of JSON, compressed with zstd. The first line is a FileHeader, every
// other a Line, the last one a count. The lines of a stream stand in the order
// of its sequences, in blocks that are zstd frames of their own; a skippable
// frame at the end lists them, so that a read from the middle is no read of the
// whole. Decompressors of zstd pass it over.
//
// # Concurrency
//
// All functions may be called concurrently; a Decider given to Verify belongs
// to the call.
package audit
