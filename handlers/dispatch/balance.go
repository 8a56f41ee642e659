// SPDX-License-Identifier: Apache-2.0

package dispatch

import "github.com/ballast-energy/ballast/events"

// estimate of the load of a node that does not mine, as what its total meters
// see less what its mining meters see.
type estimate struct {
	// Watts is the higher of the newest estimate and the one before, for mining
	// that moved between two readings of one round may make either too low;
	// Newest is that one.
	Watts  int64 `json:"watts"`
	Newest int64 `json:"newest"`
	// Known: there is one, made at At, elapsed ns.
	Known bool  `json:"known"`
	At    int64 `json:"at"`
	// Mining that was seen last outside a dip, and DipAt when the present dip
	// began, elapsed ns, −1 when there is none.
	Mining int64 `json:"mining"`
	DipAt  int64 `json:"dip_at"`
	// Unseen is what of the newest difference was put down to raises that the
	// mining meters had not seen yet, W.
	Unseen int64 `json:"unseen,omitempty"`
}

func (b *estimate) digest(g *digest) {
	g.int(b.Watts)
	g.int(b.Newest)
	g.bool(b.Known)
	g.int(b.At)
	g.int(b.Mining)
	g.int(b.DipAt)
	g.int(b.Unseen)
}

// rebalance estimates the non-mining load as total − mining once every total
// and mining quantity has a reading newer than the last estimate: half a round
// would take mining that ramps for AI load. Nor is a round what lies too far
// apart: a total after a fall less mining before it would leave room that is not
// there.
func (d *Dispatch) rebalance(m *meter) {
	n := m.node
	if m.cfg.Measures != events.MeasuresTotal && m.cfg.Measures != events.MeasuresMining {
		return
	}
	if len(n.totals) == 0 || len(n.minings) == 0 || !complete(n.totals) || !complete(n.minings) {
		return
	}
	b := &n.balance
	period := max(longest(n.totals), longest(n.minings))
	if quantities := int64(len(n.totals) + len(n.minings)); b.Known && d.now-b.At < 3*period {
		// However the meters of a period lie in it, there is one from which on
		// they all come within so much.
		within := period*(quantities-1)/quantities + period/8
		if old := d.forgetOlder(n, d.now-within); old {
			return
		}
	}
	total, _ := d.sum(n.totals, false)
	mining, _ := d.sum(n.minings, true)
	was := *b
	*b = estimate{Newest: max(total-mining+d.outrun(n, mining), 0), Known: true, At: d.now, Mining: mining, DipAt: -1}
	if d.dips(n, &was, mining) {
		// Total and mining meters do not see the same instants: where a dip begins
		// or ends between them, all mining would look like AI load.
		b.Mining, b.DipAt = was.Mining, was.DipAt
		if b.DipAt < 0 {
			b.DipAt = d.now
		}
		b.Newest = max(total-b.Mining, was.Watts)
	} else if was.Known && mining > was.Mining {
		// A total from before mining rose less mining from after it is too low by
		// the rise, round after round while mining rises: the load has fallen only
		// as far as it has with the mining of the estimate before, too.
		b.Newest = max(b.Newest, min(was.Watts, total-was.Mining))
	}
	b.Unseen = d.unseen(n, &was, total, mining)
	b.Newest -= b.Unseen
	if b.Watts = b.Newest; was.Known {
		b.Watts = max(b.Watts, was.Newest)
	}
	d.forgetOlder(n, d.now)
}

// dips reports whether mining beneath n has fallen by more than a quarter since
// the estimate b with no order to, for less than rideThrough: its permits stand,
// so it is the voltage, or a meter. What lasts longer is real.
func (d *Dispatch) dips(n *node, b *estimate, mining int64) bool {
	return b.Known && mining < b.Mining*3/4 && n.setSum >= b.Mining*3/4 && d.now >= n.settleAt &&
		(b.DipAt < 0 || d.now-b.DipAt < rideThrough)
}

// unseen is by how much a balance of total and mining is higher than the one
// before because the total saw a raise and the mining meters did not yet: all of
// it would look like AI load, units would be lowered for their own rise, the
// reserve would learn it, and the next try would end the same way.
//
// It is no more than what is permitted and not seen, and only where nothing more
// is drawn than may be: a total beyond what is usable counts in full. Never two
// rounds in a row, and not while mining is seen to rise: then the balance before
// may be too low itself.
func (d *Dispatch) unseen(n *node, was *estimate, total, mining int64) int64 {
	switch {
	case !was.Known, was.Unseen > 0, n.balance.DipAt >= 0, d.now >= n.rogue.Until, total > n.load.Usable:
		return 0
	case mining > was.Mining+noise(mining):
		return 0
	}
	return max(min(n.balance.Newest-was.Watts, n.setSum-mining), 0)
}

// forgetOlder takes what came before, or at, an instant out of the present round
// of n and reports whether that round lacks something now.
func (d *Dispatch) forgetOlder(n *node, than int64) bool {
	for _, o := range n.meters {
		if o.round && o.came <= than {
			o.round = false
			d.touchMeter(o)
		}
	}
	return !complete(n.totals) || !complete(n.minings)
}

// longest period of the meters of some groups.
func longest(gs []group) int64 {
	p := int64(0)
	for i := range gs {
		for _, m := range gs[i].meters {
			p = max(p, m.period)
		}
	}
	return p
}

func complete(gs []group) bool {
	for i := range gs {
		any := false
		for _, m := range gs[i].meters {
			any = any || m.round
		}
		if !any {
			return false
		}
	}
	return true
}
