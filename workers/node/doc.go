// SPDX-License-Identifier: Apache-2.0

// Package node mines solo: on a Bitcoin node of one's own, without a pool. It
// makes jobs of the node's block templates (getblocktemplate) with a coinbase
// that pays the configured address, and sends blocks to it (submitblock). It
// speaks to Bitcoin Core and to btcd.
//
// # Usage
//
//	endpoint, err := rpc.ParseEndpoint("http://user:password@127.0.0.1:8332")
//	n, err := node.New(node.Config{
//		ID: "solo", Nodes: []rpc.Endpoint{endpoint}, Network: "main",
//		Address: "bc1q…", Tag: "/Ballast/", ExtranoncePrefix: prefix,
//	})
//	go n.Run(ctx, sink)              // an upstream.Upstream
//	n.Submit(share, done)            // blocks only
//
// # Jobs
//
// A template is taken at once when the node has a new block (longpoll), again
// after a block of one's own, and at least every Config.Refresh; every few
// seconds the node's best block is compared, too. Job.Clean says that the
// previous block is another one. Every job's extranonce1 is the configured
// prefix and a number of the session; 8 bytes are left for extranonce2.
//
// Job.Difficulty is the network's, rounded up in the last of 30 decimal
// places, as its target must not be above the network's. Whether a share is a
// block is decided by the hash and Job.Bits (Submission.Block), not by it.
//
// # What goes wrong
//
// A node on another network is never mined on. One that is not ready, away, or
// says what makes no sense is said through Sink.Trouble and tried again; with
// several nodes, the next one is taken after three failures and the first is
// looked for all the time. A node whose chain goes back is followed, after
// asking for its best block, so that an old answer which came late is not
// taken for that. Jobs stay valid while a node is away, up to Config.Grace:
// blocks are sent until a node answers.
//
// # Restarts
//
// With Config.Dir the transactions of the last templates are kept on disk
// (package shelf), behind the back of who mines: a block of a job that was
// handed out before a restart can be made as long as its work is known, even
// when the node offers other transactions by then. A block that no node has
// answered is kept whole, and sent again after the next start, for a day.
//
// # Acceptance is not the best chain
//
// submitblock also says yes to a block that lost a race. Package
// workers/upstream/confirm follows blocks on the node (an upstream.Chain) by
// their hash until they have matured or are buried beside the chain.
//
// # Concurrency
//
// Methods of Node may be called from anywhere. Calls to the sink
// come one at a time from goroutines that end before Run returns; so do calls
// of a submission's done, except those of Submit itself.
package node
