// SPDX-License-Identifier: Apache-2.0

package hashengine

import "time"

// cursor is a place in the space of a piece of work, visited time by time, at
// each time roll by roll and in each roll nonce by nonce. Engines that compute
// one hash at a time share it.
type cursor struct {
	work   Work
	header Header // the template under the present roll; its nonce is scratch
	top    uint32 // most significant 32 bits of the target
	times  uint32 // seconds after the template's time
	roll   uint32
	nonce  uint32
	done   bool
	fresh  bool // the roll's midstate has still to be computed
	chunk  chunk
	// now is the monotonic clock that calls are measured with.
	now func() time.Duration
}

// clockStart is what the engines' clocks count from.
var clockStart = time.Now()

// monotonic returns the time since the start of the process.
func monotonic() time.Duration { return time.Since(clockStart) }

func newCursor() cursor { return cursor{done: true, now: monotonic} }

// load places the cursor at the beginning of w.
func (c *cursor) load(w *Work) error {
	c.done = true
	if err := w.Validate(); err != nil {
		return err
	}
	c.work, c.header = *w, w.Header
	c.top = w.Target.top()
	c.times, c.roll, c.nonce = 0, w.FirstRoll, w.FirstNonce
	c.done, c.fresh = false, true
	return nil
}

// nextRoll moves to the first nonce of the next roll, or of the first at the
// next time.
func (c *cursor) nextRoll() {
	switch {
	case c.roll < c.work.LastRoll:
		c.roll++
	case c.times < c.work.TimeRolls:
		c.times++
		c.roll = c.work.FirstRoll
		c.header.SetTime(c.work.Header.Time() + c.times)
	default:
		c.done = true
		return
	}
	c.nonce = c.work.FirstNonce
	c.fresh = true
}

// confirm checks the header, a candidate, with plain code. top is the most
// significant word of the hash that the kernel computed. If the header meets
// the target, confirm fills in hit and returns true.
func (c *cursor) confirm(top uint32, hit *Hit, faults *uint64) bool {
	hash := c.header.Hash()
	if hash.top() != top {
		*faults++
		return false
	}
	if !c.work.Target.Met(&hash) {
		return false
	}
	hit.Header, hit.Hash, hit.Tag = c.header, hash, c.work.Tag
	return true
}

// compressor is what differs between kernels that compute one hash at a time.
type compressor interface {
	// midstate prepares for the hashes of a header that differs only in its
	// nonce from those that follow.
	midstate(header *Header)
	// sweep hashes the header of the last midstate under the nonces from nonce
	// on, n at most, until the top word of a hash is at or below bound. It
	// returns how many it hashed and the top word of the last one.
	sweep(nonce uint32, n uint64, bound uint32) (hashed uint64, top uint32)
}

// Costs of side work in hashes, for the bound on the time of one call.
const (
	midstateCost = 1
	confirmCost  = 2
)

// scanSerial is [Engine.Scan] for kernels that compute one hash at a time.
func scanSerial[C compressor](c *cursor, k C, hits []Hit) Result {
	var res Result
	if c.done || len(hits) == 0 {
		res.Done = c.done
		return res
	}
	begin := c.now()
	budget := c.chunk.hashes()
	var spent uint64
	for spent < budget && !c.done && res.Hits < len(hits) {
		if c.fresh {
			c.header.SetVersion(c.work.Version(c.roll))
			k.midstate(&c.header)
			c.fresh = false
			spent += midstateCost
		}
		left := uint64(c.work.LastNonce-c.nonce) + 1
		n, top := k.sweep(c.nonce, min(left, max(budget, spent+1)-spent), c.top)
		res.Hashes += n
		spent += n
		if top <= c.top {
			c.header.SetNonce(c.nonce + uint32(n-1))
			spent += confirmCost
			if c.confirm(top, &hits[res.Hits], &res.Faults) {
				res.Hits++
			}
		}
		if n == left {
			c.nextRoll()
		} else {
			c.nonce += uint32(n)
		}
	}
	c.chunk.observe(spent, c.now()-begin)
	res.Done = c.done
	return res
}
