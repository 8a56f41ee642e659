// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// Bounds of a generated power tree.
const (
	mostNodes = 9
	mostDepth = 5
	// leastMeters of a story.
	leastMeters = 6
)

// metering is which meters hang at a node.
type metering int

const (
	unmetered metering = iota
	meteredAI
	meteredHouse // AI and house
	meteredAll   // AI, total and mining
	meteredSum   // total and mining: AI is what they leave
	meteredKinds
)

// sprout is a node as it is planned. The first one is the point of connection.
type sprout struct {
	cfg    events.NodeConfig
	up     int
	depth  int
	how    metering
	house  int64
	agents []int
	// Sums with all beneath it, W.
	ai, mining, houses int64
}

func (s *sprout) measured() bool { return s.how != unmetered }

func (s *sprout) mines() bool { return s.how == meteredAll || s.how == meteredSum }

// tree grows a power tree below the point of connection and hangs agents, loads
// and meters on it.
func (g *generator) tree() {
	c := &g.s.Config
	c.Meters, c.AINameplateWatts = nil, 0
	depth := 1 + g.r.IntN(mostDepth)
	ps := []*sprout{{how: []metering{meteredAll, meteredAll, meteredHouse, meteredSum, unmetered}[g.r.IntN(5)]}}
	for i := range depth + g.r.IntN(mostNodes-depth+1) {
		up := i // the last one, so that the tree gets as deep as it may
		for ps[up].depth == depth || i >= depth && up > 0 && g.one(2) {
			up = g.r.IntN(len(ps))
		}
		p := &sprout{up: up, depth: ps[up].depth + 1}
		p.cfg.Node = fmt.Sprintf("%s-%d", []string{"feed", "ups", "pdu", "row", "rack"}[p.depth-1], i+1)
		p.cfg.Parent = ps[up].cfg.Node
		if !g.one(3) {
			p.how = metering(g.r.IntN(int(meteredKinds)))
		}
		ps = append(ps, p)
	}
	meters := 0
	for _, p := range ps {
		meters += [meteredKinds]int{0, 1, 2, 3, 2}[p.how]
	}
	if 2*meters < leastMeters {
		ps[0].how = meteredAll
	}
	g.hangAgents(ps)
	g.hangLoads(ps)
	g.rate(ps)
	g.hangMeters(ps)
	for _, p := range ps[1:] {
		c.Nodes = append(c.Nodes, p.cfg)
	}
	c.AINameplateWatts, c.HouseWatts = ps[0].cfg.AINameplateWatts, ps[0].cfg.HouseWatts
}

// hangAgents puts every agent on a node; half of them are listed there, the
// others announce it.
func (g *generator) hangAgents(ps []*sprout) {
	for i := range g.s.Agents {
		a := &g.s.Agents[i]
		at := g.r.IntN(len(ps))
		if g.one(2) {
			at = max(at, g.r.IntN(len(ps)))
		}
		p := ps[at]
		a.Caps.Meter = ""
		p.agents = append(p.agents, i)
		switch {
		case at == 0:
			a.Caps.Node = events.RootNode
		case g.one(2):
			p.cfg.Agents = append(p.cfg.Agents, a.Name)
		default:
			a.Caps.Node = p.cfg.Node
		}
		for k := at; ; k = ps[k].up {
			ps[k].mining += int64(a.Units) * a.Caps.NameplateWatts
			if k == 0 {
				break
			}
		}
	}
}

// hangLoads puts AI load on some nodes: much where it is measured, a little
// where its nameplate has to stand for it.
func (g *generator) hangLoads(ps []*sprout) {
	left := g.usable * g.between(500, 900) / 1000
	var seen []int
	for i, p := range ps {
		if p.measured() {
			seen = append(seen, i)
		}
	}
	if len(seen) == 0 {
		ps[1].how, seen = meteredAI, []int{1}
	}
	carry := func(i int, w int64) {
		if w = w / 100 * 100; w <= 0 || ps[i].cfg.AINameplateWatts > 0 {
			return
		}
		left -= w
		ps[i].cfg.AINameplateWatts = w
		for k := i; ; k = ps[k].up {
			ps[k].ai += w
			if k == 0 {
				break
			}
		}
	}
	for range g.r.IntN(3) {
		if i := g.r.IntN(len(ps)); !ps[i].measured() {
			carry(i, g.part(10, 60))
		}
	}
	for range g.r.IntN(3) {
		carry(seen[g.r.IntN(len(seen))], left*g.between(200, 600)/1000)
	}
	carry(seen[g.r.IntN(len(seen))], left)
	for i, p := range ps {
		if i > 0 && g.one(2) {
			continue
		}
		p.house = g.part(2, 12)
		if p.how != meteredHouse && (p.how != meteredAll || i > 0) {
			p.cfg.HouseWatts = p.house // no meter of the node sees it
		}
		for k := i; ; k = ps[k].up {
			ps[k].houses += p.house
			if k == 0 {
				break
			}
		}
		g.s.House = append(g.s.House, HouseLoad{p.cfg.Node, p.house})
	}
}

// rate gives every node its limits, a little under or over what hangs there.
func (g *generator) rate(ps []*sprout) {
	usable := make([]int64, len(ps))
	usable[0] = g.usable
	for i, p := range ps {
		if i == 0 {
			continue
		}
		n := &p.cfg
		w := p.ai*g.between(700, 1050)/1000 + p.mining*g.between(300, 1100)/1000 + p.houses + g.part(5, 30)
		if g.one(2) {
			n.Reserve = &events.ReserveConfig{FloorWatts: w * g.between(20, 60) / 1000 / 100 * 100}
			if g.one(2) {
				n.Reserve.EnvelopeSeconds, n.Reserve.MarginWatts = g.between(20, 60), w*g.between(0, 20)/1000/100*100
			}
			w += n.Reserve.FloorWatts + n.Reserve.MarginWatts
		}
		w = min(w, usable[p.up]) / 100 * 100
		usable[i] = w
		n.ContinuousFactorPPM = []int64{800_000, 900_000, 1_000_000}[g.r.IntN(3)]
		n.LimitWatts = w * 1_000_000 / n.ContinuousFactorPPM
		switch g.r.IntN(6) {
		case 0:
			n.Redundancy, n.LimitWatts = events.Redundancy2N, 2*w
		case 1:
			n.Redundancy, n.Paths = events.RedundancyN1, g.between(2, 4)
			n.LimitWatts = max(n.LimitWatts, w*n.Paths/(n.Paths-1))
		case 2:
			n.CoolingLimitWatts, n.LimitWatts = w, n.LimitWatts*3/2
		}
		if g.one(4) {
			n.RampWattsPerSecond = max(w*g.between(20, 200)/1000, 1)
			n.RampBurstWatts = n.RampWattsPerSecond * g.between(1, 3)
		}
	}
}

// hangMeters puts the meters on their nodes, and a second one beside some of
// them until there are enough.
func (g *generator) hangMeters(ps []*sprout) {
	for i, p := range ps {
		id := ""
		if i > 0 {
			id = p.cfg.Node + "-"
		}
		what := [meteredKinds][]events.Measures{
			meteredAI: {events.MeasuresAI}, meteredHouse: {events.MeasuresAI, events.MeasuresHouse},
			meteredAll: {events.MeasuresAI, events.MeasuresTotal, events.MeasuresMining}, meteredSum: {events.MeasuresTotal, events.MeasuresMining},
		}[p.how]
		if i == 0 && p.how == meteredAll {
			what = append(what, events.MeasuresHouse)
		}
		for _, w := range what {
			g.hangMeter(meterName(id, w, "a"), p, w)
		}
		if i == 0 && p.how == meteredAll && g.one(2) {
			g.pair(0)
		}
	}
	g.see(ps)
	for i := 0; len(g.s.Config.Meters) < leastMeters; i++ {
		g.pair(i)
	}
}

func meterName(prefix string, w events.Measures, which string) string {
	switch w {
	case events.MeasuresTotal:
		return prefix + "total-" + which
	case events.MeasuresMining:
		return prefix + "mine-" + which
	}
	return prefix + string(w) + "-" + which
}

func (g *generator) hangMeter(id string, p *sprout, what events.Measures) {
	m := events.MeterConfig{Meter: id, Node: p.cfg.Node, Measures: what, PeriodMilliseconds: 1000, StaleMilliseconds: 5000, MaxWatts: 3 * g.limit}
	if p.up > 0 || p.cfg.Node != "" && g.one(2) {
		m.PeriodMilliseconds = 2000
	}
	if what == events.MeasuresAI && p.ai > 0 && g.one(3) {
		m.StuckMilliseconds = 20_000
	}
	g.s.Config.Meters = append(g.s.Config.Meters, m)
}

// pair puts a second meter beside meter i, in one group with it.
func (g *generator) pair(i int) {
	m := &g.s.Config.Meters[i]
	if m.Group != "" {
		return
	}
	m.Group = string(m.Measures)
	twin := *m
	twin.Meter = twin.Meter[:len(twin.Meter)-1] + "b"
	g.s.Config.Meters = append(g.s.Config.Meters, twin)
}

// see lets units name the first mining meter above them as the one that sees
// them.
func (g *generator) see(ps []*sprout) {
	for at, p := range ps {
		k := at
		for k > 0 && !ps[k].mines() {
			k = ps[k].up
		}
		if !ps[k].mines() {
			continue
		}
		prefix := ""
		if k > 0 {
			prefix = ps[k].cfg.Node + "-"
		}
		for _, a := range p.agents {
			g.s.Agents[a].Caps.Meter = meterName(prefix, events.MeasuresMining, "a")
		}
	}
}

// witnessed reports whether the node of a meter knows its load when that one
// lies.
func (g *generator) witnessed(id string) bool {
	ms := g.s.Config.Meters
	i := slices.IndexFunc(ms, func(m events.MeterConfig) bool { return m.Meter == id })
	has := map[events.Measures]bool{}
	for k := range ms {
		if ms[k].Node != ms[i].Node {
			continue
		}
		if has[ms[k].Measures] = true; k != i && ms[k].Group != "" && ms[k].Group == ms[i].Group && ms[k].Measures == ms[i].Measures {
			return true
		}
	}
	switch ms[i].Measures {
	case events.MeasuresTotal, events.MeasuresMining:
		return has[events.MeasuresAI]
	}
	return has[events.MeasuresTotal] && has[events.MeasuresMining]
}

// changes of limits by the operator.
func (g *generator) changes() {
	c := &g.s.Config
	for range g.r.IntN(3) {
		ch := Change{At: g.moment(40e9, g.s.Length-calmEnd-60e9), What: LimitRating, Watts: c.LimitWatts}
		if i := g.r.IntN(len(c.Nodes) + 1); i > 0 {
			n := &c.Nodes[i-1]
			ch.Node, ch.Watts = n.Node, n.LimitWatts
			if n.CoolingLimitWatts > 0 && g.one(2) {
				ch.What, ch.Watts = LimitCooling, n.CoolingLimitWatts
			}
		}
		ch.Watts = ch.Watts * g.between(400, 1000) / 1000
		g.s.Changes = append(g.s.Changes, ch)
		if g.one(2) {
			back := ch
			back.At, back.Watts = ch.At+g.seconds(10, 60), ch.Watts*g.between(1000, 2000)/1000
			g.s.Changes = append(g.s.Changes, back)
		}
	}
	slices.SortStableFunc(g.s.Changes, func(a, b Change) int { return int(a.At - b.At) })
}
