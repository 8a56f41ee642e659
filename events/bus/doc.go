// SPDX-License-Identifier: Apache-2.0

// Package bus carries the events of Ballast over NATS JetStream: a server
// embedded in the process, or any NATS server or cluster.
//
// # Usage
//
//	b, err := bus.Open(ctx, bus.Config{DataDir: dir, Listen: "127.0.0.1:4222"})
//	if err != nil { return err }
//	defer b.Close(ctx)
//	err = b.Publish(ctx, events.New("tx1", "feeder-a", &reading))
//	for ev, err := range events.Read[events.RevenueAccrued](ctx, b) { … }
//
// With Config.URL (or a join token) Open connects to a bus that is already
// there and changes nothing on it; EnsureStreams declares the streams where a
// role has the right to. The one table of streams is Streams.
//
// # Who may do what
//
// The embedded server listens on loopback, where everybody has every right.
// With Config.Secure it asks credentials of everybody and may listen anywhere.
// Credentials are join tokens (Authority.Mint, ParseToken): users signed by an
// authority that lives in the data directory, valid at once and without a
// restart, until they expire or are revoked. What a role may publish and hear
// is the table in roles.go.
//
// NATS does not check the subject on which a publisher wants its answer, so any
// credential can make the server's own answers appear on a subject of its
// choice. An acknowledgement is no event of the contract and no request that
// the stream API obeys, so issuers, workers and sources reach nothing by it.
// Viewers, who may ask for stored events, live in an account of their own where
// answers end; they use the stream API under the JetStream domain "ballast"
// (nats --js-domain ballast). Operators, dispatchers and gateways are trusted
// not to have stored events published again.
//
// Users hear replies on an inbox of their own, _INBOX_<user key>. Tools that
// know nothing of it need it told (nats --inbox-prefix), except with viewer and
// operator credentials.
//
// # Durability
//
// Config.Durability sets both halves on the embedded server: when it syncs and
// how each stream persists. On another server only the streams are ours to
// set: put sync_always (or a short sync_interval) into that server's own
// configuration, whose default is two minutes.
//
// # Epochs
//
// Whoever starts the embedded server may have lost the end of JOURNAL, so Open
// takes a new epoch for every site that INPUTS knows (OpenEpoch).
//
// # Concurrency
//
// A Bus and an Authority are safe for concurrent use. One process at a time
// owns a data directory; a second one is refused.
package bus
