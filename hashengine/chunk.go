// SPDX-License-Identifier: Apache-2.0

package hashengine

import "time"

const (
	// callGoal is half of MaxCall: a busy sibling thread of the core or a
	// falling clock may double a call before its size has been adapted.
	callGoal = MaxCall / 2

	firstChunk uint64 = 64 // hashes; 0.2 ms at the slowest rate worth calling mining
	minChunk   uint64 = 16
	maxChunk   uint64 = 1 << 24
)

// chunk is the number of hashes that one call does, adapted from the time that
// calls took. The zero value starts small.
//
// It grows gently and shrinks at once. A call that was interrupted by the
// operating system looks slow and halves the chunk; that costs nothing worth
// measuring, as the overhead of a call is lost below some hundred hashes, and
// four calls later it has grown back.
type chunk struct{ size uint64 }

// hashes returns the size of the next call.
func (c *chunk) hashes() uint64 {
	if c.size == 0 {
		c.size = firstChunk
	}
	return c.size
}

// observe takes note that n hashes took the time d.
func (c *chunk) observe(n uint64, d time.Duration) {
	size := c.hashes()
	if d <= 0 || n == 0 {
		return // a clock too coarse to tell
	}
	if n < size && d < callGoal {
		return // ended early: too short to judge by
	}
	ideal := uint64(float64(n) * float64(callGoal) / float64(d))
	switch {
	case ideal < size:
		size = max(ideal, size/2)
	default:
		size = min(ideal, size+size/4)
	}
	c.size = min(max(size, minChunk), maxChunk)
}
