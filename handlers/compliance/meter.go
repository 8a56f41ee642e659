// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
)

// meter is what is known of one configured meter.
type meter struct {
	ID, Node string
	Measures events.Measures
	Channel  int
	Min, Max int64 // W
	Stale    int64 // ns
	Modulus  int64 // mWh

	// The last believed reading.
	Fresh, Suspect, Modelled bool
	Watts                    int64
	Arrived, Sampled         int64

	// Counter when it last moved, and what has been booked since.
	HasCounter         bool
	Counter, CounterAt int64
	Segments           []segment
}

// channel is one quantity at one node: a meter, or several that measure the
// same, of which the highest believed one counts.
type channel struct {
	Node     string
	Measures events.Measures
	Group    string
	Members  []int
	// What it is taken to draw since Since.
	Watts                     int64
	Stale, Doubtful, Modelled bool
	Since                     int64
}

// reading folds a sample of a meter.
func (d *Decider) reading(source string, r *events.MeterReading) {
	i, ok := d.meterOf[source]
	if !ok {
		return
	}
	m := &d.Meters[i]
	if r.Quality == events.QualityBad || r.PowerWatts < m.Min || r.PowerWatts > m.Max {
		return // no reading: the meter goes stale if nothing better comes
	}
	sampled := d.Now
	if !r.SampledAt.IsZero() {
		sampled = r.SampledAt.UnixNano()
	}
	if age := d.Now - sampled; age > m.Stale || age < -m.Stale || m.Fresh && sampled < m.Sampled {
		return // dated too far from its arrival, or overtaken
	}
	m.Suspect, m.Modelled = r.Quality == events.QualitySuspect, r.Modelled
	if r.EnergyMilliwattHours != nil && !m.Suspect && len(d.Channels[m.Channel].Members) == 1 {
		d.count(m, *r.EnergyMilliwattHours, r.PowerWatts)
	}
	m.Watts, m.Arrived, m.Sampled, m.Fresh = r.PowerWatts, d.Now, sampled, true
	d.nextStale = min(d.nextStale, m.Arrived+m.Stale)
	d.mix(uint64(m.Watts)<<2 | flag(m.Suspect)<<1 | flag(m.Modelled))
	d.mix(uint64(sampled))
	d.show(m.Channel)
	for _, u := range d.usersOf[m.Channel] {
		d.sampled(u)
	}
}

// believed is what a channel draws by its meters; a channel without a fresh one
// keeps its last value.
func (d *Decider) believed(c *channel) (w int64, stale, doubtful, modelled bool) {
	stale = true
	var last int64
	for _, i := range c.Members {
		m := &d.Meters[i]
		last = max(last, m.Watts)
		if m.Fresh && (stale || m.Watts > w) {
			w, stale, doubtful, modelled = m.Watts, false, m.Suspect, m.Modelled
		}
	}
	if stale {
		return max(last, 0), true, false, c.Modelled
	}
	return max(w, 0), false, doubtful, modelled
}

// show brings the series of a channel up to date.
func (d *Decider) show(i int) {
	c := &d.Channels[i]
	w, stale, doubtful, modelled := d.believed(c)
	if w == c.Watts && stale == c.Stale && doubtful == c.Doubtful && modelled == c.Modelled {
		return
	}
	d.flushChannel(i)
	for _, u := range d.usersOf[i] {
		d.flushPoint(u.point)
	}
	delta := func(now, before bool) int { return int(flag(now)) - int(flag(before)) }
	for _, u := range d.usersOf[i] {
		s := &d.Points[u.point].Load[u.kind]
		s.Sum += u.sign * (w - c.Watts)
		s.Watts = max(s.Sum, 0)
		s.Stale += delta(stale, c.Stale)
		s.Doubtful += delta(doubtful, c.Doubtful)
		s.Modelled += delta(modelled, c.Modelled)
	}
	c.Watts, c.Stale, c.Doubtful, c.Modelled = w, stale, doubtful, modelled
}

// flushChannel notes what a channel drew up to now, for its counter to prove.
func (d *Decider) flushChannel(i int) {
	c := &d.Channels[i]
	dt := d.Now - c.Since
	if dt <= 0 {
		return
	}
	c.Since = d.Now
	if len(c.Members) != 1 {
		return
	}
	m := &d.Meters[c.Members[0]]
	if !m.HasCounter {
		return
	}
	estimated := int64(0)
	if c.Stale || c.Doubtful {
		estimated = dt
	}
	m.held(d.Cut, d.Now-dt, dt, energy.Of(c.Watts, dt), estimated)
}

// expire stops believing meters whose last reading is too old.
func (d *Decider) expire() {
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
		d.show(m.Channel)
	}
}
