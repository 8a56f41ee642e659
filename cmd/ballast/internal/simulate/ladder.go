// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Times of the escalation that dispatch declares, and what the oracle allows
// beyond them.
const (
	// answerTime is how long a command and what answers it may travel, beyond the
	// fall time of the slowest unit and the period of the meter that sees it.
	answerTime = 5 * time.Second
	// retryTime, shedTime and outletTime are how long each step has to show at the
	// meter before the next one is taken.
	retryTime, shedTime, outletTime = 5 * time.Second, 5 * time.Second, 10 * time.Second
	// strangeTime is how long draw that no unit admits must be seen before anybody
	// is accused of it.
	strangeTime = 10 * time.Second
	// ladderSlack: ticks come a second apart, readings up to two, both travel.
	ladderSlack = 4 * time.Second
	// busyFor is how far back the most mining beneath a meter counts: what a meter
	// must show is measured by what it read when the unit was lowered.
	busyFor = time.Minute
	// mostAcquitted is how often a unit that draws on may be taken to follow. A
	// meter falls a moment before the unit says so that has fallen: in that moment
	// its fall counts for another one that was asked, and who draws on is found
	// out only because nobody admits what the meter sees.
	mostAcquitted = 2
)

// pageAlert is how the alert begins that calls people to a unit.
const pageAlert = "people-must-act/"

// defiance is a unit's draw beyond its orders, as the floor knows it, and what the
// record says of it.
type defiance struct {
	// lasts: the unit has drawn clearly more than it was told since then, and
	// nothing else was wrong.
	lasts bool
	since time.Duration
	// rung is the last step that the record names, empty for none; asked is when a
	// reduction of the unit was stored last; paged: the alert for people is raised.
	// The first step was taken last at retried.
	rung           events.Rung
	asked, retried time.Duration
	paged          bool
	// acquitted is how often the record took it to follow meanwhile.
	acquitted int
}

// witness is the nearest place above u whose meters see mining, nil for none.
func (u *unit) witness() *place {
	n := u.place
	for n != nil && !n.minings {
		n = n.up
	}
	return n
}

// beyond reports whether u draws so much more than it was told that its meters
// cannot take it for noise: they forgive a twentieth of what was asked of all under
// them, a fiftieth of what others gave up, and their own noise.
func (u *unit) beyond(n *place, now time.Duration) bool {
	return u.draw-u.level(u.order) > n.busy.most(now)/10+200
}

// tried is called when the order or the draw of a unit changes that ignores its
// orders: one that was told enough meanwhile begins anew.
func (o *oracle) tried(u *unit) {
	if n := u.witness(); u.defies.lasts && !u.beyond(n, o.w.now) {
		u.defies.lasts = false
	}
}

// defied looks at every unit that acknowledges its orders and draws on: while
// nothing else is wrong, step after step must be taken against it.
func (o *oracle) defied() {
	now := o.w.now
	for _, u := range o.w.plant.units {
		d, n := &u.defies, u.witness()
		if n == nil || !u.ignores || u.orphan || now < o.unclear || !u.beyond(n, now) {
			d.lasts = false
			continue
		}
		if !d.lasts {
			d.lasts, d.since, d.acquitted = true, now, 0
		}
		o.w.effects[OrdersDefied]++
		o.climbed(u, n, now-d.since)
	}
}

// climbed holds what was done against u against what is due after so long.
func (o *oracle) climbed(u *unit, n *place, lasts time.Duration) {
	d, now := &u.defies, o.w.now
	lacks := func(what string) {
		o.w.violated(RuleEscalation, "unit %s draws %d W for %s although it was told %d W, and %s (step %q, meters of %s)",
			u.id, u.draw, lasts, u.order, what, d.rung, n.id)
	}
	due := o.slowest + n.slowest + answerTime + ladderSlack
	rung, paged, mistaken := d.rung, d.paged, d.acquitted > 0 || n.met > d.since
	if mistaken {
		if u.order > 0 {
			return // nobody is accused of draw who may draw something
		}
		due += o.slowest + answerTime + strangeTime // others that fall in two steps may hide it
		rung, paged = o.accused(n, rung, paged)
	}
	switch {
	case d.acquitted > mostAcquitted:
		lacks("it is taken to follow again and again")
	case lasts >= due && rung == "":
		lacks("nobody acts on it")
	case lasts >= due+retryTime && rung == events.RungRetry:
		lacks("others do not make room for it")
	case d.retried > d.since && now > d.retried+retryTime && d.asked < d.retried-time.Second:
		lacks("it has not been asked again")
	case lasts >= due+retryTime+shedTime && rung == events.RungShed:
		lacks("neither its outlet is cut nor are people called")
	case lasts >= due+retryTime+shedTime+outletTime && rung == events.RungOutlet:
		lacks("people are not called although cutting its outlet has not helped")
	case lasts >= due+retryTime+shedTime && !mistaken && u.plug != nil && u.plugged.sound():
		lacks("its outlet is on")
	case rung == events.RungPage && !paged:
		lacks("the alert for people is missing")
	case lasts >= due+retryTime+shedTime+outletTime && n.told < d.since && !mistaken:
		lacks("no account of a reduction says that it was not met")
	}
}

// accused is how far the escalation has come against anybody beneath the meters
// of n: once the fall of another one has counted for a unit, nobody can tell which
// of them draws on.
func (o *oracle) accused(n *place, rung events.Rung, paged bool) (events.Rung, bool) {
	steps := []events.Rung{"", events.RungRetry, events.RungShed, events.RungOutlet, events.RungPage}
	for _, u := range o.w.plant.units {
		if d := &u.defies; u.witness() == n && slices.Index(steps, d.rung) > slices.Index(steps, rung) {
			rung, paged = d.rung, d.paged
		}
	}
	return rung, paged
}

// recorded books what the record says of units that do not follow.
func (o *oracle) recorded(m *stored) {
	name, curtail := addressee(m.Subject, events.TypeCommandCurtail)
	all := m.Subject == events.BroadcastSubject(events.DefaultPrefix, siteName)
	if curtail || all {
		for _, a := range o.w.agents {
			if (all || a.spec.Name == name) && a.defying() {
				o.asked(a, m)
			}
		}
		return
	}
	for _, t := range [...]events.Type{events.TypeCommandOutlet, events.TypeUnitEscalated, events.TypeAlertRaised, events.TypeAlertCleared, events.TypeCurtailmentMetered} {
		if _, ok := addressee(m.Subject, t); ok {
			o.told(m)
			return
		}
	}
}

// defying reports whether any unit of a ignores its orders.
func (a *agent) defying() bool {
	for _, u := range a.units {
		if u.ignores {
			return true
		}
	}
	return false
}

// asked notes which units a reduction names.
func (o *oracle) asked(a *agent, m *stored) {
	e, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return
	}
	c, ok := e.Data.(*events.CommandCurtail)
	if !ok {
		return
	}
	for _, u := range a.units {
		if c.AllUnitsWatts != nil || names(c.Units, u.id) {
			u.defies.asked = o.w.now
		}
	}
}

// told notes steps, alerts and accounts.
func (o *oracle) told(m *stored) {
	e, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return
	}
	switch p := e.Data.(type) {
	case *events.CommandOutlet:
		o.cut[p.Outlet] = p.Off
	case *events.UnitEscalated:
		if u := o.w.unit(p.Unit); u != nil {
			d := &u.defies
			if d.rung = p.Rung; p.Rung == events.RungFollowed {
				d.rung, d.since = "", o.w.now
				d.acquitted++
			}
			if p.Rung == events.RungRetry {
				d.retried = o.w.now
			}
		}
	case *events.AlertRaised:
		o.paged(p.Alert, true)
	case *events.AlertCleared:
		o.paged(p.Alert, false)
	case *events.CurtailmentMetered:
		for i := range p.Witnesses {
			w := &p.Witnesses[i]
			n := o.w.plant.byNode[w.Node]
			switch {
			case n == nil:
			case w.Outcome == events.OutcomeMet:
				n.met = o.w.now
			case w.Outcome == events.OutcomeLate:
				n.met, n.told = o.w.now, o.w.now
			default:
				n.told = o.w.now
			}
		}
	}
}

// paged books the alert for people about a unit.
func (o *oracle) paged(alert string, raised bool) {
	about, ok := strings.CutPrefix(alert, pageAlert)
	if !ok {
		return
	}
	_, id, _ := strings.Cut(about, "/")
	if u := o.w.unit(id); u != nil {
		u.defies.paged = raised
	}
}
