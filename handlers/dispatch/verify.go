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
	retryFor  = 5 * second
	shedFor   = 5 * second
	outletFor = 10 * second
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
	// still raises it. Pending is what it was still to fall by for decisions
	// before.
	Before  int64 `json:"before"`
	Rebased bool  `json:"rebased"`
	Pending int64 `json:"pending"`
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

// witness is what sees mining: one meter, or the mining meters of a node.
type witness struct {
	node  *node
	meter *meter // nil: the mining meters of node
	// parts that are open, oldest first.
	parts []*proof
	// seenAt is what the units under it said to draw when the first opened,
	// suspects by how much those in the parts have changed since: the rest is
	// the change of the others, which the lowered ones are not blamed for.
	seenAt, suspects int64
	// missing is draw that should have ended, W.
	missing int64
	h       uint64
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
	g.int(p.Pending)
	g.int(p.Due)
	g.uint(p.Members)
	g.int(p.Response)
	g.int(p.After)
	g.int(p.Shortfall)
	g.bool(p.Rebased)
	g.bool(p.Settled)
	g.text(string(p.Outcome))
	if p.by != nil {
		g.text(p.by.name())
	}
	return g.sum()
}

func (w *witness) hash() uint64 {
	var g digest
	g.text(w.name())
	g.int(w.seenAt)
	g.int(w.suspects)
	g.int(w.missing)
	return g.sum()
}

func (d *Dispatch) touchPart(p *proof) {
	h := p.hash()
	d.entries += h - p.h
	p.h = h
}

func (d *Dispatch) touchWitness(w *witness) {
	h := w.hash()
	d.entries += h - w.h
	w.h = h
}

func (d *Dispatch) touchCurtailment(c *curtailment) {
	h := c.hash()
	d.entries += h - c.h
	c.h = h
}

// name of a witness, for snapshots and digests: meters and nodes may share ids.
func (w *witness) name() string {
	if w.meter != nil {
		return "meter/" + w.meter.cfg.Meter
	}
	return "node/" + w.node.id
}

// sees reports whether m is a mining meter that is believed now.
func (d *Dispatch) sees(m *meter) bool {
	return m != nil && m.cfg.Measures == events.MeasuresMining && d.rung(m) <= rungEnvelope
}

// read is what w sees, and false when it is not believed.
func (w *witness) read(d *Dispatch) (int64, bool) {
	if w.meter != nil {
		return w.meter.watts, d.sees(w.meter)
	}
	return w.node.load.Mining, w.node.load.Mining >= 0
}

// seen is what the units under w say that they draw.
func (w *witness) seen() int64 {
	if w.meter != nil {
		return w.meter.seen
	}
	return w.node.seenSum
}

// period is the longest between two readings of w.
func (w *witness) period() int64 {
	if w.meter != nil {
		return w.meter.period
	}
	p := int64(0)
	for i := range w.node.minings {
		for _, m := range w.node.minings[i].meters {
			p = max(p, m.period)
		}
	}
	return p
}

// risen is by how much the draw of the others has grown by their own word.
func (w *witness) risen() int64 { return max(w.seen()-w.seenAt-w.suspects, 0) }

// watching is the witness of u: its own mining meter, else the mining meters of
// the nearest node above it that has any, as far as they are believed. Nil when
// nothing sees it.
func (d *Dispatch) watching(u *unit) *witness {
	if u.caps.Meter != "" {
		if m := d.site.byID[u.caps.Meter]; d.sees(m) {
			if m.watch == nil {
				m.watch = &witness{node: m.node, meter: m}
			}
			return m.watch
		}
	}
	for n := u.node; n != nil; n = n.up {
		if len(n.minings) > 0 && n.load.Mining >= 0 {
			if n.watch == nil {
				n.watch = &witness{node: n}
			}
			return n.watch
		}
	}
	return nil
}

// noise of a meter that reads so many watts: what it cannot tell apart.
func noise(watts int64) int64 { return max(watts, 0)/200 + 50 }

// tolerance above the target at which a part counts as shown.
func (p *proof) tolerance() int64 {
	return max(p.Asked/20, min(noise(p.Before), p.Asked/2))
}

// target is what the witness must read at most, but for the others' changes.
func (p *proof) target() int64 { return max(p.Before-p.Pending-p.Asked, 0) }

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
// written; the reasons are still known.
func (d *Dispatch) verify(e *events.Event) {
	var c *curtailment
	touched := d.touched[:0]
	for _, u := range d.lowered {
		if u.set >= u.before {
			continue
		}
		if c == nil {
			c = d.openCurtailment(e, u)
		}
		w := d.watching(u)
		p := d.partOf(c, w)
		if !p.touched {
			p.touched = true
			touched = append(touched, p)
		}
		carried := d.leavePart(u)
		u.part, u.asked, u.waiting = p, u.lessen()+carried, true
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
	if c != nil {
		d.touchCurtailment(c)
	}
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
	p := &proof{seq: d.partSeq, of: c, by: w}
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

// attend begins to follow what the units under w say.
func (d *Dispatch) attend(w *witness) {
	if len(w.parts) == 0 {
		w.seenAt, w.suspects, w.missing = w.seen(), 0, 0
		d.watches = append(d.watches, w)
	}
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
		if n := len(w.parts); n > 1 {
			before := w.parts[n-2]
			p.Pending = max(p.Before-before.target()-w.risen(), 0)
		}
	}
	first := p.h == 0
	p.Asked = scaled(p.Raw, p.Before, p.Seen)
	d.touchPart(p)
	d.touchWitness(w)
	if first && p.Asked <= noise(p.Before) {
		d.blind(p)
	}
}

// blind takes from p its witness, which cannot tell so little from noise: only
// acknowledgements are left.
func (d *Dispatch) blind(p *proof) {
	w := p.by
	w.parts = slices.DeleteFunc(w.parts, func(o *proof) bool { return o == p })
	p.by, p.Asked, p.Pending = nil, p.Raw, 0
	d.touchPart(p)
	if len(w.parts) == 0 {
		d.dismiss(w)
	}
}

// leavePart takes u out of the part in which it is, and returns what it was
// still to fall by for it, where only its acknowledgement could tell.
func (d *Dispatch) leavePart(u *unit) (carried int64) {
	p := u.part
	if u.part = nil; p == nil || p.Settled {
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
	u.waiting = false
	d.touchPart(p)
	if p.by == nil && p.Waiting == 0 && !p.touched {
		d.settlePart(p, events.OutcomeUnmetered)
	}
	return carried
}

// member is the part of u in the digest of its part.
func (u *unit) member() uint64 {
	h := mix2(u.agent.idHash, xxhash.Sum64String(u.id))
	if u.waiting {
		h++
	}
	return mix2(h, uint64(u.asked))
}

// acknowledge notes that u has applied its last reduction.
func (d *Dispatch) acknowledge(u *unit) {
	p := u.part
	if p == nil || p.Settled || !u.waiting {
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
	if p := u.part; p != nil && !p.Settled && p.by != nil {
		p.by.suspects += delta
		d.touchWitness(p.by)
	}
}

// hear holds what the witnesses of m see against what they should: a reading
// of m has been believed.
func (d *Dispatch) hear(m *meter) {
	if m.cfg.Measures != events.MeasuresMining {
		return
	}
	for _, w := range [...]*witness{m.watch, m.node.watch} {
		if w == nil || len(w.parts) == 0 {
			continue
		}
		if now, ok := w.read(d); ok {
			d.compare(w, now)
		}
	}
}

// compare holds a reading of w against what it should show.
func (d *Dispatch) compare(w *witness, now int64) {
	risen := w.risen()
	var shown []*proof
	for _, p := range w.parts {
		if !p.Rebased {
			p.Rebased = true
			if now > p.Before {
				p.Before = now
				p.Asked = scaled(p.Raw, p.Before, p.Seen)
			}
			d.touchPart(p)
		}
		if now <= p.target()+risen+p.tolerance() {
			shown = append(shown, p)
		}
	}
	for _, p := range shown {
		p.After, p.Response = now, d.now-p.of.Opened
		if d.now <= p.Due {
			d.settlePart(p, events.OutcomeMet)
		} else {
			d.settlePart(p, events.OutcomeLate)
		}
	}
	d.blame(w, now)
}

// blame works out what of a reading should have ended by now.
func (d *Dispatch) blame(w *witness, now int64) {
	missing := int64(0)
	for _, p := range w.parts {
		if d.now > p.Due {
			missing = max(missing, now-p.target()-w.risen())
		}
	}
	if missing == w.missing {
		return
	}
	w.missing = missing
	d.touchWitness(w)
	d.weigh(w.node)
}

// weigh sums up at n what its witnesses miss. What units admit is booked
// already. Draw that should have ended counts at every node above, too.
func (d *Dispatch) weigh(n *node) {
	if n.index >= len(d.nodes) || d.nodes[n.index] != n {
		return // of a tree that is no more
	}
	missing := int64(0)
	for _, m := range n.meters {
		if m.watch != nil {
			missing += m.watch.missing
		}
	}
	if n.watch != nil {
		missing = max(missing, n.watch.missing)
	}
	if missing != n.missing {
		n.missing = missing
		for ; n != nil; n = n.up {
			d.mark(n)
		}
	}
}

// visitParts gives up what has been waited for too long.
func (d *Dispatch) visitParts() {
	for i := 0; i < len(d.watches); i++ {
		w := d.watches[i]
		now, ok := w.read(d)
		if ok {
			d.blame(w, now)
		}
		for k := 0; k < len(w.parts); k++ {
			p := w.parts[k]
			if d.now < p.Due+giveUp {
				continue
			}
			if !ok {
				d.settlePart(p, events.OutcomeUnmetered)
			} else {
				p.After = now
				p.Shortfall = max(now-p.target()-w.risen(), 0)
				d.settlePart(p, events.OutcomeShort)
			}
			k--
		}
		if len(w.parts) == 0 {
			i--
		}
	}
	for i := 0; i < len(d.curtailments); {
		c := d.curtailments[i]
		for _, p := range c.parts {
			if p.by == nil && !p.Settled && d.now >= p.Due+giveUp {
				d.settlePart(p, events.OutcomeUnmetered)
			}
		}
		if i < len(d.curtailments) && d.curtailments[i] == c {
			i++
		}
	}
}

// settlePart ends p, and its curtailment with the last.
func (d *Dispatch) settlePart(p *proof, how events.MeteredOutcome) {
	p.Settled, p.Outcome = true, how
	if how == events.OutcomeUnmetered {
		p.Shortfall = max(p.Raw-p.AppliedWatts, 0)
	}
	d.touchPart(p)
	d.openParts--
	p.of.open--
	if w := p.by; w != nil {
		i := slices.Index(w.parts, p)
		w.parts = slices.Delete(w.parts, i, i+1)
		for _, later := range w.parts[i:] {
			// What this one did not get is not asked of those after it.
			if p.Shortfall > 0 {
				later.Pending = max(later.Pending-p.Shortfall, 0)
				d.touchPart(later)
			}
		}
		if len(w.parts) == 0 {
			d.dismiss(w)
		}
	}
	d.judgeCurtailment(p.of)
}

// dismiss ends the work of a witness without open parts.
func (d *Dispatch) dismiss(w *witness) {
	d.entries -= w.h
	w.h, w.missing = 0, 0
	i := slices.Index(d.watches, w)
	d.watches = slices.Delete(d.watches, i, i+1)
	d.weigh(w.node)
}

// judgeCurtailment writes down how c ended, once all its parts have.
func (d *Dispatch) judgeCurtailment(c *curtailment) {
	if c.open > 0 {
		return
	}
	d.notes = append(d.notes, c.account())
	d.entries -= c.h
	for _, p := range c.parts {
		d.entries -= p.h
		p.of = nil
	}
	i := slices.Index(d.curtailments, c)
	d.curtailments = slices.Delete(d.curtailments, i, i+1)
}
