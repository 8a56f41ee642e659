// SPDX-License-Identifier: Apache-2.0

package server

import "github.com/ballast-energy/ballast/workers/stratum"

// graceJobs that a machine may still finish at the lower difficulty of before.
const graceJobs = 2

// pastLevels that are remembered per connection.
const pastLevels = 4

// issuedLevel is the difficulty of the jobs from a position on.
type issuedLevel struct {
	from  uint64
	level *level
}

// hand gives a connection new work.
func (c *conn) hand(w *work) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issue(w, false)
}

// bounds of the connection's difficulty for work.
func (c *conn) bounds(w *work) bounds {
	high := min(c.server.set.ceiling.exponent, w.highest)
	return bounds{low: max(c.server.set.floor.exponent, min(c.least, high)), high: high}
}

// issue writes new work, and before it what has changed: the mask of version
// bits and the difficulty. moved says that the connection has just got its
// place in the session: the work may be older than what it had, and is clean
// whatever the job says. The lock is held.
func (c *conn) issue(w *work, moved bool) {
	if c.gone || !c.ready || c.slot == nil || c.slot.space != w.space {
		return
	}
	c.slot.worked = true
	if c.newest != nil && w.serial <= c.newest.serial {
		if !moved || w == c.newest {
			return
		}
		// All that it had before is void with its session.
		c.first, c.levels = w.position(), 0
	}
	now := c.server.set.Now()
	first := c.newest == nil
	c.newest, c.renewals, c.last = w, 0, w.position()
	if first {
		c.first = c.last
		c.measure.reset(now)
	}
	var b []byte
	if mask := c.agreed & w.mask; c.rolling && (first || mask != c.told) {
		c.told = mask
		b = stratum.AppendSetVersionMask(b, mask)
	}
	if c.want == nil && !first {
		c.want = c.measure.look(now, c.current, c.server.set.ShareInterval, c.bounds(w))
	}
	b = c.applyWanted(b)
	text := w.text
	if moved || first {
		text = w.cleanText
	}
	if len(b) == 0 {
		c.out.send(text)
		return
	}
	c.out.send(append(b, text...))
}

// applyWanted changes the difficulty, from the position c.last on, to the one
// that is wanted, and counts a job that is issued. The lock is held.
func (c *conn) applyWanted(b []byte) []byte {
	next := c.current
	if c.want != nil {
		next = c.want
	}
	c.want = nil
	next = levelOf(c.bounds(c.newest).clamp(next.exponent))
	if next == c.current && c.levels > 0 {
		c.since++
		return b
	}
	if c.levels > 0 {
		c.server.count.difficulties.Add(1)
	}
	if c.levels == pastLevels {
		copy(c.past[:], c.past[1:])
		c.levels--
	}
	c.past[c.levels] = issuedLevel{from: c.last, level: next}
	c.levels++
	c.current, c.since = next, 1
	return stratum.AppendSetDifficulty(b, next.text)
}

// renew gives the connection the newest work again as if it were new. The lock
// is held.
func (c *conn) renew(clean bool) {
	if c.gone || c.newest == nil || c.slot == nil || c.slot.space != c.newest.space || c.renewals == maxRenewals {
		return
	}
	c.renewals++
	c.last = c.newest.position() | uint64(c.renewals)
	b := c.applyWanted(nil)
	c.out.send(c.newest.renewed(b, c.renewals, clean))
	c.server.count.renewals.Add(1)
}

// levelAt is the difficulty of the job at a position. A job from before a raise
// keeps its own for two jobs more. The lock is held.
func (c *conn) levelAt(position uint64) *level {
	for i := c.levels - 1; i > 0; i-- {
		if c.past[i].from <= position {
			return c.graced(c.past[i].level)
		}
	}
	return c.graced(c.past[0].level)
}

func (c *conn) graced(l *level) *level {
	if l.exponent < c.current.exponent && c.since > graceJobs {
		return c.current
	}
	return l
}
