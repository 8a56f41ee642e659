// SPDX-License-Identifier: Apache-2.0

package hashengine

import "time"

const (
	// restGrain is the shortest rest. Timers of the runtime and the system are
	// no finer; what a rest takes too long is made good by later ones.
	restGrain = time.Millisecond
	// restSlice is the longest rest in one piece. A thread is woken from it at
	// once by any change.
	restSlice = 10 * time.Millisecond
	// restCrumb is what is too little to go on resting for.
	restCrumb = restGrain / 10
	// restCredit bounds what an overlong rest earns, as after the machine was
	// suspended: hashing without rest for longer would show as a pulse.
	restCredit = 10 * time.Millisecond
	// busyMost is the most that one call counts for. Kernels keep to MaxCall
	// as long as they run; anything longer was spent waiting for a processor.
	busyMost = 2 * MaxCall
)

// pace keeps one thread to its duty cycle. After hashing for a time b, the
// thread owes a rest of b × (1000−d)/d, and rests when that has grown to
// restGrain. Rests are booked as long as they took, so their error does not
// add up: the mean of any second is the duty cycle to within a percent, and no
// stretch of hashing is longer than what one rest pays for.
type pace struct {
	duty int64         // permille, 1 to 1000; 0 before the first set
	owed time.Duration // rest that is due; negative: hashing that is due
	// resting is true from the start of a rest until it is complete, however
	// often the thread is woken in between.
	resting bool
	// phase is the thread's place among all, 0 to below 1: threads that
	// started in step would hash and rest in step, and power would pulse.
	phase float64
}

// set changes the duty cycle. A rest that is due for hashing under the old one
// stays due: forgetting it would let frequent changes defeat the cycle. Only
// the many milliseconds of the very lowest cycles would delay a rise for too
// long. Hashing that is due is not multiplied by a higher cycle.
func (p *pace) set(duty int64) {
	if duty == p.duty {
		return
	}
	was := p.duty
	p.duty = duty
	switch {
	case was == 0 || was == FullDuty:
		p.start()
	case duty > was && p.owed > 0:
		p.owed = min(p.owed, restSlice)
	case duty > was && duty < FullDuty:
		p.owed = time.Duration(float64(p.owed) * float64((FullDuty-duty)*was) / float64((FullDuty-was)*duty))
	}
}

// start puts the thread at its phase of the cycle of hashing and resting, in
// its rest or before it.
func (p *pace) start() {
	p.owed, p.resting = 0, false
	if p.duty == FullDuty || p.duty == 0 {
		return
	}
	duty := float64(p.duty) / FullDuty
	rest := max(float64(restGrain), float64(callGoal)*(1-duty)/duty)
	if p.phase < duty {
		p.owed = time.Duration(rest * (1 - p.phase/duty))
	} else {
		p.owed = time.Duration(rest * (p.phase - duty) / (1 - duty))
		p.resting = true
	}
}

// begin returns the time at which hashing begins, if that matters.
func (p *pace) begin() time.Duration {
	if p.duty == FullDuty {
		return 0
	}
	return monotonic()
}

// end books the hashing since begin.
func (p *pace) end(begin time.Duration) {
	if p.duty == FullDuty {
		return
	}
	p.worked(monotonic() - begin)
}

// worked books hashing for the time d.
func (p *pace) worked(d time.Duration) {
	d = min(max(d, 0), busyMost)
	hashed := d.Nanoseconds()
	p.owed += time.Duration((hashed*(FullDuty-p.duty) + p.duty/2) / p.duty)
}

// nap returns how long to rest now, or 0 to hash.
func (p *pace) nap() time.Duration {
	if p.resting && p.owed < restCrumb {
		p.resting = false
	}
	if p.duty == FullDuty || p.owed < restGrain && !p.resting {
		return 0
	}
	p.resting = true
	return min(p.owed, restSlice)
}

// rested books a rest of the time d.
func (p *pace) rested(d time.Duration) {
	p.owed = max(p.owed-max(d, 0), -restCredit)
}

// waited books a wait of the time d for something else. It counts as rest that
// was owed but earns no credit. A long one ends in all threads beginning at the
// same moment, each at its phase.
func (p *pace) waited(d time.Duration) {
	switch {
	case p.owed > d:
		p.owed -= max(d, 0)
	case d >= restGrain:
		p.start()
	default:
		p.owed = min(p.owed, 0)
	}
}
