// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// raiseGap is the least time between two looks for what may rise, besides
// those of ticks.
const raiseGap = 100 * milli

// decide lowers what must fall, raises what may rise, and writes it all down:
// reductions, ramps, renewals, alerts, and last the reasons.
func (d *Dispatch) decide(e *events.Event, out *decider.Outbox, before int64, tick bool) {
	if d.recheck {
		d.shedOwn()
		d.economise()
		d.recheck = false
	}
	if tick || d.unescalated {
		d.visitLadder(tick)
	}
	d.shed()
	if tick {
		d.visitOutlets()
		d.economise()
		d.visit()
		d.shed()
	}
	if tick || d.joining && d.now-d.raisedAt >= raiseGap && !d.spares(e) {
		d.raise()
	}
	d.writeCurtails(e, out)
	d.writeRamps(e, out)
	d.writeOutlets(e, out)
	d.verify(e)
	if tick {
		d.renew(out)
	}
	for _, n := range d.notes {
		out.Put(Name, n)
	}
	if tick {
		d.publishHeadroom(out)
	}
	if len(d.lowered) > 0 || !d.onlyRepeats() {
		d.writeDecision(e, out, before)
	}
	for _, u := range d.raised {
		u.risen = false
		for n := u.node; n != nil; n = n.up {
			n.rose = false
		}
	}
	clear(d.lowered)
	clear(d.raised)
	clear(d.notes)
	d.lowered, d.raised, d.notes = d.lowered[:0], d.raised[:0], d.notes[:0]
	d.unescalated = false // what came up since waits for the next tick
	d.rehash()
}

// onlyRepeats reports whether no setpoint rose: every ramp repeats one that
// got lost.
func (d *Dispatch) onlyRepeats() bool {
	for _, u := range d.raised {
		if u.set > u.before {
			return false
		}
	}
	return true
}

// spares reports whether e is a reading in a power tree: what it costs does not
// depend on how many units there are, so who joins waits for the next event that
// is none.
func (d *Dispatch) spares(e *events.Event) bool {
	_, reading := e.Data.(*events.MeterReading)
	return reading && d.site.tree
}
