// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
)

// meter is what is known of one configured meter.
type meter struct {
	ID             string
	Kind           kind
	Account, Group int32
	Min, Max       int64 // W
	Stale          int64 // ns
	Modulus        int64 // mWh

	// The last believed reading.
	Fresh, Suspect, Modelled bool
	Watts                    int64
	Arrived, Sampled         int64

	// Counter as of the last time it moved, and what has been booked since.
	HasCounter, Distrusted bool
	Counter, CounterAt     int64
	Segments               []segment
	// The minute over which the counter is compared with the power.
	WindowStart              int64
	WindowPower, WindowCount energy.Amount
}

// reading folds a sample of a meter.
func (d *Decider) reading(source string, r *events.MeterReading) {
	i, ok := d.meterOf[source]
	if !ok {
		return
	}
	m := &d.Meters[i]
	if r.Quality == events.QualityBad || r.PowerWatts < m.Min || r.PowerWatts > m.Max {
		return // no reading at all: the meter goes stale if nothing better comes
	}
	sampled := d.Now
	if !r.SampledAt.IsZero() {
		sampled = r.SampledAt.UnixNano()
	}
	if age := d.Now - sampled; age > m.Stale || age < -m.Stale {
		d.raise("settlement-late/"+m.ID, events.SeverityWarning,
			"readings of meter "+m.ID+" are dated too far from their arrival and are not booked",
			"check the clock of the meter and the way its readings take; its energy is estimated until its counter proves it")
		return
	}
	if sampled < m.Sampled && m.Fresh {
		return // overtaken by a newer one
	}
	suspect := r.Quality == events.QualitySuspect
	if r.EnergyMilliwattHours != nil && !suspect {
		d.count(m, *r.EnergyMilliwattHours)
	}
	m.Watts, m.Arrived, m.Sampled = r.PowerWatts, d.Now, sampled
	m.Fresh, m.Suspect, m.Modelled = true, suspect, r.Modelled
	if due := m.Arrived + m.Stale; due < d.nextStale {
		d.nextStale = due
		d.setBreak()
	}
	d.mix(uint64(m.Watts))
	d.mix(uint64(sampled))
	d.mix(uint64(m.Counter)<<2 | flag(suspect)<<1 | flag(m.Modelled))
	d.showMeter(m)
	d.estimate()
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// showMeter brings the flows of a meter and its group up to date.
func (d *Decider) showMeter(m *meter) {
	if m.Account != m.Group {
		d.setFlow(int(m.Account), max(m.Watts, 0), !m.Fresh || m.Suspect, m.Modelled)
	}
	var best *meter
	for _, i := range d.members[m.Group] {
		if o := &d.Meters[i]; o.Fresh && (best == nil || o.Watts > best.Watts) {
			best = o
		}
	}
	g := int(m.Group)
	d.setStale(g, best == nil)
	if best != nil {
		d.setFlow(g, max(best.Watts, 0), best.Suspect, best.Modelled)
	}
}

// setStale marks a group as resting on no meter, or on one again.
func (d *Decider) setStale(group int, stale bool) {
	f := &d.Flows[group]
	if f.Stale == stale {
		return
	}
	f.Stale = stale
	n := 1
	if !stale {
		n = -1
	}
	d.StaleGroups += n
	switch d.curLayout.Slots[group].Kind {
	case kindAI:
		d.StaleAI += n
	case kindTotal:
		d.StaleTotal += n
	}
}

// setFlow books an account up to now and changes what it draws from now on.
func (d *Decider) setFlow(account int, watts int64, estimated, modelled bool) {
	f := &d.Flows[account]
	watts = min(watts, maxWatts)
	if f.Watts == watts && f.Estimated == estimated && f.Modelled == modelled {
		return
	}
	d.flush(account)
	if account < d.curLayout.Groups {
		d.Kinds[d.curLayout.Slots[account].Kind] += watts - f.Watts
	}
	f.Watts, f.Estimated, f.Modelled = watts, estimated, modelled
}

// flush books what an account drew up to now.
func (d *Decider) flush(account int) {
	f := &d.Flows[account]
	dt := d.Now - f.Since
	if dt <= 0 {
		return
	}
	f.Since = d.Now
	a := &d.cur.Accounts[account]
	e := energy.Of(f.Watts, dt)
	a.Energy = a.Energy.Add(e)
	if f.Estimated {
		a.Estimated = a.Estimated.Add(e)
		a.EstimatedNanos += dt
	}
	if f.Modelled {
		a.Modelled = a.Modelled.Add(e)
	}
	d.mixAmount(a.Energy)
	if i := d.meterAt[account]; i >= 0 && d.Meters[i].HasCounter {
		d.Meters[i].held(d.cur.Interval, d.curID(), int32(account), f, e, dt)
	}
}

// flushAll books every account up to now.
func (d *Decider) flushAll() {
	for i := range d.Flows {
		d.flush(i)
	}
	d.flushUse()
	d.flushIdle()
}

// expireMeters stops believing meters whose last reading is too old.
func (d *Decider) expireMeters() {
	d.nextStale = never
	for i := range d.Meters {
		m := &d.Meters[i]
		if !m.Fresh {
			continue
		}
		if due := m.Arrived + m.Stale; due > d.Now {
			d.nextStale = min(d.nextStale, due)
			continue
		}
		m.Fresh = false
		d.mix(uint64(i))
		d.showMeter(m)
	}
	d.estimate()
}

// estimate sets what stale groups are taken to draw. It needs nothing to be
// done while every meter is fresh.
func (d *Decider) estimate() {
	if d.StaleGroups == 0 {
		return
	}
	for g := firstGroup; g < d.curLayout.Groups; g++ {
		if !d.Flows[g].Stale {
			continue
		}
		switch d.curLayout.Slots[g].Kind {
		case kindMining:
			watts, known := d.unitsOf(g)
			if !known {
				watts = d.lastOf(g)
			}
			d.setFlow(g, watts, true, d.Flows[g].Modelled)
		case kindHouse:
			d.setFlow(g, d.lastOf(g), true, false)
		case kindAI, kindTotal:
		}
	}
	if d.StaleAI > 0 {
		load := d.Config.Nameplate
		if d.curLayout.HasTotal && d.StaleTotal == 0 {
			load = d.Kinds[kindTotal] - d.Kinds[kindHouse] - d.Kinds[kindMining]
		}
		d.spread(kindAI, load, d.StaleAI)
	}
	if d.StaleTotal > 0 {
		ai := d.Kinds[kindAI]
		if !d.curLayout.HasAI {
			ai = d.Config.Nameplate
		}
		d.spread(kindTotal, ai+d.Kinds[kindHouse]+d.Kinds[kindMining], d.StaleTotal)
	}
}

// spread shares what is left of load, after the believed meters of a kind,
// among its stale ones.
func (d *Decider) spread(k kind, load int64, stale int) {
	for g := firstGroup; g < d.curLayout.Groups; g++ {
		if d.curLayout.Slots[g].Kind == k && !d.Flows[g].Stale {
			load -= d.Flows[g].Watts
		}
	}
	load = max(load, 0)
	for g := firstGroup; g < d.curLayout.Groups; g++ {
		if d.curLayout.Slots[g].Kind != k || !d.Flows[g].Stale {
			continue
		}
		part := load / int64(stale)
		d.setFlow(g, part, true, false)
		load -= part
		stale--
	}
}

// lastOf is the highest last value of a group's meters, 0 when none ever spoke.
func (d *Decider) lastOf(group int) int64 {
	var watts int64
	for _, i := range d.members[group] {
		watts = max(watts, d.Meters[i].Watts)
	}
	return watts
}
