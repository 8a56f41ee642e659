// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// How long each rung has to show at the meter before the next one is taken.
const (
	retryFor  = 5 * second
	shedFor   = 5 * second
	outletFor = 10 * second
)

// maxClimbing is how many units are escalated at once. Of those that people
// have been called for any number waits.
const maxClimbing = 64

// rungs of the escalation, as numbers that rise.
const (
	rungRetry = iota + 1
	rungShed
	rungOutlet
	rungPage
)

var rungNames = [...]events.Rung{rungRetry: events.RungRetry, rungShed: events.RungShed, rungOutlet: events.RungOutlet, rungPage: events.RungPage}

// escalation is how far it has come with a unit that does not follow. It begins
// with the reduction being commanded again, goes on to others making room for
// what the unit draws (which is booked from the first moment on: room is never
// given away twice), then to the outlet, and ends with people. It goes on when the
// unit is lowered again meanwhile, until the meter shows that reduction or the
// first.
type escalation struct {
	Rung int `json:"rung"`
	// Since when, and Next when the next rung is due, elapsed ns.
	Since int64 `json:"since"`
	Next  int64 `json:"next"`
	// Tries is how often the reduction was sent.
	Tries int64 `json:"tries"`
	// Witness that says so; empty for the unit itself.
	Witness string `json:"witness,omitempty"`
	// Paged: the alert for people is raised.
	Paged bool `json:"paged,omitempty"`
}

func (x *escalation) hash() uint64 {
	var g digest
	g.int(int64(x.Rung))
	g.int(x.Since)
	g.int(x.Next)
	g.int(x.Tries)
	g.text(x.Witness)
	g.bool(x.Paged)
	return g.sum()
}

// trouble reports whether u draws more than it may after its time to fall, how
// much too much is seen, and by whom: nil for its own word. Where a witness sees
// several units that were lowered and none of them admits it, it is all of them.
func (d *Dispatch) trouble(u *unit) (excess int64, by *witness, yes bool) {
	if u.overdue && !d.silenced(u) {
		return u.extra, nil, true
	}
	for _, p := range [...]*proof{u.part, u.answers} {
		if excess = d.overrun(p); excess > 0 {
			return excess, p.by, true
		}
	}
	return 0, nil, false
}

// silenced: the outlet of u is off and u has said nothing since, so its last
// word is no news.
func (d *Dispatch) silenced(u *unit) bool {
	o := d.outlets[u.outlet]
	return o != nil && o.Off && o.Done && u.heard <= o.DoneAt
}

// visitLadder takes the next rung against every unit that does not follow, and
// ends the escalation against those that do.
func (d *Dispatch) visitLadder(tick bool) {
	for _, u := range d.order {
		x := u.esc
		if x == nil && !u.overdue && !u.part.open() && !u.answers.open() {
			continue
		}
		excess, by, yes := d.trouble(u)
		switch {
		case x == nil && yes && d.climbing < maxClimbing:
			d.climbing++
			u.esc = &escalation{Since: d.now, Tries: 1}
			d.climb(u, rungRetry, excess, by)
		case x == nil:
			continue
		case !yes && u.overdue && d.now < x.Next:
			continue // its outlet is off and it is silent: time will tell
		case !yes:
			d.followed(u)
		case x.Rung < rungPage && (d.now >= x.Next || x.Rung == rungOutlet && d.outletFailed(u)):
			d.climb(u, d.rungAfter(u), excess, by)
		}
		if u.esc != nil && u.esc.Rung < rungPage && tick {
			// The renewal of this tick repeats it.
			if u.agent.urged = d.now; d.renewable(u.agent) {
				u.esc.Tries++
			}
		}
		d.touchUnit(u)
	}
}

// rungAfter is what comes next for u: without an outlet that can be cut, people.
func (d *Dispatch) rungAfter(u *unit) int {
	next := u.esc.Rung + 1
	if next == rungOutlet && u.outlet == "" {
		return rungPage
	}
	return next
}

// climb takes a rung against u.
func (d *Dispatch) climb(u *unit, rung int, excess int64, by *witness) {
	x := u.esc
	x.Rung, x.Witness = rung, ""
	if by != nil {
		x.Witness = by.id()
	}
	wait := int64(0)
	switch rung {
	case rungRetry:
		wait = retryFor
		if !u.fixed && u.reason == "" {
			d.lower(u, u.set, events.ReasonWorker)
		}
	case rungShed:
		wait = shedFor
		d.book(u)
	case rungOutlet:
		wait = outletFor
		d.cut(u)
	case rungPage:
		d.climbing--
		d.page(u, excess)
	}
	x.Next = d.now + wait
	d.notes = append(d.notes, d.rungEvent(u, excess, wait))
}

func (d *Dispatch) rungEvent(u *unit, excess, wait int64) *events.UnitEscalated {
	x := u.esc
	return &events.UnitEscalated{Agent: u.agent.id, Unit: u.id, Node: u.node.id, Rung: rungNames[x.Rung], Witness: x.Witness,
		AllowedWatts: u.set, ExcessWatts: max(excess, 0), BookedWatts: u.node.overdrawn(), Tries: x.Tries, Outlet: u.outlet,
		SinceMilliseconds: (d.now - x.Since) / milli, DeadlineMilliseconds: wait / milli}
}

// overdrawn is what is booked at n for draw that should have ended.
func (n *node) overdrawn() int64 {
	return n.extraSum + max(n.missing-n.extraSum, n.excess(n.fallSum), 0)
}

// followed ends the escalation against u.
func (d *Dispatch) followed(u *unit) {
	e := d.rungEvent(u, 0, 0)
	e.Rung = events.RungFollowed
	d.notes = append(d.notes, e)
	d.standDown(u, "the unit follows again")
}

// standDown forgets the escalation against u, if there is one.
func (d *Dispatch) standDown(u *unit, why string) {
	if u.esc == nil {
		return
	}
	d.clearAlert(&d.alarms.Page, &u.esc.Paged, alarmPage, u.agent.id+"/"+u.id, why)
	if u.esc.Rung < rungPage {
		d.climbing--
	}
	u.esc = nil
	d.bookAs(u, u.overdue)
}

// page calls people: what, where, which breaker.
func (d *Dispatch) page(u *unit, excess int64) {
	var m strings.Builder
	fmt.Fprintf(&m, "people must act now: unit %s of agent %s (%d W) at node %s does not follow: %d W too much", u.id, u.agent.id, u.caps.NameplateWatts, u.node.id, excess)
	if u.esc.Witness != "" {
		fmt.Fprintf(&m, " at %s", u.esc.Witness)
	} else {
		m.WriteString(" by its own word")
	}
	fmt.Fprintf(&m, ", allowed are %d W; it was told %d times", u.set, u.esc.Tries)
	switch o := d.outlets[u.outlet]; {
	case u.outlet == "":
		m.WriteString("; no outlet of it is known")
	case o == nil || !o.Off:
		fmt.Fprintf(&m, "; too many outlets are off already to cut outlet %s", u.outlet)
	case o.Error != "":
		fmt.Fprintf(&m, "; outlet %s could not be switched off: %s", u.outlet, o.Error)
	case !o.Done:
		fmt.Fprintf(&m, "; controller %s does not say that outlet %s is off", o.Controller, u.outlet)
	default:
		fmt.Fprintf(&m, "; outlet %s is off according to its controller, so it may feed something else", u.outlet)
	}
	d.raiseAlert(&d.alarms.Page, &u.esc.Paged, alarmPage, u.agent.id+"/"+u.id, events.SeverityCritical,
		events.ClipText(m.String()), events.ClipText(breakerFor(u)))
}

// breakerFor is what people can do about u.
func breakerFor(u *unit) string {
	for n := u.node; n != nil; n = n.up {
		if n.breaker != "" {
			return fmt.Sprintf("unplug the machine, or open breaker %s of node %s; then look at agent %s, and at the wiring of its outlet and meter", n.breaker, n.id, u.agent.id)
		}
	}
	return fmt.Sprintf("unplug the machine, or open the breaker that feeds it at node %s; then look at agent %s, and at the wiring of its outlet and meter", u.node.id, u.agent.id)
}
