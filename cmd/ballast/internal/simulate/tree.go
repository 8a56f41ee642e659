// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"math/bits"

	"github.com/ballast-energy/ballast/events"
)

// place is a node of the power tree as it stands on the floor: what truly flows
// there, and what may. A site without nodes has one, the point of connection.
type place struct {
	id     string // events.RootNode for the point of connection
	up     *place // nil at the point of connection
	kids   []*place
	meters []*meter
	// base is the AI load that hangs at this very node without its tremble, own
	// with it.
	base, own int64
	// usable is what the limits of the node leave, W.
	usable int64
	// Sums of the place and all beneath it, W. rogue is draw of units beyond
	// command that a mining meter at or beneath the place sees, hidden what none
	// does: nobody can answer for that.
	ai, house, mining, rogue, hidden int64
	// minings: mining meters hang here.
	minings bool
	watch
}

// share of w, rounded down.
func share64(w, ppm int64) int64 {
	hi, lo := bits.Mul64(uint64(max(w, 0)), uint64(max(ppm, 0)))
	q, _ := bits.Div64(hi, lo, 1_000_000)
	return int64(q)
}

// usableAt is what may flow through a node by its rating, its redundancy and
// its cooling.
func usableAt(n *events.NodeConfig) int64 {
	w := share64(n.LimitWatts, n.ContinuousFactorPPM)
	switch n.Redundancy {
	case events.Redundancy2N:
		w = min(w, n.LimitWatts/2)
	case events.RedundancyN1:
		w = min(w, n.LimitWatts*(n.Paths-1)/n.Paths)
	}
	if n.CoolingLimitWatts > 0 {
		w = min(w, n.CoolingLimitWatts)
	}
	return w
}

// inOrder are the nodes of a configuration, each behind the one that feeds it.
func inOrder(nodes []events.NodeConfig) []*events.NodeConfig {
	fed := make(map[string][]*events.NodeConfig, len(nodes))
	for i := range nodes {
		fed[nodes[i].Parent] = append(fed[nodes[i].Parent], &nodes[i])
	}
	out := append(make([]*events.NodeConfig, 0, len(nodes)), fed[""]...)
	for at := 0; at < len(out); at++ {
		out = append(out, fed[out[at].Node]...)
	}
	return out
}

// grow makes the places of the story.
func (p *plant) grow() {
	st := p.w.story
	p.root = &place{id: events.RootNode}
	p.places, p.byNode = []*place{p.root}, map[string]*place{"": p.root, events.RootNode: p.root}
	for _, c := range inOrder(st.Config.Nodes) {
		n := &place{id: c.Node, up: p.byNode[c.Parent]}
		n.up.kids = append(n.up.kids, n)
		p.byNode[n.id] = n
		p.places = append(p.places, n)
	}
	for _, h := range st.House {
		for n := p.byNode[h.Node]; n != nil; n = n.up {
			n.house += h.Watts
		}
	}
	p.limits(&st.Config)
}

// limits takes the limits of a configuration.
func (p *plant) limits(c *events.SiteConfig) {
	p.root.usable = share64(c.LimitWatts, c.ContinuousFactorPPM)
	for i := range c.Nodes {
		p.byNode[c.Nodes[i].Node].usable = usableAt(&c.Nodes[i])
	}
	for _, n := range p.places {
		p.w.oracle.changed(n)
	}
}

// homeOf an agent is the place on which its units hang: the configuration says
// it, or the agent does.
func (p *plant) homeOf(a *Agent) *place {
	for i := range p.w.story.Config.Nodes {
		n := &p.w.story.Config.Nodes[i]
		for _, name := range n.Agents {
			if name == a.Name {
				return p.byNode[n.Node]
			}
		}
	}
	return p.byNode[a.Caps.Node]
}

// change takes effect: what the operator lets a node carry from now on.
func (w *world) change(c *Change) {
	w.note("%s", c)
	cfg := w.config
	cfg.Nodes = append([]events.NodeConfig(nil), cfg.Nodes...)
	c.apply(&cfg)
	w.config = cfg
	w.plant.limits(&cfg)
	w.publishConfig()
}

// rooms are what a decider may leave to mining at every place, when it has to
// take what no meter sees for the worst: AI load at its nameplate, every reserve
// at its highest.
func (p *plant) rooms() map[*place]int64 {
	c := &p.w.config
	nameplate, reserve := map[*place]int64{p.root: c.AINameplateWatts}, map[*place]*events.ReserveConfig{p.root: &c.Reserve}
	for i := range c.Nodes {
		n := p.byNode[c.Nodes[i].Node]
		nameplate[n] = c.Nodes[i].AINameplateWatts
		if r := c.Nodes[i].Reserve; r != nil {
			reserve[n] = r
		}
	}
	believed, room := make(map[*place]int64), make(map[*place]int64)
	for i := len(p.places) - 1; i >= 0; i-- {
		n := p.places[i]
		if n.measured() {
			believed[n] = n.ai
		} else {
			believed[n] += nameplate[n]
		}
		if n.up != nil {
			believed[n.up] += believed[n]
		}
		usable, ceiling := p.w.limits(n)
		r := usable - believed[n] - n.house - c.Policy.HysteresisWatts
		if k := reserve[n]; k != nil {
			r -= max(k.FloorWatts, k.UnlearnedWatts) + k.MarginWatts
		}
		room[n] = min(r, ceiling)
	}
	return room
}

// measured reports whether meters of n itself tell of the AI load.
func (n *place) measured() bool {
	var has [4]bool
	for _, m := range n.meters {
		for i, w := range [...]events.Measures{events.MeasuresAI, events.MeasuresTotal, events.MeasuresMining} {
			has[i] = has[i] || m.cfg.Measures == w
		}
	}
	return has[0] || has[1] && has[2]
}
