// SPDX-License-Identifier: Apache-2.0

package server

import (
	"math"
	"time"
)

// When a connection's difficulty is looked at, and when it is left alone.
const (
	lookAfterShares = 72
	lookAfter       = 240 * time.Second
	leaveAbove      = 0.5
	leaveBelow      = 1.33
	// maxStep bounds one correction, as a power of two: a burst out of one TCP
	// segment says little about the rate.
	maxStep = 6
	// urgentStep and more is not left to the next job.
	urgentStep = 2
	// shortest time that a look divides by.
	shortest = time.Millisecond
)

// vardiff measures the work of one connection since its last look.
type vardiff struct {
	since  time.Time
	shares int
	// work is the sum of the difficulties of the shares.
	work float64
}

// reset starts a new measurement.
func (v *vardiff) reset(now time.Time) { *v = vardiff{since: now} }

// add counts a valid share.
func (v *vardiff) add(l *level) {
	v.shares++
	v.work += l.value
}

// bounds of a connection's exponent, both included.
type bounds struct{ low, high int }

// clamp puts an exponent within the bounds; the lower one wins when they cross.
func (b bounds) clamp(e int) int { return max(min(e, b.high), b.low) }

// due: enough has been seen for a look.
func (v *vardiff) due(now time.Time) bool {
	return v.shares >= lookAfterShares || now.Sub(v.since) >= lookAfter
}

// look says what the difficulty should be, and starts the next measurement
// when it was due. aim is the wanted time between two shares.
func (v *vardiff) look(now time.Time, current *level, aim time.Duration, b bounds) *level {
	if !v.due(now) {
		return levelOf(b.clamp(current.exponent))
	}
	elapsed := max(now.Sub(v.since), shortest)
	perAim := aim.Seconds() / elapsed.Seconds()
	measured, shares := v.work, float64(v.shares)
	if v.shares == 0 {
		// Nothing at all: half a share is the fairest guess.
		measured, shares = current.value/2, 0.5
	}
	v.reset(now)
	if ratio := shares * perAim; ratio >= leaveAbove && ratio <= leaveBelow {
		return levelOf(b.clamp(current.exponent))
	}
	e := int(math.Round(math.Log2(measured * perAim)))
	e = max(min(e, current.exponent+maxStep), current.exponent-maxStep)
	return levelOf(b.clamp(e))
}
