// SPDX-License-Identifier: Apache-2.0

package dispatch

import "github.com/ballast-energy/ballast/events"

// owe keeps what p has not shown: its units stay under suspicion, and what is
// missing stays booked, until the meter shows it.
func (d *Dispatch) owe(p *proof) {
	w := p.by
	q := w.owed
	inherits := q == nil
	if inherits {
		d.partSeq++
		q = &proof{seq: d.partSeq, by: w, at: w.place(), partState: p.partState}
		q.Members, q.Units, q.Waiting, q.Applied, q.AppliedWatts = 0, 0, 0, 0, 0
		w.owed = q
	}
	for _, u := range d.order {
		if u.part == p {
			if !inherits {
				u.changed, u.risenBy = 0, 0 // counted in p, which ends
			}
			d.enlist(u, q)
		}
		if u.answers == p {
			d.answer(u, q)
		}
	}
	d.touchPart(q)
}

// enlist puts u under suspicion in q.
func (d *Dispatch) enlist(u *unit, q *proof) {
	u.part = q
	q.Members += u.member()
	q.Units++
	if u.waiting {
		q.Waiting++
	}
}

// absolve ends what is owed to w: the meter has shown it.
func (d *Dispatch) absolve(w *witness) {
	q := w.owed
	w.owed = nil
	q.Settled = true
	d.entries -= q.h
	d.unescalated = true
	if w.idle() {
		d.dismiss(w)
	}
}

// accuse books draw at w that nobody admits and nothing asked for: it is owed as
// if it had been given up waiting for, by those who should draw nothing, and
// among them by those whose agent is gone, if there are any.
func (d *Dispatch) accuse(w *witness, now, excess int64) {
	lost := false
	var suspects []*unit
	for _, u := range d.order {
		if u.set > 0 || u.part.open() || u.least() > excess || d.watching(u) != w {
			continue
		}
		if gone := u.agent.lost; gone && !lost {
			lost, suspects = true, suspects[:0]
		} else if lost && !gone {
			continue
		}
		suspects = append(suspects, u)
	}
	if len(suspects) == 0 {
		return
	}
	d.attend(w)
	d.partSeq++
	q := &proof{seq: d.partSeq, by: w, at: w.place()}
	q.Before, q.Asked, q.Passed, q.Seen = now, excess, excess, w.seen()
	q.Due, q.Rebased, q.Response = d.now, true, -1
	for _, u := range suspects {
		u.asked, u.waiting, u.changed, u.risenBy = 0, false, 0, 0
		d.enlist(u, q)
	}
	w.owed = q
	d.touchPart(q)
	d.touchWitness(w)
}

// idle reports that w has nothing to wait for.
func (w *witness) idle() bool { return len(w.parts) == 0 && w.owed == nil }

// id of the meter or node.
func (w *witness) id() string {
	if w.meter != nil {
		return w.meter.cfg.Meter
	}
	return w.node.id
}

// admitted is what units under w say themselves to draw too much.
func (w *witness) admitted() int64 {
	if w.meter != nil {
		return w.meter.extra
	}
	return w.node.extraSum
}

// strangeFor is how long draw that nobody admits must be seen before anybody is
// accused of it.
const strangeFor = 2 * answerGrace

// beyondLosses reports whether so much above what is booked is more than losses,
// fans and the tolerance of meters explain: nobody is accused of those.
func beyondLosses(excess, booked int64) bool { return excess > booked/10+50 }

// visitStrangers looks at every node with mining meters for draw that nobody
// beneath admits, and that is not seen nearer to the units already.
func (d *Dispatch) visitStrangers() {
	for _, n := range d.nodes {
		if len(n.minings) == 0 {
			continue
		}
		x := n.excess(n.fallSum) - n.strayBelow - n.missing
		if !beyondLosses(x, n.raiseSum) {
			x = 0
		}
		was, flag := n.strange, n.strangeAlert
		switch {
		case x <= 0 || n.load.Mining < 0:
			n.strange = -1
			d.clearAlert(&d.alarms.Strange, &n.strangeAlert, alarmStrange, n.id, "what the mining meters see is explained again")
		case n.strange < 0:
			n.strange = d.now
		case d.now-n.strange >= strangeFor:
			d.raiseAlert(&d.alarms.Strange, &n.strangeAlert, alarmStrange, n.id, events.SeverityCritical,
				"the mining meters of the node read more than the units beneath it admit; the difference is booked and others are lowered for it",
				"look for machines that hash although their agents do not know of it, or have ended")
			if n.watch == nil {
				n.watch = &witness{node: n}
			}
			if n.watch.idle() {
				d.accuse(n.watch, n.load.Mining, x)
			}
		}
		if was != n.strange || flag != n.strangeAlert {
			d.changed(n)
		}
	}
	for _, m := range d.site.meters {
		if !m.overAlert || !d.sees(m) || !d.tells(m) {
			continue
		}
		x := m.watts - m.booked
		if m.watch == nil {
			m.watch = &witness{node: m.node, meter: m}
		}
		if m.watch.idle() && beyondLosses(x, m.booked) {
			d.accuse(m.watch, m.watts, x)
		}
	}
}
