// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/bits"
)

// simdALU is what the two instruction sets do differently. Methods emit
// instructions and return their results. Operands may be memory anywhere.
type simdALU interface {
	// add returns the sum of two operands.
	add(x, y simdOperand) simdOperand
	// rotations returns the exclusive or of three rotations to the right.
	rotations(x simdOperand, r [3]int) simdOperand
	// rotationsShift has a shift in place of the third rotation.
	rotationsShift(x simdOperand, r [3]int) simdOperand
	// choice returns f where e is set and g elsewhere.
	choice(e, f, g simdOperand) simdOperand
	// majority returns what two of three say. bc and the second result are
	// b^c and a^b, for instruction sets that profit: the next round's b and c
	// are this one's a and b.
	majority(a, b, c, bc simdOperand) (maj, ab simdOperand)
	// register makes sure that an operand is in a register.
	register(x simdOperand) simdOperand
	// word keeps a word of the schedule until it is read again.
	word(x simdOperand, t int) simdOperand
	// constant, slot, tail and table are operands in memory: the same number in
	// all lanes, known now or from a field of the slot or the block, and the
	// words (round constant added) of the nonces at hand.
	constant(c uint32) simdOperand
	slot(field string, i int) simdOperand
	tail(field string) simdOperand
	table(t int) simdOperand
}

var (
	simdSigma0 = [3]int{2, 13, 22}
	simdSigma1 = [3]int{6, 11, 25}
	simdSmall0 = [3]int{7, 18, 3}
	simdSmall1 = [3]int{17, 19, 10}
)

// simdState is the state between two rounds.
type simdState struct {
	a, b, c, d, e, f, g, h simdOperand
	bc                     simdOperand
}

// simdRound emits one round. hwk is h plus the word and the constant of the
// round. The last rounds do not need a.
func simdRound(m simdALU, s simdState, hwk simdOperand, needA bool) simdState {
	t := m.add(hwk, m.choice(s.e, s.f, s.g))
	t = m.add(t, m.rotations(s.e, simdSigma1))
	next := simdState{b: s.a, c: s.b, d: s.c, e: m.add(t, s.d), f: s.e, g: s.f, h: s.g}
	if needA {
		maj, ab := m.majority(s.a, s.b, s.c, s.bc)
		next.a = m.add(t, m.add(maj, m.rotations(s.a, simdSigma0)))
		next.bc = ab
	}
	return next
}

// simdWord is a word of a schedule: a number known now or an operand.
type simdWord struct {
	known  bool
	number uint32
	at     simdOperand
}

func simdKnown(n uint32) simdWord        { return simdWord{known: true, number: n} }
func simdVector(at simdOperand) simdWord { return simdWord{at: at} }
func simdShr(x uint32, r [3]int) uint32 {
	return bits.RotateLeft32(x, -r[0]) ^ bits.RotateLeft32(x, -r[1]) ^ x>>r[2]
}

func simdSmall(m simdALU, w simdWord, r [3]int) simdWord {
	if w.known {
		return simdKnown(simdShr(w.number, r))
	}
	return simdVector(m.rotationsShift(w.at, r))
}

// simdSum adds words; the numbers among them become one, and nothing if they
// are zero together.
func simdSum(m simdALU, words ...simdWord) simdWord {
	var number uint32
	var sum simdOperand
	some := false
	for _, w := range words {
		switch {
		case w.known:
			number += w.number
		case some:
			sum = m.add(sum, w.at)
		default:
			sum, some = w.at, true
		}
	}
	if !some {
		return simdKnown(number)
	}
	if number != 0 {
		sum = m.add(sum, m.constant(number))
	}
	return simdVector(sum)
}

// simdExpand emits the word t of a schedule.
func simdExpand(m simdALU, w *[64]simdWord, t int) {
	w[t] = simdSum(m, simdSmall(m, w[t-15], simdSmall0), w[t-16], w[t-7], simdSmall(m, w[t-2], simdSmall1))
	w[t].at = m.word(w[t].at, t)
}

// simdFill emits the schedule of a header's second block, words 18 to 63, for
// a vector of nonces. Words 16 and 17 depend only on the tail, and so do parts
// of the ones that contain them: the Go side has added those up. keep is told
// each word with its round's constant added.
func simdFill(m simdALU, nonce simdOperand, keep func(t int, wk simdOperand)) {
	k := roundConstants
	var w [64]simdWord
	w[3] = simdVector(nonce)
	w[4] = simdKnown(0x80000000)
	for t := 5; t < 15; t++ {
		w[t] = simdKnown(0)
	}
	w[15] = simdKnown(640)
	w[16], w[17] = simdVector(m.tail("w16")), simdVector(m.tail("w17"))
	for t := 18; t < 64; t++ {
		switch t {
		case 18:
			w[t] = simdSum(m, simdSmall(m, w[3], simdSmall0), simdVector(m.tail("c18")))
		case 19:
			w[t] = simdSum(m, w[3], simdVector(m.tail("c19")))
		case 31, 32:
			c := simdVector(m.tail(fmt.Sprintf("c%d", t)))
			w[t] = simdSum(m, w[t-7], c, simdSmall(m, w[t-2], simdSmall1))
		default:
			simdExpand(m, &w, t)
			keep(t, m.add(w[t].at, m.constant(k[t])))
			continue
		}
		w[t].at = m.word(w[t].at, t)
		keep(t, m.add(w[t].at, m.constant(k[t])))
	}
}

// simdScan emits both hashes of a vector of nonces in one version slot and
// returns the last word of the second, whose bytes turned are the top of the
// number that is compared with a target.
func simdScan(m simdALU, nonce simdOperand) simdOperand {
	k, iv := roundConstants, initialState

	// The state behind round 3 is the slot's, but for the nonce in a and e.
	s := simdState{
		a: m.add(nonce, m.slot("behind3", 0)), e: m.add(nonce, m.slot("behind3", 4)),
		b: m.register(m.slot("behind3", 1)), c: m.register(m.slot("behind3", 2)),
		f: m.register(m.slot("behind3", 5)), g: m.register(m.slot("behind3", 6)),
		d: m.slot("behind3", 3), bc: m.slot("bc", 0),
	}
	for t := 4; t < 64; t++ {
		var hwk simdOperand
		switch {
		case t < 7: // h comes from before the nonce: the slot has the sum
			hwk = m.slot("hk", t-4)
		case t < 16:
			n := k[t]
			if t == 15 {
				n += 640
			}
			hwk = m.add(s.h, m.constant(n))
		case t < 18:
			hwk = m.add(s.h, m.tail(fmt.Sprintf("wk%d", t)))
		default:
			hwk = m.add(s.h, m.table(t))
		}
		s = simdRound(m, s, hwk, true)
	}

	// The second hash: its block is the first hash, whose words are the state
	// plus the midstate, and the padding.
	first := [8]simdOperand{s.a, s.b, s.c, s.d, s.e, s.f, s.g, s.h}
	var w [64]simdWord
	for i, v := range first {
		w[i] = simdVector(m.word(m.add(v, m.slot("mid", i)), i))
	}
	w[8] = simdKnown(0x80000000)
	for t := 9; t < 15; t++ {
		w[t] = simdKnown(0)
	}
	w[15] = simdKnown(256)

	// Round 0 changes the initial state by a number and word 0.
	s = simdState{
		a: m.add(first[0], m.slot("first", 0)), e: m.add(first[0], m.slot("first", 1)),
		b: m.register(m.constant(iv[0])), c: m.register(m.constant(iv[1])), d: m.constant(iv[2]),
		f: m.register(m.constant(iv[4])), g: m.register(m.constant(iv[5])), bc: m.constant(iv[0] ^ iv[1]),
	}
	for t := 1; t < 61; t++ {
		if t >= 16 {
			simdExpand(m, &w, t)
		}
		n := k[t]
		if t == 60 { // the last word of the hash is e plus that of the initial state
			n += iv[7]
		}
		var hwk simdOperand
		switch {
		case t < 4: // h is the initial state's: the slot has the sum
			hwk = m.add(first[t], m.slot("first", t+1))
		case w[t].known:
			hwk = m.add(s.h, m.constant(n+w[t].number))
		default:
			hwk = m.add(m.add(s.h, m.constant(n)), w[t].at)
		}
		s = simdRound(m, s, hwk, t < 57)
	}
	return s.e
}
