// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// witness is what sees mining: one meter, or the mining meters of a node.
type witness struct {
	node  *node
	meter *meter // nil: the mining meters of node
	// parts that are open, oldest first. owed is what has not been shown although
	// it was given up waiting: it is booked until the meter shows it. Nil for
	// nothing.
	parts []*proof
	owed  *proof
	// missing is draw that should have ended, W.
	missing int64
	// lessen is by how much units under it are lowered in the present fold.
	lessen int64
	h      uint64
}

func (w *witness) hash() uint64 {
	var g digest
	g.text(w.name())
	g.int(w.missing)
	return g.sum()
}

func (d *Dispatch) touchWitness(w *witness) {
	h := w.hash()
	d.entries += h - w.h
	w.h = h
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

// tells reports whether m tells its own units apart from others: it is one of
// several mining meters of its node, and every unit beneath names one of them.
// The only one of a node sees whatever hangs there, named or not.
func (d *Dispatch) tells(m *meter) bool {
	if len(m.node.minings) < 2 || m.shared {
		return false
	}
	d.rankAll()
	named := 0
	for _, o := range m.node.meters {
		if o.cfg.Measures == events.MeasuresMining {
			named += o.units
		}
	}
	return named >= len(m.node.members)
}

// watching is the witness of u: its own mining meter, where that tells it apart,
// else the mining meters of the nearest node above it that has any, as far as
// they are believed. Nil when nothing sees it.
func (d *Dispatch) watching(u *unit) *witness {
	if u.caps.Meter != "" {
		if m := d.site.byID[u.caps.Meter]; d.sees(m) && d.tells(m) {
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

// attend begins to follow what the units under w say.
func (d *Dispatch) attend(w *witness) {
	if w.idle() {
		w.missing = 0
		d.watches = append(d.watches, w)
		d.touchWitness(w)
	}
}

// hear holds what the witnesses of m see against what they should: a reading
// of m has been believed.
func (d *Dispatch) hear(m *meter) {
	if m.cfg.Measures != events.MeasuresMining {
		return
	}
	for _, w := range [...]*witness{m.watch, m.node.watch} {
		if w == nil || w.idle() {
			continue
		}
		if now, ok := w.read(d); ok {
			d.compare(w, now)
		}
	}
}

// compare holds a reading of w against what it should show.
func (d *Dispatch) compare(w *witness, now int64) {
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
		if p.shown(now) {
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
	if len(shown) > 0 && len(d.answering) > 0 {
		d.acquitShown(shown)
	}
	if q := w.owed; q != nil && q.shown(now) {
		d.absolve(w)
	}
	d.blame(w, now)
}

// blame works out what of a reading should have ended by now.
func (d *Dispatch) blame(w *witness, now int64) {
	missing := int64(0)
	for _, p := range w.parts {
		if d.now > p.Due && !p.shown(now) {
			missing = max(missing, now-p.target())
		}
	}
	if q := w.owed; q != nil && !q.shown(now) {
		missing = max(missing, now-q.target())
	}
	if missing == w.missing || w.idle() {
		return
	}
	d.unescalated = d.unescalated || missing == 0 || w.missing == 0
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
				p.Shortfall = max(now-p.target(), 0)
				d.owe(p)
				d.settlePart(p, events.OutcomeShort)
				d.blame(w, now)
			}
			k--
		}
		if w.idle() {
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
		d.unescalated = d.unescalated || w.missing > 0
		if w.idle() {
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
