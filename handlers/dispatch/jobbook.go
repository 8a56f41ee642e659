// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// placeJob finds the node of j and the meters that it names. All of those can be
// used, or none: they must measure AI load, at its node or beneath, no two of
// them the same load.
func (d *Dispatch) placeJob(j *job) {
	j.node, j.named, j.meters, j.direct = d.root, nil, nil, true
	if n := d.site.nodeByID[j.Node]; n != nil {
		j.node = n
	}
	named := make([]*meter, 0, len(j.Meters))
	for _, id := range j.Meters {
		m := d.site.byID[id]
		if m == nil || m.cfg.Measures != events.MeasuresAI || !m.node.under(j.node) || slices.ContainsFunc(named, m.overlaps) {
			return
		}
		named = append(named, m)
	}
	j.named = named
}

// overlaps reports whether m and o see the same load: they are of one group, or
// one stands above the other. The sum of both would count it twice.
func (m *meter) overlaps(o *meter) bool {
	if m.node == o.node {
		return m == o || m.cfg.Group != "" && m.cfg.Group == o.cfg.Group
	}
	return m.node.under(o.node) || o.node.under(m.node)
}

// judgeJob raises or clears the alert about the meters of j.
func (d *Dispatch) judgeJob(j *job) {
	var message string
	switch {
	case j.rest():
		return
	case len(j.named) != len(j.Meters):
		message = "the job names a meter that does not measure AI load at its node or beneath, or sees what another of its meters sees: its draw is not known, and its whole peak is kept free"
	case j.rival != nil:
		message = "meters of " + j.name() + " see what meters of " + j.rival.name() + " see: the draw of neither is known, and the whole peak of both is kept free"
	default:
		d.clearAlert(&d.alarms.Jobs, &j.Unmetered, alarmJobs, j.name(), "the job's meters are known")
		return
	}
	d.raiseAlert(&d.alarms.Jobs, &j.Unmetered, alarmJobs, j.name(), events.SeverityWarning, message,
		"name meters of site.config that measure ai, at the node of the job or beneath, each for one job, one of every group and none above another, or leave them out")
}

// name of j in alerts.
func (j *job) name() string { return j.Scheduler + "/" + j.ID }

// under reports whether n is top or beneath it.
func (n *node) under(top *node) bool {
	for ; n != nil; n = n.up {
		if n == top {
			return true
		}
	}
	return false
}

// release lets go of the meters of j.
func (j *job) release() {
	for _, m := range j.meters {
		if m.job == j {
			m.job = nil
		}
	}
	j.meters = nil
}

// peak is the most that j may draw: what was measured of it, once it has been
// seen running for long enough; until then what was declared, or what its
// meters and its node can carry.
func (d *Dispatch) peak(j *job) int64 {
	if j.Seen > 0 && j.Ran >= j.node.learn {
		return j.Seen
	}
	p := j.Declared
	if p == 0 {
		for _, m := range j.named {
			p += watts(m.cfg.MaxWatts)
		}
		if n := j.node.plates; n > 0 && (p == 0 || n < p) {
			p = n
		}
		if p == 0 {
			p = j.node.limit
		}
	}
	return min(max(p, j.Seen), maxWatts)
}

// bookJob brings what is kept free for j up to date with its meters and with
// time.
func (d *Dispatch) bookJob(j *job) {
	draw, worst := int64(0), rungFresh
	for _, m := range j.meters {
		draw += max(m.watts, 0)
		worst = max(worst, d.rung(m))
	}
	known := len(j.meters) > 0 && worst <= rungEnvelope
	if !known {
		draw = 0
	}
	j.Draw, j.Seen = draw, max(j.Seen, draw)
	if known && worst == rungFresh && j.State == events.JobRunning && 2*draw >= j.Seen {
		if j.RanTo >= 0 {
			j.Ran += clamp(d.now-j.RanTo, 0, int64(events.MaxStep))
		}
		j.RanTo = d.now
	} else {
		j.RanTo = -1
	}
	peak := d.peak(j)
	switch {
	case !d.later(j) || !known && len(j.meters) > 0:
		j.Free, j.Quiet, j.Low, j.Level = false, d.now, d.now, -1
	case known:
		j.Free = d.stopped(j, peak, worst)
	case !j.Free:
		if ai := j.node.load.AI; j.Level < 0 || ai > j.Level+peak/2 {
			j.Quiet, j.Level = d.now, ai
		}
		j.Free = d.now-j.Quiet >= j.node.response
	}
	d.wantFor(j, peak)
	d.touchJob(j)
}

// stopped reports whether the meters of j, which is not to draw power now, show
// that it does not. A decrease counts when they have shown it for as long as an
// answer takes, for running jobs dip, too; and who draws power before his time
// is booked before his time.
//
// A job that was seen to run has stopped when it draws half of that. One that
// never drew more than it draws now, although more was declared, may be running
// still: it has to stay low for as long as it takes to learn a peak.
func (d *Dispatch) stopped(j *job, peak int64, worst rung) bool {
	ran := peak
	if j.Ran > 0 {
		ran = min(peak, j.Seen)
	}
	j.Level = -1
	if 2*j.Draw > ran {
		j.Quiet = d.now
	}
	if 2*j.Draw > peak {
		j.Low = d.now
		return false
	}
	return j.Free || worst == rungFresh && (d.now-j.Quiet >= j.node.response || d.now-j.Low >= j.node.learn)
}

// wantFor books what j may want beyond what it draws.
func (d *Dispatch) wantFor(j *job, peak int64) {
	gap := int64(0)
	if !j.Free {
		gap = max(peak-j.Draw, 0)
	}
	if gap != j.gap || j.Draw != j.counted {
		j.node.want(gap-j.gap, j.Draw-j.counted, j.direct)
		d.changed(j.node)
		j.gap, j.counted = gap, j.Draw
	}
}

// later reports whether j has said that it will not draw power for longer than
// it takes to make room for it.
func (d *Dispatch) later(j *job) bool {
	switch j.State {
	case events.JobEnded:
		return true
	case events.JobAnnounced, events.JobPaused:
		lead := j.node.response + noticeSlack
		return j.StartsAt != 0 && j.StartsAt-d.wall > lead && j.DueAt-d.now > lead
	}
	return false
}

// unbookJob takes j out of the books.
func (d *Dispatch) unbookJob(j *job) {
	j.node.want(-j.gap, -j.counted, j.direct)
	d.changed(j.node)
	j.gap, j.counted = 0, 0
	j.release()
}

// visitJobs lets time pass for all jobs: those whose time has come are booked,
// those whose meters fall silent too, and those that are over are forgotten.
func (d *Dispatch) visitJobs() {
	for _, j := range d.jobs.list {
		d.bookJob(j)
	}
	d.dropJobs()
}

// dropJobs forgets what has ended and is seen to have.
func (d *Dispatch) dropJobs() {
	contested := false
	d.jobs.list = slices.DeleteFunc(d.jobs.list, func(j *job) bool {
		if j.State != events.JobEnded || !j.Free {
			return false
		}
		contested = contested || j.rival != nil
		d.unbookJob(j)
		d.clearAlert(&d.alarms.Jobs, &j.Unmetered, alarmJobs, j.name(), "the job is over")
		d.entries -= j.h
		return true
	})
	if contested {
		d.contestJobs(nil)
	}
}

// settleJobs gives all jobs their places in a new configuration; the books of
// its nodes are empty. The crowd is forgotten by one that heeds no jobs.
func (d *Dispatch) settleJobs() {
	if !d.root.jobs {
		d.jobs.crowd = 0
		d.clearAlert(&d.alarms.Jobs, &d.jobs.crowded, alarmJobs, "site", "the site heeds no jobs")
	}
	for _, n := range d.nodes {
		n.passOn() // what they hold
	}
	if d.jobs.crowd > 0 {
		d.root.want(d.jobs.crowd, 0, true)
	}
	for _, j := range d.jobs.list {
		j.gap, j.counted = 0, 0
		d.placeJob(j)
	}
	d.eachRival(d.settleJob)
	d.visitJobs()
}

// want books, at n and all above it, what a job may want and what it draws.
func (n *node) want(gap, draw int64, direct bool) {
	for a := n; a != nil && draw != 0; a = a.up {
		a.wanted.draw += draw
	}
	if direct {
		n.wanted.direct += gap
	} else {
		n.wanted.under += gap
	}
	n.passOn()
}

// passOn tells the nodes above what jobs at n and beneath may want.
func (n *node) passOn() {
	for ; n != nil; n = n.up {
		w := &n.wanted
		out := w.under
		if n.figures() {
			out = max(out, w.held[0], w.held[1])
		}
		out += w.direct
		more := out - w.out
		w.out = out
		if more == 0 || n.up == nil {
			return
		}
		n.up.wanted.under += more
	}
}

// hold notes a reading of the own meters of n.
func (n *node) hold() {
	w := &n.wanted
	if w.held == [2]int64{w.under, w.under} || !n.figures() {
		return
	}
	w.held = [2]int64{w.under, w.held[0]}
	n.passOn()
}
