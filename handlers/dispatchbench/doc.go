// SPDX-License-Identifier: Apache-2.0

// Package dispatchbench measures how fast the dispatch decider folds a journal:
// a made-up site with a thousand obeying workers, whose every simulated second
// holds one tick, ten meter readings and four hundred statuses of one unit
// each, with commands, renewals and a state hash after every event.
//
//	j, err := dispatchbench.NewJournal(1000, 60)
//	for r, err := range dispatchbench.Run(ctx, j, 5) { fmt.Println(r) }
//
// The journal is made once, by a decider and workers that answer each other,
// and folded again by fresh deciders, either from events in memory or from the
// bytes that a stream would deliver: header block and JSON.
//
// NewTreeJournal makes that of a site with a power tree, meters at all its
// nodes; Decisions measures on it what one reading costs, Trip what it costs to
// lose a feed.
//
// # Concurrency
//
// A Journal is read-only after NewJournal and may be folded by several
// goroutines at once; each fold has its own decider.
package dispatchbench
