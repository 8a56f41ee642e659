// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// watch raises and clears the alerts about m being silent or stuck.
func (d *Dispatch) watch(m *meter) {
	was, stuck := m.staleAlert, m.stuckAlert
	if m.stuck {
		d.raiseAlert(&d.alarms.Stuck, &m.stuckAlert, alarmStuck, m.cfg.Meter, events.SeverityCritical,
			"the meter keeps reporting one and the same value for longer than its stuck time: it is not believed until the value moves",
			"check the sensor and its gateway or poller; for a source that holds values between samples, raise stuck_milliseconds of this meter or set it to 0")
	} else {
		d.clearAlert(&d.alarms.Stuck, &m.stuckAlert, alarmStuck, m.cfg.Meter, "the meter is not taken for stuck any more")
	}
	d.unsaidStuck = d.unsaidStuck || m.stuck && !m.stuckAlert
	swap := m.swapAlert
	if m.swap {
		d.raiseAlert(&d.alarms.Unit, &m.swapAlert, alarmUnit, m.cfg.Meter, events.SeverityCritical,
			fmt.Sprintf("the meter fell from %d W to about a thousandth, as if it reported kW for W: it is not believed, and counts as silent", m.watts),
			"check the unit in which the meter or its gateway reports; a load that really fell so far is believed as soon as it moves on, or when the meter is taken out of the configuration and put in again")
	} else {
		d.clearAlert(&d.alarms.Unit, &m.swapAlert, alarmUnit, m.cfg.Meter, "the meter reports in its unit again")
	}
	switch silent := d.now-m.heard-m.gap > m.stale; {
	case silent && !m.staleAlert:
		d.raiseAlert(&d.alarms.Meter, &m.staleAlert, alarmMeter, m.cfg.Meter, events.SeverityCritical,
			"no believable reading for longer than the meter's stale time: its load counts as full",
			"check the meter, its clock, its range in site.config and its link")
	case !silent && m.staleAlert:
		d.clearAlert(&d.alarms.Meter, &m.staleAlert, alarmMeter, m.cfg.Meter, "the meter is believed again")
	}
	if was != m.staleAlert || stuck != m.stuckAlert || swap != m.swapAlert {
		d.touchMeter(m)
	}
	d.silences.set(m, m.alertAt())
}

// watchAll watches every meter.
func (d *Dispatch) watchAll() {
	d.unsaidStuck = false
	for _, m := range d.site.meters {
		d.watch(m)
	}
}

// watchMeters watches the meter that has just been heard, if any, and those
// whose silence has become worth an alert, in the order of the configuration.
// While as many alerts are open as are raised one by one, the meters beyond
// wait until one is cleared, and cost nothing.
func (d *Dispatch) watchMeters(heard *meter) {
	if d.unsaidStuck {
		d.watchAll()
		return
	}
	k := &d.alarms.Meter
	if k.Open >= maxOpenAlerts && k.Many && (heard == nil || !heard.staleAlert) {
		if heard != nil {
			d.watch(heard)
		}
		return
	}
	due := d.due[:0]
	if heard != nil {
		due = append(due, heard)
	}
	for m := d.silences.first(d.now); m != nil; m = d.silences.first(d.now) {
		d.silences.set(m, never)
		if m != heard {
			due = append(due, m)
		}
	}
	if len(due) > 1 {
		slices.SortFunc(due, func(a, b *meter) int { return a.index - b.index })
	}
	for _, m := range due {
		d.watch(m)
	}
	clear(due)
	d.due = due[:0]
}
