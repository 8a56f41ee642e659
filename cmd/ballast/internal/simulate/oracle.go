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
	// rooms are what was left for mining in the last moments, for the response
	// times of a site that is well and of one with faults.
	quick, slow roof
	// faultUntil is when the last fault so far is forgotten.
	faultUntil time.Duration
	dirty      bool
}

// Response times declared, beyond the fall time of the slowest unit.
const (
	// quickResponse: a reading each second or two, its travel, the decision,
	// the command's travel.
	quickResponse = 3500 * time.Millisecond
	// slowResponse: a meter is believed until it is stale, a lease has to run
	// out, a machine that does not follow is found out by its meter.
	slowResponse = 5*time.Second + 15*time.Second + 2*5*time.Second + 5*time.Second
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

// changed is called whenever power or a limit changed; look follows once the
// instant is over.
func (o *oracle) changed() { o.dirty = true }

// answerFor is called when commands answer for a draw that nobody answered for:
// the response times count from here.
func (o *oracle) answerFor() {
	p := &o.w.plant
	o.quick.push(o.w.now, p.mining-p.rogue)
	o.slow.push(o.w.now, p.mining-p.rogue)
	o.dirty = true
}

// look compares mining with the room that there was within the response time.
func (o *oracle) look() {
	w := o.w
	p := &w.plant
	if o.dirty {
		o.dirty = false
		usable, ceiling := w.limits()
		room := max(min(usable-p.ai-p.house-p.rogue, ceiling), 0)
		o.quick.push(w.now, room)
		o.slow.push(w.now, room)
	}
	obeying := p.mining - p.rogue
	if obeying <= 0 {
		return
	}
	most, span := o.quick.most(w.now), o.quick.span
	if s := o.slow.most(w.now); w.now < o.faultUntil {
		most, span = s, o.slow.span
	}
	if obeying > most {
		w.violated(RuleLimit, "units that obey draw %d W, but for %s there was room for %d W at most (AI %d W, house %d W, others beyond command %d W)",
			obeying, span, most, p.ai, p.house, p.rogue)
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
