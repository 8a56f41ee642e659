// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"github.com/ballast-energy/ballast/events"
)

// linkTime is how long a reading may take to arrive and, again, a command to be
// heard: a second each, decision included.
const linkTime = second

// reserveLimits are what a configuration says of the reserve of a node.
type reserveLimits struct {
	floor, unlearned, margin int64
	window                   int64 // envelope, ns; 0 = off
	quantile                 int64 // of the rise, ppm; 0 = off
	jobs                     bool
	learn                    int64 // of the peak of a job, ns
}

func (l *reserveLimits) keep(r *events.ReserveConfig) {
	l.floor, l.unlearned, l.margin = watts(r.FloorWatts), watts(r.UnlearnedWatts), watts(r.MarginWatts)
	l.window = clamp(r.EnvelopeSeconds, 0, 86_400) * second
	l.quantile = clamp(r.RiseQuantilePPM, 0, 999_999)
	l.jobs = r.Jobs
	if l.learn = clamp(r.JobLearnSeconds, 0, 7*86_400) * second; l.learn == 0 {
		l.learn = 3_600 * second
	}
}

// nodeResponse is how long it takes to answer a step of the AI load at a node,
// and what that follows from: the slowest unit there or beneath, and the longest period and the longest time to staleness of the meters
// that see its load. All ns.
type nodeResponse struct {
	response, fall, period, silence int64
}

// reserve is what stays free at n for the next step of the AI load; nothing in
// a demonstration without reductions, whose point is what happens then.
//
// What jobs may want and what everything else may do come on top of one
// another. The rise is that of the load which no job accounts for: a job that
// comes back is no surprise, and counted among the rises it would be kept free
// all day long.
func (d *Dispatch) reserve(n *node, ai int64) int64 {
	t := &n.load.Terms
	if *t = (events.ReserveTerms{}); d.unsafe {
		return 0
	}
	t.FloorWatts, t.MarginWatts = n.floor, n.margin
	unlearned := n.window == 0 && n.quantile == 0
	if n.window > 0 {
		t.EnvelopeWatts = max(n.env.peak(d.now)-ai, 0)
		unlearned = n.env.Started < 0 || d.now-n.env.Started < n.window
	}
	if n.quantile > 0 {
		t.RiseWatts = n.step.Watts
		unlearned = unlearned || !n.step.learned()
	}
	if n.jobs {
		t.JobsWatts = n.wanted.out
	}
	if unlearned {
		t.UnlearnedWatts = n.unlearned
	}
	return max(t.FloorWatts, t.EnvelopeWatts, t.JobsWatts+max(t.RiseWatts, t.UnlearnedWatts))
}

// learn takes a fresh reading of the AI load of n.
func (d *Dispatch) learn(n *node) {
	w := n.window
	if w == 0 {
		w = standInWindow
	}
	n.env.push(d.now, w, n.load.AI)
	if n.quantile == 0 {
		return
	}
	n.step.reset(n.response, n.quantile)
	rest := n.load.AI
	if n.jobs {
		rest = max(rest-n.wanted.draw, 0)
	}
	n.step.push(d.now, rest)
}

// measureResponses works out anew, after units changed, how long the site takes
// to answer a step of the AI load at every node: until a meter shows it, until
// the command arrives, and until the slowest unit beneath has fallen; and at
// least as long as a meter that is silent is believed. A time learned over once
// grows only, or what was learned would be lost with every unit that comes and
// goes.
func (d *Dispatch) measureResponses() {
	if !d.fallsChanged {
		return
	}
	d.fallsChanged = false
	for _, n := range d.nodes {
		n.fall = 0
	}
	for _, u := range d.order {
		u.node.fall = max(u.node.fall, u.fall)
	}
	for i := len(d.nodes) - 1; i >= 0; i-- { // those beneath come first
		n := d.nodes[i]
		for _, m := range n.meters {
			if m.cfg.Measures != events.MeasuresHouse {
				n.period, n.silence = max(n.period, m.period), max(n.silence, m.stale)
			}
		}
		if n.up != nil {
			n.up.fall = max(n.up.fall, n.fall)
			if !n.up.figures() {
				n.up.period, n.up.silence = max(n.up.period, n.period), max(n.up.silence, n.silence)
			}
		}
		n.response = max(n.response, n.step.Span, n.silence, n.period+2*linkTime+n.fall)
	}
}
