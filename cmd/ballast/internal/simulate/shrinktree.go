// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
)

func (s *shrinker) dropChanges() bool {
	return s.each(func() int { return len(s.best.Changes) }, func(c *Story, i int) { c.Changes = slices.Delete(c.Changes, i, i+1) })
}

// dropNodes takes nodes out of the tree: what hangs beneath one hangs on the
// node above from then on, what happens at it does not happen.
func (s *shrinker) dropNodes() bool {
	return s.each(func() int { return len(s.best.Config.Nodes) }, func(c *Story, i int) {
		n := c.Config.Nodes[i]
		c.Config.Nodes = slices.Delete(c.Config.Nodes, i, i+1)
		for k := range c.Config.Nodes {
			o := &c.Config.Nodes[k]
			if o.Parent == n.Node {
				o.Parent = n.Parent
			}
		}
		for k := range c.Agents {
			a := &c.Agents[k]
			if a.Caps.Node == n.Node || slices.Contains(n.Agents, a.Name) {
				if a.Caps.Node = n.Parent; n.Parent == "" {
					a.Caps.Node = events.RootNode
				}
			}
		}
		c.Config.Meters = slices.DeleteFunc(c.Config.Meters, func(m events.MeterConfig) bool {
			if m.Node == n.Node {
				c.forgetMeter(m.Meter)
			}
			return m.Node == n.Node
		})
		c.Load = slices.DeleteFunc(c.Load, func(l Step) bool { return l.Node == n.Node })
		c.House = slices.DeleteFunc(c.House, func(h HouseLoad) bool { return h.Node == n.Node })
		c.Changes = slices.DeleteFunc(c.Changes, func(g Change) bool { return g.Node == n.Node })
		c.Signals = slices.DeleteFunc(c.Signals, func(g Signal) bool { return g.Grid.Node == n.Node })
		c.Jobs = slices.DeleteFunc(c.Jobs, func(j Job) bool { return j.Says.Node == n.Node })
	})
}

func (s *shrinker) dropMeters() bool {
	return s.each(func() int { return len(s.best.Config.Meters) }, func(c *Story, i int) {
		c.forgetMeter(c.Config.Meters[i].Meter)
		c.Config.Meters = slices.Delete(c.Config.Meters, i, i+1)
	})
}

func (s *shrinker) dropOutlets() bool {
	any := s.each(func() int { return len(s.best.Switches) }, func(c *Story, i int) { c.Switches = slices.Delete(c.Switches, i, i+1) })
	return s.each(func() int { return len(s.best.Config.Outlets) }, func(c *Story, i int) { c.Config.Outlets = slices.Delete(c.Config.Outlets, i, i+1) }) || any
}

// forgetMeter takes a meter out of what happens.
func (s *Story) forgetMeter(id string) {
	s.Faults = slices.DeleteFunc(s.Faults, func(f Fault) bool { return f.Who == id })
	s.Jobs = slices.DeleteFunc(s.Jobs, func(j Job) bool { return slices.Contains(j.Says.Meters, id) })
	for i := range s.Agents {
		if s.Agents[i].Caps.Meter == id {
			s.Agents[i].Caps.Meter = ""
		}
	}
}

// plain takes house load, reserves, ramp limits and redundancy from the nodes.
func (s *shrinker) plain() (any bool) {
	for i := len(s.best.House) - 1; i >= 0; i-- {
		any = s.try(func(c *Story) {
			node := c.House[i].Node
			c.House = slices.Delete(c.House, i, i+1)
			for k := range c.Config.Nodes {
				if n := &c.Config.Nodes[k]; n.Node == node {
					n.HouseWatts = 0
				}
			}
		}) || any
	}
	for _, drop := range []func(n *events.NodeConfig) bool{
		func(n *events.NodeConfig) bool { had := n.Reserve != nil; n.Reserve = nil; return had },
		func(n *events.NodeConfig) bool {
			had := n.RampWattsPerSecond > 0
			n.RampWattsPerSecond, n.RampBurstWatts = 0, 0
			return had
		},
		func(n *events.NodeConfig) bool {
			had := n.Redundancy != ""
			n.Redundancy, n.Paths = "", 0
			return had
		},
		func(n *events.NodeConfig) bool { had := n.CoolingLimitWatts > 0; n.CoolingLimitWatts = 0; return had },
	} {
		any = s.each(func() int { return len(s.best.Config.Nodes) }, func(c *Story, i int) {
			if !drop(&c.Config.Nodes[i]) {
				c.Length = 0 // nothing gained: not a story
			}
		}) || any
	}
	return any
}

// honest reports whether the configuration knows of every house load: by a meter
// at its node, or because it is declared there. A story with another load would
// fail by that alone.
func (s *Story) honest() bool {
	declared := map[string]int64{"": s.Config.HouseWatts}
	for i := range s.Config.Nodes {
		declared[s.Config.Nodes[i].Node] = s.Config.Nodes[i].HouseWatts
	}
	sums := map[string]map[events.Measures]bool{}
	for _, m := range s.Config.Meters {
		if sums[m.Node] == nil {
			sums[m.Node] = map[events.Measures]bool{}
		}
		sums[m.Node][m.Measures] = true
	}
	for _, h := range s.House {
		if sums[h.Node][events.MeasuresHouse] || declared[h.Node] >= h.Watts {
			continue
		}
		return false
	}
	return true
}
