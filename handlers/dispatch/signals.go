// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// Bounds on what is remembered of signals.
const (
	// MaxSignals is how many instructions are live at once over all issuers.
	MaxSignals = 256
	// MaxSignalsPerSource of one issuer.
	MaxSignalsPerSource = 64
	// MaxPrices is how many prices are in force or scheduled over all issuers.
	MaxPrices = 512
	// maxMerged is how many ceilings merged from floods exist, before those
	// of further issuers are merged into one of nobody.
	maxMerged = 64
)

// mergedPrefix begins the id of a ceiling merged from a flood; its kind
// follows: "overflow:curtail".
const mergedPrefix = "overflow:"

// mixedProgramme marks a merged ceiling of several programmes: no restore of
// one of them ends it.
const mixedProgramme = "\x00mixed"

// signal is one live instruction or price.
type signal struct {
	Source    string            `json:"source"`
	ID        string            `json:"id"`
	Kind      events.SignalKind `json:"kind"`
	Programme string            `json:"programme,omitempty"`
	Rank      int               `json:"rank"`
	Priority  int               `json:"priority"`
	Watts     int64             `json:"watts"`
	Price     int64             `json:"price"`
	Cancels   string            `json:"cancels,omitempty"`
	// Node at which it counts, empty for the point of connection. Total: what
	// is limited is all that flows through the node, not mining alone.
	Node  string `json:"node,omitempty"`
	Total bool   `json:"total,omitempty"`
	// Start and End of the window by the wall clock, Unix ns; End 0 is open.
	Start int64 `json:"start"`
	End   int64 `json:"end"`
	// EndElapsed is the end of the window by elapsed time, and the start of a
	// restore: neither comes early because the clock jumps.
	EndElapsed int64 `json:"end_elapsed"`
	// Active: it has begun.
	Active bool `json:"active,omitempty"`
	// Merged from a flood.
	Merged bool `json:"merged,omitempty"`
	// Order in which signals were folded.
	Order uint64 `json:"order"`
	// Epoch and Sequence of it in the journal.
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	// Course of a reduction.
	Course course `json:"course"`

	// at is the node meant by Node. after is what it follows, one more than the
	// watts of the setpoint that was there, within the fold that brought it.
	at    *node
	after int64
}

func (s *signal) hash() uint64 {
	var g digest
	g.text(s.Source)
	g.text(s.ID)
	g.text(string(s.Kind))
	g.text(s.Programme)
	g.int(int64(s.Rank))
	g.int(int64(s.Priority))
	g.int(s.Watts)
	g.int(s.Price)
	g.text(s.Cancels)
	g.text(s.Node)
	g.bool(s.Total)
	g.int(s.Start)
	g.int(s.End)
	g.int(s.EndElapsed)
	g.bool(s.Active)
	g.bool(s.Merged)
	g.uint(s.Order)
	g.uint(s.Epoch)
	g.uint(s.Sequence)
	g.uint(s.Course.digest())
	return g.sum()
}

// signals is the store: all of one kind of thing in folding order.
type signals struct {
	live   []*signal
	folded uint64
	seen   seenSignals
	now    inForce
	// bound are the nodes at which signals in force say something, unbound those
	// at which they did before, and ahead those at which announced ones will.
	bound, unbound, ahead []*node
	// The earliest moments at which anything can begin, end, move or fall
	// silent.
	nextStart, nextEnd, nextEndElapsed, nextStep, nextSilence int64
}

func newSignals() signals {
	return signals{now: nothingInForce(), nextStart: never, nextEnd: never, nextEndElapsed: never, nextStep: never, nextSilence: never}
}

func isPrice(k events.SignalKind) bool { return k == events.SignalPrice }

// class keeps prices, restores and limits apart: none replaces another.
func class(k events.SignalKind) int {
	switch k {
	case events.SignalPrice:
		return 1
	case events.SignalRestore:
		return 2
	}
	return 0
}

// onSignal folds one signal and reports whether anything live changed.
func (d *Dispatch) onSignal(e *events.Event, g *events.GridSignal) bool {
	copied := d.signals.seen.add(e.Source, "event "+e.ID)
	heard := !copied && d.hearIssuer(e, g)
	// Whatever else it says, its issuer speaks: silence ends, and is waited for
	// anew.
	only := func() bool {
		if heard {
			d.runSignals()
		}
		return heard
	}
	p := d.site.raw.FindProgramme(g.Programme)
	if !p.Obeys(g) {
		return only()
	}
	s, ok := d.readSignal(e, g, p)
	if !ok {
		return only()
	}
	if copied = d.seenBefore(e, s) || copied; copied {
		// It may be old news by now: it ends and replaces nothing. What it
		// reduces is reduced again, unless its instruction is in force, for
		// then this may be an older version of it.
		if s.Kind == events.SignalRestore || isPrice(s.Kind) || d.lives(s) {
			return only()
		}
		d.addSignal(s)
		d.runSignals()
		return true
	}
	// The same id again is the same instruction, changed; but nothing takes
	// the place of a stop, and a merged ceiling has no single owner.
	held := false
	replaced := func(o *signal) bool {
		switch {
		case o.Source != s.Source || o.Course.Recovering:
			return false
		case g.Supersedes != "" && o.ID == g.Supersedes:
			return o.Kind != events.SignalStop
		case o.ID != s.ID || o.Merged || class(o.Kind) != class(s.Kind):
			return false
		case o.Kind == events.SignalStop:
			held = true
			return false
		}
		return true
	}
	d.replace(s, replaced)
	if !held || s.Kind != events.SignalStop {
		d.addSignal(s)
	}
	d.runSignals()
	return true
}

// replace ends what s takes the place of, as a restore would. One setpoint that
// follows another takes its place at once, and one that is still to come lets the
// present one hold until then.
func (d *Dispatch) replace(s *signal, replaced func(*signal) bool) {
	c, begins := &s.Course, d.wall >= s.Course.Begin
	if begins && s.Kind == events.SignalSetpoint {
		s.after = d.lowerSetpoint(s) + 1
	}
	for _, o := range d.signals.live {
		// A reduction by so many watts, changed while it lasts, is still one
		// from where it began.
		if o := o; begins && c.Shed && o.Course.Shed && o.Course.Reference >= 0 && replaced(o) && o.at == s.at && o.Kind == s.Kind {
			c.Reference, s.Total = o.Course.Reference, o.Total
		}
	}
	d.endSignals(func(o *signal) bool {
		if !replaced(o) {
			return false
		}
		follows := s.Kind == events.SignalSetpoint && o.Kind == events.SignalSetpoint && o.at == s.at && o.Total == s.Total
		if follows && !begins && o.Active {
			if o.End == 0 || o.End > s.Start {
				d.alter(o, func() { o.End, o.EndElapsed = max(s.Start, d.wall), d.elapsedAt(s.Start) })
			}
			return false
		}
		return follows && begins && d.now >= o.Course.MinUntil
	})
	d.release(false, func(o *signal) bool { return replaced(o) && !(s.Kind == events.SignalSetpoint && !begins && o.Active) })
}

// readSignal makes a signal safe to keep, or says that it asks for nothing.
func (d *Dispatch) readSignal(e *events.Event, g *events.GridSignal, p *events.ProgrammeConfig) (*signal, bool) {
	s := &signal{
		Source:    strings.Clone(e.Source),
		ID:        strings.Clone(g.SignalID),
		Programme: strings.Clone(g.Programme),
		Cancels:   strings.Clone(g.Cancels),
		Rank:      p.PrecedenceOf(g).Rank(),
		Priority:  int(clamp(int64(g.Priority), 0, 255)),
		Start:     d.wall,
		Epoch:     d.epoch,
		Sequence:  d.sequence,
	}
	if s.ID == "" {
		s.ID = strings.Clone(e.ID)
	}
	switch g.Kind {
	case events.SignalCurtail, events.SignalSetpoint, events.SignalImportLimit:
		if g.PowerWatts == nil {
			return nil, false
		}
		s.Watts = watts(*g.PowerWatts)
	case events.SignalPrice:
		if g.PriceMicrousdPerMWh == nil {
			return nil, false
		}
		s.Price = clamp(*g.PriceMicrousdPerMWh, -events.MaxInteger, events.MaxInteger)
	case events.SignalEmergency, events.SignalStop, events.SignalRestore:
	default:
		return nil, false
	}
	s.Kind = events.SignalKind(strings.Clone(string(g.Kind)))
	if g.StartsAt != nil && g.Kind != events.SignalStop {
		switch unix := g.StartsAt.Unix(); {
		case unix > maxUnix:
			return nil, false // begins in another age
		case unix < 0:
			s.Start = 0
		default:
			s.Start = g.StartsAt.UnixNano()
		}
	}
	if s.Kind == events.SignalRestore {
		// It has a beginning only.
		s.EndElapsed = d.elapsedAt(s.Start)
		s.Course = course{Level: -1, Reference: -1, Begin: s.Start}
		d.locate(s)
		return s, true
	}
	if sec := g.DurationSeconds; sec > 0 && sec <= min(100*366*86_400, (never-s.Start)/second) && g.Kind != events.SignalStop {
		s.End = s.Start + sec*second
	}
	d.chart(s, g, p)
	if s.End != 0 {
		if s.End = max(s.End, s.Start+s.Course.Minimum); s.End <= d.wall {
			return nil, false // over before it came
		}
		s.EndElapsed = d.elapsedAt(s.End)
	}
	d.locate(s)
	return s, true
}

// elapsedAt is the elapsed time of an instant of the wall clock if no clock
// jumps until then.
func (d *Dispatch) elapsedAt(unix int64) int64 {
	ahead := max(unix-d.wall, 0)
	return d.now + min(ahead, never-d.now)
}

func (d *Dispatch) keepSignal(s *signal) {
	d.locate(s)
	d.signals.live = append(d.signals.live, s)
	d.entries += s.hash()
}

// endSignals drops the live signals for which drop says so.
func (d *Dispatch) endSignals(drop func(*signal) bool) {
	d.signals.live = slices.DeleteFunc(d.signals.live, func(s *signal) bool {
		if !drop(s) {
			return false
		}
		d.entries -= s.hash()
		return true
	})
}

// carryOut does what a restore asks, once its time has come.
func (d *Dispatch) carryOut(r *signal) {
	operator := r.Source == events.OperatorSource
	if r.Cancels == "" {
		d.release(operator, func(s *signal) bool {
			if s.owner() != r.owner() || s.Order > r.Order {
				return false
			}
			switch s.Kind {
			case events.SignalCurtail, events.SignalSetpoint, events.SignalImportLimit, events.SignalEmergency:
				return true
			}
			return false
		})
		return
	}
	d.release(operator, func(s *signal) bool {
		if s.ID != r.Cancels || s.Kind == events.SignalRestore || s.Order > r.Order {
			return false
		}
		if operator {
			return true
		}
		return s.Source == r.Source && s.Kind != events.SignalStop
	})
}

// signalsDue reports whether a window may begin or end now.
func (d *Dispatch) signalsDue() bool {
	st := &d.signals
	return d.wall >= st.nextStart || d.wall >= st.nextEnd && d.now >= st.nextEndElapsed || d.now >= st.nextStep || d.wall >= st.nextSilence
}

// runSignals begins and ends windows and works out what is in force.
func (d *Dispatch) runSignals() {
	st := &d.signals
	d.listen()
	d.stepSignals()
	for {
		var due *signal
		for _, s := range st.live {
			if !s.Active && s.Course.Begin <= d.wall && (s.Kind != events.SignalRestore || d.now >= s.EndElapsed) {
				d.alter(s, func() {
					s.Active = true
					d.takeEffect(s)
				})
			}
			if s.Active && s.Kind == events.SignalRestore && due == nil {
				due = s
			}
		}
		if due == nil {
			break
		}
		d.carryOut(due)
		d.endSignals(func(s *signal) bool { return s == due })
	}
	d.release(false, func(s *signal) bool {
		return s.Active && s.End != 0 && d.wall >= s.End && d.now >= s.EndElapsed && !d.outlasts(s.Programme)
	})
	d.dropOldPrices()
	d.scheduleSignals()
	if d.flooded && len(st.live) < MaxSignalsPerSource {
		d.clearAlert(&d.alarms.Flood, &d.flooded, alarmFlood, "signals", "grid signals are kept apart again")
	}
	d.weighSignals()
}

// scheduleSignals notes when the next window begins or ends.
func (d *Dispatch) scheduleSignals() {
	st := &d.signals
	st.nextStart, st.nextEnd, st.nextEndElapsed = never, never, never
	st.nextStep, st.nextSilence = d.nextSilence()
	for _, s := range st.live {
		if s.Course.ToAt != 0 {
			st.nextStep = min(st.nextStep, (d.now/stepEvery+1)*stepEvery)
		}
		if s.Active && s.Kind == events.SignalSetpoint && s.Start > d.wall {
			st.nextStart = min(st.nextStart, s.Start)
		}
		switch {
		case !s.Active && s.Kind == events.SignalRestore:
			st.nextEnd = min(st.nextEnd, s.Start)
			st.nextEndElapsed = min(st.nextEndElapsed, s.EndElapsed)
		case !s.Active:
			st.nextStart = min(st.nextStart, s.Course.Begin)
		case s.End != 0 && !d.outlasts(s.Programme):
			st.nextEnd = min(st.nextEnd, s.End)
			st.nextEndElapsed = min(st.nextEndElapsed, s.EndElapsed)
		}
	}
}

// dropOldPrices forgets prices of an issuer that a newer one of the same
// issuer and rank, without an end, has replaced for good.
func (d *Dispatch) dropOldPrices() {
	var prices []*signal
	for _, s := range d.signals.live {
		if s.Active && isPrice(s.Kind) {
			prices = append(prices, s)
		}
	}
	if len(prices) < 2 {
		return
	}
	d.endSignals(func(s *signal) bool {
		if !s.Active || !isPrice(s.Kind) {
			return false
		}
		for _, o := range prices {
			if o != s && o.End == 0 && o.Source == s.Source && o.Rank <= s.Rank && newerPrice(o, s) {
				return true
			}
		}
		return false
	})
}

func newerPrice(a, b *signal) bool {
	if a.Start != b.Start {
		return a.Start > b.Start
	}
	return a.Order > b.Order
}
