// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
)

// The arm64 kernel uses the SHA-256 instructions of ARMv8. SHA256H and
// SHA256H2 together do four rounds: both read the words abcd, the words efgh
// and four words of the schedule with their constants added; the first returns
// abcd, the second efgh. As each overwrites what the other reads, one copy of
// abcd is needed per four rounds. SHA256SU0 and SHA256SU1 together make four
// words of the schedule.
//
// # What is computed
//
// The second block of a header holds 12 bytes of the tail, the nonce and
// padding, so its schedule does not depend on the version. It is made once per
// nonce (function sha2Fill), with the constants of rounds 16 to 63 added, and
// kept while all version slots go over the same nonces.
//
// First hash: rounds 0 to 2 do not know the nonce, and round 3 only adds it to
// a and e. Both are prepared per version slot; 60 rounds are left, 15 pairs of
// instructions. Rounds 4 to 15 have nothing but padding as their words, so
// their operands are constants.
//
// Second hash: round 0 starts from constants and adds its word to a and e.
// The top word of the hash is e after round 60 plus a constant, for three
// rounds move it to h unchanged. So rounds 1 to 60 are left, again 15 pairs, if
// the schedule is kept shifted by one word: quad t is W[4t+1] … W[4t+4]. The
// recurrence does not mind. Of the last pair only SHA256H2 is needed, as
// nobody asks for a.
//
// Quad 2 is zero (W9 to W12), so it needs no addition, and quad 6 needs no
// SHA256SU0. The only word of the message that is not of the first hash or
// padding is W16 = W0 + σ0(W1), in quad 3: one SHA256SU0 of the unshifted words
// leaves it in lane 0, from where VEXT takes it.
//
// The top word, its bytes turned, is compared as a number, so the kernel finds
// exactly what is at or below any bound.
//
// # Lanes
//
// Four nonces of one version slot are computed at once. Nonces were chosen over
// versions because then four lanes share every load of the state, a group of
// four schedules can be stored so that one instruction loads the operands of
// all lanes, any number of version slots is equally quick, and only the end of
// a tile has idle lanes.
//
// Lanes run the same instructions, the next lane one instruction behind. So
// neighbouring instructions seldom depend on each other, which processors that
// issue in order need; the others do not mind.
//
// # Registers
//
//	V0-V3    abcd of the lanes
//	V4-V7    efgh of the lanes
//	V8-V23   first hash: words of rounds 16-63, a bank of four registers per
//	         four rounds, one per lane; banks V8, V12 and V20 take turns and
//	         V16-V19 hold what the second hash starts from: padding, a and e of
//	         round 0, zero
//	         second hash: the last four quads of the schedule, one bank each
//	V24-V27  copies of abcd
//	V28-V31  first hash: words of rounds 4-15, then the midstate (V28, V29)
//	         second hash: words of even and odd lanes with their constants
//	         (V28, V29), constants of this and the next quad (V30, V31)
//
// # Cost
//
// 147 instructions per hash: 59 SHA256H and SHA256H2, 22 SHA256SU0 and
// SHA256SU1, 57 other vector instructions, 9 loads and scalar ones (the head of
// the printed file has them per group). A schedule takes 48, of them 20
// SHA256SU0 and SHA256SU1; version slots share it, a lone version pays it in
// full.
//
// Most cores have the SHA-256 instructions on one pipe that starts one per
// cycle. That is the bound: 81 cycles per hash with version rolling, 101 without.
// Where all of them take two cycles the bounds are 162 and 202. (Cores that
// run the schedule beside the rounds come down to 59.) Everything else fits
// beside it on a second vector pipe. The rounds of one lane depend on each
// other, but have those of three lanes to wait for: eight cycles for a latency
// of four or six.
//
// This has been run under emulation only, so there is no measured speed. The
// models of processors in llvm-mca 19 give, in cycles per hash: Neoverse N1 and
// N2 84, V1 71, V2 82, Apple M1 83, Ampere 1 75, Cortex-A72 154, and for a
// schedule 15 to 34. For the small Cortex-A55, which issues in order, 241.

const (
	arm64Abcd   = 0
	arm64Efgh   = 4
	arm64Copy   = 24
	arm64Words  = 28 // second hash: words with constants, two registers
	arm64Consts = 30 // second hash: constants, two registers

	// Registers of the second hash's start, loaded at once.
	arm64Padding = 16
	arm64StartA  = 17
	arm64StartE  = 18
	arm64Zero    = 19

	arm64Quads = 15 // of four rounds, in either hash
)

// arm64Bank returns the first register of the bank that holds quad t of the
// second hash's schedule.
func arm64Bank(t int) int { return 8 + 4*(t%4) }

// arm64FirstBank returns the first register of the bank that holds the words of
// quad q of the first hash, from quad 3 on.
func arm64FirstBank(q int) int { return [3]int{8, 12, 20}[q%3] }

// printARM64 prints the file of the arm64 kernel.
func printARM64() ([]byte, error) {
	fill := arm64FillLoop()
	scan := arm64ScanLoop()
	var out bytes.Buffer
	fmt.Fprintf(&out, `// SPDX-License-Identifier: Apache-2.0

// Code generated by asmgen; DO NOT EDIT.

// Instructions per group of four hashes: %d, of which
//	%3d SHA256H and SHA256H2
//	%3d SHA256SU0 and SHA256SU1
//	%3d other vector instructions
//	%3d loads and stores
//	%3d others
// and per group of four schedules: %d, of which
//	%3d SHA256SU0 and SHA256SU1
//	%3d other vector instructions
//	%3d loads and stores
//	%3d others

#include "go_asm.h"
#include "textflag.h"

`,
		scan.total(), scan.class["hash"], scan.class["schedule"], scan.class["vector"], scan.class["memory"], scan.class["scalar"],
		fill.total(), fill.class["schedule"], fill.class["vector"], fill.class["memory"], fill.class["scalar"])
	out.WriteString(`// func sha2Fill(table *sha2Constants, tail *sha2Tail, groups *sha2Group, count int, nonce uint32)
TEXT ·sha2Fill(SB), NOSPLIT, $0-36
	MOVD table+0(FP), R5
	MOVD tail+8(FP), R0
	MOVD groups+16(FP), R1
	MOVD count+24(FP), R3
	MOVWU nonce+32(FP), R2
	FMOVQ sha2Tail_q0(R0), F24
	FMOVQ sha2Constants_q1(R5), F25
	FMOVQ sha2Constants_q3(R5), F26
	FMOVQ sha2Tail_q4(R0), F27
	FMOVQ sha2Tail_q7(R0), F28
	VEOR V29.B16, V29.B16, V29.B16
	CBZ R3, filled
	PCALIGN $16

fill:
`)
	fill.writeTo(&out)
	out.WriteString(`
filled:
	RET

// func sha2Scan(table *sha2Constants, slot *sha2Slot, groups *sha2Group, masks *uint8, count int, bound uint32) (union uint32)
TEXT ·sha2Scan(SB), NOSPLIT, $0-52
	MOVD table+0(FP), R5
	MOVD slot+8(FP), R0
	MOVD groups+16(FP), R1
	MOVD masks+24(FP), R2
	MOVD count+32(FP), R3
	MOVWU bound+40(FP), R7
	ADD $sha2Constants_padding, R5, R8
	MOVD $0, R4
	CBZ R3, scanned
	PCALIGN $16

scan:
`)
	scan.writeTo(&out)
	out.WriteString(`
scanned:
	MOVW R4, union+48(FP)
	RET
`)
	return out.Bytes(), nil
}

// arm64ScanLoop returns the double hashes of a group of four nonces.
func arm64ScanLoop() *arm64List {
	l := new(arm64List)
	l.add("VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]") // a nonce in lane 0, zeros
	l.add("FLDPQ sha2Slot_abcd3(R0), (F24, F25)")
	l.add("VLD1 (R5), [V28.S4, V29.S4, V30.S4]")
	for q := 3; q < 6; q++ {
		l.loadBank(arm64FirstBank(q))
	}
	l.add("VLD1 (R8), [V16.S4, V17.S4, V18.S4, V19.S4]")
	for lane := range 4 {
		l.add("VADD V24.S4, V%d.S4, V%d.S4", arm64Efgh+lane, arm64Abcd+lane)
		l.add("VADD V25.S4, V%d.S4, V%d.S4", arm64Efgh+lane, arm64Efgh+lane)
	}
	var lanes [4]*arm64List
	for i := range lanes {
		lanes[i] = new(arm64List)
		lanes[i].firstHash(i)
		lanes[i].between(i)
		lanes[i].secondHash(i)
	}
	l.stagger(lanes[:])

	// e after round 60 is in lane 0 of efgh; now all in one register.
	l.add("VZIP1 V5.S4, V4.S4, V24.S4")
	l.add("VZIP1 V7.S4, V6.S4, V25.S4")
	l.add("FLDPQ sha2Constants_iv7(R5), (F28, F29)")
	l.add("VDUP R7, V30.S4")
	l.add("VZIP1 V25.D2, V24.D2, V24.D2")
	l.add("VADD V28.S4, V24.S4, V24.S4")
	l.add("VREV32 V24.B16, V24.B16")
	l.add("VUMIN V30.S4, V24.S4, V25.S4") // the hash, if it is at or below the bound
	l.add("VCMEQ V25.S4, V24.S4, V25.S4")
	l.add("VAND V29.B16, V25.B16, V25.B16") // lane i leaves bit i
	l.add("VADDV V25.S4, V25")
	l.add("VMOV V25.S[0], R6")
	l.add("ORR R6, R4, R4")
	l.add("MOVB.P R6, 1(R2)")
	l.add("SUB $1, R3, R3")
	l.add("CBNZ R3, scan")
	return l
}

// firstHash adds rounds 4 to 63 of one lane. The last lane loads what follows
// into registers that all lanes have done with.
func (l *arm64List) firstHash(lane int) {
	for q := range arm64Quads {
		words := arm64Words + q
		if q >= 3 {
			words = arm64FirstBank(q) + lane
		}
		l.fourRounds(lane, words)
		if lane != 3 {
			continue
		}
		switch {
		case q == 2:
			l.join("FLDPQ sha2Slot_abcd(R0), (F28, F29)")
			l.loadConstants(0)
			l.loadConstants(1)
		case q >= 3 && q+3 < arm64Quads:
			l.loadBank(arm64FirstBank(q + 3))
		}
	}
}

// between adds the end of one lane's first hash and round 0 of its second.
func (l *arm64List) between(lane int) {
	a, e, c := arm64Abcd+lane, arm64Efgh+lane, arm64Copy+lane
	l.add("VADD V28.S4, V%d.S4, V%d.S4", a, a)                                      // W0 … W3
	l.add("VADD V29.S4, V%d.S4, V%d.S4", e, e)                                      // W4 … W7
	l.add("FMOVS F%d, F%d", a, c)                                                   // W0, zeros
	l.add("VEXT $4, V%d.B16, V%d.B16, V%d.B16", e, a, arm64Bank(0)+lane)            // W1 … W4
	l.add("VEXT $4, V%d.B16, V%d.B16, V%d.B16", arm64Padding, e, arm64Bank(1)+lane) // W5 … W8
	l.add("SHA256SU0 V%d.S4, V%d.S4", e, a)                                         // W16 in lane 0
	l.add("VEXT $4, V%d.B16, V%d.B16, V%d.B16", a, arm64Padding, arm64Bank(3)+lane) // W13 … W16
	l.add("VADD V%d.S4, V%d.S4, V%d.S4", arm64StartA, c, a)
	l.add("VADD V%d.S4, V%d.S4, V%d.S4", arm64StartE, c, e)
}

// secondHash adds rounds 1 to 60 of one lane. While the rounds of quad t run,
// its register takes quad t+4.
func (l *arm64List) secondHash(lane int) {
	a, e := arm64Abcd+lane, arm64Efgh+lane
	for t := range arm64Quads {
		quad, consts := arm64Bank(t)+lane, arm64Consts+t%2
		words := arm64Words + lane%2
		last := t == arm64Quads-1
		if !last {
			l.add("VMOV V%d.B16, V%d.B16", a, arm64Copy+lane)
		}
		switch {
		case t == 2: // zeros
			words = consts
		case t+4 >= arm64Quads: // the quad is not needed for another
			words = quad
			fallthrough
		default:
			l.add("VADD V%d.S4, V%d.S4, V%d.S4", consts, quad, words)
		}
		if last {
			l.add("SHA256H2 V%d.S4, V%d, V%d", words, a, e)
			break
		}
		l.hash(lane, words)
		if lane == 3 && t+2 < arm64Quads {
			l.loadConstants(t + 2)
		}
		if t+4 >= arm64Quads {
			continue
		}
		next, before := arm64Bank(t+1)+lane, arm64Bank(t+2)+lane
		switch t {
		case 0:
			before = arm64Zero
		case 1:
			next = arm64Zero
		}
		if t == 2 {
			l.add("VEOR V%d.B16, V%d.B16, V%d.B16", quad, quad, quad)
		} else {
			l.add("SHA256SU0 V%d.S4, V%d.S4", next, quad)
		}
		l.add("SHA256SU1 V%d.S4, V%d.S4, V%d.S4", arm64Bank(t+3)+lane, before, quad)
	}
}

// fourRounds adds four rounds of one lane.
func (l *arm64List) fourRounds(lane, words int) {
	l.add("VMOV V%d.B16, V%d.B16", arm64Abcd+lane, arm64Copy+lane)
	l.hash(lane, words)
}

// hash adds four rounds of one lane whose abcd has been copied.
func (l *arm64List) hash(lane, words int) {
	l.add("SHA256H V%d.S4, V%d, V%d", words, arm64Efgh+lane, arm64Abcd+lane)
	l.add("SHA256H2 V%d.S4, V%d, V%d", words, arm64Copy+lane, arm64Efgh+lane)
}

// loadBank adds the load of the next four rounds' words of all lanes.
func (l *arm64List) loadBank(bank int) {
	l.join("VLD1.P 64(R1), [V%d.S4, V%d.S4, V%d.S4, V%d.S4]", bank, bank+1, bank+2, bank+3)
}

// loadConstants adds the load of the constants of the second hash's quad t.
func (l *arm64List) loadConstants(t int) {
	l.join("FMOVQ (sha2Constants_second+%d)(R5), F%d", 16*t, arm64Consts+t%2)
}
