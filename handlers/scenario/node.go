// SPDX-License-Identifier: Apache-2.0

package scenario

import "github.com/ballast-energy/ballast/events"

// readNode reads "ID [in PARENT] limit P [factor S] [2n | n+1 of N paths]
// [cooling P] [ai nameplate P] [house P] [reserve P] [unlearned P] [margin P]
// [envelope D] [rise quantile S] [jobs] [job learning D] [ramp P per second] [burst P]
// [ramp down P per second] [starts at once N] [breaker NAME] [agent A]…".
func readNode(w *words, c *events.SiteConfig) error {
	id, err := w.word("the id of a node")
	if err != nil {
		return err
	}
	n := events.NodeConfig{Node: id, ContinuousFactorPPM: 1_000_000}
	reserve := func() *events.ReserveConfig {
		if n.Reserve == nil {
			n.Reserve = &events.ReserveConfig{}
		}
		return n.Reserve
	}
	for more := true; more && err == nil; {
		switch {
		case w.take("in"):
			n.Parent, err = w.word("the id of the node that feeds it")
		case w.take("limit"):
			n.LimitWatts, err = w.power()
		case w.take("factor"):
			n.ContinuousFactorPPM, err = w.scaled("a share such as 80%", shareUnits)
		case w.take("2n"):
			n.Redundancy = events.Redundancy2N
		case w.take("n+1", "of"):
			n.Redundancy = events.RedundancyN1
			if n.Paths, err = w.integer("number of paths"); err == nil {
				err = w.need("paths")
			}
		case w.take("cooling"):
			n.CoolingLimitWatts, err = w.power()
		case w.take("ai", "nameplate"):
			n.AINameplateWatts, err = w.power()
		case w.take("house"):
			n.HouseWatts, err = w.power()
		case w.take("reserve"):
			reserve().FloorWatts, err = w.power()
		case w.take("unlearned"):
			reserve().UnlearnedWatts, err = w.power()
		case w.take("margin"):
			reserve().MarginWatts, err = w.power()
		case w.take("envelope"):
			d, e := w.duration()
			reserve().EnvelopeSeconds, err = int64(d)/perSecond, e
		case w.take("rise", "quantile"):
			reserve().RiseQuantilePPM, err = w.scaled("a share such as 99.9%", shareUnits)
		case w.take("jobs"):
			reserve().Jobs = true
		case w.take("job", "learning"):
			d, e := w.duration()
			reserve().JobLearnSeconds, err = int64(d)/perSecond, e
		case w.take("ramp", "down"):
			n.RampDownWattsPerSecond, err = rampOf(w)
		case w.take("starts", "at", "once"):
			n.MaxStartsAtOnce, err = w.integer("count")
		case w.take("ramp"):
			n.RampWattsPerSecond, err = rampOf(w)
		case w.take("burst"):
			n.RampBurstWatts, err = w.power()
		case w.take("breaker"):
			n.Breaker, err = w.word("the name of a breaker")
		case w.take("agent"):
			var a string
			a, err = w.word("the id of an agent")
			n.Agents = append(n.Agents, a)
		default:
			more = false
		}
	}
	if err != nil {
		return err
	}
	for i := range c.Nodes {
		if c.Nodes[i].Node == n.Node {
			c.Nodes[i] = n
			return nil
		}
	}
	c.Nodes = append(c.Nodes, n)
	return nil
}
