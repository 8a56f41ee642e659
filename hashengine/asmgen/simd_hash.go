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
	// turned returns every word with its bytes in the other order.
	turned(x simdOperand) simdOperand
	// compare sets R13 to the mask of the lanes at or below the target.
	compare(top simdOperand)
	// register makes sure that an operand is in a register.
	register(x simdOperand) simdOperand
	// word keeps the word t of a schedule that ends with the word last, and
	// returns where to read it soon and where from the seventh word on.
	word(x simdOperand, t, last int) (near, far simdOperand)
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

// simdLater is a word of the state whose code is emitted when it is asked for.
type simdLater struct {
	emit func() simdOperand
	at   simdOperand
}

func simdNow(x simdOperand) *simdLater { return &simdLater{at: x} }

func (l *simdLater) get() simdOperand {
	if l.emit != nil {
		l.at, l.emit = l.emit(), nil
	}
	return l.at
}

// simdState is the state between two rounds.
type simdState struct {
	// a to d are needed later than e to h: a becomes d, which is added to e,
	// three rounds after it was made.
	a, b, c, d *simdLater
	e, f, g    simdOperand
	// h is the one word that is only added up, so its round's constant, and its
	// word if that is at hand, are added a round ahead. That is no work less,
	// but it makes choice the last reader of g.
	h  simdOperand
	bc *simdLater
}

// simdRound emits one round, but leaves a for later. ahead adds to the next
// round's h what can be added.
func simdRound(m simdALU, s simdState, ahead func(h simdOperand) simdOperand) simdState {
	next := simdState{b: s.a, c: s.b, d: s.c, f: s.e, g: s.f, h: ahead(s.g)}
	t := m.add(s.h, m.choice(s.e, s.f, s.g))
	t = m.add(t, m.rotations(s.e, simdSigma1))
	next.e = m.add(t, s.d.get())
	next.bc = new(simdLater)
	next.a = &simdLater{emit: func() simdOperand {
		maj, ab := m.majority(s.a.get(), s.b.get(), s.c.get(), s.bc.get())
		*next.bc = simdLater{at: ab}
		return m.add(t, m.add(maj, m.rotations(s.a.get(), simdSigma0)))
	}}
	return next
}

// settle emits the words of the state that are lag rounds old.
func (s *simdState) settle(lag int) {
	[...]*simdLater{s.a, s.b, s.c, s.d}[lag].get()
}

// simdWord is a word of a schedule: a number known now or an operand.
type simdWord struct {
	known  bool
	number uint32
	at     simdOperand
	far    simdOperand // where it is read from 7 rounds on
}

func simdKnown(n uint32) simdWord        { return simdWord{known: true, number: n} }
func simdVector(at simdOperand) simdWord { return simdWord{at: at, far: at} }
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

// later is the word as it is read some rounds later.
func (w simdWord) later() simdWord {
	w.at = w.far
	return w
}

// simdExpand emits the word t of a schedule.
func simdExpand(m simdALU, w *[64]simdWord, t int) simdWord {
	return simdSum(m, simdSmall(m, w[t-15].later(), simdSmall0), w[t-16].later(), w[t-7].later(), simdSmall(m, w[t-2], simdSmall1))
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
			w[t] = simdExpand(m, &w, t)
		}
		w[t].at, w[t].far = m.word(w[t].at, t, 63)
		keep(t, m.add(w[t].at, m.constant(k[t])))
	}
}

// simdFirst emits the first hash of a vector of nonces in one version slot and
// returns the state behind its last round.
func simdFirst(m simdALU, nonce simdOperand, lag int) [8]simdOperand {
	k := roundConstants

	// The state behind round 3 is the slot's, but for the nonce in a and e. In
	// rounds 4 to 6 h is of before the nonce: the slot has the sums.
	s := simdState{
		a: simdNow(m.add(nonce, m.slot("behind3", 0))), e: m.add(nonce, m.slot("behind3", 4)),
		b: simdNow(m.register(m.slot("behind3", 1))), c: simdNow(m.register(m.slot("behind3", 2))),
		f: m.register(m.slot("behind3", 5)), g: m.register(m.slot("behind3", 6)),
		d: simdNow(m.slot("behind3", 3)), h: m.slot("hk", 0), bc: simdNow(m.slot("bc", 0)),
	}
	for t := 4; t < 64; t++ {
		s = simdRound(m, s, func(h simdOperand) simdOperand {
			switch t := t + 1; {
			case t < 7:
				return m.slot("hk", t-4)
			case t < 15:
				return m.add(h, m.constant(k[t]))
			case t == 15:
				return m.add(h, m.constant(k[t]+640))
			case t < 18:
				return m.add(h, m.tail(fmt.Sprintf("wk%d", t)))
			case t < 64:
				return m.add(h, m.table(t))
			}
			return h
		})
		s.settle(lag)
	}

	return [8]simdOperand{s.a.get(), s.b.get(), s.c.get(), s.d.get(), s.e, s.f, s.g, s.h}
}

// simdSecond emits the second hash, of the state behind the first one's last
// round, and returns its last word, whose bytes turned are the top of the
// number that is compared with a target.
func simdSecond(m simdALU, first [8]simdOperand, lag int) simdOperand {
	k, iv := roundConstants, initialState

	const last = 60
	// Its block is the first hash, that state plus the midstate, and padding.
	var w [64]simdWord
	for i := range first {
		w[i] = simdVector(m.add(first[i], m.slot("mid", i)))
		w[i].at, w[i].far = m.word(w[i].at, i, last)
	}
	w[8] = simdKnown(0x80000000)
	for t := 9; t < 15; t++ {
		w[t] = simdKnown(0)
	}
	w[15] = simdKnown(256)

	// Round 0 changes the initial state by a number and word 0. In rounds 1 to
	// 3 h is the initial state's: the slot has the sums.
	s := simdState{
		a: simdNow(m.add(first[0], m.slot("first", 0))), e: m.add(first[0], m.slot("first", 1)),
		b: simdNow(m.register(m.constant(iv[0]))), c: simdNow(m.register(m.constant(iv[1]))), d: simdNow(m.constant(iv[2])),
		f: m.register(m.constant(iv[4])), g: m.register(m.constant(iv[5])),
		h: m.add(first[1], m.slot("first", 2)), bc: simdNow(m.constant(iv[0] ^ iv[1])),
	}
	for t := 1; t <= last; t++ {
		if t >= 16 {
			w[t] = simdExpand(m, &w, t)
			w[t].at, w[t].far = m.word(w[t].at, t, last)
		}
		if t >= 4 && !w[t].known {
			s.h = m.add(s.h, w[t].at)
		}
		s = simdRound(m, s, func(h simdOperand) simdOperand {
			switch t := t + 1; {
			case t < 4:
				return m.add(first[t], m.slot("first", t+1))
			case t < last:
				return m.add(h, m.constant(k[t]+w[t].number))
			case t == last: // the last word of the hash is e plus that of the initial state
				return m.add(h, m.constant(k[t]+iv[7]))
			}
			return h
		})
		if t-lag < 57 { // the last rounds need no a
			s.settle(lag)
		}
	}
	return s.e
}
