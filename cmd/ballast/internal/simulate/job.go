// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// scheduler says what AI jobs do.
const scheduler = "scheduler"

// Job is what a scheduler says of an AI job at a time.
type Job struct {
	At   time.Duration
	Says events.AIJob
	// In is how long after that an announced job starts or a paused one comes
	// back; 0 for any moment.
	In time.Duration
}

// jobs gives some steps of the load an AI job that announces them. They are
// drawn apart from all else, so that a seed without jobs is what it was. Where
// clocks jump nobody knows when a job starts.
func (g *generator) jobs() {
	if slices.ContainsFunc(g.s.Faults, func(f Fault) bool { return f.Kind == FaultClock }) {
		return
	}
	g.r = rand.New(rand.NewPCG(g.s.Seed, 0x6a6f6273))
	if !g.one(3) {
		return
	}
	last := make(map[string]int64)
	for i, s := range g.s.Load {
		rise := s.Watts - last[s.Node]
		last[s.Node] = s.Watts
		if s.At > 70*time.Second && rise > 0 && !g.one(3) {
			g.job(i, rise)
		}
	}
	c := &g.s.Config
	c.Reserve.Jobs = true
	for i := range c.Nodes {
		reserveOf(&c.Nodes[i]).Jobs = true
	}
	slices.SortStableFunc(g.s.Jobs, func(a, b Job) int { return int(a.At - b.At) })
}

// job lets an AI job bring the step of the load.
func (g *generator) job(step int, rise int64) {
	s := &g.s.Load[step]
	says := func(at time.Duration, state events.JobState) *Job {
		g.s.Jobs = append(g.s.Jobs, Job{At: at, Says: events.AIJob{JobID: fmt.Sprintf("job-%d", step), Node: s.Node, State: state,
			PeakWatts: rise + rise/50 + 1000}})
		return &g.s.Jobs[len(g.s.Jobs)-1]
	}
	ahead := g.seconds(5, 65)
	says(s.At-ahead, events.JobAnnounced).In = ahead
	end := g.s.Length - calmEnd - time.Second
	at := min(s.At+g.seconds(0, 4), end)
	for _, state := range []events.JobState{events.JobStarting, events.JobRunning, events.JobInterrupted, events.JobPaused} {
		if state == events.JobPaused || !g.one(3) {
			j := says(at, state)
			if state == events.JobPaused {
				j.In = g.seconds(10, 40)
			}
		}
		at = min(at+g.seconds(2, 25), end)
	}
	says(at, events.JobEnded)
}

// job publishes what the scheduler says.
func (w *world) job(j *Job) {
	says := j.Says
	w.note("scheduler says that job %s is %s", says.JobID, says.State)
	if j.In > 0 {
		t := w.wall(w.bus.offset + j.In)
		says.StartsAt = &t
	}
	w.publish(events.StreamInputs, events.New(siteName, scheduler, &says).At(w.wall(w.bus.offset)).
		WithID("job/"+itoa(w.bus.streams[events.StreamInputs].last()+1)))
}

// foretold reports whether all was quiet until a step of the load, and a job told
// early enough that it comes: then mining has made way before it, and needs no
// response time. Quiet is, for the slow response time, no fault, and for the
// quick one no other step, change or signal.
func (s *Story) foretold(step int, quick, slow time.Duration) bool {
	l := &s.Load[step]
	for i := range s.Load {
		if o := &s.Load[i]; i != step && o.At <= l.At && o.At > l.At-quick {
			return false
		}
	}
	for i := range s.Changes {
		if c := &s.Changes[i]; c.At <= l.At && c.At > l.At-quick {
			return false
		}
	}
	for i := range s.Signals {
		g := &s.Signals[i]
		end := g.At + g.Notice + time.Duration(g.Grid.DurationSeconds)*time.Second
		if g.At <= l.At && (g.Grid.DurationSeconds == 0 || end > l.At-quick) {
			return false
		}
	}
	for i := range s.Faults {
		if f := &s.Faults[i]; f.At <= l.At && f.Until+faultEcho > l.At-slow {
			return false
		}
	}
	before := int64(0)
	for i := range s.Load[:step] {
		if o := &s.Load[i]; o.Node == l.Node && o.At < l.At {
			before = o.Watts
		}
	}
	for i := range s.Jobs {
		j := &s.Jobs[i]
		if j.Says.State == events.JobAnnounced && j.At+j.In == l.At && j.At <= l.At-quick && j.Says.Node == l.Node && len(j.Says.Meters) == 0 &&
			j.Says.PeakWatts > l.Watts-before+l.Watts/250 && !s.respoken(i, l.At) {
			return true
		}
	}
	return false
}

// respoken reports whether the scheduler says something else of a job before that
// time.
func (s *Story) respoken(job int, before time.Duration) bool {
	for i := range s.Jobs {
		if j := &s.Jobs[i]; i != job && j.Says.JobID == s.Jobs[job].Says.JobID && j.At >= s.Jobs[job].At && j.At <= before && j.Says.State != events.JobStarting {
			return true
		}
	}
	return false
}

func writeJob(b *strings.Builder, j *Job) {
	fmt.Fprintf(b, "at %s job %s %s%s", j.At, j.Says.JobID, j.Says.State, at(j.Says.Node))
	if j.Says.PeakWatts > 0 {
		fmt.Fprintf(b, " peak %s", power(j.Says.PeakWatts))
	}
	for _, m := range j.Says.Meters {
		fmt.Fprintf(b, " seen by %s", m)
	}
	if j.In > 0 {
		fmt.Fprintf(b, " starting in %s", j.In)
	}
	b.WriteByte('\n')
}

// job reads "ID STATE [at NODE] [peak P] [seen by METER]… [starting in D]".
func (s *Story) job(w *words, at time.Duration) (err error) {
	j := Job{At: at, Says: events.AIJob{JobID: w.next(), State: events.JobState(w.next())}}
	for w.more() && err == nil {
		switch {
		case w.take("at"):
			j.Says.Node = w.node()
		case w.take("peak"):
			j.Says.PeakWatts, err = w.quantity(&ofPower)
		case w.take("seen by"):
			j.Says.Meters = append(j.Says.Meters, w.next())
		case w.take("starting in"):
			j.In, err = w.duration()
		default:
			return fmt.Errorf("a job has at, peak, seen by and starting in, not %q", w.peek())
		}
	}
	s.Jobs = append(s.Jobs, j)
	return err
}
