// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// ladderMutants break the escalation against units that do not follow.
func ladderMutants() []mutant {
	return []mutant{
		{"an acknowledgement is believed", configured(func(c *events.SiteConfig) {
			c.Meters = slices.DeleteFunc(c.Meters, func(m events.MeterConfig) bool { return m.Measures == events.MeasuresMining })
		}), []Rule{RuleEscalation}},
		{"who does not follow is not asked again", escalated(func(step events.Rung, p events.Payload) bool {
			_, curtail := p.(*events.CommandCurtail)
			return step != events.RungRetry || !curtail
		}), []Rule{RuleEscalation}},
		{"nobody makes room for who does not follow", escalated(until(events.RungRetry)), []Rule{RuleEscalation}},
		{"the escalation ends with others making room", escalated(until(events.RungShed)), []Rule{RuleEscalation}},
		{"people are not called", escalated(func(step events.Rung, p events.Payload) bool {
			_, alert := p.(*events.AlertRaised)
			return step != events.RungPage || !alert
		}), []Rule{RuleEscalation}},
		{"outlets are not known", configured(func(c *events.SiteConfig) { c.Outlets = nil }), []Rule{RuleEscalation}},
		{"an outlet is switched off in words only", says(func() func(*events.Event, decider.Output) (decider.Output, bool) {
			return func(_ *events.Event, o decider.Output) (decider.Output, bool) {
				_, outlet := o.Data.(*events.CommandOutlet)
				return o, !outlet
			}
		}), []Rule{RuleEscalation}},
		{"an outlet is switched on by itself", pure(rig{decider: impatient}), []Rule{RuleEscalation}},
		{"no reduction is accounted for", says(func() func(*events.Event, decider.Output) (decider.Output, bool) {
			return func(_ *events.Event, o decider.Output) (decider.Output, bool) {
				_, account := o.Data.(*events.CurtailmentMetered)
				return o, !account
			}
		}), []Rule{RuleEscalation}},
	}
}

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

// impatient takes it that an operator wants every outlet on, half a minute after
// it was cut.
func impatient(d decider.Decider) decider.Decider {
	cut, at := "", int64(0)
	return &editor{Decider: d, add: func(e *events.Event) *events.Event {
		t, tick := e.Data.(*events.ClockTick)
		if p, ok := e.Data.(*events.OutletStatus); ok && p.State == events.OutletOff && cut == "" {
			cut, at = string([]byte(p.Outlet)), 0
		}
		if !tick || cut == "" {
			return nil
		}
		if at++; at != 30 {
			return nil
		}
		c := with(e, &events.OutletRequested{Outlet: cut})
		c.Source, c.ID = events.OperatorSource, "impatient/"+itoa(uint64(t.Second))
		return c
	}}
}
