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
	// Start and End of the window by the wall clock, Unix ns; End 0 is open.
	Start int64 `json:"start"`
	End   int64 `json:"end"`
	// EndElapsed is the end of the window by elapsed time, and the start of a
	// restore: neither comes early because the clock jumps.
	EndElapsed int64 `json:"end_elapsed"`
	// Active: the window has begun.
	Active bool `json:"active,omitempty"`
	// Merged from a flood.
	Merged bool `json:"merged,omitempty"`
	// Order in which signals were folded.
	Order uint64 `json:"order"`
	// Epoch and Sequence of it in the journal.
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
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
	g.int(s.Start)
	g.int(s.End)
	g.int(s.EndElapsed)
	g.bool(s.Active)
	g.bool(s.Merged)
	g.uint(s.Order)
	g.uint(s.Epoch)
	g.uint(s.Sequence)
	return g.sum()
}

// inForce is what the live signals together say at this moment.
type inForce struct {
	// ceiling on mining, W, −1 for none, and what set it.
	ceiling   int64
	ceilingID string
	reason    events.Reason
	// importLimit on the site, W, −1 for none.
	importLimit int64
	importID    string
	// setpointRank is the best precedence of a setpoint in force, 9 for none.
	setpointRank int
	// price in force and its rank, when priced.
	priced    bool
	price     int64
	priceRank int
}

// signals is the store: all of one kind of thing in folding order.
type signals struct {
	live   []*signal
	folded uint64
	seen   seenSignals
	now    inForce
	// The earliest moments at which anything can begin or end.
	nextStart, nextEnd, nextEndElapsed int64
}

func newSignals() signals {
	return signals{now: inForce{ceiling: -1, importLimit: -1, setpointRank: 9},
		nextStart: never, nextEnd: never, nextEndElapsed: never}
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
	if g.Test {
		return false
	}
	s, ok := d.readSignal(e, g)
	if !ok {
		return false
	}
	if copied := d.seenBefore(e, s); copied {
		// It may be old news by now: it ends and replaces nothing. What it
		// reduces is reduced again, unless its instruction is in force, for
		// then this may be an older version of it.
		if s.Kind == events.SignalRestore || isPrice(s.Kind) || d.lives(s) {
			return false
		}
		d.addSignal(s)
		d.runSignals()
		return true
	}
	if g.Supersedes != "" {
		d.endSignals(func(o *signal) bool {
			return o.Source == s.Source && o.ID == g.Supersedes && o.Kind != events.SignalStop
		})
	}
	// The same id again is the same instruction, changed; but nothing takes
	// the place of a stop, and a merged ceiling has no single owner.
	held := false
	d.endSignals(func(o *signal) bool {
		if o.Source != s.Source || o.ID != s.ID || o.Merged || class(o.Kind) != class(s.Kind) {
			return false
		}
		if o.Kind == events.SignalStop {
			held = true
			return false
		}
		return true
	})
	if held && s.Kind == events.SignalStop {
		return true
	}
	d.addSignal(s)
	d.runSignals()
	return true
}

// readSignal makes a signal safe to keep, or says that it asks for nothing.
func (d *Dispatch) readSignal(e *events.Event, g *events.GridSignal) (*signal, bool) {
	s := &signal{
		Source:    strings.Clone(e.Source),
		ID:        strings.Clone(g.SignalID),
		Programme: strings.Clone(g.Programme),
		Cancels:   strings.Clone(g.Cancels),
		Rank:      g.EffectivePrecedence().Rank(),
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
		return s, true
	}
	if sec := g.DurationSeconds; sec > 0 && sec <= min(100*366*86_400, (never-s.Start)/second) && g.Kind != events.SignalStop {
		s.End = s.Start + sec*second
		if s.End <= d.wall {
			return nil, false // over before it came
		}
		s.EndElapsed = d.elapsedAt(s.End)
	}
	return s, true
}

// elapsedAt is the elapsed time of an instant of the wall clock if no clock
// jumps until then.
func (d *Dispatch) elapsedAt(unix int64) int64 {
	ahead := max(unix-d.wall, 0)
	return d.now + min(ahead, never-d.now)
}

// addSignal keeps s within the bounds: what does not fit is merged into a
// ceiling that is at least as low, or, where dropping it cannot raise power,
// dropped.
func (d *Dispatch) addSignal(s *signal) {
	st := &d.signals
	s.Order = st.folded
	st.folded++
	prices, all, mine := 0, 0, 0
	for _, o := range st.live {
		switch {
		case isPrice(o.Kind):
			prices++
			if o.Source == s.Source && isPrice(s.Kind) {
				mine++
			}
		case !o.Merged:
			all++
			if o.Source == s.Source && !isPrice(s.Kind) {
				mine++
			}
		}
	}
	full := isPrice(s.Kind) && (prices >= MaxPrices || mine >= MaxPrices/2) ||
		!isPrice(s.Kind) && (all >= MaxSignals || mine >= MaxSignalsPerSource)
	if !full {
		d.keepSignal(s)
		return
	}
	d.raiseAlert(&d.alarms.Flood, &d.flooded, alarmFlood, "signals", events.SeverityCritical,
		"more grid signals are live than can be kept apart: further ones are merged into the lowest ceiling, further prices ignored",
		"find the issuer that floods; restore what is obsolete, or as operator restore "+mergedPrefix+"curtail")
	if isPrice(s.Kind) {
		return
	}
	if s.Kind == events.SignalRestore {
		if s.Start <= d.wall {
			d.carryOut(s) // it takes no room
		}
		return
	}
	d.mergeSignal(s)
}

// mergeSignal folds s into the ceiling of its issuer's flood.
func (d *Dispatch) mergeSignal(s *signal) {
	merged := 0
	var own, common *signal
	for _, o := range d.signals.live {
		if !o.Merged {
			continue
		}
		merged++
		if o.Kind == s.Kind && o.Source == s.Source {
			own = o
		}
		if o.Kind == s.Kind && o.Source == "" {
			common = o
		}
	}
	into := own
	if into == nil && merged >= maxMerged {
		into = common
		s.Source = ""
	}
	if into == nil {
		s.Merged, s.ID = true, mergedPrefix+string(s.Kind)
		d.keepSignal(s)
		return
	}
	d.entries -= into.hash()
	into.Order, into.Epoch, into.Sequence = s.Order, s.Epoch, s.Sequence
	into.Watts = min(into.Watts, s.Watts)
	into.Start = min(into.Start, s.Start)
	into.Rank, into.Priority = min(into.Rank, s.Rank), min(into.Priority, s.Priority)
	if into.End == 0 || s.End == 0 {
		into.End, into.EndElapsed = 0, 0
	} else {
		into.End, into.EndElapsed = max(into.End, s.End), max(into.EndElapsed, s.EndElapsed)
	}
	if into.Programme != s.Programme {
		into.Programme = mixedProgramme
	}
	d.entries += into.hash()
}

func (d *Dispatch) keepSignal(s *signal) {
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
		d.endSignals(func(s *signal) bool {
			if s.Source != r.Source || s.Programme != r.Programme || s.Order > r.Order {
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
	d.endSignals(func(s *signal) bool {
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
	return d.wall >= st.nextStart || d.wall >= st.nextEnd && d.now >= st.nextEndElapsed
}

// runSignals begins and ends windows and works out what is in force.
func (d *Dispatch) runSignals() {
	st := &d.signals
	for {
		var due *signal
		for _, s := range st.live {
			if !s.Active && s.Start <= d.wall && (s.Kind != events.SignalRestore || d.now >= s.EndElapsed) {
				d.entries -= s.hash()
				s.Active = true
				d.entries += s.hash()
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
	d.endSignals(func(s *signal) bool {
		return s.Active && s.End != 0 && d.wall >= s.End && d.now >= s.EndElapsed
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
	for _, s := range st.live {
		switch {
		case !s.Active && s.Kind == events.SignalRestore:
			st.nextEnd = min(st.nextEnd, s.Start)
			st.nextEndElapsed = min(st.nextEndElapsed, s.EndElapsed)
		case !s.Active:
			st.nextStart = min(st.nextStart, s.Start)
		case s.End != 0:
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
