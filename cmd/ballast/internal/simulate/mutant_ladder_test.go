// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// stepped is a dispatch decider whose folds that escalate are edited.
type stepped struct {
	decider.Decider
	keep func(step events.Rung, p events.Payload) bool
	box  decider.Outbox
}

// Fold implements decider.Decider.
func (d *stepped) Fold(e *events.Event, out *decider.Outbox) {
	d.box.Begin(e)
	d.Decider.Fold(e, &d.box)
	step := events.Rung("")
	for _, o := range d.box.Outputs() {
		if p, ok := o.Data.(*events.UnitEscalated); ok {
			step = p.Rung
		}
	}
	for _, o := range d.box.Outputs() {
		switch {
		case step != "" && !d.keep(step, o.Data):
		case o.Stored:
			out.Put(o.Source, o.Data)
		default:
			out.Send(o.Source, o.Data)
		}
	}
}

// escalated returns a rig whose dispatch loses outputs of the folds in which it
// takes a step against a unit.
func escalated(keep func(step events.Rung, p events.Payload) bool) rig {
	return rig{decider: func(d decider.Decider) decider.Decider { return &stepped{Decider: d, keep: keep} }}
}

// until lets no step be taken beyond last.
func until(last events.Rung) func(step events.Rung, p events.Payload) bool {
	return func(_ events.Rung, p events.Payload) bool {
		s, ok := p.(*events.UnitEscalated)
		return !ok || s.Rung == events.RungRetry || s.Rung == last || s.Rung == events.RungFollowed
	}
}
