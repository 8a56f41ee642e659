// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math/bits"
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// Bounds on the power tree.
const (
	// MaxNodes below the point of connection, and how many of them may stand
	// above one another.
	MaxNodes     = events.MaxNodes
	MaxNodeDepth = events.MaxNodeDepth
)

// plant makes the nodes of a configuration, the point of connection first and
// every node before those it feeds. A tree that cannot be (readers of events
// refuse it) leaves the point of connection alone, and broken says why: then no
// unit has a place, for nobody knows which limits it is under.
func (s *settings) plant(c *events.SiteConfig) {
	root := newNode(events.RootNode)
	root.nodeLimits = rootLimits(c)
	root.hysteresis = watts(c.Policy.HysteresisWatts)
	s.nodes = []*node{root}
	s.tree = len(c.Nodes) > 0
	if !s.tree {
		return
	}
	s.nodeByID, s.agentNode = map[string]*node{events.RootNode: root}, make(map[string]*node)
	if s.broken = s.grow(c.Nodes); s.broken == "" {
		return
	}
	s.nodes = s.nodes[:1]
	root.kids = 0
	clear(s.nodeByID)
	clear(s.agentNode)
}

// grow adds the nodes to the point of connection and says what is wrong with
// them, if anything.
func (s *settings) grow(nodes []events.NodeConfig) string {
	if len(nodes) > MaxNodes {
		return "there are too many nodes"
	}
	root := s.nodes[0]
	fed := make(map[string][]int, len(nodes))
	for i := range nodes {
		c := &nodes[i]
		if s.nodeByID[c.Node] != nil || c.Node == "" {
			return "a node has no id of its own"
		}
		n := newNode(strings.Clone(c.Node))
		n.nodeLimits = limitsOf(c, root)
		s.nodeByID[n.id] = n
		fed[c.Parent] = append(fed[c.Parent], i)
		for _, a := range c.Agents {
			if s.agentNode[a] != nil {
				return "an agent hangs in two places"
			}
			s.agentNode[strings.Clone(a)] = n
		}
	}
	for at := 0; at < len(s.nodes); at++ {
		up := s.nodes[at]
		parent := up.id
		if up == root {
			parent = ""
		}
		for _, i := range fed[parent] {
			n := s.nodeByID[nodes[i].Node]
			n.up, n.index, n.depth = up, len(s.nodes), up.depth+1
			if n.depth > MaxNodeDepth {
				return "nodes stand too deep under one another"
			}
			up.kids++
			s.nodes = append(s.nodes, n)
		}
	}
	if len(s.nodes) != len(nodes)+1 {
		return "a node hangs on one that is not there, or on itself"
	}
	return ""
}

func rootLimits(c *events.SiteConfig) nodeLimits {
	l := nodeLimits{
		limit: watts(c.LimitWatts), usable: share(c.LimitWatts, c.ContinuousFactorPPM),
		house: watts(c.HouseWatts), nameplate: watts(c.AINameplateWatts),
		rampRate: watts(c.Policy.RampWattsPerSecond), rampBurst: watts(c.Policy.RampBurstWatts), ramps: true,
		downRate: watts(c.Policy.RampDownWattsPerSecond), maxStarts: max(c.Policy.MaxStartsAtOnce, 0),
	}
	l.keep(&c.Reserve)
	return l
}

// limitsOf a node: what is usable is the least that its rating, its redundancy
// and its cooling leave.
func limitsOf(c *events.NodeConfig, root *node) nodeLimits {
	l := nodeLimits{
		limit: watts(c.LimitWatts), usable: share(c.LimitWatts, c.ContinuousFactorPPM),
		house: watts(c.HouseWatts), nameplate: watts(c.AINameplateWatts),
		rampRate: watts(c.RampWattsPerSecond), rampBurst: watts(c.RampBurstWatts),
		downRate: watts(c.RampDownWattsPerSecond), maxStarts: max(c.MaxStartsAtOnce, 0),
	}
	l.ramps = l.rampRate > 0
	l.breaker = strings.Clone(c.Breaker)
	switch c.Redundancy {
	case events.Redundancy2N:
		l.usable = min(l.usable, l.limit/2)
	case events.RedundancyN1:
		p := clamp(c.Paths, 1, 1_000)
		l.usable = min(l.usable, l.limit*(p-1)/p)
	case "", events.RedundancyNone:
	default:
		l.usable = 0 // nobody knows how much of it may be used
	}
	if w := watts(c.CoolingLimitWatts); w > 0 {
		l.usable = min(l.usable, w)
	}
	if c.Reserve != nil {
		l.keep(c.Reserve)
	}
	// The same share of what is usable as at the point of connection.
	l.hysteresis = root.hysteresis
	if root.usable > 0 && l.usable < root.usable {
		hi, lo := bits.Mul64(uint64(root.hysteresis), uint64(l.usable))
		q, _ := bits.Div64(hi, lo, uint64(root.usable))
		l.hysteresis = int64(q)
	}
	return l
}

// hang puts the meters on their nodes.
func (s *settings) hang(old map[string]*meter) {
	for _, mc := range s.raw.Meters {
		if s.byID[mc.Meter] != nil || len(s.meters) == MaxMeters {
			continue
		}
		m := &meter{}
		if o := old[mc.Meter]; o != nil && o.cfg.Measures == mc.Measures && o.cfg.Node == mc.Node {
			*m = *o
		}
		m.use(mc)
		m.job, m.claims = nil, claims{}
		m.index, m.node = len(s.meters), s.nodes[0]
		if mc.Node != "" {
			if n := s.nodeByID[mc.Node]; n != nil {
				m.node = n
			} else if s.tree = true; s.broken == "" {
				s.broken = "a meter hangs on a node that is not there"
			}
		}
		s.byID[mc.Meter] = m
		s.meters = append(s.meters, m)
		n := m.node
		n.meters = append(n.meters, m)
		switch mc.Measures {
		case events.MeasuresAI:
			n.ai = join(n.ai, m)
		case events.MeasuresHouse:
			n.houses = join(n.houses, m)
		case events.MeasuresTotal:
			n.totals = join(n.totals, m)
		case events.MeasuresMining:
			n.minings = join(n.minings, m)
		}
	}
	s.nestMinings()
	for i := len(s.nodes) - 1; i >= 0; i-- {
		n := s.nodes[i]
		n.measured = n.measured || n.figures()
		if n.plates += n.nameplate; n.up != nil {
			n.up.plates += n.plates
		}
		if n.measured && n.up != nil {
			n.up.measured = true
		}
	}
}

// nestMinings finds for every mining meter the next one further up, which sees
// the same units.
func (s *settings) nestMinings() {
	for _, m := range s.meters {
		if m.wider, m.shared = nil, false; m.cfg.Measures != events.MeasuresMining {
			continue
		}
		for n := m.node.up; n != nil && m.wider == nil; n = n.up {
			if len(n.minings) == 1 {
				m.wider = n.minings[0].meters[0]
			}
			if len(n.minings) > 0 {
				break
			}
		}
	}
	for _, m := range s.meters {
		for n := m.node.up; n != nil && m.cfg.Measures == events.MeasuresMining; n = n.up {
			for i := range n.minings {
				for _, o := range n.minings[i].meters {
					o.shared = o.shared || len(n.minings) > 1
				}
			}
		}
	}
}

// figures reports whether meters of n itself tell of the AI load.
func (n *node) figures() bool { return len(n.ai) > 0 || len(n.totals) > 0 && len(n.minings) > 0 }

// transplant lets the state of the old tree go on in the new one, and books
// every unit at its node.
func (d *Dispatch) transplant(old []*node) {
	d.nodes, d.root = d.site.nodes, d.site.nodes[0]
	d.dirty, d.rehashes = d.dirty[:0], d.rehashes[:0]
	was := make(map[string]*node, len(old))
	for _, o := range old {
		was[o.id] = o
		d.entries -= o.h
	}
	for _, n := range d.nodes {
		if o := was[n.id]; o != nil {
			n.inherit(o)
			delete(was, n.id)
		} else {
			n.bucket = bucket{tokens: n.rampBurst, refilledAt: d.now}
		}
	}
	for _, o := range old {
		if was[o.id] != nil {
			d.clearAlert(&d.alarms.Tree, &o.offAlert, alarmTree, o.id, "the node is not configured any more")
			d.closeWork(&o.work, o.id, "the node is not configured any more")
			d.clearAlert(&d.alarms.Strange, &o.strangeAlert, alarmStrange, o.id, "the node is not configured any more")
		}
	}
	for _, u := range d.order {
		alert := u.homeAlert
		d.settleIn(u)
		if u.homeAlert != alert {
			d.touchUnit(u)
		}
		d.add(u.node, booksOf(u))
	}
	d.unranked, d.stepsChanged, d.fallsChanged = true, true, true
	for _, n := range d.nodes {
		d.mark(n)
		d.changed(n)
	}
	d.judgeTree()
}

// judgeTree raises or clears the alert about a tree that cannot be.
func (d *Dispatch) judgeTree() {
	if d.site.broken != "" {
		d.raiseAlert(&d.alarms.Broken, &d.brokenAlert, alarmBroken, "nodes", events.SeverityCritical,
			"the power tree of site.config cannot be: "+d.site.broken+"; no unit gets a permit",
			"check the nodes of the site's configuration with ballast config check, and publish it again")
		return
	}
	d.clearAlert(&d.alarms.Broken, &d.brokenAlert, alarmBroken, "nodes", "the power tree is a tree")
}
