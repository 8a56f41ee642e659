// SPDX-License-Identifier: Apache-2.0

package server

import "time"

// What a stream of invalid shares leads to, counted from the first of them.
const (
	newJobAfter     = 60 * time.Second
	warnAfter       = 120 * time.Second
	disconnectAfter = 180 * time.Second
	// leastInvalid shares, before it counts as a stream.
	leastInvalid = 10
)

// measure is what is done about invalid shares.
type measure int

const (
	doNothing measure = iota
	// sendNewJob: the machine may have got stuck on a job.
	sendNewJob
	sendWarning
	disconnect
)

// guard watches how many of a connection's shares are invalid. Late ones are
// not: they happen to everybody.
type guard struct {
	since          time.Time
	valid, invalid int
	done           measure
}

func (g *guard) good() { g.valid++ }

// bad counts an invalid share and says what to do now. Each measure is taken
// once, in their order, as long as more than half of the shares are invalid.
func (g *guard) bad(now time.Time) measure {
	if g.invalid == 0 {
		*g = guard{since: now}
	}
	g.invalid++
	elapsed := now.Sub(g.since)
	if elapsed < newJobAfter {
		return doNothing
	}
	if g.invalid < leastInvalid || g.invalid <= g.valid {
		*g = guard{since: now, invalid: 1}
		return doNothing
	}
	due := sendNewJob
	switch {
	case elapsed >= disconnectAfter:
		due = disconnect
	case elapsed >= warnAfter:
		due = sendWarning
	}
	if due <= g.done {
		return doNothing
	}
	// One step at a time: silence between two invalid shares is no offence.
	g.done++
	return g.done
}

// bucket lets messages through at a rate.
type bucket struct {
	tokens float64
	last   time.Time
}

// take reports whether one more message is within the limit.
func (b *bucket) take(now time.Time, perSecond, burst int) bool {
	if b.last.IsZero() {
		b.tokens = float64(burst)
	} else if passed := now.Sub(b.last); passed > 0 {
		b.tokens = min(b.tokens+passed.Seconds()*float64(perSecond), float64(burst))
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
