// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// judged is a node of the power tree as the record shows it.
type judged struct {
	id string
	up *judged
	// What the configuration says, W; keep is the least reserve.
	usable, nameplate, house, keep int64
	// groups of meters at the node, by what they measure.
	ai, houses, totals, minings [][]*belief
	// The ramp bucket, where increases are bounded; refill is the elapsed time
	// of the last one.
	ramps               bool
	rate, burst         int64
	tokens, refill, top int64
	// Scratch of one event: setpoints beneath it; AI load at least, of it what
	// is measured, and house load; whether everything is fresh.
	sum, load, seen, seenHouse int64
	fresh                      bool
}

func (j *judge) configure(c *events.SiteConfig) {
	own := *c
	own.Meters = append([]events.MeterConfig(nil), c.Meters...)
	own.Nodes = append([]events.NodeConfig(nil), c.Nodes...)
	own.Outlets = append([]events.OutletConfig(nil), c.Outlets...)
	was := j.byNode
	j.cfg = &own
	root := &judged{id: events.RootNode, usable: share64(c.LimitWatts, c.ContinuousFactorPPM), nameplate: c.AINameplateWatts, house: c.HouseWatts,
		keep: c.Reserve.FloorWatts + c.Reserve.MarginWatts, ramps: true, rate: c.Policy.RampWattsPerSecond, burst: c.Policy.RampBurstWatts}
	j.nodes, j.byNode, j.homes = []*judged{root}, map[string]*judged{"": root, events.RootNode: root}, make(map[string]*judged)
	for _, n := range inOrder(own.Nodes) {
		d := &judged{id: n.Node, up: j.byNode[n.Parent], usable: usableAt(n), nameplate: n.AINameplateWatts, house: n.HouseWatts,
			ramps: n.RampWattsPerSecond > 0, rate: n.RampWattsPerSecond, burst: n.RampBurstWatts}
		if n.Reserve != nil {
			d.keep = n.Reserve.FloorWatts + n.Reserve.MarginWatts
		}
		j.nodes, j.byNode[n.Node] = append(j.nodes, d), d
		for _, a := range n.Agents {
			j.homes[a] = d
		}
	}
	for _, n := range j.nodes {
		if n.tokens, n.refill = n.burst, j.now; was[n.id] != nil {
			n.tokens, n.refill = was[n.id].tokens, was[n.id].refill
		}
	}
	for i := range own.Meters {
		m := &own.Meters[i]
		b := j.meters[m.Meter]
		if b == nil {
			b = &belief{}
			j.meters[m.Meter] = b
		}
		b.cfg = m
		switch n := j.byNode[m.Node]; m.Measures {
		case events.MeasuresAI:
			n.ai = inGroup(n.ai, b)
		case events.MeasuresHouse:
			n.houses = inGroup(n.houses, b)
		case events.MeasuresTotal:
			n.totals = inGroup(n.totals, b)
		case events.MeasuresMining:
			n.minings = inGroup(n.minings, b)
		}
	}
	for _, a := range j.order {
		for _, u := range a.list {
			u.node = j.homeOf(a.name, &u.caps)
		}
	}
}

// inGroup adds b to the meters that measure the same thing.
func inGroup(gs [][]*belief, b *belief) [][]*belief {
	for i := range gs {
		if b.cfg.Group != "" && gs[i][0].cfg.Group == b.cfg.Group {
			gs[i] = append(gs[i], b)
			return gs
		}
	}
	return append(gs, []*belief{b})
}

// homeOf a unit, the point of connection when nobody knows.
func (j *judge) homeOf(agent string, c *events.Capabilities) *judged {
	if n := j.homes[agent]; n != nil {
		return n
	}
	if n := j.byNode[c.Node]; n != nil {
		return n
	}
	return j.byNode[""]
}

// known is the sum of what groups read at most, and whether each has a reading
// that counts.
func (j *judge) known(gs [][]*belief) (sum int64, all bool) {
	all = true
	for _, g := range gs {
		best, any := int64(0), false
		for _, b := range g {
			if b.any && b.gen == j.gen && j.now-b.at <= b.cfg.StaleMilliseconds*milli {
				best, any = max(best, b.watts), true
			}
		}
		sum += best
		all = all && any
	}
	return sum, all
}

// fresh reports whether each of the groups has a reading of now.
func (j *judge) fresh(gs [][]*belief) bool {
	for _, g := range gs {
		any := false
		for _, b := range g {
			any = any || b.any && b.gen == j.gen && j.now-b.at <= 2*b.cfg.PeriodMilliseconds*milli
		}
		if !any {
			return false
		}
	}
	return true
}

// figures reports whether meters of the node itself tell of the AI load.
func (n *judged) figures() bool { return len(n.ai) > 0 || len(n.totals) > 0 && len(n.minings) > 0 }

// exceeded says at which node more is permitted than its meters and signals can
// leave, or is empty.
func (j *judge) exceeded() string {
	if j.cfg == nil || !j.addUp() {
		return ""
	}
	for _, n := range j.nodes {
		n.load, n.seen, n.seenHouse = 0, 0, 0
	}
	for i := len(j.nodes) - 1; i >= 0; i-- {
		n := j.nodes[i]
		j.believe(n)
		if n.up != nil {
			n.up.load += n.load
			n.up.seen += n.seen
			n.up.seenHouse += n.seenHouse
		}
		usable, ceiling := j.limits(n)
		if most := max(min(usable-n.load-n.seenHouse-n.keep, ceiling), 0); n.sum > most {
			return fmt.Sprintf("%d W are permitted at %s, what its meters and signals leave is %d W", n.sum, n.id, most)
		}
	}
	return ""
}

// believe works out what load of n has to be believed at least; n holds the sums
// of the nodes beneath it.
func (j *judge) believe(n *judged) {
	house, _ := j.known(n.houses)
	n.seenHouse = n.house + max(house, n.seenHouse)
	ai, known := j.known(n.ai)
	if known && len(n.ai) == 0 {
		_, total := j.known(n.totals)
		_, mining := j.known(n.minings)
		known = n.figures() && total && mining
	}
	switch {
	case known:
		n.seen = max(ai, n.seen)
		n.load = n.seen
	default:
		n.load += n.nameplate
	}
}

// addUp sums what is permitted to agents whose leases can still live, beneath
// every node. False: nothing is.
func (j *judge) addUp() bool {
	for _, n := range j.nodes {
		n.sum = 0
	}
	for _, a := range j.order {
		if j.now-a.at >= j.cfg.Policy.LeaseMilliseconds*milli {
			continue
		}
		for _, u := range a.list {
			for n := u.node; n != nil && u.watts > 0; n = n.up {
				n.sum += u.watts
			}
		}
	}
	return j.nodes[0].sum > 0
}

// limits are what may be drawn at n, and by mining beneath it, by the signals in
// force.
func (j *judge) limits(n *judged) (usable, ceiling int64) {
	usable, ceiling = n.usable, 1<<60
	for _, l := range j.ceiling {
		switch {
		case l.node != n.id || j.calm < l.from:
		case l.until > 0 && j.calm >= l.until:
		case l.kind == events.SignalImportLimit:
			usable = min(usable, l.watts)
		default:
			ceiling = min(ceiling, l.watts)
		}
	}
	return usable, ceiling
}

// freshen works out at which nodes everything is fresh. One without figures of
// its own takes those beneath it.
func (j *judge) freshen() {
	for _, n := range j.nodes {
		n.fresh = true
	}
	for i := len(j.nodes) - 1; i >= 0; i-- {
		n := j.nodes[i]
		own := j.fresh(n.ai) && j.fresh(n.houses) && (len(n.totals) == 0 || j.fresh(n.totals) && j.fresh(n.minings))
		if n.figures() {
			n.fresh = own
		} else {
			n.fresh = n.fresh && own
		}
		if n.up != nil && !n.fresh {
			n.up.fresh = false
		}
	}
}

func (j *judge) ramp(e *events.Event, agent string, r *events.CommandRamp) (string, Rule) {
	a := j.agents[agent]
	switch {
	case a == nil || r.BootID != a.boot || r.Counter != a.counter:
		return fmt.Sprintf("a ramp to %s answers status %d of %s, which is not its newest", agent, r.Counter, r.BootID), RulePermit
	case r.LeaseMilliseconds > j.cfg.Policy.LeaseMilliseconds:
		return fmt.Sprintf("a ramp to %s grants %d ms, the lease is %d ms", agent, r.LeaseMilliseconds, j.cfg.Policy.LeaseMilliseconds), RulePermit
	case r.ValidUntil.Sub(e.Arrived) > events.MaxStep:
		return fmt.Sprintf("a ramp to %s may be obeyed for %s", agent, r.ValidUntil.Sub(e.Arrived)), RulePermit
	}
	j.freshen()
	j.replenish()
	for _, s := range r.Units {
		u := a.units[s.Unit]
		if u == nil {
			return fmt.Sprintf("a ramp to %s names unit %s, which it never announced", agent, s.Unit), RuleUp
		}
		more := s.SetpointWatts - u.watts
		if more <= 0 {
			continue // said again
		}
		if why := j.unearned(a, u); why != "" {
			return fmt.Sprintf("unit %s is raised from %d to %d W, but %s", s.Unit, u.watts, s.SetpointWatts, why), RuleUp
		}
		for n := u.node; n != nil; n = n.up {
			if n.tokens -= more; n.ramps && n.tokens < 0 {
				return fmt.Sprintf("unit %s is raised from %d to %d W, %d W beyond the ramp limit of %s", s.Unit, u.watts, s.SetpointWatts, -n.tokens, n.id), RuleUp
			}
		}
		u.watts = s.SetpointWatts
	}
	return "", ""
}

// unearned says why nothing of u may rise now, or is empty.
func (j *judge) unearned(a *heard, u *permitted) string {
	switch p := &j.cfg.Policy; {
	case j.tickGen != j.gen || j.now-j.tickAt > int64(events.MaxStep):
		return "there is no fresh tick"
	case a.gen != j.gen || j.now-a.at >= p.LeaseMilliseconds*milli:
		return "its agent has not been heard"
	case u.off >= 0 && u.watts == 0 && j.now-u.off < p.MinOffMilliseconds*milli:
		return fmt.Sprintf("it has been off for %s only", time.Duration(j.now-u.off))
	case u.watts == 0 && j.now < u.restart:
		return "its restart delay is not over"
	case j.cut[j.outletOf(a.name, u.id)]:
		return "its outlet is off"
	}
	for n := u.node; n != nil; n = n.up {
		if !n.fresh {
			return fmt.Sprintf("not all meters of %s are fresh", n.id)
		}
	}
	return ""
}

// replenish fills the ramp buckets, which hold at least the largest step of a
// unit beneath them.
func (j *judge) replenish() {
	for _, n := range j.nodes {
		n.top = n.burst
	}
	for _, a := range j.order {
		for _, u := range a.list {
			for n := u.node; n != nil; n = n.up {
				n.top = max(n.top, u.caps.MinWatts, 1)
				for i, l := range u.caps.LevelsWatts {
					if n.top = max(n.top, l); i > 0 {
						n.top = max(n.top, l-u.caps.LevelsWatts[i-1])
					}
				}
			}
		}
	}
	for _, n := range j.nodes {
		took := min(j.now-n.refill, int64(1000*time.Second))
		n.refill = j.now
		// Rounded up: the judge is lenient.
		n.tokens = min(n.tokens+took/1000*n.rate/1_000_000+1, n.top)
	}
}

// output holds one output against the rules and books it.
func (j *judge) output(e *events.Event, o *decider.Output) (string, Rule) {
	switch p := o.Data.(type) {
	case *events.CommandCurtail:
		j.curtail(o.Source, p)
	case *events.CommandRamp:
		return j.ramp(e, o.Source, p)
	case *events.PermitRenewed:
		return j.renewal(o.Source, p)
	}
	return "", ""
}
