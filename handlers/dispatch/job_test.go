// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// hire lets the site of a world heed jobs and learn rises, fast enough for a
// journal of two minutes.
func (w *world) hire(c *events.SiteConfig) {
	c.Reserve.Jobs, c.Reserve.JobLearnSeconds, c.Reserve.RiseQuantilePPM = true, 20, 750_000
	c.Reserve.EnvelopeSeconds = int64(w.c.below(2)) * 30
	for i := range c.Nodes {
		if i%2 == 0 {
			c.Nodes[i].Reserve = &events.ReserveConfig{Jobs: i%4 == 0, RiseQuantilePPM: 500_000, UnlearnedWatts: 50_000, MarginWatts: 1_000}
		}
	}
}

// job invents what a scheduler says.
func (w *world) job() *events.AIJob {
	j := &events.AIJob{JobID: fmt.Sprint("j", w.c.below(5)), PeakWatts: int64(1+w.c.below(20)) * 100_000}
	j.State = []events.JobState{events.JobAnnounced, events.JobStarting, events.JobRunning, events.JobInterrupted, events.JobPaused, events.JobEnded}[w.c.below(6)]
	if w.c.below(4) == 0 {
		j.Scheduler = "scheduler"
	}
	if w.tree && w.c.below(2) == 0 {
		j.Node = []string{"feed-a", "pdu-a1", "rack-1", "feed-b", "nobody"}[w.c.below(5)]
	}
	for range w.c.below(3) {
		j.Meters = append(j.Meters, []string{"ai", "ai-a", "ai-a1", "rack-ai", "mine", "nobody"}[w.c.below(6)])
	}
	if (j.State == events.JobAnnounced || j.State == events.JobPaused) && w.c.below(2) == 0 {
		t := w.at.Add(time.Duration(w.c.below(60)-10) * time.Second)
		j.StartsAt = &t
	}
	return j
}

// consistentJobs compares what jobs want with the books of the nodes, and
// returns the digest of the jobs.
func (d *Dispatch) consistentJobs() (uint64, error) {
	sum := uint64(0)
	direct, under, draw := map[*node]int64{}, map[*node]int64{}, map[*node]int64{}
	direct[d.root] = d.jobs.crowd
	owner := map[*meter]*job{}
	for i, j := range d.jobs.list {
		if i > 0 && d.jobs.list[i-1].compare(j) >= 0 {
			return 0, fmt.Errorf("job %s is out of order", j.ID)
		}
		if j.h != j.hash() {
			return 0, fmt.Errorf("job %s changed without its digest", j.ID)
		}
		sum += j.h
		for _, m := range j.meters {
			if owner[m] != nil || m.job != j {
				return 0, fmt.Errorf("meter %s is of two jobs", m.cfg.Meter)
			}
			owner[m] = j
		}
		gap := max(d.peak(j)-j.Draw, 0)
		if j.Free {
			gap = 0
		}
		if rival := j.findRival(); rival != j.rival || rival != nil && (len(j.meters) > 0 || rival.rival == nil) {
			return 0, fmt.Errorf("job %s has the rival %v, not %v", j.ID, j.rival, rival)
		}
		if gap != j.gap || j.Draw != j.counted {
			return 0, fmt.Errorf("job %s is booked with %d W and draws %d, not %d and %d", j.ID, j.gap, j.counted, gap, j.Draw)
		}
		if j.direct {
			direct[j.node] += gap
		} else {
			under[j.node] += gap
		}
		for n := j.node; n != nil; n = n.up {
			draw[n] += j.Draw
		}
	}
	if len(d.jobs.list) > 2*MaxJobs {
		return 0, fmt.Errorf("%d jobs are known", len(d.jobs.list))
	}
	for _, m := range d.site.meters {
		if m.job != owner[m] {
			return 0, fmt.Errorf("meter %s is of a job that does not know it", m.cfg.Meter)
		}
	}
	for i := len(d.nodes) - 1; i >= 0; i-- {
		n := d.nodes[i]
		out := under[n]
		if n.figures() {
			out = max(out, n.wanted.held[0], n.wanted.held[1])
		}
		out += direct[n]
		if w := (wanted{direct[n], under[n], n.wanted.held, out, draw[n]}); w != n.wanted {
			return 0, fmt.Errorf("node %s has the books %+v of jobs, not %+v", n.id, n.wanted, w)
		}
		if n.up != nil {
			under[n.up] += out
		}
		if r := n.load.Reserve; r < 0 || n.load.AI < 0 {
			return 0, fmt.Errorf("node %s keeps %d W free", n.id, r)
		}
	}
	return sum, nil
}
