// SPDX-License-Identifier: Apache-2.0

// Package upstream is what a gateway and the pools or nodes behind it agree
// on: jobs come down, shares go up, each share gets exactly one verdict.
//
// # Usage
//
// An [Upstream] is a connection to one pool account or one node. The gateway
// runs it with a [Sink] and submits through it:
//
//	go up.Run(ctx, sink)             // calls sink.Opened, sink.Job, sink.Closed
//	up.Submit(submission, func(v upstream.Verdict) { … })
//
// workers/stratum speaks the Stratum V1 protocol to a pool, workers/node
// getblocktemplate and submitblock to a node.
//
// # Sessions
//
// A session is one life of a connection: an extranonce of its own, jobs of its
// own. Shares of a job go to the session that the job came from and to no
// other; when it has closed, they are void. Ids of sessions and jobs are unique
// within one start of the process.
//
// # Concurrency
//
// Calls to a Sink come one at a time, from goroutines of the upstream's; they
// must not block for long. Submit may be called from anywhere.
package upstream
