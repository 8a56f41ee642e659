// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
)

// point is a node of the power tree whose load is measured.
type point struct {
	// Node, "" for the point of connection.
	Node string
	// Load by kind, since Since.
	Load  [kinds]series
	Since int64
	// Price is the power that units at the node do not draw because energy is
	// too dear, W.
	Price int64
	// Open is the interval under way; History those before it.
	Open    slot
	History *history
	// Minutes that are over, the newest first, and the one under way.
	Minutes    [beforeMinutes]minuteLoad
	OpenMinute minuteLoad
}

// beforeMinutes make the load before an event.
const beforeMinutes = 5

// minuteLoad is one minute of a point.
type minuteLoad struct {
	Load  [kinds]cell
	Nanos int64
}

// series is the power of one kind at a point.
type series struct {
	// Known: the meters tell it.
	Known bool
	// Sum of the channels and of declared house load; Watts is what of it is
	// believed, at least 0. W.
	Sum, Watts int64
	// Stale, Doubtful and Modelled channels.
	Stale, Doubtful, Modelled int
}

// lay makes channels and points from the terms and the nodes of events. Meters
// and points that stay keep what they know. All must have been flushed.
func (d *Decider) lay() {
	type group struct {
		node  string
		what  events.Measures
		group string
	}
	groups := map[group]int{}
	old := d.Meters
	d.Meters, d.Channels = nil, nil
	for _, c := range d.Terms.Meters {
		m := meter{ID: c.Meter, Node: c.Node, Measures: c.Measures, CounterAt: d.Now}
		if i, ok := d.meterOf[m.ID]; ok && old[i].Measures == m.Measures && old[i].Node == m.Node {
			m = old[i]
		}
		m.Min, m.Max = clamp(c.MinWatts), clamp(c.MaxWatts)
		m.Modulus, m.Stale = c.CounterModulusMilliwattHours, c.StaleMilliseconds*1_000_000
		if m.Stale <= 0 || m.Stale > hour {
			m.Stale = 5 * second
		}
		at, shared := groups[group{c.Node, c.Measures, c.Group}]
		if !shared {
			at = len(d.Channels)
			if c.Group != "" {
				groups[group{c.Node, c.Measures, c.Group}] = at
			}
			d.Channels = append(d.Channels, channel{Node: c.Node, Measures: c.Measures, Group: c.Group, Since: d.Now})
		}
		m.Channel = at
		d.Channels[at].Members = append(d.Channels[at].Members, len(d.Meters))
		d.Meters = append(d.Meters, m)
	}
	d.nodes()
	d.layPoints()
	d.rebuild()
	for i := range d.Channels {
		c := &d.Channels[i]
		c.Watts, c.Stale, c.Doubtful, c.Modelled = d.believed(c)
	}
	for _, p := range d.Points {
		p.Load = [kinds]series{}
	}
	for i := range d.Channels {
		c := &d.Channels[i]
		for _, u := range d.usersOf[i] {
			s := &d.Points[u.point].Load[u.kind]
			s.Sum += u.sign * c.Watts
			s.Stale += int(flag(c.Stale))
			s.Doubtful += int(flag(c.Doubtful))
			s.Modelled += int(flag(c.Modelled))
		}
	}
	for i, p := range d.Points {
		for k := range kinds {
			s, f := &p.Load[k], &d.shapes[i][k]
			s.Known = f.known
			s.Sum += f.house
			s.Watts = max(s.Sum, 0)
		}
	}
	d.priceAgain()
}

func clamp(w int64) int64 { return min(max(w, -maxWatts), maxWatts) }

// layPoints keeps the points that are still wanted and adds new ones.
func (d *Decider) layPoints() {
	nodes := []string{""}
	want := func(id string) {
		if len(nodes) < MaxPoints && !slices.Contains(nodes, id) && d.has(id) {
			nodes = append(nodes, id)
		}
	}
	for i := range d.Terms.Programmes {
		want(d.Terms.Programmes[i].Node)
	}
	for _, e := range d.Events {
		want(e.Node)
	}
	old := d.Points
	d.Points = make([]*point, len(nodes))
	for i, id := range nodes {
		if at := slices.IndexFunc(old, func(p *point) bool { return p.Node == id }); at >= 0 {
			d.Points[i] = old[at]
		} else {
			d.Points[i] = &point{Node: id, Since: d.Now, History: newHistory(d.Terms.Step)}
		}
		if p := d.Points[i]; p.Open.Nanos == 0 {
			p.Open = slot{Index: d.Now / d.Terms.Step}
		}
	}
}

// place is what channels of one kind at one node share.
type place struct {
	node string
	what events.Measures
}

// topmost are the channels of a kind beneath a node which no other channel of
// the kind further up, at the node or beneath it, sees already.
func (d *Decider) topmost(nodeID string, m events.Measures, taken map[place]bool) []int {
	var out []int
channels:
	for i := range d.Channels {
		c := &d.Channels[i]
		if c.Measures != m || m == events.MeasuresTotal && c.Node != nodeID {
			continue
		}
		at := c.Node
		for range events.MaxNodeDepth + 2 {
			if at == nodeID {
				out = append(out, i)
				continue channels
			}
			if at == "" {
				continue channels
			}
			if at = d.parentOf[at]; taken[place{at, m}] {
				continue channels
			}
		}
	}
	return out
}

// under reports whether a node is another one or lies beneath it.
func (d *Decider) under(id, above string) bool {
	for range events.MaxNodeDepth + 2 {
		if id == above {
			return true
		}
		if id == "" {
			return false
		}
		id = d.parentOf[id]
	}
	return false
}

// has reports whether the site knows a node below the point of connection.
func (d *Decider) has(id string) bool {
	_, ok := d.parentOf[id]
	return ok
}

// parts of the load at a node: channels by what they measure, and house load
// that is declared there and beneath.
func (d *Decider) parts(nodeID string, taken map[place]bool) (total, ai, house, mining []int, declared int64) {
	if nodeID == "" {
		declared = d.Terms.House
	}
	for i := range d.Terms.Nodes {
		if n := &d.Terms.Nodes[i]; n.House > 0 && d.under(n.ID, nodeID) {
			declared = min(declared+n.House, maxWatts)
		}
	}
	return d.topmost(nodeID, events.MeasuresTotal, taken), d.topmost(nodeID, events.MeasuresAI, taken), d.topmost(nodeID, events.MeasuresHouse, taken),
		d.topmost(nodeID, events.MeasuresMining, taken), declared
}

// formula is how a series is made of channels and declared house load.
type formula struct {
	known bool
	plus  []int
	minus []int
	house int64
}

// formulas of the series of a point. What no meter of its own sees is the total
// less the rest, and a total without a meter is the sum of its parts.
func (d *Decider) formulas(p int, taken map[place]bool) [kinds]formula {
	total, ai, house, mining, declared := d.parts(d.Points[p].Node, taken)
	var f [kinds]formula
	switch {
	case len(total) > 0:
		f[kindTotal] = formula{known: true, plus: total}
	case len(ai) > 0 && len(mining) > 0:
		f[kindTotal] = formula{known: true, plus: slices.Concat(ai, house, mining), house: declared}
	}
	rest := func(others []int) formula {
		return formula{known: true, plus: total, minus: slices.Concat(others, house), house: -declared}
	}
	switch {
	case len(mining) > 0:
		f[kindMining] = formula{known: true, plus: mining}
	case len(total) > 0 && len(ai) > 0:
		f[kindMining] = rest(ai)
	}
	switch {
	case len(ai) > 0:
		f[kindAI] = formula{known: true, plus: ai}
	case len(total) > 0 && len(mining) > 0:
		f[kindAI] = rest(mining)
	}
	return f
}

// nodes makes the index of the tree.
func (d *Decider) nodes() {
	d.parentOf, d.homeOf = map[string]string{}, map[string]string{}
	if d.Terms == nil {
		return
	}
	for i := range d.Terms.Nodes {
		n := &d.Terms.Nodes[i]
		d.parentOf[n.ID] = n.Parent
		for _, a := range n.Agents {
			d.homeOf[a] = n.ID
		}
	}
}

// rebuild makes the index from the state.
func (d *Decider) rebuild() {
	d.nodes()
	d.meterOf = make(map[string]int, len(d.Meters))
	for i := range d.Meters {
		d.meterOf[d.Meters[i].ID] = i
	}
	d.agentOf = make(map[string]int, len(d.Agents))
	for i := range d.Agents {
		d.agentOf[d.Agents[i].ID] = i
	}
	d.unitOf = make(map[string]int, len(d.Units))
	for i := range d.Units {
		d.unitOf[d.Units[i].ID] = i
	}
	d.usersOf = make([][]use, len(d.Channels))
	d.single = make([][kinds]bool, len(d.Points))
	d.shapes = make([][kinds]formula, len(d.Points))
	taken := make(map[place]bool, len(d.Channels))
	for i := range d.Channels {
		taken[place{d.Channels[i].Node, d.Channels[i].Measures}] = true
	}
	for p := range d.Points {
		d.shapes[p] = d.formulas(p, taken)
		for k, f := range d.shapes[p] {
			d.single[p][k] = len(f.plus)+len(f.minus) == 1
			for _, c := range f.plus {
				d.usersOf[c] = append(d.usersOf[c], use{p, kind(k), 1})
			}
			for _, c := range f.minus {
				d.usersOf[c] = append(d.usersOf[c], use{p, kind(k), -1})
			}
		}
	}
	d.nextMinute, d.nextStale, d.nextEvent = nextAfter(d.Now, minute), d.Now, d.Now
}

// pointOf a node, or −1.
func (d *Decider) pointOf(id string) int {
	return slices.IndexFunc(d.Points, func(p *point) bool { return p.Node == id })
}

// related reports whether one node lies above the other, or is it.
func (d *Decider) related(a, b string) bool {
	return d.under(a, b) || d.under(b, a)
}

// flushPoint books what a point drew up to now.
func (d *Decider) flushPoint(i int) {
	p := d.Points[i]
	dt := d.Now - p.Since
	if dt <= 0 {
		return
	}
	from := p.Since
	p.Since = d.Now
	p.Open.Nanos += dt
	p.OpenMinute.Nanos += dt
	for k := range kinds {
		s := &p.Load[k]
		e := energy.Of(s.Watts, dt)
		estimated := int64(0)
		if !s.Known || s.Stale > 0 || s.Doubtful > 0 {
			estimated = dt
		}
		switch k {
		case kindTotal:
			p.Open.Total.add(e, estimated, s.Modelled > 0)
		case kindMining:
			p.Open.Mining.add(e, estimated, s.Modelled > 0)
		case kindAI, kinds:
		}
		p.OpenMinute.Load[k].add(e, estimated, s.Modelled > 0)
		for _, ev := range d.Events {
			if ev.Point == i && ev.Phase == phaseRunning {
				ev.take(k, s, e, from, dt, estimated)
			}
		}
	}
	p.Open.Price = p.Open.Price.Add(energy.Of(p.Price, dt))
	d.mixAmount(p.Open.Total.Energy)
	d.mixAmount(p.Open.Mining.Energy)
}

// flushAll books everything up to now.
func (d *Decider) flushAll() {
	for i := range d.Points {
		d.flushPoint(i)
	}
	for i := range d.Channels {
		d.flushChannel(i)
	}
}

// before is the mean load of the minutes that are over, rounded down; the last
// reading where there is none yet. ok is false when it is not known.
func (p *point) before(k kind) (w int64, ok bool) {
	s := &p.Load[k]
	var sum energy.Amount
	var nanos int64
	for i := range p.Minutes {
		m := &p.Minutes[i]
		if m.Nanos < minute || m.Load[k].Estimated > minute/10 {
			break
		}
		sum, nanos = sum.Add(m.Load[k].Energy), nanos+m.Nanos
	}
	if nanos > 0 {
		return watts(sum, nanos), s.Known
	}
	return s.Watts, s.Known && s.Stale == 0
}
