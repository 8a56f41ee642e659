// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"encoding/binary"
	"encoding/json"

	"github.com/cespare/xxhash/v2"

	"github.com/ballast-energy/ballast/events"
)

// digest collects the fields of one entry of the state. Entries are hashed
// when they change and added up, so that the digest of thousands of them costs
// nothing to keep and does not depend on their order.
type digest struct {
	b [320]byte
	n int
}

func (d *digest) int(v int64) {
	binary.LittleEndian.PutUint64(d.b[d.n:], uint64(v))
	d.n += 8
}

func (d *digest) uint(v uint64) {
	binary.LittleEndian.PutUint64(d.b[d.n:], v)
	d.n += 8
}

func (d *digest) bool(v bool) {
	if v {
		d.b[d.n] = 1
	} else {
		d.b[d.n] = 0
	}
	d.n++
}

func (d *digest) key(k events.OrderKey) {
	d.uint(k.Epoch)
	d.uint(k.Sequence)
	d.uint(uint64(k.Ordinal))
}

func (d *digest) text(s string) { d.uint(xxhash.Sum64String(s)) }

func (d *digest) sum() uint64 { return xxhash.Sum64(d.b[:d.n]) }

// mix2 hashes two words without a buffer.
func mix2(a, b uint64) uint64 {
	x := a*0x9e3779b97f4a7c15 ^ b
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// hashJSON hashes rare, large values by their JSON, which is deterministic for
// structs without maps.
func hashJSON(v any) uint64 {
	b, err := json.Marshal(v)
	if err != nil {
		return 0 // the structs given here hold nothing that JSON cannot hold
	}
	return xxhash.Sum64(b)
}

// StateHash implements decider.Decider: O(1), whatever the number of units.
func (d *Dispatch) StateHash() uint64 {
	var g digest
	r := d.root
	g.int(d.clk.LastUnixNano)
	g.int(d.clk.ElapsedNanos)
	g.uint(d.epoch)
	g.uint(d.gen)
	g.uint(d.tickGen)
	g.int(d.tickSecond)
	g.int(d.tickAt)
	g.int(d.raisedAt)
	g.bool(d.joining)
	g.int(r.bucket.tokens)
	g.uint(r.bucket.carry)
	g.int(r.bucket.refilledAt)
	g.int(r.restartUntil)
	g.int(r.settleAt)
	r.balance.digest(&g)
	g.uint(d.signals.folded + d.signals.seen.sum)
	g.uint(d.misc)
	g.uint(r.env.sum + r.learnedHash())
	g.int(r.env.Started)
	g.uint(d.alarms.hash())
	g.uint(d.entries)
	g.int(d.jobs.crowd)
	g.int(r.load.AI)
	g.int(r.load.Reserve)
	g.int(r.load.Headroom)
	g.int(r.load.Cap)
	g.int(r.load.ShedCap)
	g.int(r.load.Mining)
	g.bool(r.load.Fresh)
	if r.downUntil != 0 {
		g.int(r.downUntil)
	}
	if r.rogue != (rogue{}) {
		r.rogue.digest(&g)
	}
	if r.said != (said{}) && !d.site.tree {
		g.uint(r.said.hash())
	}
	g.uint(d.partSeq)
	g.int(r.strange)
	g.bool(r.strangeAlert)
	if d.cursor != 0 || d.brokenAlert {
		g.int(int64(d.cursor))
		g.bool(d.brokenAlert)
	}
	return g.sum()
}
