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
// that has missed two readings, where the site has no envelope of its own.
const standInWindow = 60 * second

// load is the power balance of the site as of the last look, and what mining
// may have of it. All W.
type load struct {
	Limit    int64 `json:"limit"`
	Usable   int64 `json:"usable"`
	AI       int64 `json:"ai"`
	House    int64 `json:"house"`
	Reserve  int64 `json:"reserve"`
	Headroom int64 `json:"headroom"`
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
	// NextAt is when a meter changes its rung by mere silence, elapsed ns.
	NextAt int64 `json:"next_at"`
}

// look works out the load anew. It is called whenever something in it may have
// changed and costs a few nanoseconds per meter.
func (d *Dispatch) look(reading bool) {
	s, l := &d.site, &d.load
	*l = load{Ceiling: -1, Mining: -1, NextAt: never}
	sig := &d.signals.now
	if !s.known {
		l.Reason = events.ReasonNoConfig
		d.applyCeiling(0)
		return
	}
	for _, m := range s.meters {
		l.NextAt = min(l.NextAt, d.deadline(m))
	}
	if w, r := d.sum(s.minings, false); len(s.minings) > 0 && r <= rungEnvelope {
		l.Mining = w
	}
	nonMining, worst := d.nonMining()
	l.AI = max(nonMining-l.House, 0)
	if reading && l.Fresh {
		w := s.window
		if w == 0 {
			w = standInWindow
		}
		d.env.push(d.now, w, l.AI)
	}
	l.Limit, l.Usable = s.limit, s.usable
	reason := events.ReasonHeadroom
	if sig.importLimit >= 0 && sig.importLimit < l.Usable {
		l.Usable = sig.importLimit
		reason, l.SignalID = events.ReasonImportLimit, sig.importID
	}
	l.Reserve = d.reserve(l.AI)
	l.Headroom = l.Usable - l.AI - l.House - l.Reserve
	room := max(l.Headroom, 0)
	if worst == rungDead {
		room = min(s.guaranteed, max(l.Usable, 0))
	}
	if worst != rungFresh {
		reason, l.SignalID = events.ReasonNoMeter, ""
	}
	l.Reason = reason
	d.applyCeiling(room)
}

// applyCeiling sets the caps from the room that load leaves and the lowest
// ceiling of the signals in force.
func (d *Dispatch) applyCeiling(room int64) {
	l, sig := &d.load, &d.signals.now
	l.Cap, l.ShedCap = room, room
	if d.unsafe {
		l.ShedCap = never / 4
	}
	if sig.ceiling < 0 {
		return
	}
	l.Ceiling = sig.ceiling
	l.ShedCap = min(l.ShedCap, sig.ceiling)
	if sig.ceiling <= l.Cap {
		l.Cap, l.Reason, l.SignalID = sig.ceiling, sig.reason, sig.ceilingID
	}
}

// nonMining is the believed load of AI and house, with the stand-ins for what
// is not believed, and the worst rung of what measures the AI load. It sets
// House and Fresh.
func (d *Dispatch) nonMining() (int64, rung) {
	s, l := &d.site, &d.load
	house := s.house
	worstHouse := rungFresh
	for i := range s.houses {
		w, r := d.read(&s.houses[i], false)
		if r >= rungStale {
			w = 0
			for _, m := range s.houses[i].meters {
				w = max(w, watts(m.cfg.MaxWatts))
			}
		}
		house += w
		worstHouse = max(worstHouse, r)
	}
	l.House = house

	balance, balanceRung := int64(0), rungDead
	hasBalance := len(s.totals) > 0 && len(s.minings) > 0
	if hasBalance && d.balanced {
		_, rt := d.sum(s.totals, false)
		_, rm := d.sum(s.minings, true)
		balance, balanceRung = d.balance, max(rt, rm)
	}
	var load int64
	var worst rung
	switch {
	case len(s.ai) > 0:
		ai, r := d.sum(s.ai, false)
		worst = r
		if r >= rungStale {
			ai = max(ai, s.nameplate)
		} else if r == rungEnvelope {
			ai = max(ai, d.env.peak(d.now))
		}
		load = ai + house
		if balanceRung <= rungEnvelope {
			load = max(load, balance)
		}
	case hasBalance:
		worst = balanceRung
		load = balance
		if worst >= rungStale {
			load = max(load, s.nameplate+house)
		} else if worst == rungEnvelope {
			load = max(load, d.env.peak(d.now)+house)
		}
	default:
		worst, load = rungDead, s.nameplate+house
	}
	l.Fresh = worst == rungFresh && worstHouse == rungFresh && (!hasBalance || balanceRung == rungFresh)
	return load, worst
}

// reserve is what stays free for the next step of the AI load; nothing in a
// demonstration without reductions, whose point is what happens then.
func (d *Dispatch) reserve(ai int64) int64 {
	if d.unsafe {
		return 0
	}
	s := &d.site
	r := s.floor
	if s.window > 0 {
		r = max(r, d.env.peak(d.now)-ai)
	}
	if s.window == 0 || d.env.Started < 0 || d.now-d.env.Started < s.window {
		r = max(r, s.unlearned)
	}
	return r + s.margin
}

// excess is draw that the mining meters see and no unit explains: units that
// deny what they draw, or losses. Whoever sheds for it excuses what lowered
// units may still draw while they fall, or it would be shed twice; whoever
// raises excuses nothing.
func (d *Dispatch) excess(excused int64) int64 {
	if d.load.Mining < 0 {
		return 0
	}
	if x := d.load.Mining - d.raiseSum - excused; x > d.raiseSum/50+50 {
		return x
	}
	return 0
}
