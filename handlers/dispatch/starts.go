// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"github.com/ballast-energy/ballast/events"
)

const (
	// startPause is how long a unit that could start may be without room before
	// it has to wait from the beginning; what it forgoes meanwhile is counted
	// for startGap at most.
	startPause = 60 * second
	startGap   = 2_500 * milli
	// promiseLife is how long the place that was made for a unit is its own,
	// beyond the time that those that made way need to fall.
	promiseLife = 30 * second
	day         = 86_400 * second
	// defaultHorizon within which a swap must earn back a start.
	defaultHorizon = 3_600_000
)

// starts is what is remembered of a unit so that it starts and stops no more
// often than it is worth. Instants are elapsed ns.
type starts struct {
	// Since it could have started, Seen last.
	Since int64 `json:"since,omitempty"`
	Seen  int64 `json:"seen,omitempty"`
	// Account is the margin forgone since then, or, of a unit that hashes, what
	// it has lost since hashing stopped to pay, millionths of a µ$.
	Account int64 `json:"account,omitempty"`
	// Rested is when the budget of starts is whole again.
	Rested int64 `json:"rested,omitempty"`
	// Promised: until then a place was made for it.
	Promised int64 `json:"promised,omitempty"`
}

func (s *starts) hash() uint64 {
	var g digest
	g.int(s.Since)
	g.int(s.Seen)
	g.int(s.Account)
	g.int(s.Rested)
	g.int(s.Promised)
	return g.sum()
}

// money is rate µ$/MWh × watts × milliseconds in millionths of a µ$, at most
// never; nothing for what is negative.
func money(rate, watts, milliseconds int64) int64 {
	if rate <= 0 || watts <= 0 || milliseconds <= 0 {
		return 0
	}
	const perHour = 3_600_000 // ms
	hi, lo := bits.Mul64(uint64(watts), uint64(milliseconds))
	per := uint64(perHour)
	if hi > 0 {
		if hi >= perHour {
			return never
		}
		lo, _ = bits.Div64(hi, lo, perHour) // Wh will do
		per = 1
	}
	hi, lo = bits.Mul64(uint64(rate), lo)
	if hi >= per {
		return never
	}
	q, _ := bits.Div64(hi, lo, per)
	return int64(min(q, uint64(never)))
}

// costly reports whether a start of u has a price that money decides about.
func (d *Dispatch) costly(u *unit) bool { return d.site.startWear > 0 && d.counts(u) }

// startCost of u from where it is now: the wear, and the energy of a boot that
// hashes nothing.
func (d *Dispatch) startCost(u *unit) int64 {
	boot := u.caps.BootMilliseconds
	if u.asleep > 0 && u.set > 0 && !u.hashes(u.set) {
		boot = u.caps.Levels[0].BootMilliseconds
	}
	// µ$/MW × W are millionths of a µ$.
	hi, wear := bits.Mul64(uint64(d.site.startWear), uint64(u.caps.NameplateWatts))
	energy := money(d.energyPrice()+d.site.adder, u.caps.NameplateWatts, boot)
	if hi > 0 || wear > uint64(never-energy) {
		return never
	}
	return int64(wear) + energy
}

// accrue counts what hashing with so many watts at that margin brings since it
// was last asked.
func (d *Dispatch) accrue(u *unit, margin, watts int64) {
	s := &u.starts
	if gap := d.now - s.Seen; s.Seen == 0 || gap > startPause {
		s.Since, s.Account = d.now, 0
	} else {
		s.Account += min(money(margin, watts, min(gap, startGap)/milli), never-s.Account)
	}
	s.Seen = d.now
	d.touchUnit(u)
}

// settleAccount ends the account of u.
func (d *Dispatch) settleAccount(u *unit) {
	if s := &u.starts; s.Seen != 0 || s.Account != 0 || s.Since != 0 {
		s.Since, s.Seen, s.Account = 0, 0, 0
		d.touchUnit(u)
	}
}

// spent reports whether u has used up its starts. A setpoint that overrides
// economics overrides that, too.
func (d *Dispatch) spent(u *unit) bool {
	if d.site.startEvery == 0 || d.ordered(u) {
		return false
	}
	return max(u.starts.Rested, d.now)+d.site.startEvery > d.now+day
}

// crowdedAt is the node at which as many units are starting as may, nil when
// there is none above u.
func crowdedAt(u *unit) *node {
	for n := u.node; n != nil; n = n.up {
		if n.maxStarts > 0 && n.starting >= n.maxStarts {
			return n
		}
	}
	return nil
}

// ripe reports whether u, for which there is room, has waited for as long as it
// should before it starts with so many watts on s.
func (d *Dispatch) ripe(s *step, watts int64) bool {
	u := s.u
	if crowdedAt(u) != nil {
		return false
	}
	costly := d.costly(u)
	if d.site.jitter == 0 && !costly || d.now < u.starts.Promised {
		return true
	}
	d.accrue(u, d.margin(s), watts)
	return d.now-u.starts.Since >= d.jitter(u) && (!costly || u.starts.Account > d.startCost(u))
}

// waited is ripe for whoever only looks.
func (d *Dispatch) waited(u *unit) bool {
	costly := d.costly(u)
	if d.site.jitter == 0 && !costly || d.now < u.starts.Promised {
		return true
	}
	return u.starts.Seen != 0 && d.now-u.starts.Since >= d.jitter(u) && (!costly || u.starts.Account > d.startCost(u))
}

// jitter is the time of its own that u waits before a start.
func (d *Dispatch) jitter(u *unit) int64 {
	if d.site.jitter == 0 {
		return 0
	}
	return int64(xxhash.Sum64String(u.id) % uint64(d.site.jitter))
}

// kindle notes that u starts, finish that it has started, or stops.
func (d *Dispatch) kindle(u *unit) {
	if d.site.startEvery > 0 {
		u.starts.Rested = max(u.starts.Rested, d.now) + d.site.startEvery
	}
	u.starts.Promised = 0
	if !u.starting {
		u.starting = true
		d.add(u.node, books{starting: 1})
	}
}

func (d *Dispatch) finish(u *unit) {
	if u.starting {
		u.starting = false
		d.add(u.node, books{starting: -1})
	}
}

// started reports whether u has been starting for long enough.
func (d *Dispatch) started(u *unit) bool {
	return u.starting && d.now-u.onSince >= max(u.caps.BootMilliseconds*milli, d.site.startWindow)
}

// loses reports whether u, which hashes at a loss of so much per MWh, has lost
// enough to stop: as much as a start costs, and once more for what is left of
// its minimum on-time, in proportion.
func (d *Dispatch) loses(u *unit, loss int64) bool {
	ran := d.now - u.onSince
	if d.site.startWear == 0 {
		return ran >= d.site.minOn
	}
	d.accrue(u, loss, u.set)
	cost := min(d.startCost(u), never/4)
	bound := cost
	if left := d.site.minOn - ran; left > 0 && ran >= 0 {
		hi, lo := bits.Mul64(uint64(cost), uint64(left))
		early, _ := bits.Div64(hi, lo, uint64(d.site.minOn))
		bound += int64(early)
	}
	return u.starts.Account >= bound
}

// earns reports whether it pays to give a better step so many watts in the
// place of the steps picked, within the horizon. Where starts have no price, and
// where none is needed, it does.
func (d *Dispatch) earns(better *step, watts int64, picks []*step) bool {
	if d.site.startWear == 0 || better.u.hashes(better.u.set) {
		return true
	}
	gain := money(d.quote.revenue(better.merit), watts, d.site.horizon)
	for _, s := range picks {
		if !s.sleeps {
			gain -= money(d.quote.revenue(s.merit), d.sets[s.rank]-s.keep, d.site.horizon)
		}
	}
	return gain > d.startCost(better.u)
}

// mayFall reports whether what only money asks to fall beneath n may fall now.
func (d *Dispatch) mayFall(n *node) bool {
	for ; n != nil; n = n.up {
		if n.downRate > 0 && n.downUntil > d.now {
			return false
		}
	}
	return true
}

// thrift lowers u because of money alone, at the pace that is allowed, and
// reports whether it did.
func (d *Dispatch) thrift(u *unit, w int64) bool {
	if w >= u.set || !d.mayFall(u.node) {
		return false
	}
	for n := u.node; n != nil; n = n.up {
		if n.downRate > 0 {
			hi, lo := bits.Mul64(uint64(u.set-w), uint64(second))
			takes := uint64(day)
			if hi < uint64(n.downRate) {
				q, _ := bits.Div64(hi, lo, uint64(n.downRate))
				takes = min(q+1, takes)
			}
			n.downUntil = max(n.downUntil, d.now) + int64(takes)
			d.changed(n)
		}
	}
	d.lower(u, w, events.ReasonEconomics)
	return true
}
