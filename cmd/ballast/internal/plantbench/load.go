// SPDX-License-Identifier: Apache-2.0

package plantbench

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// The site, W and seconds.
const (
	limit        = 50_000_000
	jobPeak      = 15_000_000
	jobCount     = 2
	betweenStops = 3 * 3600
	shortestStop = 120
	furtherStop  = 600
	stoppedShare = 250_000 // of the peak, millionths
	backShare    = 900_000
	backSeconds  = 5

	servingLow, servingHigh = 5_000_000, 9_000_000
	servingMean             = 7_000_000
	servingWave             = 1_200_000
	servers                 = 96
)

// notice is how a scheduler speaks that holds a job back until it has given
// notice: it says that the job comes back not before noticeSpan from now, and
// says so again while it does not, every noticeAgain.
const (
	noticeSpan  = 90
	noticeAgain = 30
)

// word is what a scheduler says.
type word struct {
	job *trainingJob
	say *events.AIJob
}

// trainingJob plays the recording until it is interrupted.
type trainingJob struct {
	id, meter string
	rng       *rand.Rand
	trace     []int64
	at        int
	// next is the second of the next interruption, back the one in which it
	// comes back; until then it is stopped.
	next, back int64
	coming     int64
	watts      int64
}

// load is the AI load of the site, second by second.
type load struct {
	t       *Traces
	feed    Feed
	jobs    []*trainingJob
	servers []int
	kind    []int
	scale   float64
	serving int64
	words   []word
	// again: the scheduler is to say what it said last once more.
	again bool
}

func newLoad(t *Traces, seed uint64, feed Feed) *load {
	l := &load{t: t, feed: feed}
	for i := range jobCount {
		rng := rand.New(rand.NewPCG(seed, uint64(i+1)))
		j := &trainingJob{id: "train-" + string(rune('1'+i)), rng: rng, trace: t.Training, at: rng.IntN(len(t.Training))}
		j.meter = "ai-" + j.id
		j.next = int64(rng.ExpFloat64() * betweenStops)
		l.jobs = append(l.jobs, j)
	}
	rng := rand.New(rand.NewPCG(seed, 99))
	sum := 0.0
	for i := range servers {
		k := i % len(t.Serving)
		l.kind = append(l.kind, k)
		l.servers = append(l.servers, rng.IntN(len(t.Serving[k])))
		for _, v := range t.Serving[k] {
			sum += float64(v) / float64(len(t.Serving[k]))
		}
	}
	l.scale = servingMean / sum
	return l
}

// step works out the load of second s.
func (l *load) step(s int64, at time.Time) {
	l.words = l.words[:0]
	for _, j := range l.jobs {
		if l.again {
			l.tellAgain(j)
		}
		l.stepJob(j, s, at)
	}
	l.again = false
	sum := 0.0
	for i, k := range l.kind {
		tr := l.t.Serving[k]
		sum += float64(tr[(l.servers[i]+int(s))%len(tr)])
	}
	day := math.Sin(2 * math.Pi * float64(s%86_400) / 86_400)
	l.serving = min(max(int64(sum*l.scale*(1+day*servingWave/servingMean)), servingLow), servingHigh)
}

func (l *load) stepJob(j *trainingJob, s int64, at time.Time) {
	if s == 0 {
		l.tell(j, events.JobRunning, nil)
	}
	if s >= j.next && j.back <= s && j.coming == 0 {
		j.back = s + shortestStop + int64(j.rng.ExpFloat64()*furtherStop)
		j.coming = s
		switch l.feed {
		case FeedStates:
			l.tell(j, events.JobInterrupted, nil)
		case FeedNotice:
			// It can come back at the times said only.
			j.back = s + (j.back-s+noticeAgain-1)/noticeAgain*noticeAgain + noticeSpan
		}
	}
	full := int64(jobPeak)
	played := full * j.trace[j.at] / million
	switch {
	case j.coming != 0 && s < j.back:
		j.watts = full * stoppedShare / million
		if since := s - j.coming; l.feed == FeedNotice && since%noticeAgain == 0 && s+noticeSpan <= j.back {
			back := at.Add(noticeSpan * time.Second)
			l.tell(j, events.JobPaused, &back)
		}
	case j.coming != 0 && s < j.back+backSeconds:
		share := stoppedShare + (backShare-stoppedShare)*(s-j.back+1)/backSeconds
		j.watts = full * share / million
	default:
		if j.coming != 0 {
			j.coming, j.next = 0, s+int64(j.rng.ExpFloat64()*betweenStops)
			l.tell(j, events.JobRunning, nil)
		}
		j.watts = played
		j.at = (j.at + 1) % len(j.trace)
	}
}

// tellAgain says again how j stands.
func (l *load) tellAgain(j *trainingJob) {
	state := events.JobRunning
	if j.coming != 0 {
		state = events.JobInterrupted
	}
	l.tell(j, state, nil)
}

func (l *load) tell(j *trainingJob, state events.JobState, starts *time.Time) {
	if l.feed == FeedNone {
		return
	}
	l.words = append(l.words, word{j, &events.AIJob{JobID: j.id, State: state, StartsAt: starts, Meters: []string{j.meter},
		PeakWatts: jobPeak * l.t.NameplateShare / million}})
}

// watts of all AI load.
func (l *load) watts() int64 {
	w := l.serving
	for _, j := range l.jobs {
		w += j.watts
	}
	return w
}
