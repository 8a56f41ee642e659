// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// verification is what a snapshot holds of the reductions that meters have not
// shown yet.
type verification struct {
	Sequence     uint64             `json:"sequence"`
	Curtailments []curtailmentState `json:"curtailments,omitempty"`
	Witnesses    []witnessState     `json:"witnesses,omitempty"`
	Owed         []numberedPart     `json:"owed,omitempty"`
}

type curtailmentState struct {
	curtailment
	Parts []numberedPart `json:"parts"`
}

type numberedPart struct {
	Sequence uint64 `json:"sequence"`
	place
	partState
}

type witnessState struct {
	place
	Missing int64 `json:"missing"`
}

// place names a witness: the meter, if it is one, and its node; both empty for
// none.
type place struct {
	Meter string `json:"meter,omitempty"`
	Node  string `json:"node,omitempty"`
}

func (w *witness) place() place {
	switch {
	case w == nil:
		return place{}
	case w.meter != nil:
		return place{w.meter.cfg.Meter, w.node.id}
	}
	return place{Node: w.node.id}
}

// number of p, 0 for none that is open.
func (p *proof) number() uint64 {
	if !p.open() {
		return 0
	}
	return p.seq
}

func (d *Dispatch) verification() verification {
	v := verification{Sequence: d.partSeq}
	for _, c := range d.curtailments {
		s := curtailmentState{curtailment: *c}
		for _, p := range c.parts {
			s.Parts = append(s.Parts, numberedPart{p.seq, p.at, p.partState})
		}
		v.Curtailments = append(v.Curtailments, s)
	}
	for _, w := range d.watches {
		v.Witnesses = append(v.Witnesses, witnessState{w.place(), w.missing})
		if q := w.owed; q != nil {
			v.Owed = append(v.Owed, numberedPart{q.seq, q.at, q.partState})
		}
	}
	return v
}

// witnessOf is the witness that a snapshot names, nil for none.
func (d *Dispatch) witnessOf(meter, node string) *witness {
	if meter != "" {
		m := d.site.byID[meter]
		if m == nil {
			return nil
		}
		if m.watch == nil {
			m.watch = &witness{node: m.node, meter: m}
		}
		return m.watch
	}
	for _, n := range d.nodes {
		if n.id == node {
			if n.watch == nil {
				n.watch = &witness{node: n}
			}
			return n.watch
		}
	}
	return nil
}

// restoreParts takes over what is verified, and returns the open parts by
// number.
func (d *Dispatch) restoreParts(v *verification) map[uint64]*proof {
	d.partSeq = v.Sequence
	open := make(map[uint64]*proof)
	for i := range v.Curtailments {
		s := &v.Curtailments[i]
		c := s.curtailment
		c.parts, c.open, c.h = nil, 0, 0
		d.curtailments = append(d.curtailments, &c)
		for _, n := range s.Parts {
			p := &proof{seq: n.Sequence, of: &c, at: n.place, partState: n.partState}
			c.parts = append(c.parts, p)
			d.touchPart(p)
			if p.Settled {
				continue
			}
			p.by = d.witnessOf(n.Meter, n.Node)
			c.open++
			d.openParts++
			open[p.seq] = p
			if p.by != nil {
				p.by.parts = append(p.by.parts, p)
			}
		}
		d.touchCurtailment(&c)
	}
	for _, n := range v.Owed {
		w := d.witnessOf(n.Meter, n.Node)
		if w == nil {
			continue
		}
		w.owed = &proof{seq: n.Sequence, by: w, at: n.place, partState: n.partState}
		d.touchPart(w.owed)
		open[n.Sequence] = w.owed
	}
	return open
}

// restoreWitnesses goes on after the units are there.
func (d *Dispatch) restoreWitnesses(v *verification) {
	for _, s := range v.Witnesses {
		w := d.witnessOf(s.Meter, s.Node)
		if w == nil {
			continue
		}
		slices.SortFunc(w.parts, func(a, b *proof) int { return int(int64(a.seq) - int64(b.seq)) })
		w.missing = s.Missing
		d.watches = append(d.watches, w)
		d.touchWitness(w)
		d.weigh(w.node)
	}
}

// unwatch notes what is said under every witness before a configuration
// changes.
func (d *Dispatch) unwatch() []int64 {
	said := make([]int64, len(d.watches))
	for i, w := range d.watches {
		said[i] = w.seen()
	}
	return said
}

// rewatch lets the witnesses go on in a new configuration. What a witness that
// is no more was asked stays unmetered.
func (d *Dispatch) rewatch(said []int64) {
	for _, m := range d.site.meters {
		if m.watch != nil && m.watch.idle() {
			m.watch = nil
		}
	}
	for _, n := range d.nodes {
		if n.watch != nil && n.watch.idle() {
			n.watch = nil
		}
	}
	var gone []*witness
	for i, w := range d.watches {
		switch {
		case w.meter != nil:
			m := d.site.byID[w.meter.cfg.Meter]
			if m == nil || m.watch != w {
				gone = append(gone, w)
				continue
			}
			w.meter, w.node = m, m.node
		default:
			j := slices.IndexFunc(d.nodes, func(n *node) bool { return n.watch == w })
			if j < 0 || len(d.nodes[j].minings) == 0 {
				gone = append(gone, w)
				continue
			}
			w.node = d.nodes[j]
		}
		for _, p := range w.parts {
			p.Seen += w.seen() - said[i]
			d.touchPart(p)
		}
		if q := w.owed; q != nil {
			q.Seen += w.seen() - said[i]
			d.touchPart(q)
		}
	}
	for _, w := range gone {
		if w.owed != nil {
			d.absolve(w)
		}
		for len(w.parts) > 0 {
			d.settlePart(w.parts[0], events.OutcomeUnmetered)
		}
	}
	for _, n := range d.nodes {
		d.weigh(n)
	}
}
