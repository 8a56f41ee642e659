// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// arrangement is what a search chooses before it moves single instructions.
type arrangement struct {
	offsets  []int  // per lane: the slot of the loop's 30 in which its step 0 is
	sequence string // of the lanes within a slot: see sequences
	together bool   // whether the second hash's first rounds follow the turn-over at once
}

// sequences names the orders of lanes within a slot.
var sequences = []string{"up", "down", "first", "second"}

// sorted returns the lanes in the order in which the slot visits them.
func (a arrangement) sorted(slot int) []int {
	lanes := make([]int, len(a.offsets))
	for l := range lanes {
		lanes[l] = l
	}
	inSecond := func(l int) bool { return a.step(l, slot) >= first2 }
	part := func(front func(l int) bool) {
		slices.SortStableFunc(lanes, func(x, y int) int {
			switch {
			case front(x) == front(y):
				return 0
			case front(x):
				return -1
			}
			return 1
		})
	}
	switch a.sequence {
	case "down":
		slices.Reverse(lanes)
	case "first":
		part(func(l int) bool { return !inSecond(l) })
	case "second":
		part(inSecond)
	}
	return lanes
}

// step returns the step of its hash that a lane does in a slot.
func (a arrangement) step(lane, slot int) int {
	return (slot - a.offsets[lane] + steps) % steps
}

// versionRecord is the size of a record of the shared schedule: the nonce
// vector and twelve vectors of words plus constants.
const versionRecord = 13 * vectorBytes

// versions builds the kernel whose lanes are five versions under one nonce.
// The second block of the header is the same for all of them, and so is its
// schedule, which comes from records that the fill has written.
func versions(a arrangement) kernel {
	b := newBuilder("vr5", len(a.offsets), versionRecord)
	c := &b.context
	b.firstFields()
	secondFields(c)
	checkFields(c, b.lanes)
	c.add("ab3", "per lane: a b e f after round 3, less W3", b.lanes)
	c.add("cd3", "per lane: c d g h after round 3", b.lanes)
	c.add("mab", "per lane: a b e f of the midstate", b.lanes)
	c.add("mcd", "per lane: c d g h of the midstate", b.lanes)
	c.add("v", "scratch: the second hashes' schedules", b.lanes*vectors)

	for l := range b.lanes {
		if a.step(l, 0) >= first2 { // in the second hash when the loop begins
			b.newest[l], b.pool = b.pool[0], b.pool[1:]
		}
	}
	begin := map[int]uint8{}
	for l, r := range b.newest {
		begin[l] = r
	}
	for slot := range steps {
		for _, l := range a.sorted(slot) {
			step := a.step(l, slot)
			b.versionRounds(l, step, a.together)
			b.versionPrepare(l, (step+1)%steps, a.together)
		}
	}
	b.gather()
	b.restore(begin)
	return b.kernel
}

// firstFields declares the constants of rounds 4 to 15 of the second block.
// The words there are the bit behind the header, zeroes, and its length.
func (b *builder) firstFields() {
	ka := quads(4, 16)
	ka[0][0] += 0x80000000
	ka[2][3] += 640
	b.context.add("ka", "round constants 4 to 15 plus the padding's words", 3, ka...)
}

// record returns the operand of a vector of the lane's record. A lane that
// began before the loop's edge has its record behind the pointer.
func (b *builder) recordAt(lane int, vector int32) memory {
	m := memory{base: recordBase, offset: vector * vectorBytes}
	if b.behind[lane] {
		m.offset -= b.record
	}
	return m
}

// versionPrepare does what must precede the rounds of a step.
func (b *builder) versionPrepare(lane, step int, together bool) {
	switch {
	case step == 0:
		b.behind[lane] = false
		s := b.state[lane]
		b.emit(inst{op: opLoad, dst: s[0], mem: b.recordAt(lane, 0)})
		b.emit(inst{op: opAdd, dst: s[0], a: s[0], mem: b.context.at("ab3", lane)})
		b.emit(inst{op: opLoad, dst: s[1], mem: b.context.at("cd3", lane)})
	case step == first2:
		b.turnOver(lane, b.context.at("mab", lane), b.context.at("mcd", lane), together)
	case step >= first2+4:
		b.secondSchedule(lane, step-first2)
	}
}

// versionRounds does the rounds of a step.
func (b *builder) versionRounds(lane, step int, together bool) {
	switch {
	case step < 3:
		b.constantRounds(lane, b.context.at("ka", step))
	case step < first2:
		b.constantRounds(lane, b.recordAt(lane, int32(step-2)))
	case step == first2 && together: // done by the turn-over
	default:
		b.secondRounds(lane, step-first2)
	}
	if step == steps-1 {
		b.pool = append(b.pool, b.newest[lane])
		delete(b.newest, lane)
	}
}
