// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"math/bits"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

const (
	// keepView is how long a unit whose agent fell silent is taken to wait for
	// a permit, from the end of its last one; after that it is no unit of the
	// site until it speaks again.
	keepView = int64(time.Hour)
	// plainLines is how many lines there can be without a signal: what is left
	// of an event's lines may name one.
	plainLines = 64
)

// basisUnproven is the basis of a real unit none of whose shares was accepted
// yet; it counts as that of the site's newest ones.
const basisUnproven = bases

// idle is what was forgone in the present interval for one reason.
type idle struct {
	Basis  int
	Reason events.Reason
	Signal string
	// Energy up to the newest change of the price, Cost of it in µ$/MWh · W·ns,
	// and Open since. Modelled is part of both.
	Energy, Open, Modelled energy.Amount
	Cost                   wide
	// High and Low words of the hashes.
	High, Low uint64
}

type idleKey struct {
	basis  int
	reason events.Reason
	signal string
}

func (l *idle) key() idleKey { return idleKey{l.Basis, l.Reason, l.Signal} }

// forgone is what the units of the site do not use of what they could.
type forgone struct {
	// Idle lines of the present interval, in the order in which they came up.
	Idle []idle
	// View is the nameplate power of all units in view, W, and Full what they
	// would have used of it in the present interval.
	View int64
	Full energy.Amount
	// Carry, of lines, of their modelled part and of Full, is what was rounded
	// off and not booked.
	IdleCarry, ModelledCarry, FullCarry energy.Amount
	// Rates by basis, and the newest basis of real units.
	Rates [bases]rate
	Real  int
}

// rate is the payout of the newest accepted share of a basis.
type rate struct {
	At     int64 // acceptance, Unix ns
	Payout events.Payout
	// Difficulty of the newest that was not local, decimal.
	Difficulty string
}

// reasonOf is why a unit draws less than it could. What it does not say follows
// from its state.
func reasonOf(s *events.UnitStatus, nameplate int64) events.Reason {
	switch s.Reason {
	case events.ReasonStop, events.ReasonEmergency, events.ReasonNoMeter, events.ReasonNoConfig, events.ReasonHeadroom,
		events.ReasonImportLimit, events.ReasonGridCurtail, events.ReasonGridSetpoint, events.ReasonEconomics,
		events.ReasonWorker, events.ReasonAvailable, events.ReasonLease, events.ReasonLocal, events.ReasonBoot:
		return s.Reason
	}
	switch {
	case s.State == events.PermitBoot && s.SetpointWatts < nameplate:
		return events.ReasonBoot
	case s.State == events.PermitFailsafe && s.SetpointWatts < nameplate:
		return events.ReasonLease
	case s.State == events.PermitLocal && s.SetpointWatts < nameplate:
		return events.ReasonLocal
	case !s.Healthy:
		return events.ReasonWorker
	case s.SetpointWatts < nameplate:
		return events.ReasonUnsaid
	}
	return events.ReasonMachine
}

// excuse takes over what a unit says of why it draws so little.
func (d *Decider) excuse(u *unit, s *events.UnitStatus) {
	why, signal, basis := reasonOf(s, u.Nameplate), s.SignalID, u.Basis
	switch {
	case s.Modelled:
		basis = basisModelled
	case basis == basisModelled:
		basis = basisUnproven
	}
	if u.Why == events.ReasonWorker && !s.Healthy {
		why = events.ReasonWorker // it was ill before: who lowers it takes nothing from it
	}
	if why != s.Reason {
		signal = "" // it belongs to a reason that does not count here
	}
	if why == u.Why && signal == u.Signal && basis == u.Basis {
		return
	}
	d.flushUnit(u)
	u.Why, u.Signal, u.Basis, u.Line = why, signal, basis, -1
	d.mixText(string(why))
	d.mixText(signal)
	d.mix(uint64(basis))
}

// spareOf brings up to date what a unit does not use, which draws watts now.
func (d *Decider) spareOf(u *unit, watts int64) {
	a := &d.Agents[u.Agent]
	view, waits := u.Nameplate > 0 && !a.Lost, int64(0)
	if view && !u.InView && d.View+u.Nameplate > maxWatts {
		view = false
		d.raise("settlement-forgone", events.SeverityWarning,
			"units announce more than 10 GW together; what the others do not use is not accounted for",
			"find the agent that announces units that do not exist")
	}
	if view {
		waits = max(u.Nameplate-watts, 0)
	}
	if view == u.InView && waits == u.Waits && a.Silent == u.Alone && (waits == 0 || u.Line >= 0) {
		return
	}
	d.flushUnit(u)
	if view != u.InView {
		if u.InView = view; view {
			d.View += u.Nameplate
		} else {
			d.View -= u.Nameplate
		}
	}
	if a.Silent != u.Alone {
		u.Alone, u.Line = a.Silent, -1
	}
	u.Waits = waits
	if u.Line < 0 { // looked up only when the reason is another: this is done for every status
		d.enter(u)
	}
}

// resize changes the nameplate and the efficiency of a unit.
func (d *Decider) resize(u *unit, nameplate, millijoules int64) {
	if nameplate == u.Nameplate && millijoules == u.MillijoulesPerTerahash {
		return
	}
	d.flushUnit(u)
	if u.InView {
		d.View -= u.Nameplate
		u.InView = false
	}
	u.Nameplate, u.MillijoulesPerTerahash, u.Rest, u.Waits, u.Line = nameplate, millijoules, 0, 0, -1
	d.mix(uint64(nameplate))
}

// leave takes a unit out of view for good.
func (d *Decider) leave(u *unit) {
	d.flushUnit(u)
	if u.InView {
		d.View -= u.Nameplate
	}
}

// enter finds the line on which a unit that waits is booked.
func (d *Decider) enter(u *unit) {
	if u.Waits == 0 || d.cur == nil {
		return
	}
	k := idleKey{u.Basis, u.Why, u.Signal}
	if u.Alone {
		k.reason, k.signal = events.ReasonLease, ""
	}
	i, ok := d.idleOf[k]
	if !ok && k.signal != "" && len(d.Idle) >= events.MaxCurtailmentLines-plainLines {
		d.raise("settlement-signals", events.SeverityWarning,
			"too many signals within one interval: what was forgone for the others is booked without naming them",
			"find out who issues a signal every few seconds; one that goes on is superseded, not issued anew")
		k.signal = ""
		i, ok = d.idleOf[k]
	}
	if !ok {
		i = int32(len(d.Idle))
		d.Idle = append(d.Idle, idle{Basis: k.basis, Reason: k.reason, Signal: k.signal})
		d.idleOf[k] = i
	}
	u.Line = i
}

// flushUnit books what a unit did not use up to now.
func (d *Decider) flushUnit(u *unit) {
	dt := d.Now - u.Since
	u.Since = d.Now
	if dt <= 0 || !u.InView || d.cur == nil {
		return
	}
	d.Full = d.Full.Add(energy.Of(u.Nameplate, dt))
	if u.Waits == 0 {
		return
	}
	l := &d.Idle[u.Line]
	e := energy.Of(u.Waits, dt)
	l.Open = l.Open.Add(e)
	if u.Modelled {
		l.Modelled = l.Modelled.Add(e)
	}
	if u.MillijoulesPerTerahash > 0 {
		// W·ns · 10^6 hashes·mJ/TH per W·ns, over mJ/TH.
		by := uint64(u.MillijoulesPerTerahash)
		hi, lo := bits.Mul64(uint64(u.Waits)*1_000_000, uint64(dt))
		lo, c := bits.Add64(lo, u.Rest, 0)
		hi += c
		high, hi := hi/by, hi%by
		low, rest := bits.Div64(hi, lo, by)
		u.Rest = rest
		l.Low, c = bits.Add64(l.Low, low, 0)
		l.High += high + c
	}
	d.mix(uint64(u.Waits))
	d.mix(l.Low ^ u.Rest)
}

// flushIdle books what no unit used up to now, before the price or the
// interval changes.
func (d *Decider) flushIdle() {
	for i := range d.Units {
		d.flushUnit(&d.Units[i])
	}
	for i := range d.Idle {
		l := &d.Idle[i]
		if l.Open.Sign() == 0 {
			continue
		}
		l.Cost.add(l.Open, d.PriceNow)
		l.Energy = l.Energy.Add(l.Open)
		l.Open = energy.Amount{}
	}
}

// resume goes on at now after a time that is not booked.
func (d *Decider) resume() {
	for i := range d.Units {
		d.Units[i].Since = d.Now
	}
}

// worth notes by what an accepted share is paid, and that its unit is of that
// basis.
func (d *Decider) worth(s *events.ShareAccepted, p *events.Payout, at int64) {
	basis, ok := basisIndex(p.Basis)
	if !ok || p.Scheme == "" {
		return
	}
	if r := &d.Rates[basis]; at >= r.At {
		if r.Payout != *p {
			if _, err := work.NewEpoch(p.NBits, p.RewardSats, p.FeePPM); err != nil {
				return // it was reported
			}
			r.Payout = *p
			d.mixPayout(p)
		}
		if r.Difficulty != s.Difficulty && !s.Local {
			r.Difficulty = s.Difficulty
			d.mixText(s.Difficulty)
		}
		r.At = at
		d.mix(uint64(at))
	}
	if basis == basisModelled {
		return
	}
	d.Real = basis
	if i, ok := d.unitOf[s.Unit]; ok {
		if u := &d.Units[i]; u.Basis != basis && u.Basis != basisModelled {
			d.flushUnit(u)
			u.Basis, u.Line = basis, -1
			d.mix(uint64(basis))
			d.enter(u)
		}
	}
}
