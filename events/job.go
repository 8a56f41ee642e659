// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// MaxJobMeters is the most meters of one AI job.
const MaxJobMeters = 64

// JobState is what an AI scheduler says of a job.
type JobState string

// Job states.
const (
	// JobAnnounced: it will start at StartsAt or, without it, at any moment.
	JobAnnounced JobState = "announced"
	// JobStarting: it begins, or comes back, now.
	JobStarting JobState = "starting"
	// JobRunning: it runs, and may draw its peak at any moment.
	JobRunning JobState = "running"
	// JobInterrupted: it stopped without being told to, and may come back at
	// any moment.
	JobInterrupted JobState = "interrupted"
	// JobPaused: it was stopped and comes back at StartsAt, not earlier;
	// without it, at any moment.
	JobPaused JobState = "paused"
	// JobEnded: it is over and does not come back under this id unless it is
	// announced again.
	JobEnded JobState = "ended"
)

// AIJob (ai.job) is what an AI scheduler says of one of its jobs, so that the
// power that the job may want without further notice is kept free, and no more
// than that. The source token of the subject is the scheduler. A job is known by
// scheduler and JobID. The newest event counts, and one dated earlier than that
// changes nothing, unless the operator says it; node, meters and peak that it
// leaves out stay as they were. Saying the same twice is safe.
//
// An event never raises power by itself: what it frees is freed once the job's
// meters have shown, for as long as the site takes to answer a step of the load,
// that it has stopped; that of a job that moves to another node, once those show
// it that it had there. What it asks for is kept free at once.
type AIJob struct {
	// JobID, unique per scheduler: [A-Za-z0-9._:-]{1,128}.
	JobID string `json:"job_id"`
	// Scheduler whose job it is, for the operator, who may speak for all of
	// them; empty: the source.
	Scheduler string `json:"scheduler,omitempty"`
	// Node of the power tree at which the job runs; empty for the point of
	// connection: a job that spans several nodes stands at one above them all.
	Node string `json:"node,omitempty"`
	// State of it.
	State JobState `json:"state"`
	// StartsAt is when an announced job starts or a paused one comes back. Until
	// shortly before, nothing is kept free for it.
	StartsAt *time.Time `json:"starts_at,omitempty"`
	// Meters that see this job and nothing else: ids of meters of the site that
	// measure AI load. Their sum is what the job draws, and its peak is learned
	// from it. A job without them is kept its whole peak free while it may draw
	// it, on top of the load that is measured; so are jobs that name meters of the
	// same load: one meter, two of a group, or one above the other.
	Meters []string `json:"meters,omitempty"`
	// PeakWatts is the most it is known to draw; counts until its own peak has
	// been measured for as long as the site wants. 0: not known, the nameplate
	// of its meters counts. Needed without Meters. W.
	PeakWatts int64 `json:"peak_watts,omitempty"`
	// Reason for people: "node failure".
	Reason string `json:"reason,omitempty"`
}

// Validate implements Payload.
func (j *AIJob) Validate() error {
	var c checker
	c.name("job_id", j.JobID)
	if j.Scheduler != "" {
		c.token("scheduler", j.Scheduler)
	}
	if j.Node != "" {
		c.token("node", j.Node)
	}
	switch j.State {
	case JobAnnounced, JobStarting, JobRunning, JobInterrupted, JobPaused, JobEnded:
	default:
		c.fail("state", "%s is none of announced, starting, running, interrupted, paused, ended", quote(string(j.State)))
	}
	if j.StartsAt != nil {
		c.when("starts_at", *j.StartsAt)
		if j.State != JobAnnounced && j.State != JobPaused {
			c.fail("starts_at", "belongs to an announced or a paused job only; a %s one draws power now, or may at any moment", j.State)
		}
	}
	if len(j.Meters) > MaxJobMeters {
		c.fail("meters", "%d given; at most %d are possible", len(j.Meters), MaxJobMeters)
		return c.err
	}
	for i, m := range j.Meters {
		c.in, c.at = "meters", i
		c.token("", m)
		for _, o := range j.Meters[:i] {
			if o == m {
				c.fail("", "%s is listed twice", quote(m))
			}
		}
	}
	c.in = ""
	c.watts("peak_watts", j.PeakWatts)
	if j.PeakWatts == 0 && len(j.Meters) == 0 && j.State != JobEnded {
		c.fail("peak_watts", "is missing: say what the job may draw, or name the meters that see it")
	}
	c.optionalText("reason", j.Reason, MaxText)
	return c.err
}

// EventType implements Payload.
func (*AIJob) EventType() Type { return TypeAIJob }
