// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"testing"
	"time"
)

// simulate runs a thread's pace for the time total with calls of the length
// call and rests that take late longer than asked for. It returns the time
// spent hashing and the longest stretch of either kind.
func simulate(p *pace, total, call, late time.Duration) (busy, longestBusy, longestRest time.Duration) {
	var now, stretch time.Duration
	for now < total {
		if nap := p.nap(); nap > 0 {
			p.rested(nap + late)
			now += nap + late
			longestRest = max(longestRest, nap+late)
			stretch = 0
			continue
		}
		p.worked(call)
		now += call
		busy += call
		stretch += call
		longestBusy = max(longestBusy, stretch)
	}
	return busy, longestBusy, longestRest
}

func TestPaceMeetsTheDuty(t *testing.T) {
	const total = 100 * time.Second
	for _, duty := range []int64{1, 10, 100, 250, 500, 750, 900, 990, 999, 1000} {
		for _, late := range []time.Duration{0, 60 * time.Microsecond, 2 * time.Millisecond} {
			var p pace
			p.set(duty)
			busy, longestBusy, longestRest := simulate(&p, total, callGoal, late)
			got := float64(busy) / float64(total) * 1000
			if got < float64(duty)*0.995-0.1 || got > float64(duty)*1.005+0.1 {
				t.Errorf("duty %d, rests %v late: %.2f permille", duty, late, got)
			}
			if longestRest > restSlice+late {
				t.Errorf("duty %d: a rest of %v", duty, longestRest)
			}
			// Steady: hashing pays for one rest and its lateness at a time.
			if most := (restGrain+2*late)*time.Duration(duty)/time.Duration(max(FullDuty-duty, 1))*101/100 + 3*callGoal; duty < FullDuty && longestBusy > most {
				t.Errorf("duty %d, rests %v late: %v of hashing in one stretch, want %v at most", duty, late, longestBusy, most)
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
	p = pace{}
	p.set(1)
	p.worked(time.Hour) // so was it here
	if p.owed != busyMost*999 {
		t.Errorf("owes %v", p.owed)
	}
	p.set(900)
	if p.owed != restGrain {
		t.Errorf("a rise of the duty leaves %v owed", p.owed)
	}
	p.set(900)
	p.worked(-time.Second)
	p.rested(-time.Second)
	if p.owed != restGrain {
		t.Errorf("a clock that ran backwards left %v owed", p.owed)
	}
}

// TestPaceWaiting: waiting pays what is owed, earns nothing, and brings the
// thread no further than its phase. Waking a thread all the time must not
// excuse it from its rests.
func TestPaceWaiting(t *testing.T) {
	phase := restGrain / 2
	p := pace{phase: phase}
	p.set(500)
	p.owed = 3 * restGrain
	p.waited(restGrain)
	if p.owed != 2*restGrain {
		t.Errorf("owes %v after a short wait", p.owed)
	}
	p.waited(time.Hour)
	if p.owed != phase {
		t.Errorf("owes %v after a long wait, want the phase %v", p.owed, phase)
	}
	p.owed = -restGrain
	p.waited(time.Hour)
	if p.owed != -restGrain {
		t.Errorf("a wait changed credit to %v", -p.owed)
	}
	p.owed = 5 * restGrain
	for range 1000 {
		p.waited(0)
	}
	if p.owed != 5*restGrain {
		t.Errorf("being woken paid %v", 5*restGrain-p.owed)
	}
}
