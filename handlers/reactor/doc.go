// SPDX-License-Identifier: Apache-2.0

// Package reactor runs side effects on events behind a Watermill router: one
// effect per event, at least once, retried with exponential backoff, and a dead
// letter for what never succeeds.
//
// # Usage
//
//	r, err := reactor.New(reactor.Config{Bus: b, Name: "billing"})
//	err = reactor.Handle(r, "invoice", "", func(ctx context.Context, e events.Of[events.RevenueSettled]) error {
//		return post(ctx, e.ID, e.Data) // idempotent: e.ID is the same at every try
//	})
//	err = r.Run(ctx)
//
// A handler must be idempotent: after a crash between its effect and the
// acknowledgement it sees the event again. What it publishes through Publish
// carries the ids of its cause.
//
// # Failure
//
// An error or a panic is tried again after a growing delay, Config.Tries times
// in all; backoff.Permanent(err) ends the tries at once, as does an event that
// cannot be decoded. Then the event becomes a dead letter, once, and the next
// is handled. When the dead letter cannot be stored either, the event is
// delivered again later: nothing is dropped.
//
// # Concurrency
//
// Handlers of different registrations run concurrently; within one the Mode
// decides (package pubsub). Reactor is safe for concurrent use before Run.
package reactor
