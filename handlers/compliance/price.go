// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// agent speaks for units.
type agent struct {
	ID string
	// Node by configuration or "".
	Node string
	// Heard last, Unix ns; 0 when it is silent.
	Heard int64
}

// unit that may be kept off by price.
type unit struct {
	ID        string
	Agent     int
	Node      string
	Nameplate int64
	// Idle is what it does not draw because energy is too dear, W.
	Idle int64
}

// status hears what units say of price.
func (d *Decider) status(source string, s *events.WorkerStatus) {
	if d.Terms == nil {
		return
	}
	a, ok := d.agentOf[source]
	if !ok {
		if len(d.Agents) >= maxAgents {
			return
		}
		a = len(d.Agents)
		id := strings.Clone(source)
		d.Agents = append(d.Agents, agent{ID: id, Node: d.nodeOf(id)})
		d.agentOf[id] = a
	}
	d.Agents[a].Heard = d.Now
	for i := range s.Units {
		d.unit(a, &s.Units[i], s.Leaving)
	}
	if s.Leaving {
		d.Agents[a].Heard = 0
		d.silence()
	}
}

func (d *Decider) unit(a int, s *events.UnitStatus, leaving bool) {
	i, ok := d.unitOf[s.Unit]
	if !ok {
		if len(d.Units) >= maxUnits {
			return
		}
		i = len(d.Units)
		id := strings.Clone(s.Unit)
		d.Units = append(d.Units, unit{ID: id, Agent: a})
		d.unitOf[id] = i
	}
	u := &d.Units[i]
	idle := int64(0)
	if !leaving {
		if c := s.Capabilities; c != nil {
			u.Nameplate = min(max(c.NameplateWatts, 0), maxWatts)
			if node := c.Node; node != u.Node && node != events.RootNode {
				d.idle(u, 0)
				u.Node = strings.Clone(node)
			}
		}
		if s.Reason == events.ReasonEconomics {
			idle = max(u.Nameplate-max(s.PowerWatts, 0), 0)
		}
	}
	if u.Agent != a {
		d.idle(u, 0)
		u.Agent = a
	}
	d.idle(u, idle)
}

// idle changes what a unit does not draw for the sake of price.
func (d *Decider) idle(u *unit, watts int64) {
	if u.Idle == watts {
		return
	}
	d.mix(uint64(watts))
	for i, p := range d.Points {
		if !d.hangs(u, p.Node) {
			continue
		}
		d.flushPoint(i)
		p.Price += watts - u.Idle
	}
	u.Idle = watts
}

// hangs reports whether a unit draws through a node.
func (d *Decider) hangs(u *unit, nodeID string) bool {
	if nodeID == "" {
		return true
	}
	at := d.Agents[u.Agent].Node
	if at == "" {
		at = u.Node
	}
	return d.under(at, nodeID)
}

// nodeOf an agent by the configuration.
func (d *Decider) nodeOf(id string) string { return d.homeOf[id] }

// hush forgets the words of agents that have been silent for longer than a
// permit lives.
func (d *Decider) hush() {
	silent := false
	for a := range d.Agents {
		if h := d.Agents[a].Heard; h > 0 && d.Now-h > d.Terms.AgentHold {
			d.Agents[a].Heard, silent = 0, true
		}
	}
	if silent {
		d.silence()
	}
}

// silence forgets what units of silent agents said.
func (d *Decider) silence() {
	for i := range d.Units {
		if d.Agents[d.Units[i].Agent].Heard == 0 {
			d.idle(&d.Units[i], 0)
		}
	}
}

// priceAgain adds up afresh after nodes have changed.
func (d *Decider) priceAgain() {
	for i := range d.Agents {
		d.Agents[i].Node = d.nodeOf(d.Agents[i].ID)
	}
	for _, p := range d.Points {
		p.Price = 0
	}
	for i := range d.Units {
		u := &d.Units[i]
		if d.Agents[u.Agent].Heard == 0 {
			u.Idle = 0
		}
		if u.Idle == 0 {
			continue
		}
		for _, p := range d.Points {
			if d.hangs(u, p.Node) {
				p.Price += u.Idle
			}
		}
	}
}
