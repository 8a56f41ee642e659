// SPDX-License-Identifier: Apache-2.0

package dispatch

import "github.com/ballast-energy/ballast/events"

// readingTravel is how far before its arrival a reading may have been true, by
// the clock of its meter, for the question what it can have seen: beyond that it
// is the clock.
const readingTravel = 50 * milli

// raised is what has been raised beneath a node, for the question which of it a
// reading can have seen: what was decided after the reading was true it cannot.
type raised struct {
	// Sum of all so far, W; it may wrap, only differences count. Last of it was
	// decided At, elapsed ns, or in the moments before.
	Sum  int64 `json:"sum"`
	Last int64 `json:"last"`
	At   int64 `json:"at"`
}

func (r *raised) hash() uint64 {
	return mix2(uint64(r.Sum), mix2(uint64(r.Last), uint64(r.At)))
}

// add books a raise of so many watts as of now.
func (r *raised) add(now, watts int64) {
	if now-r.At > readingTravel {
		r.Last = 0
	}
	r.At = now
	r.Sum += watts
	r.Last += watts
}

// until is Sum as it was at an instant a moment ago.
func (r *raised) until(at int64) int64 {
	if r.At > at {
		return r.Sum - r.Last
	}
	return r.Sum
}

// note notes what had been raised beneath the node of a total meter when a
// reading was true that is so old at its arrival.
func (d *Dispatch) note(m *meter, age int64) {
	if m.cfg.Measures != events.MeasuresTotal {
		return
	}
	m.rose = m.node.raised.until(d.now - clamp(age, 0, readingTravel))
}

// settleTotals lets total meters that hang at another node now count from there:
// what was raised before is no news.
func (d *Dispatch) settleTotals(old []*meter) {
	for _, o := range old {
		m := d.site.byID[o.cfg.Meter]
		if m != nil && m.cfg.Measures == events.MeasuresTotal && (m.node.id != o.node.id || o.node.raised != m.node.raised) {
			m.rose = m.node.raised.Sum
			d.touchMeter(m)
		}
	}
}

// since is what was raised beneath n after its total meters read: the least and
// the most over its quantities, of each by its newest reading that is believed.
func (d *Dispatch) since(n *node) (least, most int64) {
	least = never
	for i := range n.totals {
		w := never
		for _, m := range n.totals[i].meters {
			if d.rung(m) <= rungEnvelope {
				w = min(w, clamp(n.raised.Sum-m.rose, 0, never/4))
			}
		}
		if w < never {
			least, most = min(least, w), max(most, w)
		}
	}
	return min(least, most), most
}

// outrun is what mining meters that read after total meters see of raises that
// the total cannot have seen yet: total − mining is too low by that, and a load
// that has risen meanwhile would be seen a round late. What of the bookings they
// do not see is taken to be of the newest raises, or units would be lowered for
// their own rise.
func (d *Dispatch) outrun(n *node, mining int64) int64 {
	after, _ := d.since(n)
	return clamp(after-max(n.raiseSum+n.rogue.Watts-mining, 0), 0, max(mining, 0))
}

// leaves is what may rise beneath n beside what its total meters saw last and
// what has been raised since: a load that they have seen takes its room before
// the mining meters have said that it is one.
func (d *Dispatch) leaves(n *node) int64 {
	if len(n.totals) == 0 || d.unsafe {
		return never / 2
	}
	total, r := d.sum(n.totals, false)
	if r > rungEnvelope {
		return never / 2
	}
	_, after := d.since(n)
	return n.load.Usable - total - after
}
