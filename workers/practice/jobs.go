// SPDX-License-Identifier: Apache-2.0

package practice

import (
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/job"
)

// issued is one job that was handed out.
type issued struct {
	agent string
	work  *events.WorkAssigned
	at    time.Time
	// template is made when the first share of the job comes: of most jobs
	// of a large site none does.
	template *job.Template
}

// decoded returns the job's template.
func (i *issued) decoded() (*job.Template, error) {
	if i.template == nil {
		t, err := job.Parse(i.work)
		if err != nil {
			return nil, err
		}
		i.template = t
	}
	return i.template, nil
}

// jobTable holds the jobs whose shares can be judged.
type jobTable struct {
	byID  map[string]*issued
	order []string // oldest first
	last  uint64   // to make ids unique within an instance
}

func newJobTable() jobTable { return jobTable{byID: make(map[string]*issued)} }

// id makes the id of a new job: instance, generation, prefix and a number.
func (t *jobTable) id(instance string, generation uint64, prefix uint32) string {
	t.last++
	return instance + "-" + strconv.FormatUint(generation, 10) + "-" + job.WordText(prefix) + "-" + strconv.FormatUint(t.last, 10)
}

// madeBy reports whether that instance made a job of this id.
func madeBy(instance, id string) bool { return strings.HasPrefix(id, instance+"-") }

// add remembers a job; one that is known stays as it is.
func (t *jobTable) add(agent string, w *events.WorkAssigned, at time.Time) *issued {
	if known := t.byID[w.JobID]; known != nil {
		return known
	}
	j := &issued{agent: agent, work: w, at: at}
	t.byID[w.JobID] = j
	t.order = append(t.order, w.JobID)
	return j
}

// forget drops jobs handed out before t0.
func (t *jobTable) forget(t0 time.Time) {
	n := 0
	for n < len(t.order) && t.byID[t.order[n]].at.Before(t0) {
		delete(t.byID, t.order[n])
		n++
	}
	t.order = append([]string(nil), t.order[n:]...)
}

// seenShares remembers share ids for two to four lifetimes of a job, and the
// place in SHARES where each was found first.
type seenShares struct {
	young, old map[string]sighting
	turned     time.Time
}

// sighting is the first share of an id.
type sighting struct {
	sequence uint64 // in SHARES
	judged   bool   // its verdict is stored
}

func newSeenShares() seenShares {
	return seenShares{young: make(map[string]sighting), old: make(map[string]sighting)}
}

func (s *seenShares) get(id string) (sighting, bool) {
	if v, ok := s.young[id]; ok {
		return v, true
	}
	v, ok := s.old[id]
	return v, ok
}

func (s *seenShares) put(id string, v sighting) {
	if first, ok := s.get(id); ok && first.sequence != 0 && first.sequence <= v.sequence {
		v.sequence, v.judged = first.sequence, first.judged || v.judged
	}
	s.young[id] = v
}

// turn forgets what is older than two lifetimes, every two lifetimes.
func (s *seenShares) turn(now time.Time, lifetime time.Duration) {
	if now.Sub(s.turned) < 2*lifetime {
		return
	}
	s.turned = now
	s.old, s.young = s.young, make(map[string]sighting)
}
