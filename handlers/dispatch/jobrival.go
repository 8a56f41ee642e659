// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// Two jobs that name meters of the same load, directly, by group or one above
// the other, would each count the other's draw as its own, and too little would
// be kept free. Who came first says nothing about who is right: the meters of
// neither count while both name them.

// claims on a meter: the first two jobs, in their order, that name it.
type claims [2]*job

func (c *claims) add(j *job) {
	if c[0] == nil {
		c[0] = j
	} else if c[1] == nil {
		c[1] = j
	}
}

// other is the first of them that is not j.
func (c *claims) other(j *job) *job {
	if c[0] != j {
		return c[0]
	}
	return c[1]
}

// nodeClaims on the meters of a node: the first job, in their order, that names
// one of its own, one of a node above it, and one of a node beneath it.
type nodeClaims struct{ own, above, beneath *job }

// firstOf is the earlier of a and b, nil being none.
func firstOf(a, b *job) *job {
	if a == nil || b != nil && b.compare(a) < 0 {
		return b
	}
	return a
}

// eachRival calls do for every job with the first other one that names a meter
// of the same load, nil if there is none. Linear in the meters that are named,
// and in nodes.
func (d *Dispatch) eachRival(do func(j, rival *job)) {
	for _, m := range d.site.meters {
		m.claims = claims{}
	}
	for _, n := range d.nodes {
		n.claims = nodeClaims{}
	}
	for _, j := range d.jobs.list {
		for _, m := range j.named {
			m.claims.add(j)
			if m.node.claims.own == nil {
				m.node.claims.own = j
			}
			for n := m.node.up; n != nil && n.claims.beneath == nil; n = n.up {
				n.claims.beneath = j
			}
		}
	}
	for _, n := range d.nodes[1:] { // those above come first
		n.claims.above = firstOf(n.up.claims.above, n.up.claims.own)
	}
	for _, j := range d.jobs.list {
		do(j, j.findRival())
	}
}

// findRival needs claims that are up to date. No two meters of j overlap, so
// that claims above and beneath one of them are never its own.
func (j *job) findRival() *job {
	var r *job
	for _, m := range j.named {
		r = firstOf(r, firstOf(m.node.claims.above, m.node.claims.beneath))
		if m.cfg.Group == "" {
			r = firstOf(r, m.claims.other(j))
			continue
		}
		for i := range m.node.ai {
			if g := &m.node.ai[i]; g.name == m.cfg.Group {
				for _, o := range g.meters {
					r = firstOf(r, o.claims.other(j))
				}
			}
		}
	}
	return r
}

// contestJobs finds the rivals of all jobs anew and books those whose rival
// changed; and said, whose meters did.
func (d *Dispatch) contestJobs(said *job) {
	d.eachRival(func(j, rival *job) {
		if j != said && j.rival == rival {
			return
		}
		d.unbookJob(j)
		d.settleJob(j, rival)
		d.bookJob(j)
		d.lookUp(j.node, false)
	})
}

// settleJob gives j, which is not booked, its meters or none.
func (d *Dispatch) settleJob(j, rival *job) {
	if j.rival != rival {
		d.clearAlert(&d.alarms.Jobs, &j.Unmetered, alarmJobs, j.name(), "other jobs name other meters now")
	}
	j.rival = rival
	j.use()
	d.judgeJob(j)
}

// use takes the meters that j names, unless there is a rival.
func (j *job) use() {
	j.meters, j.direct = nil, true
	if j.rival != nil {
		return
	}
	j.meters = j.named
	for _, m := range j.meters {
		m.job = j
		j.direct = j.direct && m.node == j.node
	}
}

// leave keeps booked what a job was booked with at the place that it is said to
// have left, as a job that has ended there, until the meters that it had there
// show it or, without any, until the load there has not risen for as long as an
// answer takes: that it is said to be elsewhere frees nothing. Such a rest has
// an id that no scheduler can use, and no alert. Each node has one of a job at
// most, and a job that comes back takes it over.
func (d *Dispatch) leave(j, was *job) {
	if was.node == j.node {
		return
	}
	rest := &job{Scheduler: j.Scheduler, ID: j.ID + "/" + j.node.id}
	if i, ok := slices.BinarySearchFunc(d.jobs.list, rest, (*job).compare); ok {
		o := d.jobs.list[i]
		d.unbookJob(o)
		d.clearAlert(&d.alarms.Jobs, &o.Unmetered, alarmJobs, o.name(), "the job has come back")
		d.entries -= o.h
		d.jobs.list = slices.Delete(d.jobs.list, i, i+1)
		j.Free = false
		d.contestJobs(j)
	}
	if was.Free || j.node.under(was.node) && slices.Equal(j.named, was.named) {
		return // nothing was booked, or what was is booked beneath and passed on
	}
	*rest = *was
	rest.ID, rest.Node, rest.State = strings.Clone(was.ID+"/"+was.node.id), was.node.id, events.JobEnded
	rest.StartsAt, rest.DueAt, rest.RanTo, rest.Unmetered, rest.h = 0, 0, -1, false, 0
	rest.Quiet, rest.Low, rest.Level = d.now, d.now, -1
	rest.gap, rest.counted, rest.meters, rest.rival = 0, 0, nil, nil
	rest.hashText()
	if len(d.jobs.list) >= 2*MaxJobs {
		d.crowdJob(rest)
		return
	}
	i, _ := slices.BinarySearchFunc(d.jobs.list, rest, (*job).compare)
	d.jobs.list = slices.Insert(d.jobs.list, i, rest)
	d.contestJobs(rest)
}

// rest reports whether j is what a job has left behind.
func (j *job) rest() bool { return strings.Contains(j.ID, "/") }
