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

// pieced is the most room that a place without meters of its own can have been
// taken for since then: its load is pieced together from meters beneath that read
// at different instants, one of them before its load rose and another after its
// load fell. Meters of its own see all at once, and excuse nothing.
func (n *place) pieced(then time.Duration) int64 {
	if n.measured() {
		return 0
	}
	top, ceiling := int64(-1<<60), int64(0)
	n.since(then, func(p *flowed) { top, ceiling = max(top, p.top), max(ceiling, p.ceiling) })
	return min(top-n.least(then), ceiling)
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
