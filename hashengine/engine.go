// SPDX-License-Identifier: Apache-2.0

package hashengine

import "time"

// MaxCall is the bound that every kernel keeps one [Engine.Scan] to while the
// operating system lets it run. A stop or a change of work is looked at between
// calls.
const MaxCall = 250 * time.Microsecond

// Engine scans work piece by piece. One goroutine uses it at a time; it keeps
// its place between calls.
//
// An engine is free to visit the space in any order that suits its kernel, and
// visits every element exactly once.
type Engine interface {
	// Load makes w the work to scan, from its beginning, and forgets earlier
	// work. The engine copies what it needs. An error is one of
	// [Work.Validate] and leaves the engine without work.
	Load(w *Work) error

	// Scan goes on with the work for at most [MaxCall] and writes what it
	// finds to hits, each checked with plain code. When hits is full it
	// returns early and the next call hands out what comes behind the last
	// hit, so a slice of any length ≥ 1 loses nothing; a slice of length 0
	// makes it return at once. A wide kernel may have tested some thousand
	// elements before their hits, if nearly all are, have been handed out;
	// every hit comes in the call that tested its element or a later one,
	// before Done. It does not allocate. Without work, or with all of it done,
	// it returns Result{Done: true}.
	Scan(hits []Hit) Result
}

// Result is the account of one [Engine.Scan].
type Result struct {
	// Hashes is the number of elements of the space that the call tested,
	// exactly. Summed over the calls it ends at [Work.Space].
	Hashes uint64
	// Hits is the number of hits written to the slice.
	Hits int
	// Faults counts candidates of the kernel that plain code refuted. They
	// are not handed out. Anything but zero means a broken processor or
	// kernel.
	Faults uint64
	// Done reports that the whole space has been tested and every hit handed
	// out.
	Done bool
}
