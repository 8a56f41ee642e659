// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"time"

	"github.com/ballast-energy/ballast/events"
)

// unit is a machine as it stands on the floor, and what the oracle knows of its
// right to draw. A machine goes up at once and comes down as late as its fall
// time allows.
type unit struct {
	id    string
	agent *agent
	place *place
	index int
	caps  *events.Capabilities
	order int64
	draw  int64
	rises uint64 // counts orders upwards: a fall planned before one is void
	// ignores orders; orphan: its agent is dead, it hashes on; settling: it
	// has begun to obey again and comes down.
	ignores, orphan, settling bool
	lease                     lease
	defies                    defiance
	// plug is the outlet that feeds the unit, plugged who switches it; nil for
	// none. dark: it has no power; drew is what it drew before.
	plug    *socket
	plugged *controller
	dark    bool
	drew    int64
}

// deaf reports whether no command reaches the unit.
func (u *unit) deaf() bool { return u.ignores || u.orphan }

// rogue reports whether the draw of the unit is nobody's decision.
func (u *unit) rogue() bool { return u.deaf() || u.settling }

func (u *unit) fall() time.Duration {
	return time.Duration(u.caps.FallMilliseconds) * time.Millisecond
}

// level is the highest draw of the unit at or below w.
func (u *unit) level(w int64) int64 {
	w = min(w, u.caps.NameplateWatts)
	if len(u.caps.LevelsWatts) > 0 {
		best := int64(0)
		for _, l := range u.caps.LevelsWatts {
			if l <= w {
				best = max(best, l)
			}
		}
		return best
	}
	if w < u.caps.MinWatts {
		return 0
	}
	return max(w, 0)
}

// plant is what draws power, and the meters' counters.
type plant struct {
	w     *world
	units []*unit
	// places of the power tree, each behind the one that feeds it.
	places []*place
	root   *place
	byNode map[string]*place
	meters []*meter
	// mined is all mining energy, metered until then.
	until time.Duration
	mined counter
}

// counter of energy, exact.
type counter struct{ milliwattHours, rest int64 }

// milliwattHour in W·ns.
const milliwattHour = 3_600_000_000

func (c *counter) add(watts int64, d time.Duration) {
	c.rest += watts * int64(d)
	c.milliwattHours += c.rest / milliwattHour
	c.rest %= milliwattHour
}

// account brings the counter of all mining up to now; call it before that
// changes.
func (p *plant) account() {
	p.mined.add(p.root.mining, p.w.now-p.until)
	p.until = p.w.now
}

// flow changes what flows through n and all above it; its meters have counted
// what flowed before.
func (p *plant) flow(n *place, change func(n *place)) {
	for ; n != nil; n = n.up {
		for _, m := range n.meters {
			m.count(p.w.now)
		}
		change(n)
		p.w.oracle.changed(n)
	}
}

func (p *plant) setDraw(u *unit, watts int64) {
	if u.dark {
		watts = 0
	}
	if u.draw == watts {
		return
	}
	p.account()
	more := watts - u.draw
	p.flow(u.place, func(n *place) {
		n.mining += more
		for _, m := range n.meters {
			if m.part && m.cfg.Meter == u.caps.Meter {
				m.mining += more
			}
		}
	})
	if u.draw = watts; u.rogue() {
		p.answer(u, more)
	}
}

// answer books draw that no command reaches: the first mining meter above the
// unit shows it.
func (p *plant) answer(u *unit, more int64) {
	seen := false
	for n := u.place; n != nil; n = n.up {
		if seen = seen || n.minings; seen {
			n.rogue += more
		} else {
			n.hidden += more
		}
		p.w.oracle.changed(n)
	}
}

// setRogue marks a unit as beyond command, or back.
func (p *plant) setRogue(u *unit, change func()) {
	was := u.rogue()
	change()
	if u.rogue() == was {
		return
	}
	if was {
		p.answer(u, -u.draw)
	} else {
		p.answer(u, u.draw)
	}
}

// obey ends what keeps a unit from hearing. If it hears again, nobody answers
// for it until it has come down.
func (p *plant) obey(u *unit, change func()) {
	was := u.deaf()
	p.setRogue(u, func() {
		change()
		u.settling = u.settling || was && !u.deaf()
	})
	if !was || u.deaf() {
		return
	}
	u.lease.excused = p.w.now
	p.drive(u, u.order)
	p.w.after(u.fall()+settleTime, func() {
		p.setRogue(u, func() { u.settling = false })
		p.w.oracle.answerFor(u.place)
	})
}

// drive orders the unit to draw at most watts.
func (p *plant) drive(u *unit, watts int64) {
	u.order = watts
	if u.deaf() {
		if u.ignores {
			p.w.effects[OrdersIgnored]++
			p.w.oracle.tried(u)
		}
		return
	}
	target := u.level(watts)
	if target >= u.draw {
		u.rises++
		p.setDraw(u, target)
		return
	}
	rises := u.rises
	p.w.after(u.fall(), func() {
		if u.rises == rises && !u.deaf() && target < u.draw {
			p.setDraw(u, target)
		}
	})
}

// setLoad moves the AI load that hangs at n.
func (p *plant) setLoad(n *place, watts int64) {
	more := watts - n.own
	if more == 0 {
		return
	}
	n.own = watts
	p.flow(n, func(n *place) { n.ai += more })
}

// tremble of the AI loads within each second: real loads never stand still.
func (p *plant) tremble() {
	for i, n := range p.places {
		if n.base > 0 || n.own > 0 || i == 0 {
			p.trembleAt(n, i)
		}
	}
}

func (p *plant) trembleAt(n *place, i int) {
	span := n.base/500 + 1
	h := mix(p.w.story.Seed+uint64(i)<<40, uint64(p.w.now/time.Second))
	p.setLoad(n, max(n.base+int64(h%uint64(2*span+1))-span, 0))
}

func mix(a, b uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 ^ b
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
