// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"maps"
	"weak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// belowJob is what the gateway adds to a job that downstream miners work on.
type belowJob struct {
	id     string // in events
	task   task   // without its Job
	payout events.Payout
}

// belowJobs are the jobs that downstream miners work on. One is kept for as long
// as anybody holds the job itself: whoever can still bring a share of it, be it
// a block that is found long after the job was voided, has it. So there are not
// two lifetimes that could disagree. Guarded by Gateway.mu.
type belowJobs map[weak.Pointer[upstream.Job]]belowJob

func (b belowJobs) keep(t *task, id string, payout events.Payout) {
	j := belowJob{id: id, task: *t, payout: payout}
	j.task.Job = nil // or it would hold itself
	b[weak.Make(t.Job)] = j
}

// find what belongs to a job, its task complete.
func (b belowJobs) find(j *upstream.Job) (id string, t *task, payout events.Payout, ok bool) {
	found, ok := b[weak.Make(j)]
	if !ok {
		return "", nil, events.Payout{}, false
	}
	found.task.Job = j
	return found.id, &found.task, found.payout, true
}

// forget the jobs that nobody holds any more.
func (b belowJobs) forget() {
	maps.DeleteFunc(b, func(p weak.Pointer[upstream.Job], _ belowJob) bool { return p.Value() == nil })
}
