// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// climbing is an escalation as the record shows it.
type climbing struct {
	agent, unit string
	rung        events.Rung
	// next is the elapsed time by which the next step was announced.
	next int64
}

// stepSlack is how much later than announced a step may be taken: with a tick.
const stepSlack = 3 * time.Second

// ladder holds the steps of the escalation that a fold took against the rules:
// one after the other, none before its time, each with what belongs to it.
func (j *judge) ladder(st *decider.Step) string {
	for i := range st.Outputs {
		p, ok := st.Outputs[i].Data.(*events.UnitEscalated)
		if !ok {
			continue
		}
		if what := j.step(p, st.Outputs); what != "" {
			return what
		}
	}
	t, ok := st.Event.Data.(*events.ClockTick)
	if !ok || j.tickAt != j.now || j.tickGen != j.gen || t.Second <= j.stepped {
		return ""
	}
	j.stepped = t.Second
	for _, c := range j.climbing {
		if c.rung != events.RungPage && j.now > c.next+int64(stepSlack) {
			return fmt.Sprintf("nothing follows the step %q against unit %s, which was to show %s ago", c.rung, c.unit, time.Duration(j.now-c.next))
		}
	}
	return ""
}

// step is one step against a unit.
func (j *judge) step(p *events.UnitEscalated, outputs []decider.Output) string {
	var c *climbing
	at := 0
	for i, o := range j.climbing {
		if o.agent == p.Agent && o.unit == p.Unit {
			c, at = o, i
		}
	}
	was := events.Rung("")
	if c != nil {
		was = c.rung
	}
	want := events.RungPage
	switch {
	case c == nil:
		want = events.RungRetry
	case was == events.RungRetry:
		want = events.RungShed
	case was == events.RungShed && j.outletOf(p.Agent, p.Unit) != "":
		want = events.RungOutlet
	}
	switch {
	case p.Rung == events.RungFollowed && c != nil:
		j.climbing = append(j.climbing[:at], j.climbing[at+1:]...)
		return ""
	case p.Rung != want || was == events.RungPage:
		return fmt.Sprintf("the step %q against unit %s comes after %q", p.Rung, p.Unit, was)
	case was != "" && was != events.RungOutlet && j.now < c.next:
		return fmt.Sprintf("the step %q against unit %s comes %s before its time", p.Rung, p.Unit, time.Duration(c.next-j.now))
	case !j.done(p, outputs):
		return fmt.Sprintf("the step %q against unit %s is told, but nothing is done", p.Rung, p.Unit)
	}
	if c == nil {
		c = &climbing{agent: string([]byte(p.Agent)), unit: string([]byte(p.Unit))}
		j.climbing = append(j.climbing, c)
	}
	c.rung, c.next = p.Rung, j.now+p.DeadlineMilliseconds*milli
	return ""
}

// done reports whether a fold that takes a step does what the step says: a unit
// whose agent is alive is commanded again, its outlet is commanded off unless it
// is off already, people are called by an alert. That others make room is seen on
// the floor.
func (j *judge) done(p *events.UnitEscalated, outputs []decider.Output) bool {
	a := j.agents[p.Agent]
	for i := range outputs {
		o := &outputs[i]
		switch q := o.Data.(type) {
		case *events.CommandCurtail:
			if p.Rung == events.RungRetry && (q.AllUnitsWatts != nil || o.Source == p.Agent && names(q.Units, p.Unit)) {
				return true
			}
		case *events.AlertRaised:
			if p.Rung == events.RungPage && (q.Alert == pageAlert+p.Agent+"/"+p.Unit || q.Alert == pageAlert+"many") {
				return true
			}
		}
	}
	switch p.Rung {
	case events.RungRetry:
		return a == nil || j.cfg == nil || j.now-a.at >= j.cfg.Policy.LeaseMilliseconds*milli
	case events.RungOutlet:
		return j.cut[j.outletOf(p.Agent, p.Unit)]
	case events.RungPage:
		return false
	}
	return true
}

// outlets books the commands for outlets of a fold: only people switch one on.
func (j *judge) outlets(st *decider.Step) string {
	for i := range st.Outputs {
		c, ok := st.Outputs[i].Data.(*events.CommandOutlet)
		switch {
		case !ok:
		case c.Off:
			j.cut[c.Outlet] = true
			delete(j.wanted, c.Outlet)
		case !j.wanted[c.Outlet]:
			return fmt.Sprintf("outlet %s is switched on although no operator asked for it", c.Outlet)
		default:
			delete(j.cut, c.Outlet)
		}
	}
	return ""
}

// outletOf a unit, empty for none known.
func (j *judge) outletOf(agent, unit string) string {
	if j.cfg == nil {
		return ""
	}
	all := ""
	for i := range j.cfg.Outlets {
		o := &j.cfg.Outlets[i]
		if o.Agent == agent && o.Unit == unit {
			return o.Outlet
		}
		if o.Agent == agent && o.Unit == "" && all == "" {
			all = o.Outlet
		}
	}
	return all
}
