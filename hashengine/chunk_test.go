// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"testing"
	"time"
)

// TestChunkConverges models kernels of different speed: the calls must settle
// at their goal, and stay below the bound even when the speed is halved.
func TestChunkConverges(t *testing.T) {
	for _, each := range []time.Duration{20, 100, 600, 3000} { // ns a hash
		var c chunk
		for range 60 {
			n := c.hashes()
			c.observe(n, time.Duration(n)*each)
		}
		took := time.Duration(c.hashes()) * each
		if took < callGoal*9/10 || took > callGoal {
			t.Errorf("%d ns a hash: calls settle at %v, want %v", each, took, callGoal)
		}
		if half := time.Duration(c.hashes()) * 2 * each; half > MaxCall {
			t.Errorf("%d ns a hash: at half the speed a call takes %v", each, half)
		}
		// One interrupted call halves the chunk, no more, and it recovers.
		before := c.hashes()
		c.observe(before, 50*time.Millisecond)
		if c.hashes() < before/2 {
			t.Errorf("%d ns a hash: an interrupted call left %d of %d hashes", each, c.hashes(), before)
		}
		for range 8 {
			n := c.hashes()
			c.observe(n, time.Duration(n)*each)
		}
		if c.hashes() < before*9/10 {
			t.Errorf("%d ns a hash: still at %d of %d hashes after 8 calls", each, c.hashes(), before)
		}
	}
}

func TestChunkBounds(t *testing.T) {
	var c chunk
	if c.hashes() != firstChunk {
		t.Errorf("starts with %d hashes", c.hashes())
	}
	for range 200 {
		c.observe(c.hashes(), 1)
	}
	if c.hashes() != maxChunk {
		t.Errorf("grows to %d hashes, want %d", c.hashes(), maxChunk)
	}
	for range 200 {
		c.observe(c.hashes(), time.Hour)
	}
	if c.hashes() != minChunk {
		t.Errorf("shrinks to %d hashes, want %d", c.hashes(), minChunk)
	}
	c.size = 1000
	c.observe(10, time.Microsecond) // a call that ended early
	c.observe(0, time.Second)
	c.observe(1000, 0)
	c.observe(1000, -time.Second)
	if c.hashes() != 1000 {
		t.Errorf("calls that say nothing changed it to %d", c.hashes())
	}
	c.observe(10, time.Second) // ended early and yet took too long
	if c.hashes() != 500 {
		t.Errorf("a slow short call left %d", c.hashes())
	}
}
