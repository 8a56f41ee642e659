// SPDX-License-Identifier: Apache-2.0

// Package gateway joins one upstream, a pool account or a node, with the bus:
// work goes out to agents as events, shares come back as events, each share is
// checked, submitted once and given exactly one verdict. Thousands of workers
// share one connection to the pool; they meet the gateway on the bus only.
//
// # Usage
//
//	gw, err := gateway.New(gateway.Config{Site: "tx1", Gateway: "gw-1", Upstream: up}, bus)
//	err = gw.Run(ctx)
//
// Package downstream, below, adds a Stratum server for machines that speak to
// the gateway directly.
//
// # Work
//
// It hears worker.status. Every agent that follows this gateway has work.assigned
// of the newest job, with a slice of the session's extranonce2 of its own, and a
// share difficulty after its announced hash rate, never above the upstream's. A
// new block reaches all agents in one go. Agents whose units are all modelled get
// no work: behind their shares stands no hash that an upstream could take.
//
// A start reads what agents have said of late: they have its work as soon as
// the upstream gives some. What they find for the start before is lost, as its
// session is, and the pool with it forgets the extranonce that they searched
// under.
//
// Slices are claimed in the bucket SLICES by compare-and-set, under the
// session's extranonce1, and never handed out again in it: not to an agent that
// starts anew, not after a restart of the gateway. Miners of the gateway's own
// server have slices from the other end, more of them as the server asks for
// room (Gateway.DownstreamRoom). When they run out, Config.Another opens further
// connections; without it an alert says how many have no work.
//
// A job that the upstream sends again, under another id, with other bits to roll
// or in turns with others, is handed out with a later time than the slice has
// been searched at, within the job's bounds, or, when those are used up, in
// another slice: no agent finds the same shares twice.
//
// # Several gateways
//
// Every second each gateway says how it is (gateway.status). Agents are divided
// by rendezvous hash among those that have work and spoke within
// events.GatewaySilence. When one is lost, drains, or loses its upstream, the
// others take its agents, and nobody else's agents move. An agent goes on with
// what it was given last; a gateway that hears another give work to an agent of
// its own, or hears of another for the first time, gives it work again.
//
// One gateway of an id serves at a time: it holds the id's lease, a key of the
// bucket SLICES that it renews by compare-and-set. A second one ends with
// ErrRunning, which names the first; as a standby (Config.Standby) it waits. One
// that ended gives the lease back, one whose process is seen to be gone, on the
// same machine, has none any more, and any other loses it Config.LeaseTime after
// its last sign of life. Whoever does not hold it for certain stores nothing of
// shares, and so writes none to the upstream; whoever has lost it ends with
// ErrLeaseLost. A share of a job of another start is judged only once it is
// certain that the other start was before this one, not after.
//
// # Shares
//
// Shares come through a durable consumer and are computed again in full. One
// below the upstream's difficulty is accepted here, marked Local. One that the
// upstream wants is stored as share.submitted first, many in one atomic batch,
// and then written; the answer becomes the verdict, with the id
// <share id>/verdict. It counts with the difficulty of the upstream's job.
// Shares are acknowledged to the consumer when their verdicts are stored.
//
// So found = accepted + rejected + unknown, whatever ends when. A gateway that
// starts reads what an earlier one left without a verdict: with
// share.submitted it is unknown, as nobody can tell whether it was written and
// what the pool answered; without, it was certainly never written, and is
// rejected as stale, its session being gone. A share that is known is a
// duplicate; its verdict has the place of the share behind the id.
//
// No share gets a second verdict, as whoever counts verdicts remembers only the
// newest: one that is delivered again when the gateway no longer knows what
// became of it, after a long outage of the bus, makes it read what is stored.
//
// # Alerts
//
// An alert that comes and goes is told at most once a minute each way, with how
// often it did, and always as it is in the end. Alerts wait for the bus. Those
// that were up when the gateway ended are cleared by its next start, which raises
// again what is still so.
//
// # Blocks
//
// A share that meets the network's target jumps every queue: the gateway hears
// it on the wire before it is stored, submits it at once, whatever speaks
// against it as a share, and stores share.submitted and block.found meanwhile.
// An upstream that takes others' blocks (upstream.BlockSubmitter) is given
// those of the other gateways, too.
//
// One that can tell what became of a block (upstream.Chain) is asked for every
// block of the site that was found for the same pool, by whichever gateway and
// however long ago, by the rules of package confirm: until it has 100
// confirmations (block.matured), or the best chain has another block at its
// height, Config.OrphanDepth deep (block.orphaned). One that no node knows is
// called orphaned at the same depth, with the alert block-unknown. Of several
// gateways one says so.
//
// # What a block pays
//
// A node's template says what a block pays, and the gateway tells the site: one
// market.quote without a price for every block that there is to build on
// (MarketQuote.NetworkOnly), of one id from all gateways of a node. A pool does
// not say it; work of a pool is valued by the newest quote, one of a template
// first (package quotes). Work whose reward nobody knows is held back with an
// alert: its shares could not be valued.
//
// # Concurrency
//
// Run's goroutines own everything. Stats and Downstream may be called from
// anywhere. Run ends within a few times Config.DrainTime after its context.
package gateway
