// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Rule names a rule that a run broke.
type Rule string

// Rules of the floor, checked at every change of power, and of the record,
// checked against the journal at the end.
const (
	RulePermit    Rule = "no power without a live permit"
	RuleLimit     Rule = "no limit exceeded because of mining"
	RuleDown      Rule = "no reduction delayed"
	RuleUp        Rule = "up must be earned"
	RuleHeadroom  Rule = "no permit beyond the headroom believed"
	RuleBalance   Rule = "energy and money balance"
	RuleReplay    Rule = "a replay is identical"
	RuleAgreement Rule = "replicas agree"
	RuleRecovery  Rule = "the site recovers by itself"
	// RuleEscalation: a unit that draws on although it was told to fall is asked
	// again, then others make room for it, then its outlet is cut or people are
	// called, each in its time.
	RuleEscalation Rule = "who does not follow is escalated"
)

// Violation is the first rule that a run broke.
type Violation struct {
	Rule Rule `json:"rule"`
	// At is the true time since the start of the run.
	At time.Duration `json:"at_nanos"`
	// What happened, for people.
	What string `json:"what"`
}

// Error implements error.
func (v *Violation) Error() string { return fmt.Sprintf("at %s: %s: %s", v.At, v.Rule, v.What) }

// violated notes the first violation and ends the run.
func (w *world) violated(r Rule, format string, args ...any) {
	if w.violation == nil {
		w.violation = &Violation{Rule: r, At: w.now, What: fmt.Sprintf(format, args...)}
		w.note("VIOLATION %s", w.violation)
	}
}

// lease is a unit's right to draw as the rules give it, worked out without the
// permit machine.
type lease struct {
	until  time.Duration // 0: none ever
	first  uint64        // counter of the first status after it ended
	newest events.OrderKey
	any    bool
	// excused: a process began or ended then, or a machine obeys again.
	excused time.Duration
}

func (l *lease) told(now time.Duration, counter uint64) {
	if l.until > 0 && now >= l.until && l.first == 0 {
		l.first = counter
	}
}

// settleTime is what the oracle allows a machine beyond its fall time.
const settleTime = 20 * time.Millisecond

// oracle watches the floor.
type oracle struct {
	w *world
	// faultUntil is when the last fault so far is forgotten; shaken: it is not.
	faultUntil time.Duration
	shaken     bool
	// changes are the places where something flows otherwise, due is when one of
	// the others has to be looked at again.
	changes []*place
	due     time.Duration
	// unclear is until when anything but a unit that ignores its orders may be why
	// a meter shows what it shows; slowest is the longest fall of all units.
	unclear, slowest time.Duration
	// cut are the outlets that dispatch wants off.
	cut map[string]bool
}

// watch is what the oracle knows of a place: what was left for mining in the
// last moments, for the response times of a site that is well and of one with
// faults.
type watch struct {
	quick, slow roof
	dirty       bool
	// foretold: what was before the present instant excuses nothing.
	foretold bool
	past     []flowed
	// Where mining meters hang: the most mining of the last minute, the longest
	// period of those meters, and when the record last said of a reduction that
	// they showed it, and that they missed it.
	busy               roof
	slowest, met, told time.Duration
}

// Response times declared, beyond the fall time of the slowest unit.
const (
	// quickResponse: a reading each second or two, its travel, the decision,
	// the command's travel.
	quickResponse = 3500 * time.Millisecond
	// slowResponse: a meter is believed until it is stale, a lease has to run
	// out, a machine that does not follow is found out by its meter.
	slowResponse = 5*time.Second + 15*time.Second + 2*5*time.Second + 5*time.Second
	// jobSlack is how much earlier than the quick response before its start a job
	// has to be announced at least: clocks differ, and ticks are a second apart.
	jobSlack = 8 * time.Second
	// faultEcho is how long a fault excuses the slow response after its end.
	faultEcho = 45 * time.Second
)

// roof is a sliding maximum.
type roof struct {
	span  time.Duration
	peaks []peak
}

// peak was so until end; the last one is so now.
type peak struct {
	watts int64
	end   time.Duration
}

// push notes that from now on there is so much room.
func (r *roof) push(now time.Duration, watts int64) {
	n := len(r.peaks)
	if n > 0 {
		r.peaks[n-1].end = now
	}
	for n > 0 && r.peaks[n-1].watts <= watts {
		n--
	}
	r.peaks = append(r.peaks[:n], peak{watts, 1 << 62})
}

// most is the most room at any time of the span.
func (r *roof) most(now time.Duration) int64 {
	n := 0
	for n < len(r.peaks) && r.peaks[n].end <= now-r.span {
		n++
	}
	if n > 0 {
		r.peaks = append(r.peaks[:0], r.peaks[n:]...)
	}
	if len(r.peaks) == 0 {
		return 1 << 60
	}
	return r.peaks[0].watts
}

// next is when the most room may be less although nothing changes.
func (r *roof) next() time.Duration {
	if len(r.peaks) < 2 {
		return 1 << 62
	}
	return r.peaks[0].end + r.span
}

// changed is called whenever power or a limit changed at n; look follows once
// the instant is over.
func (o *oracle) changed(n *place) {
	if !n.dirty {
		n.dirty = true
		o.changes = append(o.changes, n)
	}
}

// obeying is the draw beneath n that commands answer for.
func (n *place) obeying() int64 { return n.mining - n.rogue - n.hidden }

// answerFor is called when commands answer for a draw that nobody answered for:
// the response times count from here.
func (o *oracle) answerFor(n *place) {
	for ; n != nil; n = n.up {
		n.quick.push(o.w.now, n.obeying())
		n.slow.push(o.w.now, n.obeying())
		o.changed(n)
	}
}

// foretell is called at a step of the load that everybody knew to come: what
// room there was before it excuses nothing.
func (o *oracle) foretell(n *place) {
	for ; n != nil; n = n.up {
		n.foretold = true
		o.changed(n)
	}
}

// look compares mining with the room that there was within the response time,
// at every place where that can have changed.
func (o *oracle) look() {
	now := o.w.now
	shaken := now < o.faultUntil
	if len(o.changes) == 0 && now < o.due && shaken == o.shaken {
		return
	}
	for _, n := range o.changes {
		n.dirty = false
		usable, ceiling := o.w.limits(n)
		room := max(min(usable-n.ai-n.house-n.rogue, ceiling), 0)
		if n.foretold {
			n.foretold = false
			n.quick.peaks, n.slow.peaks, n.past = n.quick.peaks[:0], n.slow.peaks[:0], n.past[:0]
		}
		n.quick.push(now, room)
		n.slow.push(now, room)
		if n.minings {
			n.busy.push(now, n.mining)
		}
		n.remember(now, flowed{at: now, ai: n.ai, own: n.own, top: usable - n.house - n.rogue, ceiling: ceiling})
	}
	if now < o.due && shaken == o.shaken {
		for _, n := range o.changes {
			o.compare(n)
		}
	} else {
		o.due, o.shaken = 1<<62, shaken
		for _, n := range o.w.plant.places {
			o.compare(n)
		}
	}
	o.changes = o.changes[:0]
}

// compare looks at one place.
func (o *oracle) compare(n *place) {
	now := o.w.now
	most, span := n.quick.most(now), n.quick.span
	if s := n.slow.most(now); o.shaken {
		most, span = s, n.slow.span
	}
	o.due = min(o.due, n.quick.next(), n.slow.next())
	if obeying := n.obeying(); obeying > 0 && obeying > most && obeying > n.pieced(now-span) {
		o.w.violated(RuleLimit, "units at %s that obey draw %d W, but for %s there was room for %d W at most (AI %d W, house %d W, others beyond command %d W)",
			n.id, obeying, span, most, n.ai, n.house, n.rogue)
	}
}

// inspect looks at every unit's right to its draw.
func (o *oracle) inspect() {
	for _, u := range o.w.plant.units {
		if u.rogue() || u.draw <= u.caps.FailsafeWatts {
			continue
		}
		if late := o.w.now - max(u.lease.until, u.lease.excused) - u.fall() - settleTime; late > 0 {
			o.w.violated(RulePermit, "unit %s draws %d W, its last permit ended at %s", u.id, u.draw, u.lease.until)
		}
	}
}

// each calls f for the units of a that the list names.
func each(a *agent, list []events.UnitSetpoint, f func(i int, u *unit, watts int64)) {
	for _, s := range list {
		for i, u := range a.units {
			if u.id == s.Unit {
				f(i, u, s.SetpointWatts)
			}
		}
	}
}

func (a *agent) leaseFrom(boot string, counter uint64, milliseconds int64) time.Duration {
	sent, ok := a.sent[counter]
	if boot != a.boot() || !ok {
		return 0
	}
	return sent + min(time.Duration(milliseconds)*time.Millisecond, 15*time.Second)
}

// curtailed books a reduction that reached an agent.
func (o *oracle) curtailed(a *agent, c *events.CommandCurtail) {
	for _, u := range a.units {
		if c.AllUnitsWatts != nil || names(c.Units, u.id) {
			u.lease.command(c.Key)
		}
	}
}

func names(list []events.UnitSetpoint, id string) bool {
	for i := range list {
		if list[i].Unit == id {
			return true
		}
	}
	return false
}

// command notes the newest key heard.
func (l *lease) command(k events.OrderKey) bool {
	if l.any && k.Compare(l.newest) <= 0 {
		return false
	}
	l.newest, l.any = k, true
	return true
}

// ramped books a ramp that reached an agent.
func (o *oracle) ramped(a *agent, r *events.CommandRamp, storedCopy bool) {
	end := a.leaseFrom(r.BootID, r.Counter, r.LeaseMilliseconds)
	good := storedCopy && r.Agent == a.spec.Name && end > o.w.now && !a.w.wall(a.offset).After(r.ValidUntil)
	each(a, r.Units, func(_ int, u *unit, _ int64) {
		l := &u.lease
		if !good || l.until > 0 && o.w.now >= l.until && (l.first == 0 || r.Counter < l.first) {
			return
		}
		if l.command(r.Key) {
			l.until, l.first = max(l.until, end), 0
		}
	})
}

// renewed books a renewal that reached an agent.
func (o *oracle) renewed(a *agent, r *events.PermitRenewed) {
	end := a.leaseFrom(r.BootID, r.Counter, r.LeaseMilliseconds)
	each(a, r.Units, func(_ int, u *unit, _ int64) {
		if o.w.now < u.lease.until {
			u.lease.until = max(u.lease.until, end)
		}
	})
}

// obeyed checks what a message did to the setpoints of an agent.
func (o *oracle) obeyed(a *agent, p events.Payload, before []int64) {
	w := o.w
	ramp, _ := p.(*events.CommandRamp)
	for i, u := range a.units {
		now := a.panel.Setpoint(i)
		if now > before[i] && (ramp == nil || u.lease.newest != ramp.Key) {
			w.violated(RuleUp, "a %s that must not raise raised unit %s from %d to %d W", p.EventType(), u.id, before[i], now)
		}
		if now > u.caps.FailsafeWatts && w.now >= u.lease.until {
			w.violated(RulePermit, "a %s leaves unit %s at %d W without a live permit", p.EventType(), u.id, now)
		}
		if now < 0 || now > u.caps.NameplateWatts {
			w.violated(RulePermit, "unit %s is set to %d W of %d W", u.id, now, u.caps.NameplateWatts)
		}
	}
	c, ok := p.(*events.CommandCurtail)
	if !ok {
		return
	}
	for i, u := range a.units {
		if u.lease.newest != c.Key {
			continue // overtaken
		}
		most := int64(-1)
		if c.AllUnitsWatts != nil {
			most = *c.AllUnitsWatts
		}
		for _, s := range c.Units {
			if s.Unit == u.id {
				most = s.SetpointWatts
			}
		}
		if most >= 0 && a.panel.Setpoint(i) > most {
			w.violated(RuleDown, "unit %s is at %d W after it was told %d W", u.id, a.panel.Setpoint(i), most)
		}
	}
}

// expired checks the setpoints after leases ended.
func (o *oracle) expired(a *agent) {
	for i, u := range a.units {
		if now := a.panel.Setpoint(i); now > u.caps.FailsafeWatts && o.w.now >= u.lease.until {
			o.w.violated(RulePermit, "unit %s is at %d W, its permit ended at %s", u.id, now, u.lease.until)
		}
	}
}
