// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"github.com/ballast-energy/ballast/events"
)

// stuckReadings that are alike, at least, make a stuck meter: time alone proves
// nothing about a source that hardly reports.
const stuckReadings = 10

// frozen notes a new good reading of m and reports whether m is stuck: it keeps
// reporting, but nothing in it has moved for its stuck time. Such a reading is
// none, so that the meter goes down the ladder of the silent ones and comes
// back as they do. Only time in which the meter was heard counts, on the clock
// of the fold: neither jumps of the wall clock nor silence make a meter stuck.
func (d *Dispatch) frozen(m *meter, r *events.MeterReading) bool {
	if m.stuckAfter == 0 {
		return false
	}
	c := r.EnergyMilliwattHours
	moved := m.same == 0 || r.PowerWatts != m.last || c != nil && m.counted && *c != m.counter
	if c != nil {
		m.counter, m.counted = *c, true
	}
	// Mining that is switched off draws exactly nothing, for as long as it likes.
	off := m.cfg.Measures == events.MeasuresMining && r.PowerWatts == 0
	if moved || off {
		m.last, m.since, m.same, m.stuck = r.PowerWatts, d.now, 1, false
		return false
	}
	if quiet := d.now - m.heard - m.gap; !m.stuck && quiet > m.stale {
		m.since = min(m.since+quiet, d.now)
	}
	m.same = min(m.same+1, stuckReadings)
	m.stuck = m.same == stuckReadings && d.now-m.since >= m.stuckAfter
	return m.stuck
}

// forgetWatch is for a meter that cannot be stuck (any more).
func (m *meter) forgetWatch() {
	m.last, m.counter, m.counted = 0, 0, false
	m.since, m.same, m.stuck = 0, 0, false
}

// hashWatch adds the watch to the digest. Where there is none the digest is
// what it was before there were watches: recorded checkpoints stay true.
func (m *meter) hashWatch(g *digest) {
	if m.last|m.counter|m.since|m.same == 0 && !m.counted && !m.stuck && !m.stuckAlert {
		return
	}
	g.int(m.last)
	g.int(m.counter)
	g.bool(m.counted)
	g.int(m.since)
	g.int(m.same)
	g.bool(m.stuck)
	g.bool(m.stuckAlert)
}
