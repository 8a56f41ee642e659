// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"github.com/cespare/xxhash/v2"

	"github.com/ballast-energy/ballast/events"
)

// rung of the ladder down which a silent meter falls.
type rung uint8

const (
	rungFresh    rung = iota // believed
	rungEnvelope             // silent for two periods: the recent peak stands in
	rungStale                // not believed: nameplate
	rungDead                 // gone, or never heard: only what is guaranteed
)

// meter is what is known of one configured meter.
type meter struct {
	cfg           events.MeterConfig
	period, stale int64 // ns
	stuckAfter    int64 // ns; 0 = never taken for stuck

	// has: a reading has been believed; watts is the newest.
	has   bool
	watts int64
	// heard is the elapsed time at which the newest good reading was true,
	// and gap how much of the silence since then is the clock's own jumps.
	heard, gap int64
	// gen is the discontinuity count at that reading.
	gen uint64
	// sampled is the newest device time accepted, Unix ns.
	sampled int64
	// epoch and sequence of the reading that gave watts, suspect if it was.
	epoch, sequence uint64
	suspect         bool
	// round: a reading since the last balance of total and mining; came is when
	// the newest did, elapsed ns.
	round bool
	came  int64
	// rose is what had been raised beneath its node when the newest reading was
	// true, W, where it is a total meter: see raised.
	rose int64
	// over is since when it reads more than its units admit, elapsed ns, −1
	// while it does not.
	over int64
	// units that name it as their meter: what they are booked with, derived.
	// what they say to draw, and the witness that it is while it is asked.
	booked int64
	units  int
	seen   int64
	extra  int64
	watch  *witness
	// work is what shares prove of the units that name it, doubted follows from
	// that of the meter or of its node: see workmeter.go.
	work    account
	doubted bool
	// swap: it reads a thousandth of what was believed of it, see factor.go.
	swap, swapAlert bool

	// The watch for a frozen value, see stuck.go: the newest power and counter
	// reported, since when they have been so (elapsed ns), over how many
	// readings (at most stuckReadings), and whether that is too long.
	last, counter int64
	counted       bool
	since, same   int64
	stuck         bool

	staleAlert, overAlert, stuckAlert bool

	// Derived: where it stands in the configuration and in the power tree, and
	// in the heaps of those that are waited for.
	index  int
	idHash uint64
	node   *node
	// wider is the mining meter further up that sees the same units, nil when
	// there is none or several share what they see there; shared: this is such
	// a part of a node with mining meters beneath, so nobody knows of which of
	// those units.
	wider  *meter
	shared bool
	job    *job // the AI job that it sees alone
	claims claims
	due    [timerKinds]int64
	slot   [timerKinds]int
	h      uint64
}

func (m *meter) use(c events.MeterConfig) {
	if !m.has {
		m.over = -1
	}
	m.idHash = xxhash.Sum64String(c.Meter)
	m.cfg = c
	if c.Measures == events.MeasuresAI || c.Measures == events.MeasuresHouse {
		// Loads: what reads below zero is wired the wrong way round, and would
		// make room that is not there.
		m.cfg.MinWatts = max(c.MinWatts, 0)
	}
	m.period = millis(c.PeriodMilliseconds, 1_000)
	m.stale = millis(c.StaleMilliseconds, 5_000)
	m.stuckAfter = clamp(c.StuckMilliseconds, 0, 86_400_000) * milli
	if m.stuckAfter == 0 {
		m.forgetWatch()
	}
	if m.has && (m.watts < m.cfg.MinWatts || m.watts > c.MaxWatts) {
		m.has = false // the new range says that it was no reading
	}
}

func (m *meter) hash() uint64 {
	var g digest
	g.text(m.cfg.Meter)
	g.bool(m.has)
	g.int(m.watts)
	g.int(m.heard)
	g.int(m.gap)
	g.uint(m.gen)
	g.int(m.sampled)
	g.uint(m.epoch)
	g.uint(m.sequence)
	g.bool(m.suspect)
	g.bool(m.round)
	g.int(m.came)
	g.int(m.rose)
	g.int(m.over)
	g.bool(m.staleAlert)
	g.bool(m.overAlert)
	g.bool(m.swap)
	g.bool(m.swapAlert)
	m.hashWatch(&g)
	return g.sum()
}

// touch brings the digest up to date after a change of m.
func (d *Dispatch) touchMeter(m *meter) {
	h := m.hash()
	d.entries += h - m.h
	m.h = h
}

// rung of m by its own silence, or because work shows that it reads too low.
func (d *Dispatch) rung(m *meter) rung {
	silent := d.now - m.heard
	switch {
	case !m.has, silent > d.site.dead && silent > m.stale:
		return rungDead
	case silent > m.stale, m.gen != d.gen, m.doubted:
		return rungStale
	case silent > 2*m.period:
		return rungEnvelope
	}
	return rungFresh
}

// deadline is the next instant at which the rung of m can change by itself.
func (d *Dispatch) deadline(m *meter) int64 {
	next := never
	if m.has {
		for _, t := range [...]int64{2 * m.period, m.stale, max(d.site.dead, m.stale)} {
			if at := m.heard + t + 1; at > d.now {
				next = min(next, at)
			}
		}
	}
	return next
}

// read is the value of a group and its best rung: the highest of the meters
// that are believed, or the lowest when lowest is set.
func (d *Dispatch) read(g *group, lowest bool) (int64, rung) {
	best := rungDead
	w, any := int64(0), false
	for _, m := range g.meters {
		r := d.rung(m)
		best = min(best, r)
		if r > rungEnvelope {
			continue
		}
		if !any || !lowest && m.watts > w || lowest && m.watts < w {
			w, any = m.watts, true
		}
	}
	return w, best
}

// sum adds groups up: the worst rung counts.
func (d *Dispatch) sum(gs []group, lowest bool) (int64, rung) {
	total, worst := int64(0), rungFresh
	for i := range gs {
		w, r := d.read(&gs[i], lowest)
		total += w
		worst = max(worst, r)
	}
	return total, worst
}

// onReading folds one sample. It returns its meter if anything believed changed.
func (d *Dispatch) onReading(source string, arrived int64, r *events.MeterReading) *meter {
	if m := d.site.byID[source]; m != nil && d.believe(m, arrived, r) {
		return m
	}
	return nil
}

// believe takes a sample of m, or not.
func (d *Dispatch) believe(m *meter, arrived int64, r *events.MeterReading) bool {
	if r.Quality != events.QualityGood && r.Quality != events.QualitySuspect {
		return false
	}
	w := r.PowerWatts
	if w < m.cfg.MinWatts || w > m.cfg.MaxWatts || w > maxWatts || w < -maxWatts {
		return false
	}
	unix := r.SampledAt.Unix()
	if unix < 0 || unix > maxUnix {
		return false
	}
	sampled := r.SampledAt.UnixNano()
	age := arrived - sampled
	if age > m.stale || age < -m.stale {
		return false
	}
	// At the sampled instant of the last reading only more is believed, and
	// nothing older at all: late data never raises power.
	// (Unless the bus's clock was set back: then that last one is of a time to
	// come, and the meter would be deaf until it has come again.)
	late := m.sampled != 0 && sampled <= m.sampled && m.has && m.sampled-arrived <= m.stale
	if late && (sampled < m.sampled || w <= m.watts) {
		return false
	}
	if late || r.Quality == events.QualitySuspect {
		if m.has && w > m.watts {
			m.watts, m.sampled, m.round, m.came = w, sampled, true, d.now
			m.epoch, m.sequence, m.suspect = d.epoch, d.sequence, r.Quality == events.QualitySuspect
			if !late {
				d.note(m, age)
			}
			d.rebalance(m)
			d.touchMeter(m)
			return true
		}
		return false
	}
	if was := m.swap; m.swapped(w) {
		m.sampled = max(m.sampled, sampled)
		d.touchMeter(m)
		return !was // its alert is due
	}
	if was := m.stuck; d.frozen(m, r) {
		m.sampled = max(m.sampled, sampled)
		d.touchMeter(m)
		return !was // its alert is due
	}
	if m.has && d.now-m.heard-m.gap > m.stale && d.lone(m) {
		// The quantity comes back after it was lost, not only after a jump.
		m.node.restartUntil = max(m.node.restartUntil, d.now+d.site.restart)
	}
	m.has, m.watts, m.sampled, m.gen, m.gap = true, w, sampled, d.gen, 0
	m.epoch, m.sequence, m.suspect = d.epoch, d.sequence, false
	m.heard = d.now - max(age, 0)
	m.round, m.came = true, d.now
	d.note(m, age)
	d.wait(m)
	d.rebalance(m)
	d.touchMeter(m)
	return true
}

// lone reports whether no other meter of the group of m is believed.
func (d *Dispatch) lone(m *meter) bool {
	if m.cfg.Group == "" {
		return true
	}
	for _, o := range m.node.meters {
		if o != m && o.cfg.Group == m.cfg.Group && o.cfg.Measures == m.cfg.Measures && d.rung(o) <= rungEnvelope {
			return false
		}
	}
	return true
}
