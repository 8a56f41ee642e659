// SPDX-License-Identifier: Apache-2.0

package events

const maxPaths = 64

// nodes checks the power tree and that all that hangs on it finds its place.
func (c *checker) nodes(s *SiteConfig) {
	if len(s.Nodes) > MaxNodes {
		c.fail("nodes", "%d given; at most %d are possible", len(s.Nodes), MaxNodes)
		return
	}
	at := make(map[string]int, len(s.Nodes))
	agents := 0
	c.in = "nodes"
	for i := range s.Nodes {
		n := &s.Nodes[i]
		c.at = i
		c.node(n)
		if _, twice := at[n.Node]; twice {
			c.fail("node", "%s is listed twice", quote(n.Node))
		}
		at[n.Node] = i
		agents += len(n.Agents)
	}
	if agents > MaxNodeAgents {
		c.in = ""
		c.fail("nodes", "%d agents are listed; at most %d are possible: let agents announce their node", agents, MaxNodeAgents)
	}
	if c.err != nil {
		c.in = ""
		return
	}
	c.parents(s.Nodes, at)
	c.nodeAgents(s.Nodes, agents)
	c.nodeMeters(s.Meters, at)
}

// nodeMeters checks that meters hang on nodes that there are, and can be heeded
// there.
func (c *checker) nodeMeters(meters []MeterConfig, at map[string]int) {
	mining := make(map[string]bool)
	for i := range meters {
		if meters[i].Measures == MeasuresMining {
			mining[meters[i].Node] = true
		}
	}
	c.in = "meters"
	for i := range meters {
		c.at = i
		n := meters[i].Node
		if n == "" {
			continue
		}
		if _, known := at[n]; !known {
			c.fail("node", "%s is no node of this site: list it under nodes, or leave it out for the point of connection", quote(n))
		}
		if meters[i].Measures == MeasuresTotal && !mining[n] {
			c.fail("measures", "total at %s tells nothing without a meter there that measures mining; add one, or measure ai", quote(n))
		}
	}
	c.in = ""
}

// outlets checks that every unit has one outlet at most.
func (c *checker) outlets(os []OutletConfig) {
	if len(os) > MaxOutlets {
		c.fail("outlets", "%d given; at most %d are possible", len(os), MaxOutlets)
		return
	}
	type fed struct{ agent, unit string }
	seen := make(map[fed]bool, len(os))
	c.in = "outlets"
	for i := range os {
		o := &os[i]
		c.at = i
		c.token("outlet", o.Outlet)
		c.token("controller", o.Controller)
		c.token("agent", o.Agent)
		if o.Unit != "" {
			c.token("unit", o.Unit)
		}
		if k := (fed{o.Agent, o.Unit}); seen[k] {
			c.fail("agent", "%s is listed twice", quote(o.Agent))
		} else {
			seen[k] = true
		}
	}
	c.in = ""
}

func (c *checker) node(n *NodeConfig) {
	c.optionalText("breaker", n.Breaker, maxLabel)
	c.token("node", n.Node)
	if n.Node == RootNode {
		c.fail("node", "%s names the point of connection, which is described beside nodes; call this one otherwise", quote(n.Node))
	}
	if n.Parent != "" {
		c.token("parent", n.Parent)
	}
	c.watts("limit_watts", n.LimitWatts)
	c.between("continuous_factor_ppm", n.ContinuousFactorPPM, 1, million)
	switch n.Redundancy {
	case "", RedundancyNone, Redundancy2N:
		if n.Paths != 0 {
			c.fail("paths", "%d belongs to redundancy n+1 only", n.Paths)
		}
	case RedundancyN1:
		c.between("paths", n.Paths, 2, maxPaths)
	default:
		c.fail("redundancy", "%s is none of none, 2n, n+1", quote(string(n.Redundancy)))
	}
	c.watts("cooling_limit_watts", n.CoolingLimitWatts)
	c.watts("ai_nameplate_watts", n.AINameplateWatts)
	c.watts("house_watts", n.HouseWatts)
	if n.Reserve != nil {
		c.reserve(n.Reserve)
	}
	c.watts("ramp_watts_per_second", n.RampWattsPerSecond)
	c.watts("ramp_burst_watts", n.RampBurstWatts)
	c.watts("ramp_down_watts_per_second", n.RampDownWattsPerSecond)
	c.between("max_starts_at_once", n.MaxStartsAtOnce, 0, maxStarts)
	if n.RampBurstWatts > 0 && n.RampWattsPerSecond == 0 {
		c.fail("ramp_burst_watts", "%d without ramp_watts_per_second would never be refilled; set both or neither", n.RampBurstWatts)
	}
}

// maxJobLearn is the longest time in which the peak of a job is learned, s.
const maxJobLearn = 7 * daySeconds

// quantile is a share above a half, parts per million; 0 for none.
func (c *checker) quantile(field string, ppm int64) {
	if ppm != 0 {
		c.between(field, ppm, million/2, million-1)
	}
}

func (c *checker) reserve(r *ReserveConfig) {
	c.watts("reserve.floor_watts", r.FloorWatts)
	c.watts("reserve.unlearned_watts", r.UnlearnedWatts)
	c.watts("reserve.margin_watts", r.MarginWatts)
	c.between("reserve.envelope_seconds", r.EnvelopeSeconds, 0, daySeconds)
	c.quantile("reserve.rise_quantile_ppm", r.RiseQuantilePPM)
	c.between("reserve.job_learn_seconds", r.JobLearnSeconds, 0, maxJobLearn)
}

// parents checks that every node hangs on the point of connection, not too
// deep and in no circle.
func (c *checker) parents(nodes []NodeConfig, at map[string]int) {
	depth := make([]int, len(nodes)) // 0: not known yet
	var chain []int
	for i := range nodes {
		chain = chain[:0]
		below := 0
		for k := i; ; {
			if depth[k] != 0 {
				below = depth[k]
				break
			}
			chain = append(chain, k)
			c.at = i
			if len(chain) > len(nodes) {
				c.fail("parent", "%s is fed by itself over %s: a tree has no circles", quote(nodes[i].Node), quote(nodes[i].Parent))
				return
			}
			up := nodes[k].Parent
			if up == "" {
				break
			}
			next, known := at[up]
			if !known {
				c.at = k
				c.fail("parent", "%s is no node of this site: list it, or leave it out for the point of connection", quote(up))
				return
			}
			k = next
		}
		for j := len(chain) - 1; j >= 0; j-- {
			below++
			depth[chain[j]] = below
			if below > MaxNodeDepth {
				c.at = chain[j]
				c.fail("parent", "%s stands under %d others; at most %d are possible", quote(nodes[chain[j]].Node), below-1, MaxNodeDepth-1)
				return
			}
		}
	}
}

// nodeAgents checks that no agent hangs in two places.
func (c *checker) nodeAgents(nodes []NodeConfig, n int) {
	seen := make(map[string]string, n)
	for i := range nodes {
		c.at = i
		for _, a := range nodes[i].Agents {
			c.token("agents", a)
			if other, twice := seen[a]; twice {
				c.fail("agents", "%s is listed twice, at %s and at %s: an agent's units hang at one node", quote(a), quote(other), quote(nodes[i].Node))
			}
			seen[a] = nodes[i].Node
		}
	}
}
