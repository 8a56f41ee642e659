// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/ballast-energy/ballast/events"
)

// Bounds on what is verified at once.
const (
	// maxCurtailments are kept apart; what is lowered beyond them joins the
	// newest.
	maxCurtailments = 64
	// maxParts of all curtailments together, likewise.
	maxParts = 8192
	// giveUp is how long after its deadline a reduction is waited for: as long
	// as the escalation takes to reach its last rung.
	giveUp = retryFor + shedFor + outletFor
)

// curtailment is one decision that lowered something, until meters have shown
// it: received → applied → metered.
type curtailment struct {
	Key       events.OrderKey `json:"key"`
	CauseID   string          `json:"cause_id"`
	CauseType events.Type     `json:"cause_type"`
	Reason    events.Reason   `json:"reason"`
	SignalID  string          `json:"signal_id,omitempty"`
	// Issued is the arrival of the cause, Unix ns; Opened the elapsed time then.
	Issued    int64 `json:"issued"`
	Opened    int64 `json:"opened"`
	Decisions int64 `json:"decisions"`
	// Deadline is the longest of its parts, ns from Opened.
	Deadline int64 `json:"deadline"`

	parts []*proof
	open  int // of them
	h     uint64
}

// proof is the part of a curtailment that one witness sees.
type proof struct {
	seq uint64
	of  *curtailment
	by  *witness // nil: no believed mining meter sees these units
	// at names by, also when that is no more.
	at place
	partState
	touched bool // in the present fold
	h       uint64
}

// partState is what a snapshot keeps of a part.
type partState struct {
	// Units lowered; Applied of them acknowledged, Waiting is how many may
	// still do, AppliedWatts what the first were to fall by.
	Units        int64 `json:"units"`
	Waiting      int64 `json:"waiting"`
	Applied      int64 `json:"applied"`
	AppliedWatts int64 `json:"applied_watts"`
	// Raw is by how much the units' own word was to fall, Seen what all units
	// under the witness said then, Asked what the witness was to fall by: Raw
	// in the measure of the meter.
	Raw   int64 `json:"raw"`
	Seen  int64 `json:"seen"`
	Asked int64 `json:"asked"`
	// Before is what the witness read; at most one reading after the decision
	// still raises it.
	Before  int64 `json:"before"`
	Rebased bool  `json:"rebased"`
	// Suspects is by how much the units in it have changed by their own word
	// since: the rest of the change under the witness is that of the others.
	// Passed is what it asked of units that a newer part asks now, Raised by how
	// much units in it have been raised since.
	Suspects int64 `json:"suspects"`
	Passed   int64 `json:"passed"`
	Raised   int64 `json:"raised"`
	// Due, elapsed ns.
	Due int64 `json:"due"`
	// Members is the digest of the units in it.
	Members uint64 `json:"members"`
	// Once settled.
	Settled   bool                  `json:"settled,omitempty"`
	Outcome   events.MeteredOutcome `json:"outcome,omitempty"`
	Response  int64                 `json:"response"` // ns, −1 for none
	After     int64                 `json:"after"`
	Shortfall int64                 `json:"shortfall"`
}

func (c *curtailment) hash() uint64 {
	var g digest
	g.key(c.Key)
	g.text(c.CauseID)
	g.text(string(c.CauseType))
	g.text(string(c.Reason))
	g.text(c.SignalID)
	g.int(c.Issued)
	g.int(c.Opened)
	g.int(c.Decisions)
	g.int(c.Deadline)
	return g.sum()
}

func (p *proof) hash() uint64 {
	var g digest
	g.uint(p.seq)
	g.int(p.Units)
	g.int(p.Waiting)
	g.int(p.Applied)
	g.int(p.AppliedWatts)
	g.int(p.Raw)
	g.int(p.Seen)
	g.int(p.Asked)
	g.int(p.Before)
	g.int(p.Suspects)
	g.int(p.Passed)
	g.int(p.Raised)
	g.int(p.Due)
	g.uint(p.Members)
	g.int(p.Response)
	g.int(p.After)
	g.int(p.Shortfall)
	g.bool(p.Rebased)
	g.bool(p.Settled)
	g.text(string(p.Outcome))
	g.text(p.at.Meter)
	g.text(p.at.Node)
	return g.sum()
}

func (d *Dispatch) touchPart(p *proof) {
	h := p.hash()
	d.entries += h - p.h
	p.h = h
}

func (d *Dispatch) touchCurtailment(c *curtailment) {
	h := c.hash()
	d.entries += h - c.h
	c.h = h
}

// noise of a meter that reads so many watts: what it cannot tell apart.
func noise(watts int64) int64 { return max(watts, 0)/200 + 50 }

// others is by how much the draw of all others under the witness has changed by
// their own word.
func (p *proof) others() int64 { return p.by.seen() - p.Seen - p.Suspects }

// target is what the witness must read at most. What others take more is theirs
// to take; what they say to have given up must be seen, too, or their fall would
// stand for that of a unit that draws on.
func (p *proof) target() int64 {
	others := p.others()
	t := p.Before - p.Asked + p.Raised
	if others > 0 {
		return max(t+others, 0)
	}
	return max(min(t, t+p.Passed-scaled(-others, p.Before, p.Seen)), 0)
}

// tolerance above the target at which a part counts as shown.
func (p *proof) tolerance() int64 {
	return max(p.Asked/20, min(noise(p.Before), p.Asked/2)) + max(-p.others(), 0)/50
}

// shown reports whether a reading of the witness shows p: it has come down to
// the target; or its units say that they have fallen by all that was asked, and
// what all units under it say accounts for what it reads. The latter forgives
// what a unit said to draw before its meter saw it. What they have been raised by
// since need not have fallen.
func (p *proof) shown(now int64) bool {
	if now <= p.target()+p.tolerance() {
		return true
	}
	said := p.by.seen()
	return p.Raised-p.Suspects >= p.Asked-p.Passed && now <= said+noise(said)
}

// lessen is by how much the own word of u must fall from before to its present
// setpoint: what it draws, as far as that was permitted.
func (u *unit) lessen() int64 { return max(min(u.power, u.before)-u.set, 0) }

// scaled brings what units say into the measure of the meter: machines that
// report their nameplate, or draw less than they say, fall by less.
func scaled(raw, metered, said int64) int64 {
	if metered >= said || said <= 0 {
		return raw
	}
	hi, lo := bits.Mul64(uint64(max(raw, 0)), uint64(max(metered, 0)))
	if hi >= uint64(said) {
		return raw
	}
	q, _ := bits.Div64(hi, lo, uint64(said))
	return int64(q)
}

// verify opens the verification of what this fold lowered. The commands are
// written; the reasons are still known. What no meter could tell from noise opens
// none for a unit whose last reduction is still to be shown: that one goes on.
func (d *Dispatch) verify(e *events.Event) {
	var c *curtailment
	touched := d.touched[:0]
	seeing := d.seeing[:0]
	for _, u := range d.lowered {
		var w *witness
		if u.set < u.before {
			if w = d.watching(u); w != nil {
				w.lessen += u.lessen()
			}
		}
		seeing = append(seeing, w)
	}
	for i, u := range d.lowered {
		if u.set >= u.before {
			continue
		}
		w := seeing[i]
		if w != nil && u.part.open() && u.part.by == w && d.sameSignal(u) && d.drowned(w) {
			continue
		}
		if c == nil {
			c = d.openCurtailment(e, u)
		}
		p := d.partOf(c, w)
		if !p.touched {
			p.touched = true
			touched = append(touched, p)
		}
		carried := d.leavePart(u, max(u.risenBy-(u.before-u.set), 0))
		u.part, u.asked, u.waiting = p, u.lessen()+carried, true
		u.changed, u.risenBy = 0, 0
		p.Members += u.member()
		p.Units++
		p.Waiting++
		p.Raw += u.asked
		due := d.now + u.fallTime()
		if w != nil {
			due += w.period()
		}
		p.Due = max(p.Due, due)
		c.Deadline = max(c.Deadline, p.Due-c.Opened)
	}
	for i, p := range touched {
		d.begin(p)
		p.touched, touched[i] = false, nil
	}
	d.touched = touched[:0]
	for i, w := range seeing {
		if w != nil {
			w.lessen, seeing[i] = 0, nil
		}
	}
	d.seeing = seeing[:0]
	if c != nil {
		d.touchCurtailment(c)
	}
}

// sameSignal reports whether no signal lowers u in this fold, or that of its open
// part.
func (d *Dispatch) sameSignal(u *unit) bool {
	id := d.signalFor(u.bound, u.reason)
	return id == "" || u.part.of != nil && u.part.of.SignalID == id
}

// drowned reports whether w cannot tell what this fold asks under it from noise.
func (d *Dispatch) drowned(w *witness) bool {
	now, ok := w.read(d)
	return ok && scaled(w.lessen, now, w.seen()) <= noise(now)
}

// openCurtailment makes the record of a decision whose first lowered unit is
// u, or takes the newest where there are too many.
func (d *Dispatch) openCurtailment(e *events.Event, u *unit) *curtailment {
	if n := len(d.curtailments); n > 0 && (n >= maxCurtailments || d.openParts >= maxParts) {
		c := d.curtailments[n-1]
		c.Decisions++
		return c
	}
	c := &curtailment{Key: u.key, CauseID: strings.Clone(e.ID), CauseType: e.Data.EventType(), Reason: u.reason,
		SignalID: d.signalFor(u.bound, u.reason), Issued: d.wall, Opened: d.now, Decisions: 1}
	d.curtailments = append(d.curtailments, c)
	return c
}

// partOf is the open part of c under w, a new one if there is none.
func (d *Dispatch) partOf(c *curtailment, w *witness) *proof {
	if w == nil {
		for _, p := range c.parts {
			if p.by == nil && !p.Settled {
				return p
			}
		}
	} else if n := len(w.parts); n > 0 && w.parts[n-1].of == c {
		// Only in the newest: see openCurtailment.
		return w.parts[n-1]
	}
	d.partSeq++
	p := &proof{seq: d.partSeq, of: c, by: w, at: w.place()}
	p.Response = -1
	c.parts = append(c.parts, p)
	if w != nil {
		d.attend(w)
		w.parts = append(w.parts, p)
	}
	c.open++
	d.openParts++
	return p
}

// begin works out what the witness of p must show. A part that has begun before
// is asked for more.
func (d *Dispatch) begin(p *proof) {
	w := p.by
	if w == nil {
		p.Asked = p.Raw
		d.touchPart(p)
		return
	}
	if p.h == 0 {
		p.Before, _ = w.read(d)
		p.Seen = w.seen()
	}
	first := p.h == 0
	p.Asked = scaled(p.Raw, p.Before, p.Seen)
	d.touchPart(p)
	if first && p.Asked <= noise(p.Before) {
		d.blind(p)
	}
}

// relax notes that u, whose last reduction has not been shown yet, rises by so
// many watts: its witness is asked for so much less. Where only its
// acknowledgement could tell, u itself is: a later reduction must not ask it for
// both, and this one wants no more than what is left.
func (d *Dispatch) relax(u *unit, rise int64) {
	p := u.part
	if !p.open() {
		return
	}
	p.Members -= u.member()
	if p.by != nil {
		p.Raised += rise
		u.risenBy += rise
	} else {
		less := min(rise, u.asked)
		if u.asked -= less; u.waiting {
			p.Raw -= less
			p.Asked = p.Raw
		}
	}
	p.Members += u.member()
	d.touchPart(p)
}

// overrun is what the witness of p sees too much of it although its time is
// over, 0 while it is shown or nobody can tell.
func (d *Dispatch) overrun(p *proof) int64 {
	if !p.open() || p.by == nil || d.now <= p.Due {
		return 0
	}
	now, ok := p.by.read(d)
	if ok && !p.shown(now) {
		return max(now-p.target()-p.by.admitted(), 0)
	}
	return 0
}

// blind takes from p its witness, which cannot tell so little from noise: only
// acknowledgements are left.
func (d *Dispatch) blind(p *proof) {
	w := p.by
	w.parts = slices.DeleteFunc(w.parts, func(o *proof) bool { return o == p })
	p.by, p.at, p.Asked = nil, place{}, p.Raw
	d.touchPart(p)
	if w.idle() {
		d.dismiss(w)
	}
}

// leavePart takes u out of the part in which it is, and returns what it was
// still to fall by for it, where only its acknowledgement could tell. Of what u
// has been raised by meanwhile it keeps so much.
func (d *Dispatch) leavePart(u *unit, kept int64) (carried int64) {
	p := u.part
	if u.part = nil; !p.open() {
		u.waiting = false
		return 0
	}
	p.Members -= u.member()
	if u.waiting {
		p.Waiting--
		if p.by == nil {
			carried = u.asked
			p.Raw -= carried
			p.Asked = p.Raw
		}
	}
	if p.by != nil {
		// From now on it is one of the others, with all that it has done; what it
		// was raised by and keeps was asked of it in vain.
		if kept = min(kept, u.asked); kept > 0 {
			p.Raw -= kept
			p.Asked = scaled(p.Raw, p.Before, p.Seen)
		}
		p.Passed += scaled(u.asked-kept, p.Before, p.Seen)
		p.Suspects -= u.changed
		p.Raised -= u.risenBy
		if !u.answers.open() {
			d.answer(u, p)
		}
	}
	u.waiting = false
	d.touchPart(p)
	if p.by == nil && p.Waiting == 0 && !p.touched {
		d.settlePart(p, events.OutcomeUnmetered)
	}
	return carried
}

// open reports whether p is still to be shown.
func (p *proof) open() bool { return p != nil && !p.Settled }

// member is the part of u in the digest of its part.
func (u *unit) member() uint64 {
	h := mix2(u.agent.idHash, xxhash.Sum64String(u.id))
	if u.waiting {
		h++
	}
	return mix2(mix2(mix2(h, uint64(u.asked)), uint64(u.changed)), uint64(u.risenBy))
}

// acknowledge notes that u has applied its last reduction.
func (d *Dispatch) acknowledge(u *unit) {
	p := u.part
	if !p.open() || !u.waiting {
		return
	}
	p.Members -= u.member()
	u.waiting = false
	p.Members += u.member()
	p.Waiting--
	p.Applied++
	p.AppliedWatts += u.asked
	d.touchPart(p)
	if p.by == nil && p.Waiting == 0 {
		p.Response = d.now - p.of.Opened
		d.settlePart(p, events.OutcomeUnmetered)
	}
}

// see keeps the sums of what units say to draw, which nobody's headroom depends
// on.
func (d *Dispatch) see(u *unit) {
	s := u.power
	if u.raising {
		s = max(s, u.set)
	}
	delta := s - u.seen
	if delta == 0 {
		return
	}
	u.seen = s
	for n := u.node; n != nil; n = n.up {
		n.seenSum += delta
	}
	if u.caps.Meter != "" {
		for m := d.site.byID[u.caps.Meter]; m != nil; m = m.wider {
			m.seen += delta
		}
	}
	if p := u.part; p.open() && p.by != nil {
		p.Members -= u.member()
		p.Suspects += delta
		u.changed += delta
		p.Members += u.member()
		d.touchPart(p)
	}
}
