// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"math/rand/v2"
	"testing"
	"time"
)

// course is what a thread did by a virtual clock: hashing in the stretches
// busy[2i] to busy[2i+1], resting between.
type course struct {
	busy        []time.Duration
	longestRest time.Duration
}

// simulate runs a thread's pace until the virtual clock shows until, with calls
// of the length that call returns and rests that take late longer than asked
// for.
func simulate(p *pace, until time.Duration, call, late func() time.Duration) course {
	var c course
	var now time.Duration
	for now < until {
		if nap := p.nap(); nap > 0 {
			nap += late()
			p.rested(nap)
			now += nap
			c.longestRest = max(c.longestRest, nap)
			continue
		}
		d := call()
		p.worked(d)
		if n := len(c.busy); n > 0 && c.busy[n-1] == now {
			c.busy[n-1] += d
		} else {
			c.busy = append(c.busy, now, now+d)
		}
		now += d
	}
	return c
}

// longest returns the longest stretch of hashing.
func (c *course) longest() time.Duration {
	var longest time.Duration
	for i := 0; i < len(c.busy); i += 2 {
		longest = max(longest, c.busy[i+1]-c.busy[i])
	}
	return longest
}

// within returns the time spent hashing from a time to another.
func (c *course) within(from, to time.Duration) time.Duration {
	var sum time.Duration
	for i := 0; i < len(c.busy); i += 2 {
		sum += max(0, min(c.busy[i+1], to)-max(c.busy[i], from))
	}
	return sum
}

func always(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

// timerLateness is like that of a runtime timer on a machine with other work:
// mostly some tens of microseconds, at times milliseconds.
func timerLateness(r *rand.Rand) func() time.Duration {
	return func() time.Duration {
		if r.IntN(50) == 0 {
			return time.Duration(r.Int64N(int64(3 * time.Millisecond)))
		}
		return time.Duration(r.Int64N(int64(150 * time.Microsecond)))
	}
}

// TestPaceHoldsEverySecond: over any second the mean is within one percent of
// the duty cycle, whatever the lengths of calls and the lateness of timers, and
// there is no pulse beyond what one rest and its lateness pay for.
func TestPaceHoldsEverySecond(t *testing.T) {
	const total, window, step = 12 * time.Second, time.Second, 37 * time.Millisecond
	r := rand.New(rand.NewPCG(1, 2))
	duties := []int64{50, 51, 75, 100, 137, 250, 333, 500, 617, 750, 900, 950, 975, 990, 995, 998, 999}
	for _, c := range []struct {
		name       string
		call, late func() time.Duration
		latest     time.Duration
	}{
		{"longest calls, exact timers", always(MaxCall), always(0), 0},
		{"short calls, late timers", always(20 * time.Microsecond), always(60 * time.Microsecond), 60 * time.Microsecond},
		{"longest calls, timers of a coarse clock", always(MaxCall), always(time.Millisecond), time.Millisecond},
		{"mixed", func() time.Duration { return time.Duration(r.Int64N(int64(MaxCall))) + 1 }, timerLateness(r), 3 * time.Millisecond},
	} {
		for _, duty := range duties {
			p := pace{phase: 0.3}
			p.set(duty)
			course := simulate(&p, total, c.call, c.late)
			for from := time.Duration(0); from+window <= total; from += step {
				want := window * time.Duration(duty) / FullDuty
				if got := course.within(from, from+window); (got - want).Abs() > want/100 {
					t.Errorf("%s, duty %d: %v of hashing in the second from %v, want %v", c.name, duty, got, from, want)
					break
				}
			}
			if course.longestRest > restSlice+c.latest {
				t.Errorf("%s, duty %d: a rest of %v", c.name, duty, course.longestRest)
			}
			most := (restGrain+c.latest)*time.Duration(duty)/time.Duration(FullDuty-duty)*101/100 + 2*MaxCall
			if got := course.longest(); got > most {
				t.Errorf("%s, duty %d: a pulse of %v, want %v at most", c.name, duty, got, most)
			}
		}
	}
}

// TestPaceThreadsTakeTurns: several threads together are steadier than one:
// from the start and after every common beginning they do not all hash at the
// same time and then all rest.
func TestPaceThreadsTakeTurns(t *testing.T) {
	const threads, window = 20, 250 * time.Microsecond
	begin := map[string]func(p *pace, duty int64){
		"new":            func(p *pace, duty int64) { p.set(duty) },
		"from full duty": func(p *pace, duty int64) { p.set(77); p.set(FullDuty); p.set(duty) },
		"after a stop":   func(p *pace, duty int64) { p.set(duty); p.worked(MaxCall); p.waited(time.Second) },
	}
	for what, begin := range begin {
		for _, duty := range []int64{50, 100, 300, 500, 700, 900} {
			var courses []course
			for i := range threads {
				thread := newThread(nil, i, threads)
				begin(&thread.pace, duty)
				courses = append(courses, simulate(&thread.pace, 100*time.Millisecond, always(50*time.Microsecond), always(0)))
			}
			for from := time.Duration(0); from < 90*time.Millisecond; from += window / 3 {
				var sum time.Duration
				for i := range courses {
					sum += courses[i].within(from, from+window)
				}
				if share := int64(sum) * FullDuty / int64(threads*window); share < duty-150 || share > duty+150 {
					t.Errorf("%s, duty %d: %d permille of all threads hash from %v on", what, duty, share, from)
					break
				}
			}
		}
	}
}

func TestPaceMeetsTheDutyInTheLongRun(t *testing.T) {
	const total = 100 * time.Second
	for _, duty := range []int64{1, 10, 100, 250, 500, 750, 900, 990, 999, 1000} {
		for _, late := range []time.Duration{0, 60 * time.Microsecond, 2 * time.Millisecond} {
			var p pace
			p.set(duty)
			course := simulate(&p, total, always(callGoal), always(late))
			got := float64(course.within(0, total)) / float64(total) * 1000
			if got < float64(duty)*0.995-0.1 || got > float64(duty)*1.005+0.1 {
				t.Errorf("duty %d, rests %v late: %.2f permille", duty, late, got)
			}
		}
	}
}

// TestPaceUnderChange: a duty cycle that changes all the time, as under a
// controller that chases a load, is met in the mean. Where it changes faster
// than a thread can rest, the mean errs downwards only.
func TestPaceUnderChange(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, every := range []time.Duration{2 * time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond} {
		for _, duties := range [][]int64{{50, 51}, {100, 300}, {500, 510, 490}, {700, 900}, {50, 950}} {
			var p pace
			var now, busy, want time.Duration
			for i := 0; now < 60*time.Second; i++ {
				duty := duties[i%len(duties)]
				p.set(duty)
				from, until := now, now+every
				for now < until {
					if nap := p.nap(); nap > 0 {
						nap = min(nap, until-now) // a change wakes the thread
						p.rested(nap)
						now += nap
						continue
					}
					d := time.Duration(r.Int64N(int64(MaxCall))) + 1
					p.worked(d)
					now += d
					busy += d
				}
				want += (now - from) * time.Duration(duty) / FullDuty
			}
			if off := float64(busy-want) / float64(want); off > 0.01 || off < -0.05 && every >= restSlice {
				t.Errorf("duties %v, changed every %v: %.1f %% off the mean", duties, every, 100*off)
			}
		}
	}
}

func TestPaceForgives(t *testing.T) {
	var p pace
	p.set(500)
	p.rested(time.Hour) // the machine was suspended
	if p.owed != -restCredit {
		t.Errorf("credit of %v", -p.owed)
	}
	p.set(900)
	if want := -restCredit / 9; (p.owed - want).Abs() > time.Microsecond {
		t.Errorf("a rise makes it a credit of %v, want %v", -p.owed, -want)
	}
	p = pace{duty: 1}
	p.worked(time.Hour) // so was it here
	if p.owed != busyMost*999 {
		t.Errorf("owes %v", p.owed)
	}
	p.set(900)
	if p.owed != restSlice {
		t.Errorf("a rise of the duty leaves %v owed", p.owed)
	}
	p.set(100)
	p.worked(-time.Second)
	p.rested(-time.Second)
	if p.owed != restSlice {
		t.Errorf("a fall and a clock that ran backwards left %v owed", p.owed)
	}
	p.set(FullDuty)
	if nap := p.nap(); nap != 0 {
		t.Errorf("rests for %v at full duty", nap)
	}
}

// TestPaceFinishesItsRests: a thread that is woken from a rest, by new work or
// another duty cycle, goes on with it.
func TestPaceFinishesItsRests(t *testing.T) {
	p := pace{duty: 500, owed: 3 * restGrain}
	if nap := p.nap(); nap != 3*restGrain {
		t.Fatalf("rests for %v", nap)
	}
	p.rested(restGrain * 5 / 2)
	p.set(600)
	if nap := p.nap(); nap != restGrain/2 {
		t.Errorf("rests for %v after it was woken, want the remaining %v", nap, restGrain/2)
	}
	p.rested(restGrain / 2)
	if p.nap() != 0 || p.resting {
		t.Error("a complete rest does not end")
	}
	p.worked(restGrain / 10)
	if nap := p.nap(); nap != 0 {
		t.Errorf("rests for %v when little is owed", nap)
	}
}

// TestPaceWaiting: waiting pays what is owed and earns nothing. Waking a thread
// all the time must not excuse it from its rests.
func TestPaceWaiting(t *testing.T) {
	p := pace{duty: 500, owed: 3 * restGrain}
	p.waited(restGrain)
	if p.owed != 2*restGrain {
		t.Errorf("owes %v after a short wait", p.owed)
	}
	p.phase = 0.25
	p.waited(time.Hour)
	if want := restGrain / 2; p.owed != want || p.resting {
		t.Errorf("owes %v after a long wait, resting %v, want %v at its phase", p.owed, p.resting, want)
	}
	p.phase = 0.75
	p.waited(time.Hour)
	if want := restGrain / 2; p.owed != want || !p.resting {
		t.Errorf("owes %v after a long wait, resting %v, want %v and in the middle of a rest", p.owed, p.resting, want)
	}
	p.owed, p.resting = -restGrain, false
	p.waited(restGrain / 2)
	if p.owed != -restGrain {
		t.Errorf("a short wait changed credit to %v", -p.owed)
	}
	p.owed = 5 * restGrain
	for range 1000 {
		p.waited(0)
	}
	if p.owed != 5*restGrain {
		t.Errorf("being woken paid %v", 5*restGrain-p.owed)
	}
	p.waited(-time.Hour)
	if p.owed != 5*restGrain {
		t.Errorf("a clock that ran backwards left %v owed", p.owed)
	}
}
