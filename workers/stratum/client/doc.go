// SPDX-License-Identifier: Apache-2.0

// Package client is the miner's side of Stratum V1: it keeps a session with a
// pool open, hands its jobs down and its shares up, and gives every share one
// verdict. It implements workers/upstream.
//
// # Usage
//
//	c, err := client.New(client.Config{
//		Pool: "main", Scheme: events.SchemeFPPS, FeePPM: 20_000,
//		URLs: []string{"stratum+ssl://account.site1:x@pool.example:3334", "stratum+tcp://account.site1:x@backup.example:3333"},
//	})
//	go c.Run(ctx, sink)
//	c.Submit(submission, func(v upstream.Verdict) { … })
//
// # Sessions
//
// The opening requests are written in one go and may be answered in any order,
// late or, but for mining.subscribe, not at all: jobs and difficulties that
// come before the replies are kept for when the session opens. Nothing of a
// session outlives its connection. A failed session is followed by another one
// after a pause that grows; after three failures the next URL has its turn, and
// while a later one serves, the first is tried every few minutes and gone back
// to as soon as it authorises us.
//
// # Shares
//
// A share is written the moment it comes, block candidates before all else, and
// matched with its reply by id alone. When the connection ends, what may have
// been written is Unknown and what certainly was not is Rejected as stale.
// A share refused with code 24 makes the client authorise once more. When the
// pool refuses the next one, too, or the authorisation, the session ends with
// an upstream.AccountError, the next URL has its turn, and this one is left
// alone: for a minute, then twice that, up to a quarter of an hour, as only a
// person can mend an account, and may do so at the pool without a word to us.
//
// Before the client ends a connection by its own will it waits a moment for the
// replies outstanding, so that none is Unknown without need.
//
// # What the pool may do wrong
//
// A message that makes no sense is reported as Trouble and passed over, a
// hundred of them end the session. A bad difficulty leaves the one before in
// force, or, when it is the first, holds the jobs until a good one comes. Texts
// of the pool are clipped, lines, jobs and queues are bounded. An order to
// reconnect is obeyed only to hosts that the configuration names or allows, and
// within their registrable domain by the public suffix list; see redirect.go.
//
// # Concurrency
//
// Run is called once. Submit, ID and Address may be called from anywhere, at
// any time. done is called from goroutines of the client's, or of the caller's
// within Submit, never with a lock held.
package client
