// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"github.com/cespare/xxhash/v2"

	"github.com/ballast-energy/ballast/events"
)

// node is one node of the power tree. The point of connection is one of them:
// a site without nodes is a tree of one.
type node struct {
	id     string // events.RootNode for the point of connection
	idHash uint64
	up     *node // nil at the point of connection
	kids   int
	// index in Dispatch.nodes, where every node comes before those it feeds.
	index, depth int

	nodeLimits
	// What is measured at the node.
	ai, houses, totals, minings []group
	meters                      []*meter
	// measured: a meter beneath the node or at it sees AI load.
	measured bool

	env     envelope
	balance estimate
	load    load
	// restartUntil bars increases beneath after a meter came back, elapsed ns.
	restartUntil int64
	// settleAt is when everything lowered beneath so far must have fallen,
	// elapsed ns: before it nothing changes places.
	settleAt int64
	bucket   bucket
	// downUntil is when the last reduction that only money asked for has come
	// down at the pace allowed, elapsed ns.
	downUntil int64
	rogue     rogue
	// offSince is since when what it measures and what the nodes beneath it
	// measure disagree, elapsed ns, −1 while they agree.
	offSince int64
	offAlert bool
	// said is what was published of it.
	said said

	books
	// wanted by AI jobs, and how far the rest of the AI load rises within the
	// response time of the node.
	wanted wanted
	claims nodeClaims
	step   rise
	crests crests
	raised raised
	firms  []rise
	nodeResponse
	// sig is what the signals in force say of it.
	sig ceilings
	// told is what it tells the node above it, below the sum of what the nodes
	// beneath it tell it.
	told, below told
	// ownAI is the AI load by its own meters alone, −1 when they are not
	// believed or there are none.
	ownAI int64
	// stray is draw that no unit explains, here or beneath.
	stray, strayBelow int64
	// missing is draw that its mining meters, and those of units at it, still
	// see although it should have ended; watch is the witness that its mining
	// meters are while they are asked.
	missing int64
	watch   *witness
	// work is what shares prove beneath its mining meters.
	work account
	// strange is since when its mining meters see more than losses beyond what
	// anybody admits, elapsed ns, −1 while they do not.
	strange      int64
	strangeAlert bool

	// members are the ranks of the steps of the units beneath it, best first.
	members []int32

	// Scratch of one fold.
	dirty, rehash, over, rose, shut, dry bool
	room, free, left, start              int64
	from, group                          int
	// The best start, and the best step of a unit that runs, without room here.
	waiting, wanting *step
	h                uint64
}

// nodeLimits are what a configuration says of a node, made safe.
type nodeLimits struct {
	limit, usable, house, nameplate int64
	reserveLimits
	// plates is nameplate, here and beneath.
	plates              int64
	rampRate, rampBurst int64
	// downRate bounds reductions that only money asks for, W/s, and maxStarts
	// the units that start at one time; 0: no bound.
	downRate, maxStarts int64
	// breaker is what people open to take its power.
	breaker string
	// ramps: increases beneath it are bounded here.
	ramps      bool
	hysteresis int64
}

// books are sums over the units beneath a node, W: setpoints; setpoints beyond
// command; draw above setpoints that should have ended; bookings while others
// want to rise; what falling units may still draw beyond those; what they say to
// draw.
type books struct {
	setSum, fixedSum, extraSum, raiseSum, fallSum, seenSum int64
	// starting counts those that boot.
	starting int64
}

// told is what a node says of its load to the node above it.
type told struct {
	// AI and House load, with stand-ins for what is not believed.
	AI    int64 `json:"ai"`
	House int64 `json:"house"`
	// SeenAI and SeenHouse of it are believed: a node above that is measured
	// itself takes no stand-in of others.
	SeenAI int64 `json:"seen_ai"`
	// Stood is by how much AI is above what was measured last, where the recent
	// peak stands in for meters that have missed a few readings.
	Stood     int64 `json:"stood,omitempty"`
	SeenHouse int64 `json:"seen_house"`
	// Plain is AI as AI meters see it, no stand-ins and no balances; Estimated
	// counts where they do not.
	Plain     int64 `json:"plain"`
	Estimated int64 `json:"estimated"`
	// Unfresh, Uncovered and Sources count: some term is a stand-in; some AI
	// load is declared and not measured; something is measured.
	Unfresh   int64 `json:"unfresh"`
	Uncovered int64 `json:"uncovered"`
	Sources   int64 `json:"sources"`
}

func (t *told) add(o *told, sign int64) {
	t.AI += sign * o.AI
	t.House += sign * o.House
	t.SeenAI += sign * o.SeenAI
	t.SeenHouse += sign * o.SeenHouse
	t.Stood += sign * o.Stood
	t.Plain += sign * o.Plain
	t.Estimated += sign * o.Estimated
	t.Unfresh += sign * o.Unfresh
	t.Uncovered += sign * o.Uncovered
	t.Sources += sign * o.Sources
}

// said is what was published of a node.
type said struct {
	Once     bool  `json:"once"`
	Headroom int64 `json:"headroom"`
	Firm     int64 `json:"firm"`
	Fresh    bool  `json:"fresh"`
}

func (s *said) hash() uint64 {
	var g digest
	g.int(s.Headroom)
	g.int(s.Firm)
	g.bool(s.Once)
	g.bool(s.Fresh)
	return g.sum()
}

func newNode(id string) *node {
	n := &node{id: id, idHash: xxhash.Sum64String(id), offSince: -1, ownAI: -1, strange: -1, sig: noCeilings()}
	n.env.Started, n.step.End, n.crests.Second = -1, -1, -1
	n.load.Ceiling, n.load.Mining = -1, -1
	return n
}

// inherit takes over the state of a node of the same id in an older tree.
func (n *node) inherit(o *node) {
	n.env, n.step, n.crests, n.firms, n.balance, n.raised = o.env, o.step, o.crests, o.firms, o.balance, o.raised
	n.wanted.held = o.wanted.held
	n.balance.Known = o.balance.Known && len(n.totals) > 0 && len(n.minings) > 0
	n.restartUntil, n.settleAt, n.bucket, n.rogue = o.restartUntil, o.settleAt, o.bucket, o.rogue
	n.offSince, n.offAlert, n.said = o.offSince, o.offAlert, o.said
	n.downUntil = o.downUntil
	n.watch, n.work = o.watch, o.work
	n.strange, n.strangeAlert = o.strange, o.strangeAlert
}

func (n *node) hash() uint64 {
	var g digest
	g.uint(n.idHash)
	g.uint(n.env.sum + n.learnedHash())
	g.int(n.env.Started)
	n.balance.digest(&g)
	g.int(n.load.AI)
	g.int(n.load.House)
	g.int(n.load.Reserve)
	g.int(n.load.Headroom)
	g.int(n.load.Cap)
	g.int(n.load.ShedCap)
	g.int(n.load.Mining)
	g.int(n.restartUntil)
	g.int(n.settleAt)
	g.int(n.bucket.tokens)
	g.uint(n.bucket.carry)
	g.int(n.bucket.refilledAt)
	n.rogue.digest(&g)
	g.int(n.downUntil)
	g.int(n.offSince)
	g.int(n.said.Headroom)
	g.int(n.said.Firm)
	g.bool(n.load.Fresh)
	g.bool(n.offAlert)
	g.bool(n.said.Once)
	g.bool(n.said.Fresh)
	g.int(n.strange)
	g.bool(n.strangeAlert)
	return g.sum()
}

// learnedHash is the digest of what the node has learned of its load, and of
// what jobs want there.
func (n *node) learnedHash() uint64 {
	t := &n.load.Terms
	h := n.step.hash() + n.crests.hash() + mix2(uint64(n.told.Plain), uint64(n.told.Estimated)) + mix2(mix2(uint64(t.FloorWatts+t.MarginWatts), uint64(t.EnvelopeWatts)),
		mix2(mix2(uint64(t.RiseWatts), uint64(t.UnlearnedWatts)), uint64(t.JobsWatts)))
	for i := range n.firms {
		h += mix2(uint64(i+1), n.firms[i].hash())
	}
	if n.raised != (raised{}) {
		h += n.raised.hash()
	}
	if n.wanted.held != [2]int64{} {
		h += mix2(uint64(n.wanted.held[0]), uint64(n.wanted.held[1]))
	}
	return h
}

// changed notes that the digest of n has to be made anew at the end of the
// fold. A site that is one node keeps the digest that it had before there were
// trees: its state is in StateHash itself.
func (d *Dispatch) changed(n *node) {
	if d.site.tree && !n.rehash {
		n.rehash = true
		d.rehashes = append(d.rehashes, n)
	}
}

// rehash brings the digests of the nodes that changed up to date.
func (d *Dispatch) rehash() {
	for _, n := range d.rehashes {
		n.rehash = false
		h := n.hash()
		d.entries += h - n.h
		n.h = h
	}
	d.rehashes = d.rehashes[:0]
}

// mark notes that n has to be looked at by the next shed.
func (d *Dispatch) mark(n *node) {
	if !n.dirty {
		n.dirty = true
		d.dirty = append(d.dirty, n)
	}
}

// add books a change beneath n, there and above.
func (d *Dispatch) add(n *node, b books) {
	for ; n != nil; n = n.up {
		n.setSum += b.setSum
		n.fixedSum += b.fixedSum
		n.extraSum += b.extraSum
		n.raiseSum += b.raiseSum
		n.fallSum += b.fallSum
		n.starting += b.starting
		n.seenSum += b.seenSum
		d.mark(n)
	}
}

// booksOf u are its part of the sums.
func booksOf(u *unit) books {
	b := books{setSum: u.set, extraSum: u.extra, raiseSum: u.raiseBook, fallSum: u.fallBook, seenSum: u.seen}
	if u.fixed {
		b.fixedSum = u.set
	}
	if u.starting {
		b.starting = 1
	}
	return b
}

func (b books) negative() books {
	return books{-b.setSum, -b.fixedSum, -b.extraSum, -b.raiseSum, -b.fallSum, -b.seenSum, -b.starting}
}

// settle notes when what falls beneath n must have fallen.
func (d *Dispatch) settle(n *node, at int64) {
	for ; n != nil; n = n.up {
		if at > n.settleAt {
			n.settleAt = at
			d.changed(n)
		}
	}
}

// home is the node on which u hangs, and whether it is known.
func (d *Dispatch) home(u *unit) (*node, bool) {
	s := &d.site
	if !s.tree {
		return d.root, true
	}
	if s.broken != "" {
		return d.root, false
	}
	if n := s.agentNode[u.agent.id]; n != nil {
		return n, true
	}
	if n := s.nodeByID[u.caps.Node]; n != nil {
		return n, true
	}
	return d.root, false
}

// settleIn gives u its node; what u is booked with must be booked afterwards.
func (d *Dispatch) settleIn(u *unit) {
	n, known := d.home(u)
	u.node, u.homeless = n, !known
	d.judgeHome(u)
}

// judgeHome raises or clears the alert about a unit whose node is not known.
func (d *Dispatch) judgeHome(u *unit) {
	what := u.agent.id + "/" + u.id
	if u.homeless {
		d.raiseAlert(&d.alarms.Home, &u.homeAlert, alarmHome, what, events.SeverityWarning,
			"it is not known on which node of the power tree the unit hangs: it gets no permit",
			"list the agent at its node in site.config, or let it announce one of the site's nodes (or "+events.RootNode+")")
		return
	}
	d.clearAlert(&d.alarms.Home, &u.homeAlert, alarmHome, what, "the unit's node is known")
}
