// SPDX-License-Identifier: Apache-2.0

package decider

import (
	"time"

	"github.com/ballast-energy/ballast/events"
)

// StepClock measures elapsed time as deciders may: the sum of the steps
// between arrivals, each clamped to 0…events.MaxStep. The zero value has seen
// nothing. It is plain data: part of a decider's state.
type StepClock struct {
	// LastUnixNano is the arrival of the last event, 0 before the first.
	LastUnixNano int64 `json:"last_unix_nano"`
	// ElapsedNanos since the first event.
	ElapsedNanos int64 `json:"elapsed_nanos"`
}

// Advance moves to the arrival of the next event and returns the clamped step.
// jumped reports a discontinuity: a negative step, or one beyond
// events.MaxStep, after which every reading counts as stale.
func (c *StepClock) Advance(arrived time.Time) (step time.Duration, jumped bool) {
	now := arrived.UnixNano()
	if c.LastUnixNano == 0 {
		c.LastUnixNano = now
		return 0, false
	}
	step = time.Duration(now - c.LastUnixNano)
	c.LastUnixNano = now
	switch {
	case step < 0:
		return 0, true
	case step > events.MaxStep:
		step, jumped = events.MaxStep, true
	}
	c.ElapsedNanos += int64(step)
	return step, jumped
}

// Elapsed since the first event.
func (c *StepClock) Elapsed() time.Duration { return time.Duration(c.ElapsedNanos) }
