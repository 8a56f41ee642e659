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
// add up.
type pace struct {
	duty int64         // permille, 1 to 1000
	owed time.Duration // rest that is due; negative: hashing that is due
	// phase is what is owed at the start: threads that started in step would
	// rest in step, and power would pulse.
	phase time.Duration
}

// set changes the duty cycle. What was owed under the old one is kept up to
// one rest: forgetting it would let frequent changes defeat the cycle, keeping
// all would delay a rise by the long rests of a low cycle.
func (p *pace) set(duty int64) {
	if duty == p.duty {
		return
	}
	p.duty = duty
	p.owed = min(p.owed, restGrain)
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
	p.owed += d * time.Duration(FullDuty-p.duty) / time.Duration(p.duty)
}

// nap returns how long to rest now, or 0 to hash.
func (p *pace) nap() time.Duration {
	if p.duty == FullDuty || p.owed < restGrain {
		return 0
	}
	return min(p.owed, restSlice)
}

// rested books a rest of the time d.
func (p *pace) rested(d time.Duration) {
	p.owed = max(p.owed-max(d, 0), -restCredit)
}

// waited books a wait of the time d for something else. It counts as rest that
// was owed but earns no credit: after it, the thread starts at its phase.
func (p *pace) waited(d time.Duration) {
	p.owed = max(p.owed-max(d, 0), min(p.owed, p.phase))
}
