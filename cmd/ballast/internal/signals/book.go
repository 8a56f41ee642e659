// SPDX-License-Identifier: Apache-2.0

package signals

import (
	"cmp"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// State of a signal.
type State string

// States. A signal is announced, may ramp, is in force, may recover, and is
// then over, or what ended it.
const (
	Announced  State = "announced"  // its window, and its ramp, are to come
	Ramping    State = "ramping"    // its limit is on the way down
	InForce    State = "in force"   //
	Recovering State = "recovering" // over; its limit is on the way up
	Over       State = "over"       // its window has ended
	Cancelled  State = "cancelled"  // a restore named it
	Restored   State = "restored"   // a restore of its programme
	Superseded State = "superseded" // a later version or another signal
	Drill      State = "drill"      // recorded only
)

// Live reports whether a signal in this state limits something, or will.
func (s State) Live() bool {
	switch s {
	case Announced, Ramping, InForce, Recovering:
		return true
	}
	return false
}

// Row is one signal and what became of it.
type Row struct {
	ID     string `json:"signal_id"`
	Site   string `json:"site"`
	Source string `json:"source"`
	State  State  `json:"state"`
	// Arrived is when it was stored.
	Arrived time.Time `json:"arrived"`
	// Node at which it counts; empty for the point of connection.
	Node string `json:"node,omitempty"`
	// RampAt is when its limit begins to fall before the window; zero where it
	// falls all at once.
	RampAt time.Time `json:"ramp_at,omitzero"`
	// StartsAt and EndsAt of the window, whatever was asked to shorten it; no
	// end while it is open.
	StartsAt time.Time `json:"starts_at"`
	EndsAt   time.Time `json:"ends_at,omitzero"`
	// RecoveredAt is when its limit has risen again; zero where it does at once.
	RecoveredAt time.Time `json:"recovered_at,omitzero"`
	// ShortNotice: it came later than the programme's notice before its window.
	ShortNotice bool `json:"short_notice,omitempty"`
	// Signal as it was published.
	Signal *events.GridSignal `json:"signal"`

	programme events.ProgrammeConfig
	// takesEffect is when its limit begins to be felt, and rampEnds when all of
	// it is.
	takesEffect, rampEnds time.Time
	// minimum that it lasts, and back how long its limit takes to be gone.
	minimum, back time.Duration
	// ended is what set EndsAt, if not the signal itself; cut: the operator cut
	// the way back short.
	ended State
	cut   bool
	order int
}

// Book keeps the signals of all sites that it is given. The zero value is ready
// to use.
type Book struct {
	// KeepOver keeps what is over, too; else it is forgotten.
	KeepOver bool

	rows    []*Row
	over    []Row
	configs map[string]*events.SiteConfig
	epochs  map[string]uint64
	heard   map[programmeKey]sign
	folded  int
}

type programmeKey struct{ site, programme string }

// sign of life of a programme's issuer.
type sign struct{ at, issued time.Time }

// Fold takes an event of INPUTS; others say nothing.
func (b *Book) Fold(ev *events.Event) {
	if b.configs == nil {
		b.configs, b.epochs, b.heard = map[string]*events.SiteConfig{}, map[string]uint64{}, map[programmeKey]sign{}
	}
	switch d := ev.Data.(type) {
	case *events.JournalOpened:
		b.epochs[ev.Site] = d.Epoch
	case *events.SiteConfig:
		b.configs[ev.Site] = d
	case *events.GridSignal:
		b.settle(ev.Arrived)
		b.signal(ev, d)
	}
}

func (b *Book) programme(site, id string) *events.ProgrammeConfig {
	if c := b.configs[site]; c != nil {
		return c.FindProgramme(id)
	}
	return nil
}

func (b *Book) signal(ev *events.Event, s *events.GridSignal) {
	p := b.programme(ev.Site, s.Programme)
	b.hear(ev, s, p)
	// A signal without an id, as plain tools send it, has the default one, and
	// that names the epoch in which it was stored.
	id := cmp.Or(s.SignalID, ev.ID, events.DefaultID(ev.Stream, b.epochs[ev.Site], ev.Sequence))
	drill := !p.Obeys(s)
	if s.Kind == events.SignalRestore {
		if !drill {
			b.restore(ev, s)
		}
		return
	}
	r := newRow(ev, s, p, id)
	if r.order, b.folded = b.folded, b.folded+1; drill {
		r.ended = Drill
		b.rows = append(b.rows, r)
		return
	}
	for _, o := range b.rows {
		if o.Site != r.Site || o.Source != r.Source || o.ended != "" && o.ended != Over || o.Signal.Kind == events.SignalStop {
			continue
		}
		price := s.Kind == events.SignalPrice
		switch {
		case o.ID == r.ID && (o.Signal.Kind == events.SignalPrice) == price,
			s.Supersedes != "" && o.ID == s.Supersedes:
			at := ev.Arrived
			if follows := s.Kind == events.SignalSetpoint && o.Signal.Kind == events.SignalSetpoint; follows && r.StartsAt.After(at) && o.takesEffect.Before(at) {
				at = r.StartsAt
			}
			o.end(at, Superseded, false)
		case price && o.Signal.Kind == events.SignalPrice && s.DurationSeconds == 0:
			o.end(later(ev.Arrived, r.StartsAt), Superseded, false)
		}
	}
	b.rows = append(b.rows, r)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

func given(own *int64, programme int64) time.Duration {
	if own != nil {
		return seconds(*own)
	}
	return seconds(programme)
}

// newRow works out the windows of a signal as its programme has them.
func newRow(ev *events.Event, s *events.GridSignal, p *events.ProgrammeConfig, id string) *Row {
	r := &Row{ID: id, Site: ev.Site, Source: ev.Source, Arrived: ev.Arrived, StartsAt: ev.Arrived, Signal: s, Node: s.Node}
	if s.StartsAt != nil && s.Kind != events.SignalStop {
		r.StartsAt = *s.StartsAt
	}
	if s.DurationSeconds > 0 && s.Kind != events.SignalStop {
		r.EndsAt = r.StartsAt.Add(seconds(s.DurationSeconds))
	}
	r.takesEffect = later(ev.Arrived, r.StartsAt)
	if s.Kind == events.SignalPrice || s.Kind == events.SignalStop {
		return r
	}
	if p != nil {
		r.programme = *p
		r.Node = cmp.Or(r.Node, p.Node)
		r.back = seconds(p.ReturnDelaySeconds)
		r.ShortNotice = p.NoticeSeconds > 0 && r.StartsAt.Sub(ev.Arrived) < seconds(p.NoticeSeconds)
	}
	if r.Node == events.RootNode {
		r.Node = ""
	}
	r.back += given(s.RecoverySeconds, r.programme.RecoverySeconds)
	if r.minimum = given(s.MinDurationSeconds, r.programme.MinDurationSeconds); !r.EndsAt.IsZero() {
		r.EndsAt = later(r.EndsAt, r.StartsAt.Add(r.minimum))
	}
	ramp := given(s.RampSeconds, r.programme.RampSeconds)
	if ramp == 0 || s.Kind == events.SignalEmergency || p.PrecedenceOf(s).Rank() <= events.PrecedenceGridEmergency.Rank() {
		return r
	}
	issued := ev.Arrived
	if s.IssuedAt != nil && s.IssuedAt.Before(issued) {
		issued = *s.IssuedAt
	}
	due := later(r.StartsAt, issued.Add(seconds(r.programme.ResponseSeconds)))
	r.RampAt = r.StartsAt
	if at := due.Add(-ramp); at.Before(r.RampAt) {
		r.RampAt = at
	}
	r.takesEffect = later(ev.Arrived, r.RampAt)
	r.rampEnds = due
	if end := r.takesEffect.Add(ramp); end.Before(due) {
		r.rampEnds = end
	}
	if !r.rampEnds.After(r.takesEffect) {
		r.RampAt, r.rampEnds = time.Time{}, time.Time{}
	}
	return r
}

// end ends a signal at a time, or when it has lasted as long as it must.
func (r *Row) end(at time.Time, why State, operator bool) {
	if at.Before(r.takesEffect) {
		r.back = 0 // nothing of it was felt
	} else if must := r.StartsAt.Add(r.minimum); !operator && must.After(at) && !at.Before(r.StartsAt) {
		at = must
	}
	if r.EndsAt.IsZero() || at.Before(r.EndsAt) || at.Equal(r.EndsAt) {
		r.EndsAt, r.ended = at, why
	}
}

// restore does what a restore asks.
func (b *Book) restore(ev *events.Event, s *events.GridSignal) {
	at := ev.Arrived
	if s.StartsAt != nil {
		at = later(at, *s.StartsAt)
	}
	operator := ev.Source == events.OperatorSource
	for _, r := range b.rows {
		mine := r.Source == ev.Source
		if r.Site != ev.Site || r.ended == Drill {
			continue
		}
		limits := r.Signal.Kind != events.SignalStop && r.Signal.Kind != events.SignalPrice
		switch {
		case s.Cancels == "":
			if mine && limits && r.Signal.Programme == s.Programme {
				b.take(r, at, Restored, operator)
			}
		case r.ID == s.Cancels && (operator || mine && r.Signal.Kind != events.SignalStop):
			b.take(r, at, Cancelled, operator)
		}
	}
}

// take ends r; the operator cuts the way back of one that is over short.
func (b *Book) take(r *Row, at time.Time, why State, operator bool) {
	if r.state(at) == Recovering {
		r.cut = r.cut || operator
		return
	}
	r.end(at, why, operator)
}

// recovered is when the limit of a signal that has ended is up again.
func (r *Row) recovered() time.Time {
	if r.cut {
		return r.EndsAt
	}
	return r.EndsAt.Add(r.back)
}

// state of a signal at a time.
func (r *Row) state(now time.Time) State {
	switch {
	case r.ended == Drill:
		return Drill
	case !r.EndsAt.IsZero() && !now.Before(r.EndsAt) && now.Before(r.recovered()):
		return Recovering
	case !r.EndsAt.IsZero() && !now.Before(r.EndsAt):
		return cmp.Or(r.ended, Over)
	case now.Before(r.takesEffect):
		return Announced
	case now.Before(r.rampEnds):
		return Ramping
	}
	return InForce
}

// settle puts aside what is over.
func (b *Book) settle(now time.Time) {
	b.rows = slices.DeleteFunc(b.rows, func(r *Row) bool {
		s := r.state(now)
		if s.Live() || s == Drill && now.Sub(r.takesEffect) < 24*time.Hour && (r.EndsAt.IsZero() || now.Before(r.EndsAt)) {
			return false
		}
		if b.KeepOver {
			b.over = append(b.over, r.show(now))
		}
		return true
	})
}

func (r *Row) show(now time.Time) Row {
	c := *r
	c.State = r.state(now)
	if c.back > 0 && !c.EndsAt.IsZero() && !c.cut {
		c.RecoveredAt = r.recovered()
	}
	return c
}

// Rows are the signals as of now, in the order in which they came: those in
// force or to come and drills of the last day, and with KeepOver all others.
func (b *Book) Rows(now time.Time) []Row {
	b.settle(now)
	out := slices.Clone(b.over)
	for _, r := range b.rows {
		out = append(out, r.show(now))
	}
	slices.SortFunc(out, func(x, y Row) int { return cmp.Compare(x.order, y.order) })
	return out
}
