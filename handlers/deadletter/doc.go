// SPDX-License-Identifier: Apache-2.0

// Package deadletter keeps what could not be understood or done, with the
// reason, in stream DEADLETTER: once, whatever the number of replicas and
// however late they come.
//
// # Usage
//
//	w, err := deadletter.NewWriter(b, "settler")
//	err = w.Put(ctx, w.Letter(original, events.DeadExhausted, lastErr, attempts))
//
// # Once
//
// The id of a letter is <consumer>/<stream>/<sequence> of the original, so the
// server keeps one copy within its duplicate window. Whoever repeats work that
// is older than half of that window asks Known first.
//
// # Concurrency
//
// Writer is safe for concurrent use.
package deadletter
