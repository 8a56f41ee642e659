// SPDX-License-Identifier: Apache-2.0

package main

// The second hash is the same in both kernels. As round 0 is folded into the
// initial state, its schedule is cut one word later than usual: vector V(t)
// holds W(4t+1) to W(4t+4), for the rounds of the same numbers. V0 to V3 are
// the message, the first hash and its padding, and W16; V4 to V14 are expanded
// from them. W60 is the last word needed.

// vectors is the number of schedule vectors kept per lane.
const vectors = 15

// secondFields declares the constants of the second hash.
func secondFields(c *layout) {
	a, e := roundZero()
	iv := initialState
	c.add("zero", "where a schedule step's words are zero", 1, vector{})
	c.add("a1", "a b e f after round 0 of the second hash, less W0", 1, vector{iv[4], e, iv[0], a})
	c.add("c1", "c d g h after round 0 of the second hash", 1, vector{iv[6], iv[5], iv[2], iv[1]})
	c.add("spread", "shuffle that adds W0 to a and e only", 1, vector{0x80808080, 0x0f0e0d0c, 0x80808080, 0x0f0e0d0c})
	c.add("padding", "the bit behind the first hash", 1, vector{3: 0x80000000})
	c.add("bits", "the length of the first hash", 1, vector{2: 256})
	c.add("j", "round constants 1 to 60", steps-first2, quads(1, 61)...)
}

// checkFields declares what candidates are told by.
func checkFields(c *layout, lanes int) {
	c.add("mask", "the bits of e that are looked at, set by SetTarget", 1)
	c.add("target", "what they are in candidates, set by SetTarget", 1)
	c.add("r", "per lane: all bits of the second word if the last hash was a candidate", lanes)
}

func (b *builder) v(lane, t int) memory { return b.context.at("v", lane*vectors+t) }

// turnOver ends the first hash of a lane and begins the second: adds the
// midstate, brings the words into the order of a message, does round 0. With
// together, the next four rounds follow at once, while V0 is in a register.
func (b *builder) turnOver(lane int, mab, mcd memory, together bool) {
	x, y := b.state[lane][0], b.state[lane][1]
	b.emit(inst{op: opAdd, dst: x, a: x, mem: mab})
	b.emit(inst{op: opAdd, dst: y, a: y, mem: mcd})
	v0 := b.temp()
	b.emit(inst{op: opWeave, dst: v0, a: x, b: y, imm: 2 | 1<<2 | 3<<4 | 2<<6})
	b.emit(inst{op: opShuffle, dst: v0, a: v0, imm: 0 | 2<<2 | 3<<4 | 1<<6})
	b.emit(inst{op: opStore, a: v0, mem: b.v(lane, 0)})
	v3 := b.temp()
	b.emit(inst{op: opLoad, dst: v3, b: x})
	b.emit(inst{op: opMsg1, dst: v3, b: v0})
	b.emit(inst{op: opBlend, dst: v3, a: v3, mem: b.context.at("bits", 0), imm: 7})
	b.emit(inst{op: opStore, a: v3, mem: b.v(lane, 3)})
	b.hold(lane, v3)
	if together {
		b.emit(inst{op: opAdd, dst: 0, a: v0, mem: b.context.at("j", 0)})
	}
	v1 := b.temp()
	b.emit(inst{op: opBlend, dst: v1, a: y, mem: b.context.at("padding", 0), imm: 8})
	b.emit(inst{op: opShuffle, dst: v1, a: v1, imm: 0 | 1<<2 | 0<<4 | 3<<6})
	b.emit(inst{op: opBlend, dst: v1, a: v1, b: x, imm: 1})
	b.emit(inst{op: opStore, a: v1, mem: b.v(lane, 1)})
	b.emit(inst{op: opPick, dst: x, a: x, mem: b.context.at("spread", 0)})
	b.emit(inst{op: opAdd, dst: x, a: x, mem: b.context.at("a1", 0)})
	b.emit(inst{op: opLoad, dst: y, mem: b.context.at("c1", 0)})
	if together {
		b.pair(lane)
		b.emit(inst{op: opShuffle, dst: 0, a: 0, imm: 2 | 3<<2})
		b.pair(lane)
	}
}

// secondSchedule computes V(t), t from 4, of the second hash. V2 is padding
// only, so it is nowhere: steps that would read it skip it or read zeroes.
func (b *builder) secondSchedule(lane, t int) {
	at := func(t int) memory { return b.v(lane, t) }
	p := b.newest[lane]
	var w uint8
	switch t {
	case 4:
		w = b.temp()
		b.emit(inst{op: opLoad, dst: w, mem: at(0)})
		b.emit(inst{op: opMsg1, dst: w, mem: at(1)})
	case 5:
		var s uint8
		w, s = b.temp(), b.temp()
		b.distinct(w, s, p)
		b.emit(inst{op: opLoad, dst: w, mem: at(1)})
		b.emit(inst{op: opMsg1, dst: w, mem: b.context.at("zero", 0)})
		b.emit(inst{op: opAlign, dst: s, a: p, mem: at(3), imm: 4})
		b.emit(inst{op: opAdd, dst: w, a: w, b: s})
	case 6:
		w = b.temp()
		b.emit(inst{op: opAlign, dst: w, a: p, mem: at(4), imm: 4})
	default:
		w = b.scheduleStep(p, t, at)
	}
	b.emit(inst{op: opMsg2, dst: w, b: p})
	if t < 14 { // the last one is used from the register
		b.emit(inst{op: opStore, a: w, mem: at(t)})
	}
	b.hold(lane, w)
}

// secondRounds does the rounds of step t of the second hash, 0 to 14.
func (b *builder) secondRounds(lane, t int) {
	j := b.context.at("j", t)
	switch t {
	case 0, 1:
		w := b.temp()
		b.emit(inst{op: opLoad, dst: w, mem: b.v(lane, t)})
		b.scheduleRounds(lane, w, j)
	case 2:
		b.constantRounds(lane, j) // padding
	case 3:
		b.emit(inst{op: opLoad, dst: 0, mem: j}) // W13 and W14 are padding
		b.pair(lane)
		b.emit(inst{op: opAdd, dst: 0, a: b.newest[lane], mem: j})
		b.emit(inst{op: opShuffle, dst: 0, a: 0, imm: 2 | 3<<2})
		b.pair(lane)
	default:
		b.scheduleRounds(lane, b.newest[lane], j)
	}
	if t == 14 {
		a := b.state[lane][0]
		b.emit(inst{op: opAnd, dst: a, a: a, mem: b.context.at("mask", 0)})
		b.emit(inst{op: opEqual, dst: a, a: a, mem: b.context.at("target", 0)})
		b.emit(inst{op: opStore, a: a, mem: b.context.at("r", lane)})
	}
}

// gather ends the list: the next record, and AX from the results of all lanes.
func (b *builder) gather() {
	b.emit(inst{op: opAdvance, imm: uint8(b.record)})
	r := b.temp()
	b.emit(inst{op: opLoad, dst: r, mem: b.context.at("r", 0)})
	for l := 1; l < b.lanes; l++ {
		b.emit(inst{op: opOr, dst: r, a: r, mem: b.context.at("r", l)})
	}
	b.emit(inst{op: opMask, a: r})
}
