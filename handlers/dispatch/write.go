// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// validFor is how long after its cause a command may be obeyed as a raise.
const validFor = 5 * time.Second

// writeCurtails writes the reductions of this fold: one broadcast if one
// ceiling for every unit says it all, else one message per agent and reason.
func (d *Dispatch) writeCurtails(e *events.Event, out *decider.Outbox) {
	if len(d.lowered) == 0 {
		return
	}
	arrived := e.Arrived.UTC()
	if w, ok := d.common(); ok {
		key := out.Key()
		why := d.lowered[0].reason
		for _, u := range d.lowered {
			u.key = key
			d.touchUnit(u)
		}
		out.Put(events.BroadcastSource, &events.CommandCurtail{Decider: Name, Key: key, AllUnitsWatts: &w, Reason: why,
			SignalID: d.commonSignal(), IssuedAt: arrived, ValidUntil: arrived.Add(validFor)})
		return
	}
	slices.SortFunc(d.lowered, func(a, b *unit) int {
		return cmp.Or(strings.Compare(a.agent.id, b.agent.id), strings.Compare(string(a.reason), string(b.reason)),
			strings.Compare(d.signalFor(a.bound, a.reason), d.signalFor(b.bound, b.reason)), strings.Compare(a.id, b.id))
	})
	for from := 0; from < len(d.lowered); {
		first, to := d.lowered[from], from+1
		signal := d.signalFor(first.bound, first.reason)
		for to < len(d.lowered) && to-from < maxUnitsPerMessage && d.lowered[to].agent == first.agent && d.lowered[to].reason == first.reason &&
			d.signalFor(d.lowered[to].bound, first.reason) == signal {
			to++
		}
		c := &events.CommandCurtail{Decider: Name, Key: out.Key(), Agent: first.agent.id, Reason: first.reason,
			SignalID: signal, IssuedAt: arrived, ValidUntil: arrived.Add(validFor),
			Units: d.points(d.lowered[from:to], out.Key())}
		out.Put(first.agent.id, c)
		from = to
	}
}

// common reports whether one ceiling for every unit of the site carries out
// all reductions of this fold, and nothing else.
func (d *Dispatch) common() (int64, bool) {
	if len(d.lowered) < 2 {
		return 0, false
	}
	w, why := d.lowered[0].set, d.lowered[0].reason
	for _, u := range d.lowered {
		if u.set != w || u.reason != why {
			return 0, false
		}
	}
	for _, u := range d.order {
		if u.set > w {
			return 0, false
		}
	}
	return w, true
}

// points lists the setpoints of units and marks them with the command's key.
func (d *Dispatch) points(units []*unit, key events.OrderKey) []events.UnitSetpoint {
	ps := make([]events.UnitSetpoint, len(units))
	for i, u := range units {
		u.key = key
		d.touchUnit(u)
		ps[i] = events.UnitSetpoint{Unit: u.id, SetpointWatts: u.set}
	}
	return ps
}

// signalFor is the signal behind a reason at the node that binds, nil for the
// point of connection.
func (d *Dispatch) signalFor(n *node, why events.Reason) string {
	if n == nil {
		n = d.root
	}
	if l := &n.load; why == l.Reason {
		return l.SignalID
	}
	return ""
}

// commonSignal is the signal behind all reductions of this fold, or none.
func (d *Dispatch) commonSignal() string {
	signal := d.signalFor(d.lowered[0].bound, d.lowered[0].reason)
	for _, u := range d.lowered {
		if d.signalFor(u.bound, u.reason) != signal {
			return ""
		}
	}
	return signal
}

// writeRamps writes the raises of this fold, one message per agent and reason.
func (d *Dispatch) writeRamps(e *events.Event, out *decider.Outbox) {
	if len(d.raised) == 0 {
		return
	}
	for _, u := range d.raised {
		u.tight, u.binds = u.bindsAt()
	}
	slices.SortFunc(d.raised, func(a, b *unit) int {
		return cmp.Or(strings.Compare(a.agent.id, b.agent.id), strings.Compare(string(a.binds), string(b.binds)),
			strings.Compare(d.signalFor(a.tight, a.binds), d.signalFor(b.tight, b.binds)), strings.Compare(a.id, b.id))
	})
	arrived := e.Arrived.UTC()
	for from := 0; from < len(d.raised); {
		a, why, to := d.raised[from].agent, d.raised[from].binds, from+1
		signal := d.signalFor(d.raised[from].tight, why)
		for to < len(d.raised) && to-from < maxUnitsPerMessage && d.raised[to].agent == a && d.raised[to].binds == why &&
			d.signalFor(d.raised[to].tight, why) == signal {
			to++
		}
		r := &events.CommandRamp{Decider: Name, Key: out.Key(), Agent: a.id, BootID: a.boot, Counter: a.counter,
			LeaseMilliseconds: d.site.lease / milli, Reason: why, SignalID: signal,
			IssuedAt: arrived, ValidUntil: arrived.Add(validFor), Units: d.points(d.raised[from:to], out.Key())}
		out.Put(a.id, r)
		from = to
	}
}

// bindsAt says why u does not rise further than it does in this fold: what set
// the cap of the node above it that has no room for more, else nothing but the
// ramp budget and what u itself can do.
func (u *unit) bindsAt() (*node, events.Reason) {
	top := u.fit(u.limit())
	if u.set >= top {
		return nil, events.ReasonAvailable
	}
	least, tight := never, u.node
	for n := u.node; n != nil; n = n.up {
		if free := n.load.Cap - max(n.excess(0), n.strayBelow) - n.setSum - n.extraSum; free <= least {
			least, tight = free, n
		}
	}
	if u.fit(min(top, u.set+max(least, 0))) <= u.set {
		return tight, tight.load.Reason
	}
	return nil, events.ReasonAvailable
}

// writeDecision writes down why: the last output of its cause.
func (d *Dispatch) writeDecision(e *events.Event, out *decider.Outbox, before int64) {
	l := &d.root.load
	binding, why := d.binding()
	if binding != nil {
		l = &binding.load
	}
	w := &events.DispatchDecided{
		CauseID: strings.Clone(e.ID), CauseType: e.Data.EventType(),
		Version: d.who.Version, ConfigHash: d.who.ConfigHash, Binding: why,
		LimitWatts: l.Limit, UsableWatts: l.Usable, AIWatts: l.AI, HouseWatts: l.House,
		ReserveWatts: l.Reserve, HeadroomWatts: l.Headroom, MeterFresh: l.Fresh,
		PermittedBeforeWatts: before, PermittedAfterWatts: d.root.setSum,
		UnitsKnown: int64(len(d.order)), TokensWatts: d.root.bucket.tokens,
	}
	if l.Limit > 0 {
		terms := l.Terms
		w.Reserve = &terms
	}
	if binding != nil && d.site.tree {
		w.BindingNode = binding.id
	}
	at := d.root
	if binding != nil && binding.sig.mining != nil {
		at = binding
	}
	if s := at.sig.mining; s != nil {
		c := s.Course.Level
		w.CeilingWatts, w.SignalID = &c, s.ID
	}
	if len(d.lowered) > 0 && w.Binding == l.Reason && l.SignalID != "" {
		w.SignalID = l.SignalID
	}
	w.Why = d.explain(e, binding, why)
	for _, u := range d.lowered {
		if u.set < u.before {
			w.UnitsLowered++
		}
		u.reason, u.bound, u.wayFor = "", nil, nil
	}
	for _, u := range d.raised {
		if u.set > u.before {
			w.UnitsRaised++
		}
	}
	if d.site.economics && d.quote.Known && len(d.order) > 0 {
		price, strike := d.energyPrice(), d.quote.revenue(d.order[0].merit)
		w.PriceMicrousdPerMWh, w.StrikeMicrousdPerMWh = &price, &strike
	}
	w.Key = out.Key()
	out.Put(Name, w)
}

// binding is why units were lowered and, if that was for the sake of a node,
// the highest such node.
func (d *Dispatch) binding() (*node, events.Reason) {
	why := events.ReasonAvailable
	var n *node
	lowered := 0
	for _, u := range d.lowered {
		if u.set < u.before {
			lowered++
		}
		if lowered <= 1 || u.bound != nil && (n == nil || u.bound.index <= n.index) {
			n, why = u.bound, u.reason
		}
	}
	return n, why
}
