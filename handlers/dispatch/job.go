// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/ballast-energy/ballast/events"
)

// MaxJobs is how many AI jobs of one site are known one by one. What further
// ones may want is booked together, see crowdJob.
const MaxJobs = 4096

// noticeSlack is how much earlier than the response time before its start a job
// is booked: clocks differ, and ticks are a second apart.
const noticeSlack = 5 * second

// job is one job of an AI scheduler.
type job struct {
	// What was said of it. StartsAt is Unix ns, 0 for none, and DueAt the same
	// instant as it looked on the fold's own clock when it was said: whichever
	// comes first counts.
	Scheduler string          `json:"scheduler"`
	ID        string          `json:"id"`
	Node      string          `json:"node,omitempty"`
	State     events.JobState `json:"state"`
	StartsAt  int64           `json:"starts_at,omitempty"`
	DueAt     int64           `json:"due_at,omitempty"`
	Meters    []string        `json:"meters,omitempty"`
	// Declared peak, the highest ever said; 0 for none.
	Declared int64 `json:"declared,omitempty"`
	// Dated is the newest date of what was said, Unix ns.
	Dated int64 `json:"dated,omitempty"`

	// Draw as its meters see it, Seen the highest of it, and Ran for how long it
	// has been seen running, counted up to RanTo, all elapsed ns.
	Draw  int64 `json:"draw"`
	Seen  int64 `json:"seen"`
	Ran   int64 `json:"ran"`
	RanTo int64 `json:"ran_to"`
	// Unmetered: the alert is raised that its meters cannot be used.
	Unmetered bool `json:"unmetered,omitempty"`
	// Free: nothing is booked for it. Quiet is since when it is seen to have
	// stopped: its meters have fallen, or the load of its node, Level, has not
	// risen. Low is since when its meters show no more than half of its peak.
	Free  bool  `json:"free"`
	Quiet int64 `json:"quiet,omitempty"`
	Low   int64 `json:"low,omitempty"`
	Level int64 `json:"level,omitempty"`

	// Derived: where it stands; the meters that it names, if all of them can be
	// used, or none; the first other job that names a meter which sees what one
	// of those sees; its meters, none if there is such a rival; whether those
	// hang at that very node, so that a reading moves load and draw at once;
	// and what it is booked with.
	node    *node
	named   []*meter
	rival   *job
	meters  []*meter
	direct  bool
	gap     int64
	counted int64
	// text stands for ids and state in the digest.
	text uint64
	h    uint64
}

// jobs of a site, by scheduler and id.
type jobs struct {
	list []*job
	// crowd is what jobs beyond MaxJobs may want. W.
	crowd   int64
	crowded bool
}

// wanted is what jobs at a node and beneath may want beyond what they draw, and
// what they draw. W.
type wanted struct {
	// direct of jobs whose meters hang at the node itself, under of all others.
	direct, under int64
	// held are the values of under at the last two readings of the node's own
	// meters: a node that measures for itself may not have seen yet what the
	// meters of jobs beneath it show already.
	held [2]int64
	// out is what the node keeps free, and says to the node above.
	out  int64
	draw int64
}

func (j *job) compare(o *job) int {
	if c := strings.Compare(j.Scheduler, o.Scheduler); c != 0 {
		return c
	}
	return strings.Compare(j.ID, o.ID)
}

func (j *job) hash() uint64 {
	var g digest
	g.uint(j.text)
	g.int(j.StartsAt)
	g.int(j.DueAt)
	g.int(j.Declared)
	g.int(j.Dated)
	g.int(j.Draw)
	g.int(j.Seen)
	g.int(j.Ran)
	g.int(j.RanTo)
	g.bool(j.Free)
	g.bool(j.Unmetered)
	g.int(j.Quiet)
	g.int(j.Low)
	g.int(j.Level)
	return g.sum()
}

func (j *job) hashText() {
	j.text = xxhash.Sum64String(strings.Join(append([]string{j.Scheduler, j.ID, j.Node, string(j.State)}, j.Meters...), " "))
}

func (d *Dispatch) touchJob(j *job) {
	h := j.hash()
	d.entries += h - j.h
	j.h = h
}

// onJob folds what a scheduler says of a job, and looks anew at the load where
// it stood and where it stands.
//
// Dates tell which word of a scheduler is older. The operator's counts as it
// comes, and however far ahead somebody's clock is.
func (d *Dispatch) onJob(e *events.Event, a *events.AIJob) {
	if a.Validate() != nil || d.signals.seen.add("job "+e.Source, e.ID) {
		return
	}
	operator := e.Source == events.OperatorSource
	who := e.Source
	if a.Scheduler != "" && operator {
		who = a.Scheduler
	}
	said := &job{Scheduler: who, ID: a.JobID, RanTo: -1, Level: -1}
	i, known := slices.BinarySearchFunc(d.jobs.list, said, (*job).compare)
	dated := int64(0)
	if u := e.Time.Unix(); u > 0 && u <= maxUnix {
		dated = e.Time.UnixNano()
	}
	j := said
	if known {
		if j = d.jobs.list[i]; dated != 0 && dated < j.Dated && !operator {
			return
		}
	} else {
		if a.State == events.JobEnded {
			return
		}
		j.Scheduler, j.ID = strings.Clone(who), strings.Clone(a.JobID)
		j.Free = true // nothing was booked for it yet
	}
	before := *j
	if known {
		d.unbookJob(j)
	}
	if operator {
		j.Dated, dated = 0, min(dated, d.wall)
	}
	j.say(a, dated, d)
	if !known && len(d.jobs.list) >= MaxJobs {
		d.crowdJob(j)
		return
	}
	if !known {
		d.jobs.list = slices.Insert(d.jobs.list, i, j)
	}
	d.placeJob(j)
	if known {
		d.leave(j, &before)
	}
	if !known || !slices.Equal(j.named, before.named) || len(j.named) != len(j.Meters) {
		d.contestJobs(j)
	} else {
		j.use()
		d.bookJob(j)
	}
	if before.node != nil && before.node != j.node {
		d.lookUp(before.node, false)
	}
	d.lookUp(j.node, false)
	d.dropJobs()
}

// say takes over what was said.
func (j *job) say(a *events.AIJob, dated int64, d *Dispatch) {
	j.State, j.Dated = knownJobState(a.State), max(j.Dated, dated)
	if a.Node != "" {
		j.Node = strings.Clone(a.Node)
	}
	j.StartsAt, j.DueAt = 0, 0
	if a.StartsAt != nil {
		if u := a.StartsAt.Unix(); u > 0 && u <= maxUnix {
			j.StartsAt = a.StartsAt.UnixNano()
			j.DueAt = d.now + max(j.StartsAt-d.wall, 0)
		}
	}
	if len(a.Meters) > 0 {
		j.Meters = make([]string, len(a.Meters))
		for i, m := range a.Meters {
			j.Meters[i] = strings.Clone(m)
		}
	}
	if p := watts(a.PeakWatts); p > j.Declared {
		j.Declared, j.Ran = p, 0 // it may do more than was ever seen of it
	}
	j.hashText()
}

// knownJobState returns the constant of a state, so that no memory of the event
// is kept.
func knownJobState(s events.JobState) events.JobState {
	for _, k := range [...]events.JobState{events.JobAnnounced, events.JobStarting, events.JobInterrupted, events.JobPaused, events.JobEnded} {
		if s == k {
			return k
		}
	}
	return events.JobRunning
}

// crowdJob books a job beyond MaxJobs. It takes no meters from jobs that are
// known, and nothing of it is remembered that could be taken back: what the
// crowd may want stays booked until a site.config heeds no jobs.
func (d *Dispatch) crowdJob(j *job) {
	d.placeJob(j)
	more := min(d.jobs.crowd+d.peak(j), maxWatts) - d.jobs.crowd
	d.jobs.crowd += more
	d.root.want(more, 0, true)
	d.lookUp(d.root, false)
	d.raiseAlert(&d.alarms.Jobs, &d.jobs.crowded, alarmJobs, "site", events.SeverityWarning,
		"more AI jobs are announced than one site can hold: what the rest may want is kept free together",
		"let schedulers end the jobs that are over; then publish a site.config without reserve.jobs, which forgets the rest, and one with it again")
}

// restoreJobs takes over the jobs of a snapshot and books them.
func (d *Dispatch) restoreJobs(s *snapshot) {
	d.jobs = jobs{list: s.Jobs, crowd: s.JobCrowd, crowded: s.JobsCrowded}
	if d.jobs.crowd > 0 {
		d.root.want(d.jobs.crowd, 0, true)
	}
	for _, j := range d.jobs.list {
		d.placeJob(j)
		j.hashText()
	}
	d.eachRival(func(j, rival *job) {
		j.rival = rival
		j.use()
		d.wantFor(j, d.peak(j))
		d.touchJob(j)
	})
	for _, n := range d.nodes {
		n.passOn()
	}
}
