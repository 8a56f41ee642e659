// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// node reads "ID [in PARENT] limit P [factor S] [2n | n+1 of N paths] [cooling P]
// [ai nameplate P] [house P] [reserve P] [unlearned P] [margin P] [envelope D]
// [ramp P/s] [burst P] [jobs] [agent A]…".
func (s *Story) node(w *words) (err error) {
	n := events.NodeConfig{Node: w.next(), ContinuousFactorPPM: 1_000_000}
next:
	for w.more() && err == nil {
		switch {
		case w.take("in"):
			n.Parent = w.node()
			continue
		case w.take("2n"):
			n.Redundancy = events.Redundancy2N
			continue
		case w.take("n+1 of"):
			n.Redundancy = events.RedundancyN1
			v := w.next()
			if n.Paths, err = strconv.ParseInt(v, 10, 64); err != nil || !w.take("paths") {
				return fmt.Errorf("node %s: expected a number of paths, as in n+1 of 4 paths", n.Node)
			}
			continue
		case w.take("jobs"):
			reserveOf(&n).Jobs = true
			continue
		case w.take("agent"):
			n.Agents = append(n.Agents, w.next())
			continue
		}
		for _, k := range nodeKeys {
			if w.take(k.name) {
				var v int64
				if v, err = w.quantity(k.kind); err == nil {
					*k.at(&n) = v
				}
				continue next
			}
		}
		return fmt.Errorf("%q is nothing that a node has; see the documentation of package simulate", w.peek())
	}
	s.Config.Nodes = append(s.Config.Nodes, n)
	return err
}

// changes reads "NODE becomes P" behind which limit it is.
func (s *Story) changes(w *words, at time.Duration) (err error) {
	c := Change{At: at, What: LimitRating}
	if w.last == "cooling of" {
		c.What = LimitCooling
	}
	if c.Node = w.node(); !w.take("becomes") {
		return fmt.Errorf("say what the %s of %s becomes", c.What, orRoot(c.Node))
	}
	c.Watts, err = w.quantity(&ofPower)
	s.Changes = append(s.Changes, c)
	return err
}

// node is the next word, empty for the point of connection.
func (w *words) node() string {
	if id := w.next(); id != events.RootNode {
		return id
	}
	return ""
}

// at reads "at NODE", if it comes next.
func (w *words) at() string {
	if w.take("at") {
		return w.node()
	}
	return ""
}

// at writes a node behind what hangs there, nothing for the point of connection.
func at(node string) string {
	if node == "" {
		return ""
	}
	return " at " + node
}

func writeNode(b *strings.Builder, n *events.NodeConfig) {
	fmt.Fprintf(b, "config node %s", n.Node)
	if n.Parent != "" {
		fmt.Fprintf(b, " in %s", n.Parent)
	}
	switch n.Redundancy {
	case events.Redundancy2N:
		b.WriteString(" 2n")
	case events.RedundancyN1:
		fmt.Fprintf(b, " n+1 of %d paths", n.Paths)
	}
	for _, k := range nodeKeys {
		if k.keeps && n.Reserve == nil {
			continue
		}
		if v := *k.at(n); v != 0 || k.always {
			fmt.Fprintf(b, " %s %s", k.name, k.kind.write(v))
		}
	}
	if n.Reserve != nil && n.Reserve.Jobs {
		b.WriteString(" jobs")
	}
	for _, a := range n.Agents {
		fmt.Fprintf(b, " agent %s", a)
	}
	b.WriteByte('\n')
}

// reserveOf a node, which has one from now on.
func reserveOf(n *events.NodeConfig) *events.ReserveConfig {
	if n.Reserve == nil {
		n.Reserve = &events.ReserveConfig{}
	}
	return n.Reserve
}

// nodeKeys of config node lines, as handlers/scenario spells them.
var nodeKeys = []struct {
	name string
	kind *quantity
	at   func(*events.NodeConfig) *int64
	// always written; keeps: part of the reserve.
	always, keeps bool
}{
	{"limit", &ofPower, func(n *events.NodeConfig) *int64 { return &n.LimitWatts }, true, false},
	{"factor", &ofShare, func(n *events.NodeConfig) *int64 { return &n.ContinuousFactorPPM }, false, false},
	{"cooling", &ofPower, func(n *events.NodeConfig) *int64 { return &n.CoolingLimitWatts }, false, false},
	{"ai nameplate", &ofPower, func(n *events.NodeConfig) *int64 { return &n.AINameplateWatts }, false, false},
	{"house", &ofPower, func(n *events.NodeConfig) *int64 { return &n.HouseWatts }, false, false},
	{"reserve", &ofPower, func(n *events.NodeConfig) *int64 { return &reserveOf(n).FloorWatts }, true, true},
	{"unlearned", &ofPower, func(n *events.NodeConfig) *int64 { return &reserveOf(n).UnlearnedWatts }, false, true},
	{"margin", &ofPower, func(n *events.NodeConfig) *int64 { return &reserveOf(n).MarginWatts }, false, true},
	{"envelope", &ofSecond, func(n *events.NodeConfig) *int64 { return &reserveOf(n).EnvelopeSeconds }, false, true},
	{"ramp", &ofRamp, func(n *events.NodeConfig) *int64 { return &n.RampWattsPerSecond }, false, false},
	{"burst", &ofPower, func(n *events.NodeConfig) *int64 { return &n.RampBurstWatts }, false, false},
}
