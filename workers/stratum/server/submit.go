// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"errors"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/stratum"
)

// checkUnit reports an authoriser that named a unit badly.
func checkUnit(unit string) error { return events.CheckToken("unit", unit) }

// candidate is a share while it is examined.
type candidate struct {
	work *work
	slot *slot
	unit string
	// level that it is judged by, and mask of the bits that it may roll.
	level *level
	mask  uint32
	// refused is the first thing found wrong. A block is a block all the same.
	refused refusal
}

// share judges a share and hands it to the sink. The order of the checks is
// that of the answers; but whatever is wrong with it, a hash that meets the
// network's target goes to the sink.
func (c *conn) share(m *stratum.Message) {
	now := c.server.set.Now()
	var k candidate
	err := c.submit.Parse(m.Params)
	if k = c.admit(now, err != nil); k.work == nil {
		words := refusalTable[k.refused].text
		if k.refused == refusedParams {
			words = err.Error()
		}
		c.refuse(m.ID, now, k.refused, words)
		return
	}
	w, sub := k.work, &c.submit
	fault := func(r refusal) {
		if k.refused == notRefused {
			k.refused = r
		}
	}
	if len(sub.Extranonce2) != w.space.minerBytes {
		fault(refusedExtranonce) // no header can be built
		c.refuse(m.ID, now, k.refused, refusalTable[k.refused].text)
		return
	}
	if sub.NTime < w.minTime || sub.NTime > w.maxTime {
		fault(refusedTime)
	}
	version := w.job.Version&^k.mask | sub.VersionBits&k.mask
	if sub.VersionBits&^k.mask != 0 {
		fault(refusedVersion)
		version = w.job.Version | sub.VersionBits // what it may have hashed
	}
	header := w.header(k.slot.bytes, sub.Extranonce2, version, sub.NTime, sub.Nonce)
	hash := header.Hash()
	block := w.network.Met(&hash)
	if !k.level.target.Met(&hash) {
		fault(refusedLow)
	}
	if k.refused != notRefused && !block {
		c.refuse(m.ID, now, k.refused, refusalTable[k.refused].text)
		return
	}
	seen := digestOf(&hash)
	switch w.seen.add(seen, block) {
	case isDuplicate:
		c.refuse(m.ID, now, refusedDuplicate, refusalTable[refusedDuplicate].text)
		return
	case isFull:
		c.refuse(m.ID, now, refusedFull, refusalTable[refusedFull].text)
		return
	}
	if !c.accept(now, &k, block) {
		w.seen.forget(seen)
		c.refuse(m.ID, now, refusedUnanswered, refusalTable[refusedUnanswered].text)
		return
	}
	c.server.count.shares.Add(1)
	s := Share{
		Connection: c.id, Worker: k.unit, Job: w.job, Version: version, NTime: sub.NTime, Nonce: sub.Nonce,
		Extranonce2: wholeExtranonce2(k.slot, sub.Extranonce2), Header: header, Hash: hash,
		Difficulty: k.level.text, MeetsUpstream: w.upstream.Met(&hash), Block: block, Received: now,
	}
	if !k.level.target.Met(&hash) {
		s.Difficulty = levelOf(w.highest).text // a block is worth the network's difficulty, not more
	}
	if s.MeetsUpstream {
		c.server.count.upstream.Add(1)
	}
	if block {
		c.server.count.blocks.Add(1)
	}
	a := &answer{conn: c, work: w, seen: seen, id: bytes.Clone(m.ID)}
	c.server.set.Sink.Take(s, a.done)
}

// wholeExtranonce2 is what the upstream knows as extranonce2.
func wholeExtranonce2(l *slot, extranonce2 []byte) []byte {
	b := make([]byte, 0, l.space.size)
	b = append(b, l.bytes...)
	return append(b, extranonce2...)
}

// admit finds the job of what c.submit holds and the connection's place in it,
// or says why there is none: then there is no work in the result.
func (c *conn) admit(now time.Time, bad bool) candidate {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.subscribed:
		return candidate{refused: refusedNotSubscribed}
	case len(c.workers) == 0:
		return candidate{refused: refusedUnauthorised}
	case bad:
		return candidate{refused: refusedParams}
	}
	k := candidate{refused: refusedWorker, unit: c.workers[0].unit}
	for i := range c.workers {
		if c.workers[i].name == string(c.submit.Worker) {
			k.refused, k.unit = notRefused, c.workers[i].unit
			break
		}
	}
	position, ok := positionOf(c.submit.JobID)
	w := (*c.server.jobs.Load())[uint32(position>>renewalBits)]
	if ok && w != nil {
		if c.slot != nil && c.slot.space == w.space {
			k.slot = c.slot
		} else if c.previous != nil && c.previous.space == w.space {
			k.slot = c.previous
		}
	}
	if k.slot == nil || c.levels == 0 {
		if k.refused == notRefused {
			k.refused = refusedStale
		}
		return candidate{refused: k.refused}
	}
	if k.refused == notRefused && (w.stale(now, c.server.set.JobLifetime) || position < c.first || position > c.last) {
		k.refused = refusedStale
	}
	k.work, k.level = w, c.levelAt(position)
	if c.rolling {
		k.mask = c.agreed & w.mask
	}
	return k
}

// accept counts a valid share, unless too many wait for the sink.
func (c *conn) accept(now time.Time, k *candidate, block bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unanswered >= c.server.set.Limits.Unanswered && !block {
		return false
	}
	c.unanswered++
	if k.refused != notRefused {
		return true // a block, but no measure of the miner's speed
	}
	c.guard.good()
	c.measure.add(k.level)
	if c.measure.shares < lookAfterShares || c.newest == nil {
		return true
	}
	c.want = c.measure.look(now, c.current, c.server.set.ShareInterval, c.bounds(c.newest))
	if c.want.exponent >= c.current.exponent+urgentStep {
		c.renew(false)
	}
	return true
}

// refuse answers a share that is not taken.
func (c *conn) refuse(id []byte, now time.Time, r refusal, words string) {
	c.server.count.refused[r].Add(1)
	c.replyError(id, refusalTable[r].code, words)
	if !r.invalid() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.guard.bad(now) {
	case sendNewJob:
		c.renew(true)
	case sendWarning:
		c.out.send(stratum.AppendShowMessage(nil, "Most of your shares are invalid; the connection will be closed"))
	case disconnect:
		c.leave(causeInvalid, nil)
	}
}

// answer is what a stored share leads to.
type answer struct {
	conn *conn
	work *work
	seen digest
	id   []byte
}

// done is called by the sink, once.
func (a *answer) done(err error) {
	c := a.conn
	c.mu.Lock()
	c.unanswered--
	c.mu.Unlock()
	if err == nil {
		c.server.count.stored.Add(1)
		c.replyResult(a.id, "true")
		return
	}
	if errors.Is(err, ErrDuplicate) {
		c.server.count.refused[refusedDuplicate].Add(1)
		c.replyError(a.id, refusalTable[refusedDuplicate].code, refusalTable[refusedDuplicate].text)
		return
	}
	if errors.Is(err, ErrStale) {
		c.server.count.refused[refusedStale].Add(1)
		c.replyError(a.id, refusalTable[refusedStale].code, refusalTable[refusedStale].text)
		return
	}
	// It may be sent again.
	a.work.seen.forget(a.seen)
	c.server.count.refused[refusedNotStored].Add(1)
	c.server.set.Logger.Error("stratum server: a share was not stored", "connection", c.id, "error", err)
	c.replyError(a.id, refusalTable[refusedNotStored].code, refusalTable[refusedNotStored].text)
}
