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
	index int
	caps  *events.Capabilities
	order int64
	draw  int64
	rises uint64 // counts orders upwards: a fall planned before one is void
	// ignores orders; orphan: its agent is dead, it hashes on; settling: it
	// has begun to obey again and comes down.
	ignores, orphan, settling bool
	lease                     lease
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
	if w < u.caps.MinWatts {
		return 0
	}
	return max(w, 0)
}

// plant is what draws power, and the meters' counters.
type plant struct {
	w      *world
	units  []*unit
	ai     int64
	base   int64 // AI load without its tremble
	house  int64
	mining int64
	rogue  int64
	meters []*meter
	// metered until; mined is all mining energy, W·ns beyond whole mWh.
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

// account brings every counter up to now; call it before anything changes.
func (p *plant) account() {
	d := p.w.now - p.until
	if d == 0 {
		return
	}
	for _, m := range p.meters {
		m.energy.add(p.seen(m), d)
	}
	p.mined.add(p.mining, d)
	p.until = p.w.now
}

func (p *plant) setDraw(u *unit, watts int64) {
	if u.draw == watts {
		return
	}
	p.account()
	p.mining += watts - u.draw
	if u.rogue() {
		p.rogue += watts - u.draw
	}
	for _, m := range p.meters {
		if m.cfg.Meter == u.caps.Meter {
			m.mining += watts - u.draw
		}
	}
	u.draw = watts
	p.w.oracle.changed()
}

// setRogue marks a unit as beyond command, or back.
func (p *plant) setRogue(u *unit, change func()) {
	was := u.rogue()
	change()
	if u.rogue() == was {
		return
	}
	if was {
		p.rogue -= u.draw
	} else {
		p.rogue += u.draw
	}
	p.w.oracle.changed()
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
		p.w.oracle.answerFor()
	})
}

// drive orders the unit to draw at most watts.
func (p *plant) drive(u *unit, watts int64) {
	u.order = watts
	if u.deaf() {
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

// setLoad moves the AI load.
func (p *plant) setLoad(watts int64) {
	if watts == p.ai {
		return
	}
	p.account()
	p.ai = watts
	p.w.oracle.changed()
}

// tremble of the AI load within each second: real loads never stand still.
func (p *plant) tremble() {
	span := p.base/500 + 1
	h := mix(p.w.story.Seed, uint64(p.w.now/time.Second))
	p.setLoad(max(p.base+int64(h%uint64(2*span+1))-span, 0))
}

func mix(a, b uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 ^ b
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
