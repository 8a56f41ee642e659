// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/judge"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// staleGrace is how long after a clean job shares of the jobs before it still
// go to the upstream: pools take what was under way, and know best.
const staleGrace = 5 * time.Second

// session of an upstream as the gateway knows it. Guarded by Gateway.mu, but
// for space, which is the dispatcher's.
type session struct {
	upstream.Session
	up   upstream.Upstream
	open bool
	// current job, nil before the first.
	current *task
	// clean is the serial of the newest job that voided those before it, and
	// cleanAt when it came.
	clean   uint64
	cleanAt time.Time

	space *space
}

// usable reports whether work can be handed out for it. Gateway.mu is held.
func (s *session) usable() bool { return s.open && s.current != nil }

// task is an upstream's job with what the gateway adds to it.
type task struct {
	*upstream.Job
	session *session
	// serial rises by one per job of the gateway.
	serial uint64
	// ground that it searches, so that agents are not given the same search
	// twice.
	ground ground
	// difficulty of the upstream as the bus writes it, exact, and its target.
	difficulty string
	exact      *big.Rat
	target     hashengine.Target
	network    hashengine.Target
	refused    error // why no work can be made of it
	// lowered: downstream miners have it. The dispatcher\'s.
	lowered bool
}

// void reports whether shares of the task are no longer worth sending. The
// caller holds Gateway.mu.
func (t *task) void(now time.Time) bool {
	return t.serial < t.session.clean && now.Sub(t.session.cleanAt) > staleGrace
}

// wants reports whether the upstream wants a hash.
func (t *task) wants(h *hashengine.Hash) bool { return t.target.Met(h) || t.network.Met(h) }

// newTask checks a job.
func newTask(s *session, j *upstream.Job) *task {
	t := &task{Job: j, session: s, ground: groundOf(j)}
	var err error
	if t.exact, err = hashengine.ParseDifficulty(j.Difficulty); err != nil {
		t.refused = fmt.Errorf("difficulty %.80q: %w", j.Difficulty, err)
	} else if t.target, err = hashengine.TargetFromDifficulty(t.exact); err != nil {
		t.refused = fmt.Errorf("difficulty %.80q: %w", j.Difficulty, err)
	} else if t.network, err = hashengine.TargetFromBits(j.Bits); err != nil {
		t.refused = fmt.Errorf("network target %08x: %w", j.Bits, err)
	} else if j.Extranonce2Bytes < 0 || j.Extranonce2Bytes > 32 {
		t.refused = fmt.Errorf("extranonce2 of %d bytes", j.Extranonce2Bytes)
	}
	if t.refused == nil {
		t.difficulty = decimal(j.Difficulty, t.exact)
	}
	return t
}

// decimal writes a difficulty without an exponent, to 30 places where it has
// more.
func decimal(text string, d *big.Rat) string {
	if !strings.ContainsAny(text, "eE+") {
		return text
	}
	text = strings.TrimRight(d.FloatString(30), "0")
	return strings.TrimSuffix(text, ".")
}

// maxTime of a header of the task.
func (t *task) maxTime() uint32 {
	if t.MaxTime != 0 {
		return t.MaxTime
	}
	return uint32(min(uint64(t.NTime)+judge.MaxRoll, math.MaxUint32))
}

// moved is the task's time, moved on by what has passed since it came.
func (t *task) moved(now time.Time) uint32 {
	d := now.Sub(t.Received)
	if t.Received.IsZero() || d < 0 {
		d = 0
	}
	return uint32(min(uint64(t.NTime)+uint64(d/time.Second), uint64(t.maxTime())))
}

// issue is a job that was handed out, and whose it is.
type issue struct {
	judge.Job
	task  *task
	slice []byte
}

// issues holds what was handed out, for as long as its shares can be judged.
type issues struct {
	byID  map[string]*issue
	order []*issue // oldest first
}

// mostIssues bounds the memory that a flood of jobs takes; older ones are
// forgotten then before their time.
const mostIssues = 300_000

func newIssues() *issues { return &issues{byID: make(map[string]*issue)} }

func (t *issues) add(i *issue) {
	t.byID[i.Work.JobID] = i
	t.order = append(t.order, i)
}

// forget drops what was handed out before t0, and the oldest beyond the bound.
func (t *issues) forget(t0 time.Time) {
	n := 0
	for n < len(t.order) && (t.order[n].At.Before(t0) || len(t.order)-n > mostIssues) {
		delete(t.byID, t.order[n].Work.JobID)
		t.order[n] = nil
		n++
	}
	// The room in front goes when the list next grows.
	t.order = t.order[n:]
}

// link is the sink of one connection. What an upstream says waits in it for
// the dispatcher; of jobs that wait only the newest of a session is kept, so a
// flood of them costs nothing.
type link struct {
	up   upstream.Upstream
	wake chan struct{} // shared by all links, capacity 1

	mu      sync.Mutex
	waiting []said
}

// said is one thing that an upstream said.
type said struct {
	opened  *upstream.Session
	job     *upstream.Job
	clean   bool // the job, or one before it that nobody saw
	closed  string
	trouble error
	cause   error // of closed
}

var _ upstream.Sink = (*link)(nil)

func (l *link) say(s said) {
	l.mu.Lock()
	if n := len(l.waiting); n > 0 {
		last := &l.waiting[n-1]
		switch {
		case s.job != nil && last.job != nil && last.job.Session == s.job.Session:
			// Nobody has worked on the one before.
			last.job, last.clean = s.job, last.clean || s.job.Clean
			l.mu.Unlock()
			return
		case s.trouble != nil && last.trouble != nil:
			last.trouble = s.trouble
			l.mu.Unlock()
			return
		}
	}
	l.waiting = append(l.waiting, s)
	l.mu.Unlock()
	poke(l.wake)
}

// take empties the link.
func (l *link) take() []said {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.waiting
	l.waiting = nil
	return w
}

// Opened implements upstream.Sink.
func (l *link) Opened(s upstream.Session) { l.say(said{opened: &s}) }

// Job implements upstream.Sink.
func (l *link) Job(j *upstream.Job) { l.say(said{job: j, clean: j.Clean}) }

// Closed implements upstream.Sink.
func (l *link) Closed(session string, cause error) { l.say(said{closed: session, cause: cause}) }

// Trouble implements upstream.Sink.
func (l *link) Trouble(err error) {
	if err != nil {
		l.say(said{trouble: err})
	}
}
