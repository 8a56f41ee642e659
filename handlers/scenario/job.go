// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"time"

	"github.com/ballast-energy/ballast/events"
)

// readJob reads "ID announced|starting|running|interrupted|paused|ended
// [at NODE] [seen by METER]… [peak POWER] [starting in D] [from SCHEDULER]
// [of SCHEDULER] [said D ago] [because "TEXT"]".
func readJob(w *words) (action, error) {
	id, err := w.word("the id of an AI job")
	if err != nil {
		return nil, err
	}
	state, err := w.word("the state of the job")
	if err != nil {
		return nil, err
	}
	j := events.AIJob{JobID: id, State: events.JobState(state)}
	source := "scheduler"
	var starting, ago time.Duration
	starts, dated := false, false
	for w.more() && err == nil {
		switch {
		case w.take("at"):
			j.Node, err = w.word("the id of a node")
		case w.take("seen", "by"):
			var m string
			m, err = w.word("the id of a meter")
			j.Meters = append(j.Meters, m)
		case w.take("peak"):
			j.PeakWatts, err = w.power()
		case w.take("starting", "in"):
			starts = true
			starting, err = w.duration()
		case w.take("from"):
			source, err = w.word("a scheduler")
		case w.take("of"):
			j.Scheduler, err = w.word("a scheduler")
		case w.take("said"):
			dated = true
			if ago, err = w.duration(); err == nil {
				err = w.need("ago")
			}
		case w.take("because"):
			j.Reason, err = w.word("a text")
		default:
			err = w.errorf("a job has at, seen by, peak, starting in, from, of, said … ago and because, not %q", w.peek())
		}
	}
	if err != nil {
		return nil, err
	}
	return func(p *player) error {
		s := j
		if starts {
			t := p.wall().Add(starting)
			s.StartsAt = &t
		}
		if dated {
			return p.publishDated(source, &s, p.wall().Add(-ago))
		}
		return p.publish(source, &s)
	}, nil
}
