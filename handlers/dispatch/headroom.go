// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// free is what is free for mining at a node and all above it.
type free struct {
	now, firm int64
	// seconds for which firm is known to have held, −1 for load without a
	// history.
	seconds int64
	binding *node
	fresh   bool
	// after each span of firm headroom.
	after [events.MaxFirm]firmHeadroom
}

// Headroom is for people and schedulers, and is stored: it is published every
// publishEvery ticks at most, of nodes where it has moved by a part of what is
// usable there and by more than noise.
const (
	publishEvery = 5
	movedPart    = 50
	movedWatts   = 100
)

// publishHeadroom says what is free at the nodes of a power tree whose figures
// have moved, as many as one event takes; the rest waits for the next time.
func (d *Dispatch) publishHeadroom(out *decider.Outbox) {
	if !d.site.tree && len(d.site.raw.Policy.FirmSeconds) == 0 || !d.site.known || d.site.broken != "" || d.tickSecond%publishEvery != 0 {
		return
	}
	if cap(d.frees) < len(d.nodes) {
		d.frees = make([]free, len(d.nodes))
	}
	frees := d.frees[:len(d.nodes)]
	moved := 0
	for i, n := range d.nodes {
		f := d.freeAt(n)
		if n.up != nil {
			f = f.under(&frees[n.up.index])
		}
		frees[i] = f
		if n.moved(&f) {
			moved++
		}
	}
	if moved == 0 {
		return
	}
	p := &events.HeadroomPublished{Second: d.tickSecond, Nodes: make([]events.NodeHeadroom, 0, min(moved, events.MaxHeadroomNodes))}
	at := d.cursor % len(d.nodes)
	for range d.nodes {
		n, f := d.nodes[at], &frees[at]
		if at++; at == len(d.nodes) {
			at = 0
		}
		if !n.moved(f) {
			continue
		}
		n.said = said{Once: true, Headroom: f.now, Firm: f.firm, Fresh: f.fresh}
		d.changed(n)
		p.Nodes = append(p.Nodes, events.NodeHeadroom{Node: n.id, HeadroomWatts: f.now, FirmWatts: f.firm,
			FirmSeconds: max(f.seconds, 0), BindingNode: f.binding.id, MeterFresh: f.fresh, Firm: d.firmOf(f), Reserve: d.reserveTerms(n)})
		if len(p.Nodes[len(p.Nodes)-1].Firm) > 0 {
			p.FirmProbabilityPPM = d.site.firmPPM
		}
		if len(p.Nodes) == events.MaxHeadroomNodes {
			break
		}
	}
	d.cursor = at
	out.Put(Name, p)
}

// freeAt is what is free at n by itself. Firm is what is left when the AI load
// returns to the peak that is remembered of it, with floor and margin kept free
// even then.
func (d *Dispatch) freeAt(n *node) free {
	l := &n.load
	f := free{now: l.Headroom, binding: n, fresh: l.Fresh, seconds: -1}
	ai := l.AI
	if n.env.Started >= 0 {
		w := n.window
		if w == 0 {
			w = standInWindow
		}
		ai = max(ai, n.env.peak(d.now))
		f.seconds = min(w, max(d.now-n.env.Started, 0)) / second
	}
	d.firmAt(n, &f)
	f.firm = min(l.Usable-l.House-ai-n.floor-n.margin, l.Headroom)
	return f
}

// under takes the least of f and what is free above.
func (f free) under(up *free) free {
	if up.now <= f.now {
		f.now, f.binding = up.now, up.binding
	}
	f.firm = min(f.firm, up.firm)
	for i := range f.after {
		a, b := &f.after[i], up.after[i]
		a.watts, a.learned = min(a.watts, b.watts), a.learned && b.learned
	}
	if f.seconds < 0 || up.seconds >= 0 && up.seconds < f.seconds {
		f.seconds = up.seconds
	}
	f.fresh = f.fresh && up.fresh
	return f
}

// moved reports whether what was published of n is not true any more.
func (n *node) moved(f *free) bool {
	s, step := &n.said, max(n.usable/movedPart, movedWatts)
	return !s.Once || s.Fresh != f.fresh || apart(s.Headroom, f.now) > step || apart(s.Firm, f.firm) > step
}

func apart(a, b int64) int64 { return max(a-b, b-a) }
