// SPDX-License-Identifier: Apache-2.0

package dispatch

// riseGrace is how long a raise may take until the mining meters see it: a unit
// that has risen is booked at once and drawn later, and until then its booking
// hides as much draw that no unit explains.
const riseGrace = 2 * answerGrace

// rogue is draw beneath a node that its mining meters saw and no unit explained
// before something rose: machines whose agent is dead hash on. What is booked
// for a raise is no explanation of it, or the next tick would raise into room
// that is taken.
type rogue struct {
	Watts int64 `json:"watts"`
	// Until when bookings prove nothing, elapsed ns.
	Until int64 `json:"until"`
}

func (r *rogue) digest(g *digest) {
	g.int(r.Watts)
	g.int(r.Until)
}

// unexplained is the draw beneath n that nothing may rise into.
func (d *Dispatch) unexplained(n *node) int64 {
	if x := n.excess(0); x != n.rogue.Watts && (x > n.rogue.Watts || d.now >= n.rogue.Until) {
		n.rogue.Watts = x
		d.changed(n)
	}
	return n.rogue.Watts
}
