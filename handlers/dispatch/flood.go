// SPDX-License-Identifier: Apache-2.0

package dispatch

import "github.com/ballast-energy/ballast/events"

// addSignal keeps s within the bounds: what does not fit is merged into a
// ceiling that is at least as low, or, where dropping it cannot raise power,
// dropped.
func (d *Dispatch) addSignal(s *signal) {
	st := &d.signals
	s.Order = st.folded
	st.folded++
	prices, all, mine := 0, 0, 0
	for _, o := range st.live {
		switch {
		case isPrice(o.Kind):
			prices++
			if o.Source == s.Source && isPrice(s.Kind) {
				mine++
			}
		case !o.Merged:
			all++
			if o.Source == s.Source && !isPrice(s.Kind) {
				mine++
			}
		}
	}
	full := isPrice(s.Kind) && (prices >= MaxPrices || mine >= MaxPrices/2) ||
		!isPrice(s.Kind) && (all >= MaxSignals || mine >= MaxSignalsPerSource)
	if !full {
		d.keepSignal(s)
		return
	}
	d.raiseAlert(&d.alarms.Flood, &d.flooded, alarmFlood, "signals", events.SeverityCritical,
		"more grid signals are live than can be kept apart: further ones are merged into the lowest ceiling, further prices ignored",
		"find the issuer that floods; restore what is obsolete, or as operator restore "+mergedPrefix+"curtail")
	if isPrice(s.Kind) {
		return
	}
	if s.Kind == events.SignalRestore {
		if s.Start <= d.wall {
			d.carryOut(s) // it takes no room
		}
		return
	}
	d.mergeSignal(s)
}

// mergeSignal folds s into the ceiling of its issuer's flood: without a ramp or
// a way back, of all that flows through the node if one of them is, and a
// reduction by some watts as one to nothing.
func (d *Dispatch) mergeSignal(s *signal) {
	c := course{Level: -1, Reference: -1, Begin: s.Start, Minimum: s.Course.Minimum, MinUntil: s.Course.MinUntil}
	if s.Course.Shed {
		s.Watts = 0
	}
	s.Course = c
	merged := 0
	var own, common *signal
	for _, o := range d.signals.live {
		if !o.Merged {
			continue
		}
		merged++
		if o.Kind == s.Kind && o.Source == s.Source {
			own = o
		}
		if o.Kind == s.Kind && o.Source == "" {
			common = o
		}
	}
	into := own
	if into == nil && merged >= maxMerged {
		into = common
		s.Source = ""
	}
	if into == nil {
		s.Merged, s.ID = true, mergedPrefix+string(s.Kind)
		d.keepSignal(s)
		return
	}
	d.entries -= into.hash()
	into.Order, into.Epoch, into.Sequence = s.Order, s.Epoch, s.Sequence
	into.Watts = min(into.Watts, s.Watts)
	if into.Total = into.Total || s.Total; into.Node != s.Node {
		into.Node = ""
		d.locate(into)
	}
	into.Start = min(into.Start, s.Start)
	m := &into.Course
	m.Begin, m.Minimum, m.MinUntil = min(m.Begin, c.Begin), max(m.Minimum, c.Minimum), max(m.MinUntil, c.MinUntil)
	if into.Active {
		m.Level = into.Watts
	}
	into.Rank, into.Priority = min(into.Rank, s.Rank), min(into.Priority, s.Priority)
	if into.End == 0 || s.End == 0 {
		into.End, into.EndElapsed = 0, 0
	} else {
		into.End, into.EndElapsed = max(into.End, s.End), max(into.EndElapsed, s.EndElapsed)
	}
	if into.Programme != s.Programme {
		into.Programme = mixedProgramme
	}
	d.entries += into.hash()
}
