// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"cmp"
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// explain gathers why this fold decided as it did. It costs what is linear in
// the units that changed and in what stands above the binding node, and, where
// something rose, in units and nodes, as raising does.
func (d *Dispatch) explain(e *events.Event, binding *node, why events.Reason) *events.Explanation {
	n := binding
	if n == nil {
		n = d.root
	}
	x := &events.Explanation{Precedence: d.precedence(n, why), Nodes: d.balances(n)}
	x.Readings, x.ReadingsOmitted = d.readingsAt(n, e)
	x.Signals, x.SignalsOmitted = d.signalsInForce()
	x.Config, x.Quote = d.sources()
	x.Lowered, x.LoweredOmitted = d.explainLowered()
	if !d.onlyRepeats() {
		x.Held, x.HeldOmittedWatts = d.heldBack(d.root)
	}
	return x
}

// precedence is the class of what binds at n: that of the signal behind it,
// where there is one.
func (d *Dispatch) precedence(n *node, why events.Reason) events.Precedence {
	switch why {
	case events.ReasonEconomics, events.ReasonAvailable:
		return events.PrecedenceEconomics
	case events.ReasonNoMeter, events.ReasonNoConfig, events.ReasonHeadroom, events.ReasonWorker:
		return events.PrecedenceSafety
	}
	best := n.sig.mining
	if why == events.ReasonImportLimit {
		best = n.sig.total
	}
	if best == nil {
		return events.PrecedenceSafety
	}
	return precedenceOf(best.Rank)
}

// precedenceOf is the class of a rank.
func precedenceOf(rank int) events.Precedence {
	for _, p := range [...]events.Precedence{events.PrecedenceSafety, events.PrecedenceGridEmergency, events.PrecedenceAIContract, events.PrecedenceDemandResponse} {
		if p.Rank() == rank {
			return p
		}
	}
	return events.PrecedenceEconomics
}

// balances of n and of all that feeds it.
func (d *Dispatch) balances(n *node) []events.NodeBalance {
	depth := 0
	for a := n; a != nil; a = a.up {
		depth++
	}
	bs := make([]events.NodeBalance, 0, min(depth, events.MaxExplainedNodes))
	for a := n; a != nil && len(bs) < events.MaxExplainedNodes; a = a.up {
		bs = append(bs, d.balanceOf(a))
	}
	return bs
}

func (d *Dispatch) balanceOf(n *node) events.NodeBalance {
	l := &n.load
	b := events.NodeBalance{
		Node: n.id, LimitWatts: l.Limit, UsableWatts: l.Usable, AIWatts: l.AI, HouseWatts: l.House,
		ReserveWatts: l.Reserve, Reserve: d.reserveTerms(n), HeadroomWatts: l.Headroom,
		CapWatts: l.Cap, Reason: l.Reason, PermittedWatts: n.setSum, StrayWatts: n.stray,
	}
	r, standIn := d.standing(n)
	b.Belief = beliefs[r]
	if r != rungFresh {
		b.StandInWatts = standIn
	}
	return b
}

// reserveTerms are the terms of the reserve of n as of the last look, for people;
// nil where nothing is kept free.
func (d *Dispatch) reserveTerms(n *node) *events.ReserveTerms {
	if d.unsafe || !d.site.known || n.load.Reserve == 0 {
		return nil
	}
	t := n.load.Terms
	return &t
}

var beliefs = [...]events.Belief{rungFresh: events.BeliefFresh, rungEnvelope: events.BeliefEnvelope, rungStale: events.BeliefStale, rungDead: events.BeliefDead}

// standing is the worst rung of what the load of n rests on, and what stands in
// for its AI load at least. See nonMining.
func (d *Dispatch) standing(n *node) (r rung, standIn int64) {
	if !d.site.known {
		return rungDead, 0
	}
	all := n.nameplate + n.below.AI
	switch {
	case len(n.ai) > 0:
		_, r = d.sum(n.ai, false)
	case n.figures():
		if r = rungDead; n.balance.Known {
			_, rt := d.sum(n.totals, false)
			_, rm := d.sum(n.minings, true)
			r = max(rt, rm)
		}
	case d.site.tree:
		if n.below.Unfresh > 0 {
			r = rungStale
		}
	default:
		r = rungDead
	}
	switch {
	case r >= rungStale:
		return r, all
	case r == rungEnvelope:
		return r, n.env.at(d.now)
	case n.load.Fresh:
		return r, 0
	}
	// The house, the second estimate, or a node beneath.
	for _, gs := range [...][]group{n.houses, n.totals, n.minings} {
		_, worst := d.sum(gs, false)
		r = max(r, worst)
	}
	if r == rungFresh {
		r = rungStale
	}
	return r, 0
}

// readingsAt are the readings that the load of n rests on: the cause first, then
// those not believed, here or beneath.
func (d *Dispatch) readingsAt(n *node, e *events.Event) ([]events.ReadingUsed, int64) {
	var ms [events.MaxExplainedReadings]*meter
	k, omitted := 0, int64(0)
	var cause *meter
	if e != nil && e.Data.EventType() == events.TypeMeterReading {
		if cause = d.site.byID[e.Source]; cause != nil {
			ms[0], k = cause, 1
		}
	}
	first := k
	put := func(m *meter, fresh bool) {
		if m == cause {
			return
		}
		i := k
		if !fresh {
			i = first
			first++
		}
		if k == len(ms) {
			omitted++
			if i >= k {
				return
			}
		} else {
			k++
		}
		copy(ms[i+1:k], ms[i:k])
		ms[i] = m
	}
	for _, m := range n.meters {
		put(m, d.rung(m) == rungFresh)
	}
	if n.below.Unfresh > 0 && !n.load.Fresh {
		for _, o := range d.nodes[n.index+1:] {
			if o.load.Fresh || len(o.meters) == 0 || !o.beneath(n) {
				continue
			}
			for _, m := range o.meters {
				if d.rung(m) != rungFresh {
					put(m, false)
				}
			}
		}
	}
	if k == 0 {
		return nil, omitted
	}
	rs := make([]events.ReadingUsed, k)
	for i, m := range ms[:k] {
		rs[i] = d.readingOf(m)
	}
	return rs, omitted
}

// beneath reports whether n is fed by o.
func (n *node) beneath(o *node) bool {
	for a := n.up; a != nil; a = a.up {
		if a == o {
			return true
		}
	}
	return false
}

func (d *Dispatch) readingOf(m *meter) events.ReadingUsed {
	r := events.ReadingUsed{Meter: m.cfg.Meter, Measures: m.cfg.Measures, Node: m.node.id,
		Belief: beliefs[d.rung(m)], Stuck: m.stuck, AgeMilliseconds: max(d.now-m.heard, 0) / milli}
	if m.sequence > 0 {
		r.PowerWatts, r.Epoch, r.Sequence, r.Quality = m.watts, m.epoch, m.sequence, events.QualityGood
		if m.suspect {
			r.Quality = events.QualitySuspect
		}
	}
	return r
}

// signalsInForce are the limits in force, lowest first, and the price.
func (d *Dispatch) signalsInForce() ([]events.SignalInForce, int64) {
	var limits []*signal
	var price *signal
	for _, s := range d.signals.live {
		switch {
		case !s.Active || s.Kind == events.SignalRestore || !isPrice(s.Kind) && s.Course.Level < 0:
		case isPrice(s.Kind):
			if d.site.economics && (price == nil || betterPrice(s, price)) {
				price = s
			}
		default:
			limits = append(limits, s)
		}
	}
	if limits == nil && price == nil {
		return nil, 0
	}
	slices.SortFunc(limits, func(a, b *signal) int {
		if lowerLimit(a, b) {
			return -1
		}
		return 1
	})
	var out []events.SignalInForce
	omitted := int64(0)
	for _, s := range limits {
		w := s.Course.Level
		f := inForceOf(s)
		f.PowerWatts, f.Recovering, f.Binds = &w, s.Course.Recovering, *s.at.sig.of(s) == s
		if s.at.up != nil {
			f.Node = s.at.id
		}
		out = append(out, f)
	}
	// Of each sort the one that rules comes before the rest.
	slices.SortStableFunc(out, func(a, b events.SignalInForce) int {
		switch {
		case a.Binds == b.Binds:
			return 0
		case a.Binds:
			return -1
		}
		return 1
	})
	room := events.MaxExplainedSignals
	if price != nil {
		room--
	}
	if len(out) > room {
		omitted = int64(len(out) - room)
		out = out[:room]
	}
	if price != nil {
		f := inForceOf(price)
		w := price.Price
		f.PriceMicrousdPerMWh, f.Binds = &w, true
		out = append(out, f)
	}
	return out, omitted
}

func inForceOf(s *signal) events.SignalInForce {
	return events.SignalInForce{SignalID: s.ID, Source: s.Source, Kind: s.Kind, Precedence: precedenceOf(s.Rank),
		Priority: s.Priority, Epoch: s.Epoch, Sequence: s.Sequence}
}

// loweredGroup are the units that one constraint lowered in the present fold.
type loweredGroup struct {
	reason       events.Reason
	node         *node
	wayFor       *unit
	units, watts int64
	best         *unit
}

// explainLowered groups the units lowered in this fold by what lowered them.
func (d *Dispatch) explainLowered() ([]events.LoweredFor, int64) {
	gs := d.groups[:0]
	own := make(map[events.Reason]int, 2) // looked up only
	for _, u := range d.lowered {
		if u.set >= u.before {
			continue
		}
		// What is noted of a group is its number, from 1.
		var at int
		switch {
		case u.bound != nil:
			at = u.bound.group
		case u.wayFor != nil:
			at = u.wayFor.group
		default:
			at = own[u.reason]
		}
		if at == 0 {
			gs = append(gs, loweredGroup{reason: u.reason, node: u.bound, wayFor: u.wayFor})
			at = len(gs)
			switch {
			case u.bound != nil:
				u.bound.group = at
			case u.wayFor != nil:
				u.wayFor.group = at
			default:
				own[u.reason] = at
			}
		}
		g := &gs[at-1]
		g.units++
		g.watts += u.before - u.set
		if g.best == nil || byMerit(u, g.best) < 0 {
			g.best = u
		}
	}
	d.groups = gs
	if len(gs) == 0 {
		return nil, 0
	}
	for i := range gs {
		if gs[i].node != nil {
			gs[i].node.group = 0
		}
		if gs[i].wayFor != nil {
			gs[i].wayFor.group = 0
		}
	}
	slices.SortFunc(gs, func(a, b loweredGroup) int {
		return cmp.Or(cmp.Compare(b.watts, a.watts), byMerit(a.best, b.best))
	})
	d.rankAll()
	out := make([]events.LoweredFor, 0, min(len(gs), events.MaxExplainedGroups))
	omitted := int64(0)
	for i := range gs {
		if g := &gs[i]; len(out) < events.MaxExplainedGroups {
			out = append(out, d.explainGroup(g))
		} else {
			omitted += g.units
		}
	}
	clear(gs)
	return out, omitted
}

func (d *Dispatch) explainGroup(g *loweredGroup) events.LoweredFor {
	l := events.LoweredFor{Reason: g.reason, Units: g.units, Watts: g.watts, Best: inOrder(g.best)}
	if g.wayFor != nil {
		w := inOrder(g.wayFor)
		l.InFavourOf = &w
	}
	n := g.node
	if n == nil {
		return l
	}
	ceiling := n.load.ShedCap
	l.Node, l.CapWatts = n.id, &ceiling
	free := ceiling - n.stray - n.setSum - n.extraSum
	l.OverWatts = max(g.best.before-g.best.set-free, 0)
	for i := len(n.members) - 1; i >= 0; i-- {
		if rank := n.members[i]; d.sets[rank] > 0 && d.steps[rank].u.reason == "" {
			w := inOrder(d.steps[rank].u)
			l.Kept = &w
			break
		}
	}
	return l
}

// inOrder shows u as the present fold found and left it.
func inOrder(u *unit) events.UnitInOrder {
	o := events.UnitInOrder{Agent: u.agent.id, Unit: u.id, MillijoulesPerTerahash: u.caps.MillijoulesPerTerahash, BeforeWatts: u.set, AfterWatts: u.set}
	if u.reason != "" {
		o.BeforeWatts = u.before
	}
	return o
}
