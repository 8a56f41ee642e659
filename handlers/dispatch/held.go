// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"cmp"
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// space is what mining beneath a node could still have at this moment.
type space struct {
	// stray is draw that no unit explains, here or beneath.
	stray int64
	// free for setpoints, and room for what units are booked with, W.
	free, room int64
	// tokens in the ramp bucket, with what time has brought since.
	tokens int64
	// soon is what announced reductions leave for starts.
	soon int64
}

// spaces are those of all nodes. It is measureRoom without a trace.
func (d *Dispatch) spaces() []space {
	d.lookAhead() // derived; whoever raises would find the same
	ss := make([]space, len(d.nodes))
	for i := len(d.nodes) - 1; i >= 0; i-- {
		n, s := d.nodes[i], &ss[i]
		x := n.excess(0)
		if r := &n.rogue; x < r.Watts && d.now < r.Until {
			x = r.Watts
		}
		s.stray = max(x, n.missing-n.extraSum, s.stray)
		if n.up != nil {
			ss[n.up.index].stray += s.stray
		}
		usable := n.load.Cap - s.stray - d.sagging(n)
		s.free = usable - n.setSum - n.extraSum
		if s.soon = never / 2; n.sig.soon >= 0 {
			s.soon = n.sig.soon - n.setSum
		}
		s.room = min(usable-n.raiseSum, d.leaves(n))
		if n.ramps {
			s.tokens, _ = n.filled(d.now)
		}
	}
	return ss
}

// hold is why a part of a unit's nameplate is not permitted.
type hold struct {
	by    string
	node  *node
	watts int64
}

// holdRoom stands for a node that has no room; what takes it is told apart for
// the node as a whole.
const holdRoom = ""

// holds tells of every unit beneath n, in merit order, what keeps its setpoint
// below its nameplate: the parts add up to exactly that difference. They are as
// if room and tokens were handed out now as raise does. Nothing changes.
func (d *Dispatch) holds(ss []space, n *node, visit func(*unit, []hold)) {
	var buf [8]hold
	for _, u := range d.order {
		if u.node != n && n.up != nil && !u.node.beneath(n) {
			d.take(ss, u, buf[:0])
			continue
		}
		visit(u, d.take(ss, u, buf[:0]))
	}
}

// take lists what holds u back and books what it could rise by.
func (d *Dispatch) take(ss []space, u *unit, hs []hold) []hold {
	add := func(by string, n *node, w int64) {
		if w != 0 {
			hs = append(hs, hold{by, n, w})
		}
	}
	top := max(u.fit(u.limit()), u.set)
	own := events.HoldLevel
	if u.local >= 0 && u.local < u.caps.NameplateWatts {
		own = events.HoldLocal
	}
	add(own, nil, u.caps.NameplateWatts-top)
	if u.set == top {
		return hs
	}
	if pays := max(u.fit(min(top, d.worth(u))), u.set); pays < top {
		add(string(events.ReasonEconomics), nil, top-pays)
		if top = pays; u.set == top {
			return hs
		}
	}
	bar := d.bars(u)
	if lasts(bar) {
		add(bar, nil, top-u.set)
		return hs
	}
	room, free := never, true
	tight, least := u.node, never
	for a := u.node; a != nil; a = a.up {
		s := &ss[a.index]
		room = min(room, s.room)
		free = free && s.free > 0 && s.free >= a.hysteresis
		if s.room <= least {
			tight, least = a, s.room
		}
	}
	w := max(u.fit(min(top, u.raiseBook+room)), u.set)
	add(holdRoom, tight, top-w)
	if w == u.set {
		return hs
	}
	if bar != "" {
		add(bar, nil, w-u.set)
		return hs
	}
	if !u.hashes(u.set) {
		soon, near := never/2, u.node
		for a := u.node; a != nil; a = a.up {
			if s := &ss[a.index]; s.soon <= soon {
				soon, near = s.soon, a
			}
		}
		fits := max(u.fit(min(w, u.set+max(soon, 0))), u.set)
		add(events.HoldAnnounced, near, w-fits)
		if w = fits; w == u.set {
			return hs
		}
	}
	rise, now := w-u.set, int64(0)
	if by, at := d.closed(u.node); by != "" {
		add(by, at, rise)
	} else if !free {
		add(events.HoldHysteresis, tight, rise)
	} else if !u.hashes(u.set) && (crowdedAt(u) != nil || !d.waited(u)) {
		add(events.HoldStarts, crowdedAt(u), rise)
	} else {
		tokens, dry := never, (*node)(nil)
		for a := u.node; a != nil; a = a.up {
			if s := &ss[a.index]; a.ramps && s.tokens < tokens {
				tokens, dry = s.tokens, a
			}
		}
		if now = rise; rise > tokens {
			now = max(u.fit(u.set+tokens), u.set) - u.set
		}
		add(events.HoldNext, nil, now)
		add(events.HoldRamp, dry, rise-now)
	}
	// The room is taken in any case: what is held by a delay or a budget here
	// would not be free for the next one.
	for a := u.node; a != nil; a = a.up {
		s := &ss[a.index]
		s.free -= rise
		s.soon -= rise
		s.room -= max(w-u.raiseBook, 0)
		if a.ramps {
			s.tokens -= now
		}
	}
	return hs
}

// lasts reports whether a bar of a unit matters whatever room there is: others
// pass, and until then a lack of room is the better answer.
func lasts(bar string) bool {
	switch bar {
	case "", events.HoldSilent, events.HoldLowering, events.HoldRaising, events.HoldOverdraw, events.HoldPause, events.HoldMinOff:
		return false
	}
	return true
}

// closed is what lets nothing rise beneath n, and where; empty when all above it
// is open.
func (d *Dispatch) closed(n *node) (string, *node) {
	switch {
	case !d.site.known:
		return string(events.ReasonNoConfig), nil
	case !d.mayRaise():
		return events.HoldClock, nil
	}
	for ; n != nil; n = n.up {
		switch {
		case !n.load.Fresh:
			return string(events.ReasonNoMeter), n
		case d.now < n.restartUntil:
			return events.HoldRestart, n
		}
	}
	return "", nil
}

// takers tells what takes the room at n, watts of which are missed, from the
// least to the most lasting: a signal's ceiling, bad data, draw that no unit
// explains, units on their way down, the reserve by its terms, and last the load
// itself.
func (d *Dispatch) takers(n *node, s *space, watts int64, visit func(by string, w int64)) {
	l := &n.load
	give := func(by string, most int64) {
		if w := min(watts, most); w > 0 {
			visit(by, w)
			watts -= w
		}
	}
	if !d.site.known {
		give(string(events.ReasonNoConfig), watts)
	}
	if l.Ceiling >= 0 && l.Cap == l.Ceiling {
		give(string(l.Reason), max(l.Headroom, 0)-l.Ceiling)
	}
	if r, _ := d.standing(n); r != rungFresh {
		give(string(events.ReasonNoMeter), watts)
	}
	give(events.HoldStray, min(s.stray, l.Cap-n.setSum))
	give(events.HoldSag, min(d.sagging(n), l.Cap-n.setSum))
	give(events.HoldFalling, min(n.raiseSum-n.setSum, s.free))
	without := max(l.Usable-l.AI-l.House, 0) - max(l.Headroom, 0)
	for _, t := range reserveParts(d.reserveTerms(n), n.load.Reserve) {
		w := min(t.watts, without)
		give(events.HoldReserve+"-"+t.name, w)
		without -= w
	}
	if l.Usable < n.usable {
		give(string(events.ReasonImportLimit), n.usable-l.Usable)
	}
	give(string(events.ReasonHeadroom), watts)
}

// heldBack sums up what keeps the units beneath n below their nameplates, the
// most power first, as much of it as one event takes.
func (d *Dispatch) heldBack(n *node) ([]events.HeldBack, int64) {
	hs := d.allHeld(n)
	omitted := int64(0)
	for len(hs) > events.MaxExplainedGroups {
		omitted += hs[len(hs)-1].Watts
		hs = hs[:len(hs)-1]
	}
	return hs, omitted
}

// allHeld is heldBack without a bound. The watts add up to the nameplates of the
// units beneath n less their setpoints.
func (d *Dispatch) allHeld(n *node) []events.HeldBack {
	type key struct {
		by   string
		node int // index + 1; 0 for none
	}
	ss := d.spaces()
	var hs []events.HeldBack
	at := make(map[key]int)
	add := func(by string, n *node, units, watts int64) {
		k, id := key{by: by}, ""
		if n != nil {
			k.node, id = n.index+1, n.id
		}
		i, ok := at[k]
		if !ok {
			i = len(hs)
			at[k] = i
			hs = append(hs, events.HeldBack{By: by, Node: id})
		}
		hs[i].Units += units
		hs[i].Watts += watts
	}
	missed := make([]struct{ units, watts int64 }, len(d.nodes))
	before := slices.Clone(ss)
	d.holds(ss, n, func(_ *unit, parts []hold) {
		for _, p := range parts {
			if p.by == holdRoom {
				missed[p.node.index].units++
				missed[p.node.index].watts += p.watts
				continue
			}
			add(p.by, p.node, 1, p.watts)
		}
	})
	for i := range missed {
		if m := &missed[i]; m.watts > 0 {
			d.takers(d.nodes[i], &before[i], m.watts, func(by string, w int64) { add(by, d.nodes[i], m.units, w) })
		}
	}
	slices.SortStableFunc(hs, func(a, b events.HeldBack) int { return cmp.Compare(b.Watts, a.Watts) })
	return hs
}

// part of a reserve.
type part struct {
	name  string
	watts int64
}

// reserveParts are the terms that make up a reserve of so many watts: the
// margin, and what outweighs the others. Where a stand-in for a silent meter
// holds some of it already they are smaller than the terms say, the last first.
func reserveParts(t *events.ReserveTerms, watts int64) []part {
	if t == nil {
		return nil
	}
	ps := []part{{"margin", t.MarginWatts}}
	rest := max(t.RiseWatts, t.UnlearnedWatts)
	switch most := max(t.FloorWatts, t.EnvelopeWatts, t.JobsWatts+rest); {
	case most == t.FloorWatts:
		ps = append(ps, part{"floor", most})
	case most == t.EnvelopeWatts:
		ps = append(ps, part{"envelope", most})
	case rest == t.UnlearnedWatts:
		ps = append(ps, part{"jobs", t.JobsWatts}, part{"unlearned", rest})
	default:
		ps = append(ps, part{"jobs", t.JobsWatts}, part{"rise", rest})
	}
	for i := range ps {
		ps[i].watts = min(ps[i].watts, watts)
		watts -= ps[i].watts
	}
	return ps
}
