// SPDX-License-Identifier: Apache-2.0

package main

// nonceRecord is the size of a record of four nonces: their common part, once
// where a and e take it up and once where the schedule does.
const nonceRecord = 2 * vectorBytes

// nonces builds the kernel whose lanes are four nonces under one midstate. The
// nonces of a group differ in their two lowest bits; turned into the
// big-endian word W3 those are bits 24 and 25, so lane l adds l<<24 to what
// the record of the group says. The carries of a count in a byte-reversed word
// would cost instructions; the records cost a load where counting costs an
// addition and a store.
func nonces(a arrangement) kernel {
	b := newBuilder("n4", len(a.offsets), nonceRecord)
	c := &b.context
	b.firstFields()
	c.add("k", "round constants 16 to 63", 12, quads(16, 64)...)
	c.add("wk16", "W16 and W17 plus their round constants", 1)
	c.add("c4", "W16 to W19 less what the nonce adds", 1)
	c.add("c5", "W20 to W23 less what W18 to W21 add", 1)
	c.add("c7", "what W15 and W16 add to W28 to W31", 1)
	secondFields(c)
	checkFields(c, b.lanes)
	lane := make([]vector, b.lanes)
	for l := range lane {
		lane[l][3] = uint32(l) << 24
	}
	c.add("lane", "per lane: what it adds to W3", b.lanes, lane...)
	c.add("ab3", "per lane: a b e f after round 3, less the record's part of W3", b.lanes)
	c.add("cd3", "c d g h after round 3", 1)
	c.add("mab", "a b e f of the midstate", 1)
	c.add("mcd", "c d g h of the midstate", 1)
	c.add("v", "scratch: the schedules", b.lanes*vectors)

	for l := range b.lanes {
		b.newest[l], b.pool = b.pool[0], b.pool[1:]
	}
	begin := map[int]uint8{}
	for l, r := range b.newest {
		begin[l] = r
	}
	for slot := range steps {
		for _, l := range a.sorted(slot) {
			step := a.step(l, slot)
			b.nonceRounds(l, step, a.together)
			b.noncePrepare(l, (step+1)%steps, a.together)
		}
	}
	b.gather()
	b.restore(begin)
	return b.kernel
}

// noncePrepare does what must precede the rounds of a step.
func (b *builder) noncePrepare(lane, step int, together bool) {
	switch {
	case step == 0:
		b.behind[lane] = false
		n := b.temp()
		b.emit(inst{op: opLoad, dst: n, mem: b.recordAt(lane, 0)})
		b.emit(inst{op: opAdd, dst: b.state[lane][0], a: n, mem: b.context.at("ab3", lane)})
		b.emit(inst{op: opLoad, dst: b.state[lane][1], mem: b.context.at("cd3", 0)})
		b.temp() // an order found before the records needed one more here
	case step < 3:
	case step == 3:
		w := b.temp()
		b.emit(inst{op: opLoad, dst: w, mem: b.recordAt(lane, 1)})
		b.emit(inst{op: opAdd, dst: w, a: w, mem: b.context.at("lane", lane)})
		b.emit(inst{op: opMsg1, dst: w, mem: b.context.at("zero", 0)})
		b.emit(inst{op: opAdd, dst: w, a: w, mem: b.context.at("c4", 0)})
		b.emit(inst{op: opStore, a: w, mem: b.v(lane, 4)})
		b.hold(lane, w)
	case step < first2:
		b.firstSchedule(lane, step+1)
	case step == first2:
		b.turnOver(lane, b.context.at("mab", 0), b.context.at("mcd", 0), together)
	case step >= first2+4:
		b.secondSchedule(lane, step-first2)
	}
}

// firstSchedule computes V(t), t from 5: the words 4t to 4t+3 of the second
// block. V0 to V3 are constant but for the nonce, and nowhere in memory.
func (b *builder) firstSchedule(lane, t int) {
	at := func(t int) memory { return b.v(lane, t) }
	p := b.newest[lane]
	var w uint8
	switch t {
	case 5:
		w = b.temp()
		b.emit(inst{op: opLoad, dst: w, mem: b.context.at("c5", 0)})
	case 6, 7:
		w = b.temp()
		b.emit(inst{op: opAlign, dst: w, a: p, mem: at(t - 2), imm: 4})
		if t == 7 {
			b.emit(inst{op: opAdd, dst: w, a: w, mem: b.context.at("c7", 0)})
		}
	default:
		w = b.scheduleStep(p, t, at)
	}
	b.emit(inst{op: opMsg2, dst: w, b: p})
	if t < 15 { // the last one is used from the register
		b.emit(inst{op: opStore, a: w, mem: at(t)})
	}
	b.hold(lane, w)
}

// nonceRounds does the rounds of a step.
func (b *builder) nonceRounds(lane, step int, together bool) {
	switch {
	case step < 3:
		b.constantRounds(lane, b.context.at("ka", step))
	case step == 3: // W16 and W17 are constant
		b.emit(inst{op: opLoad, dst: 0, mem: b.context.at("wk16", 0)})
		b.pair(lane)
		b.emit(inst{op: opAdd, dst: 0, a: b.newest[lane], mem: b.context.at("k", 0)})
		b.emit(inst{op: opShuffle, dst: 0, a: 0, imm: 2 | 3<<2})
		b.pair(lane)
	case step < first2:
		b.scheduleRounds(lane, b.newest[lane], b.context.at("k", step-3))
	case step == first2 && together: // done by the turn-over
	default:
		b.secondRounds(lane, step-first2)
	}
}
