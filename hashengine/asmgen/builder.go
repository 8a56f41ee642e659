// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
)

// steps is the number of steps of four rounds in one hash: 0 to 14 are rounds
// 4 to 63 of the first hash's second block, 15 to 29 are rounds 1 to 60 of the
// second hash.
const steps = 30

// first2 is the step that the second hash begins with.
const first2 = 15

// kernel is a built instruction list with all that its printing needs.
type kernel struct {
	name    string // as the Go side writes it: vr5, n4
	lanes   int
	record  int32 // bytes by which the record pointer advances
	context layout
	list    []inst
}

// builder appends instructions to a kernel's list. Lane l keeps its state in
// X(1+2l) and X(2+2l); X0 holds the words of the next rounds, as SHA256RNDS2
// demands. What is left is a pool for schedules.
type builder struct {
	kernel
	state  [][2]uint8    // per lane: a b e f, then c d g h
	newest map[int]uint8 // register that holds the newest schedule vector of a lane
	pool   []uint8       // free registers, the least recently used first
	behind []bool        // whether the lane works on the record before the current one
}

func newBuilder(name string, lanes int, record int32) *builder {
	b := &builder{kernel: kernel{name: name, lanes: lanes, record: record}, newest: map[int]uint8{}, behind: make([]bool, lanes)}
	for l := range lanes {
		b.state = append(b.state, [2]uint8{uint8(1 + 2*l), uint8(2 + 2*l)})
		b.behind[l] = true // until it takes up a new one, it is at the last one
	}
	for r := 1 + 2*lanes; r < 16; r++ {
		b.pool = append(b.pool, uint8(r))
	}
	return b
}

// arrangementError is panicked with by builders when an arrangement cannot be
// built; frozen.plain returns it.
type arrangementError string

func (e arrangementError) Error() string { return string(e) }

func (b *builder) emit(i inst) { b.list = append(b.list, i) }

// temp returns a register for short use. Registers go round, so that orders
// which let the use of one overlap the next have room.
func (b *builder) temp() uint8 {
	if len(b.pool) == 0 {
		panic(arrangementError("too few registers: none is free"))
	}
	r := b.pool[0]
	b.pool = append(b.pool[1:], r)
	return r
}

// hold makes r, a register of the pool, the lane's newest schedule vector and
// gives the register before back to the pool.
func (b *builder) hold(lane int, r uint8) {
	b.pool = slices.DeleteFunc(b.pool, func(x uint8) bool { return x == r })
	if old, ok := b.newest[lane]; ok {
		b.pool = append(b.pool, old)
	}
	b.newest[lane] = r
}

// pair does two rounds of a lane with the words in X0.
func (b *builder) pair(lane int) {
	s := b.state[lane]
	b.emit(inst{op: opRounds, dst: s[1], a: s[0]})
	b.state[lane] = [2]uint8{s[1], s[0]}
}

// constantRounds does four rounds whose words plus constants lie in memory.
// Two loads spare the shuffle, which has two pipes where loads have three.
func (b *builder) constantRounds(lane int, m memory) {
	b.emit(inst{op: opLoad, mem: m})
	b.pair(lane)
	b.emit(inst{op: opLoadLow, mem: m.plus(8)})
	b.pair(lane)
}

// scheduleRounds does four rounds with the words in w and constants in memory.
// The shuffle brings the upper two down: storing the sums and loading them
// twice took 17 % longer.
func (b *builder) scheduleRounds(lane int, w uint8, constants memory) {
	b.emit(inst{op: opAdd, dst: 0, a: w, mem: constants})
	b.pair(lane)
	b.emit(inst{op: opShuffle, dst: 0, a: 0, imm: 2 | 3<<2})
	b.pair(lane)
}

// scheduleStep appends the general step of the schedule: four words made of
// the sixteen before, of which the newest four are in p. at gives the memory
// of the vector t.
func (b *builder) scheduleStep(p uint8, t int, at func(t int) memory) uint8 {
	w, s := b.temp(), b.temp()
	b.distinct(w, s, p)
	b.emit(inst{op: opLoad, dst: w, mem: at(t - 4)})
	b.emit(inst{op: opMsg1, dst: w, mem: at(t - 3)})
	b.emit(inst{op: opAlign, dst: s, a: p, mem: at(t - 2), imm: 4})
	b.emit(inst{op: opAdd, dst: w, a: w, b: s})
	return w
}

func (b *builder) distinct(regs ...uint8) {
	for i, x := range regs {
		if slices.Contains(regs[:i], x) {
			panic(arrangementError(fmt.Sprintf("too few registers: X%d is used twice", x)))
		}
	}
}

// restore moves the schedule vectors back to the registers of the loop's
// begin.
func (b *builder) restore(begin map[int]uint8) {
	type move struct{ to, from uint8 }
	var moves []move
	for l := range b.lanes {
		from, now := b.newest[l]
		to, then := begin[l]
		if now != then {
			panic(arrangementError(fmt.Sprintf("lane %d holds a schedule vector at one end of the loop only", l)))
		}
		if from != to {
			moves = append(moves, move{to, from})
		}
	}
	for len(moves) > 0 {
		n := slices.IndexFunc(moves, func(m move) bool {
			return !slices.ContainsFunc(moves, func(o move) bool { return o.from == m.to })
		})
		if n >= 0 {
			b.emit(inst{op: opLoad, dst: moves[n].to, b: moves[n].from})
			moves = slices.Delete(moves, n, n+1)
			continue
		}
		spare := b.spare(begin) // only circles are left: open one
		b.emit(inst{op: opLoad, dst: spare, b: moves[0].from})
		moves[0].from = spare
	}
	for l, s := range b.state {
		if s != [2]uint8{uint8(1 + 2*l), uint8(2 + 2*l)} {
			panic(arrangementError(fmt.Sprintf("the state of lane %d ends in other registers", l)))
		}
	}
}

// spare returns a register that holds no schedule vector at the loop's end,
// X0 if there is none.
func (b *builder) spare(begin map[int]uint8) uint8 {
	used := map[uint8]bool{}
	for _, m := range []map[int]uint8{b.newest, begin} {
		for _, r := range m {
			used[r] = true
		}
	}
	for r := uint8(1 + 2*b.lanes); r < 16; r++ {
		if !used[r] {
			return r
		}
	}
	return 0
}
