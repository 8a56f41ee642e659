// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math"

	"github.com/ballast-energy/ballast/events"
)

const (
	never   = int64(math.MaxInt64)
	maxUnix = int64(9_000_000_000) // year 2255: nanoseconds still fit
)

// standInWindow is how far back the peak reaches that stands in for a meter
// that has missed two readings, where its node has no envelope of its own.
const standInWindow = 60 * second

// load is the power balance of a node as of the last look, and what mining
// beneath it may have of it. All W.
type load struct {
	Limit   int64 `json:"limit"`
	Usable  int64 `json:"usable"`
	AI      int64 `json:"ai"`
	House   int64 `json:"house"`
	Reserve int64 `json:"reserve"`
	// Terms of the reserve.
	Terms    events.ReserveTerms `json:"terms"`
	Headroom int64               `json:"headroom"`
	// Ceiling on mining from signals, −1 when there is none.
	Ceiling int64 `json:"ceiling"`
	// Cap on mining: headroom, ceiling and bad data together; ShedCap is
	// what reductions work towards.
	Cap     int64 `json:"cap"`
	ShedCap int64 `json:"shed_cap"`
	// Fresh: every quantity is believed, so power may rise.
	Fresh bool `json:"fresh"`
	// Reason and SignalID of what set Cap.
	Reason   events.Reason `json:"reason"`
	SignalID string        `json:"signal_id,omitempty"`
	// Mining as its meters see it, −1 when they are not believed.
	Mining int64 `json:"mining"`
}

// lookUp works out the load of n and of every node above it anew: what a
// reading at n costs.
func (d *Dispatch) lookUp(n *node, reading bool) {
	for ; n != nil; n = n.up {
		d.look(n, reading)
	}
}

// lookAll works out the load of every node anew.
func (d *Dispatch) lookAll() {
	for i := len(d.nodes) - 1; i >= 0; i-- {
		d.look(d.nodes[i], false)
	}
}

// lookDue works out the load where meters have gone down a rung by silence.
func (d *Dispatch) lookDue() {
	for m := d.rungs.first(d.now); m != nil; m = d.rungs.first(d.now) {
		d.rungs.set(m, d.deadline(m))
		if m.job != nil {
			d.bookJob(m.job)
			d.lookUp(m.job.node, false)
		}
		d.lookUp(m.node, false)
	}
}

// look works out the load of n anew from its meters and from what the nodes
// beneath it tell, and tells the node above. It is called whenever something in
// it may have changed and costs a few nanoseconds per meter of n.
func (d *Dispatch) look(n *node, reading bool) {
	s, l := &d.site, &n.load
	*l = load{Ceiling: -1, Mining: -1}
	d.mark(n)
	d.changed(n)
	if !s.known {
		l.Reason = events.ReasonNoConfig
		d.applyCeiling(n, 0)
		return
	}
	if len(n.minings) > 0 {
		if w, r := d.sum(n.minings, false); r <= rungEnvelope {
			l.Mining = w
		}
	}
	tell := told{}
	nonMining, worst := d.nonMining(n, &tell)
	l.AI = max(nonMining-l.House, 0)
	if reading && l.Fresh && n.measured {
		d.learn(n)
	}
	l.Limit, l.Usable = n.limit, n.usable
	reason := events.ReasonHeadroom
	if s := n.sig.total; s != nil && s.Course.Level < l.Usable {
		l.Usable = s.Course.Level
		reason, l.SignalID = events.ReasonImportLimit, s.ID
	}
	// The reserve is for what comes on top of the load that was measured last: a
	// stand-in for a meter that has missed a few readings takes from it.
	l.Reserve = max(d.reserve(n, l.AI-tell.Stood)-tell.Stood, 0) + l.Terms.MarginWatts
	if reading && l.Fresh && tell.Estimated == 0 && n.measured {
		n.crests.push(d.now, tell.Plain+l.Reserve)
	}
	if reading && l.Fresh && n.measured {
		d.learnBooked(n)
	}
	l.Headroom = l.Usable - l.AI - l.House - l.Reserve
	room := max(l.Headroom, 0)
	if worst == rungDead {
		// What is guaranteed is guaranteed to the site, not to every node.
		room = 0
		if n.up == nil {
			room = min(s.guaranteed, max(l.Usable, 0))
		}
	}
	if worst != rungFresh {
		reason, l.SignalID = events.ReasonNoMeter, ""
	}
	l.Reason = reason
	d.applyCeiling(n, room)
	d.tell(n, &tell, worst)
}

// tell passes on what n tells the node above it.
func (d *Dispatch) tell(n *node, t *told, worst rung) {
	t.AI, t.House = n.load.AI, n.load.House
	own := n.figures() && worst <= rungEnvelope
	if t.SeenAI = n.below.SeenAI; own {
		t.SeenAI = n.load.AI
	}
	if !n.load.Fresh {
		t.Unfresh = 1
	}
	if (!own || worst != rungFresh) && (n.nameplate > 0 || n.below.Uncovered > 0) {
		t.Uncovered = 1
	}
	if own || n.below.Sources > 0 {
		t.Sources = 1
	}
	if n.up != nil {
		n.up.below.add(&n.told, -1)
		n.up.below.add(t, 1)
	}
	n.told = *t
}

// applyCeiling sets the caps of n from the room that load leaves and the lowest
// ceiling of the signals in force there.
func (d *Dispatch) applyCeiling(n *node, room int64) {
	l, s := &n.load, n.sig.mining
	l.Cap, l.ShedCap = room, room
	if d.unsafe {
		l.ShedCap = never / 4
	}
	if s == nil {
		return
	}
	l.Ceiling = s.Course.Level
	l.ShedCap = min(l.ShedCap, l.Ceiling)
	if l.Ceiling <= l.Cap {
		l.Cap, l.Reason, l.SignalID = l.Ceiling, reasonOf(s.Kind), s.ID
	}
}

// houseLoad is the believed load of the house beneath n, and the worst rung of
// its meters. A node without house meters of its own takes what the nodes
// beneath it tell.
func (d *Dispatch) houseLoad(n *node, t *told) (int64, rung) {
	if len(n.houses) == 0 {
		t.SeenHouse = n.house + n.below.SeenHouse
		return n.house + n.below.House, rungFresh
	}
	house, worst := int64(0), rungFresh
	for i := range n.houses {
		w, r := d.read(&n.houses[i], false)
		if r >= rungStale {
			w = 0
			for _, m := range n.houses[i].meters {
				w = max(w, watts(m.cfg.MaxWatts))
			}
		}
		house += w
		worst = max(worst, r)
	}
	house = max(house, n.below.SeenHouse)
	t.SeenHouse = n.house + house
	if worst >= rungStale {
		t.SeenHouse = n.house + n.below.SeenHouse
	}
	return n.house + house, worst
}

// nonMining is the believed load of AI and house beneath n, with the stand-ins
// for what is not believed, and the worst rung of what measures the AI load. It
// sets House and Fresh.
//
// Where n is measured, the higher of its own figure and of what is measured
// beneath it counts; a stand-in of a node beneath does not, for n knows better.
// Where it is not, it is the sum of the nodes beneath and of its own nameplate.
func (d *Dispatch) nonMining(n *node, t *told) (int64, rung) {
	l := &n.load
	house, worstHouse := d.houseLoad(n, t)
	l.House = house

	balance, balanceRung := int64(0), rungDead
	hasBalance := len(n.totals) > 0 && len(n.minings) > 0
	if hasBalance && n.balance.Known {
		_, rt := d.sum(n.totals, false)
		_, rm := d.sum(n.minings, true)
		balance, balanceRung = n.balance.Watts, max(rt, rm)
	}
	n.ownAI = -1
	var load int64
	var worst rung
	switch {
	case len(n.ai) > 0:
		ai, r := d.sum(n.ai, false)
		worst = r
		if r == rungFresh {
			n.ownAI, t.Plain = ai, ai
		} else {
			t.Estimated = 1
		}
		if r >= rungStale {
			ai = max(ai, n.nameplate+n.below.AI)
		}
		load = max(ai, n.below.SeenAI) + house
		if balanceRung <= rungEnvelope {
			load = max(load, balance)
		}
		if r == rungEnvelope {
			// Beyond all that is measured.
			if p := n.env.peak(d.now) + house; p > load {
				t.Stood, load = p-load, p
			}
		}
	case hasBalance:
		worst, t.Estimated = balanceRung, 1
		load = balance
		if worst == rungFresh {
			n.ownAI = max(balance-house, 0)
		}
		load = max(load, n.below.SeenAI+house)
		if worst >= rungStale {
			load = max(load, n.nameplate+n.below.AI+house)
		} else if worst == rungEnvelope {
			if p := n.env.peak(d.now) + house; p > load {
				t.Stood, load = p-load, p
			}
		}
	case d.site.tree:
		load = n.nameplate + n.below.AI + house
		t.Stood, t.Plain, t.Estimated = n.below.Stood, n.below.Plain, n.below.Estimated
		if n.below.Unfresh > 0 {
			worst = rungStale
		}
	default:
		worst, load = rungDead, n.nameplate+house
	}
	l.Fresh = worst == rungFresh && worstHouse == rungFresh && (!hasBalance || balanceRung == rungFresh)
	if len(n.houses) == 0 && !n.figures() {
		l.Fresh = l.Fresh && n.below.Unfresh == 0
	}
	return load, worst
}

// excess is draw that the mining meters of n see and no unit beneath it
// explains: units that deny what they draw, or losses. Whoever sheds for it
// excuses what lowered units may still draw while they fall, or it would be
// shed twice; whoever raises excuses nothing.
func (n *node) excess(excused int64) int64 {
	if n.load.Mining < 0 {
		return 0
	}
	if x := n.load.Mining - n.raiseSum - excused; x > n.raiseSum/50+50 {
		return x
	}
	return 0
}
