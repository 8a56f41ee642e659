// SPDX-License-Identifier: Apache-2.0

package simulate

import "time"

// flowed is what the oracle remembers of a place from one change to the next: its
// AI load, of it that which hangs at the place itself, what the limits left of
// the rest, and the ceiling on mining.
type flowed struct {
	at                    time.Duration
	ai, own, top, ceiling int64
}

// remember keeps the past as far as it excuses anything.
func (w *watch) remember(now time.Duration, f flowed) {
	if n := len(w.past); n > 0 && w.past[n-1].at == now {
		w.past[n-1] = f
		return
	}
	if len(w.past) >= 128 {
		n := 0
		for n+1 < len(w.past) && w.past[n+1].at <= now-w.slow.span {
			n++
		}
		w.past = append(w.past[:0], w.past[n:]...)
	}
	w.past = append(w.past, f)
}

// since calls f for all that was so from then on.
func (w *watch) since(then time.Duration, f func(p *flowed)) {
	for i := range w.past {
		if i+1 == len(w.past) || w.past[i+1].at > then {
			f(&w.past[i])
		}
	}
}

// pieced is the most room that a place can have been taken for since then by
// who reads loads and limits at different instants. The load of a place without
// meters of its own is pieced together from meters beneath, one of which may
// have read before its load rose and another after its load fell. Meters of its
// own see all its load at once: that leaves raised.
func (n *place) pieced(then time.Duration) int64 {
	if n.measured() {
		return n.raised(then)
	}
	top, ceiling := int64(-1<<60), int64(0)
	n.since(then, func(p *flowed) { top, ceiling = max(top, p.top), max(ceiling, p.ceiling) })
	return min(top-n.least(then), ceiling)
}

// raised is the most room that limits since then left beside a load that meters
// read shortly before. Limits are known when they change, a load when it is read
// next: where a limit rises between two readings and just behind the load, there
// was never that much room, but nobody could know yet. The load has to have been
// so within the quick response before the limit, and both since then: the
// response to the load's rise counts from that rise, and mining in a room that is
// as old as the span is not excused by it.
func (n *place) raised(then time.Duration) int64 {
	most := int64(0)
	for i := len(n.past) - 1; i >= 0 && (i+1 == len(n.past) || n.past[i+1].at > then); i-- {
		limits, ai := &n.past[i], n.past[i].ai
		for k := i - 1; k >= 0 && n.past[k+1].at > max(then, limits.at-quickResponse); k-- {
			ai = min(ai, n.past[k].ai)
		}
		most = max(most, min(limits.top-ai, limits.ceiling))
	}
	return most
}

// least is the lowest sum of the pieces that n is measured in.
func (n *place) least(then time.Duration) int64 {
	ai, own := int64(1<<60), int64(1<<60)
	n.since(then, func(p *flowed) { ai, own = min(ai, p.ai), min(own, p.own) })
	if n.measured() {
		return ai
	}
	for _, c := range n.kids {
		own += c.least(then)
	}
	return own
}
