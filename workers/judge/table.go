// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/job"
)

// Job is one job that was handed out.
type Job struct {
	// Agent that it is for.
	Agent string
	// Work as it was published.
	Work *events.WorkAssigned
	// At is when it was handed out.
	At time.Time

	// template is made when the first share of the job comes: of most jobs
	// of a large site none does.
	template *job.Template
}

// Template of the job, decoded.
func (j *Job) Template() (*job.Template, error) {
	if j.template == nil {
		t, err := job.Parse(j.Work)
		if err != nil {
			return nil, err
		}
		j.template = t
	}
	return j.template, nil
}

// Table holds the jobs whose shares can be judged.
type Table struct {
	byID  map[string]*Job
	order []string // oldest first
	last  uint64   // to make ids unique within an instance
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{byID: make(map[string]*Job)} }

// NewID makes the id of a new job: instance, generation, slice of the search
// space and a number.
func (t *Table) NewID(instance string, generation uint64, slice uint32) string {
	t.last++
	return instance + "-" + strconv.FormatUint(generation, 10) + "-" + job.WordText(slice) + "-" + strconv.FormatUint(t.last, 10)
}

// MadeBy reports whether that instance made a job of this id.
func MadeBy(instance, id string) bool { return strings.HasPrefix(id, instance+"-") }

// Add remembers a job; one that is known stays as it is.
func (t *Table) Add(agent string, w *events.WorkAssigned, at time.Time) *Job {
	if known := t.byID[w.JobID]; known != nil {
		return known
	}
	j := &Job{Agent: agent, Work: w, At: at}
	t.byID[w.JobID] = j
	t.order = append(t.order, w.JobID)
	return j
}

// Get is the job of an id, nil when it is not known.
func (t *Table) Get(id string) *Job { return t.byID[id] }

// Newest is the job that was added to the table last for an agent, nil when
// there is none.
func (t *Table) Newest(agent string) *Job {
	for i := len(t.order) - 1; i >= 0; i-- {
		if j := t.byID[t.order[i]]; j.Agent == agent {
			return j
		}
	}
	return nil
}

// Forget drops jobs handed out before t0.
func (t *Table) Forget(t0 time.Time) {
	n := 0
	for n < len(t.order) && t.byID[t.order[n]].At.Before(t0) {
		delete(t.byID, t.order[n])
		t.order[n] = ""
		n++
	}
	// The room in front goes when the list next grows.
	t.order = t.order[n:]
}
