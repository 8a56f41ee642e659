// SPDX-License-Identifier: Apache-2.0

// Package server is the pool side of Stratum V1: ASICs and other miners
// connect to it, are given the jobs of an upstream session and hand in shares.
//
// # Usage
//
//	srv, err := server.Listen(server.Config{
//		Endpoints:  []server.Endpoint{{Address: ":3333"}, {Address: ":3334", CertFile: …, KeyFile: …}},
//		Sink:       sink,
//		Authoriser: server.AuthoriserFunc(server.AnyName),
//		OnFull:     openAnotherSession, // see Room
//	})
//	go srv.Run(ctx)
//	srv.SetJob(job)             // from upstream.Sink.Job
//	srv.CloseSession(session)   // from upstream.Sink.Closed
//
// # Extranonce
//
// The extranonce2 of an upstream session is divided: the owner's slice, where
// he keeps others for himself ([Server.OpenSession]), a slot per connection, and
// at least two bytes for the miner. A slot that was left is given out again
// only when all work of that time is void. New connections go to the session
// with most slots left.
//
// # Without work
//
// Where no session has work, or none a slot, the answer to mining.subscribe is
// held, and what comes after it stands behind it, until there is; for
// [Limits].Wait at most, and of Limits.Waiting connections at a time. Miners
// whose session was lost while there is no other keep their connection and
// their work for [Config].Outage: their shares go to the sink, which says what
// they are worth. The next session then has them, at once where they understand
// mining.set_extranonce, else by way of client.reconnect. [Config].OnFull hears
// when it is slots that are lacking.
//
// # Shares
//
// A share is judged by the difficulty at which its job was issued to its
// connection, checked for duplicates and handed to the [Sink]; the miner hears
// of it when the sink has stored it. Answers are in the order in which the sink
// gives them. Every hash is compared with the network's target before it can
// be refused as late, low or out of bounds; such a share has Block set.
//
// # Difficulty
//
// Each connection has its own, a power of two, set so that a share comes every
// [Config.ShareInterval]. It is looked at after 72 shares or 240 s, left alone
// while the rate is 0.5 to 1.33 times the wanted one, and changed with the next
// job; where it is four times too low or more, the newest job is given again at
// once, under a new id and with a later time. After a raise, jobs from before
// keep theirs for two jobs more. A miner's mining.suggest_difficulty, minimum
// difficulty (BIP 310) or password option d= or diff= is its start and the
// lowest that it is given.
//
// # Bounds
//
// [Limits] names them. A client that reads slowly makes nobody wait; what
// becomes of such, [Stats] counts by cause. Most shares invalid leads to a new
// job after 60 s, a warning after 120 s and the end after 180 s.
//
// # Concurrency
//
// Methods of Server may be called from anywhere. There is one goroutine per
// connection, which reads; another lives while a client is slower than what is
// written to it. A new job is written to all of its connections on every
// processor but one, so that shares are answered meanwhile.
package server
