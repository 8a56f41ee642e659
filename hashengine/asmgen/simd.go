// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// The kernels of vectors: avx512 (16 lanes) and avx2 (8 lanes)
//
// Lanes are consecutive nonces. What depends on the version is the same in all
// lanes and is broadcast from the slot's context; what depends on the nonce and
// not on the version, the words 18 to 63 of the second block's schedule with
// their round constants, is computed once for a group of nonces and lies in a
// table that every slot of the tile reads. The rest is as in doc.go: rounds 4
// to 63 of the first hash, 1 to 60 of the second, everything folded that is
// zero or a number. Contexts hold sums for whatever reads a word of the
// midstate or of the state behind round 3, so that each costs one addition.
//
// simd_hash.go writes down what is computed, once for both instruction sets and
// without registers; simd_avx512.go and simd_avx2.go turn each step into
// instructions, and simd_code.go gives the results registers. All rounds are
// unrolled.
//
// # Operations
//
// A vector of hashes, the table at hand, in instructions that need a vector
// pipe (reads, writes and renamed copies do not):
//
//	                        avx512    avx2
//	rotations                  868   868 × (2 shifts, 1 exclusive or)
//	shifts                      80      80
//	functions of 3 operands    552   1,340 and, exclusive or
//	additions                  886     886
//	comparison                   3       4
//	all                      2,389   4,914
//	for each hash            149.3   614.3
//	table, for each group      462     842
//
// Bounds, in cycles for each hash, the table being shared by many slots. Only
// Golden Cove is measured; the others are from published tables of
// instructions.
//
//	             pipes                                       avx512    avx2
//	Golden Cove  512 bits: 2, rotations on 1; 256 bits: 3,     74.7   204.8
//	             shifts on 2
//	Zen 3        256 bits: 4, shifts on 2                         –   153.6
//	Zen 4        as Zen 3, 512 bits take a pipe twice          74.7   153.6
//	Zen 5        512 bits: 4, rotations on 2                   37.3   153.6
//
// In all of these the number of operations binds, not the pipes that rotate:
// rotations are 948 of 2,389 operations, shifts 1,816 of 4,914. Measured on
// Golden Cove, core cycles, table included: avx512 76.3 with 64 slots and 91.7
// with one, avx2 215.8 and 252.8. The same AVX-512 operations on 256 bits would
// have three pipes there and 99.5 cycles as their bound.
//
// # Order
//
// A round waits for e of the last one: rotation, function, two additions, and
// the three rotations of e queue for one pipe. A processor cannot look far
// enough ahead to fill its pipes from one hash: 79 cycles, in any order that
// was tried (the order in which an ideal processor would execute gave 83). Two
// hashes beside each other do. Both schedules would not fit in the registers,
// but the first hash has none; so avx512 runs the first hash of the next slot
// beside the second hash of this one, across the end of a group too. The state
// between them goes through memory, and so do the words of the schedule that
// are not read soon. 76 cycles, and neither the lag nor the mixture matters any
// more. For avx2, 16 registers are too few for that.
//
// Three choices cost nothing and keep copies out of avx512, whose functions of
// three operands write over one of them: h gets its round constant a round
// ahead, so choice is the last to read g; a is emitted one round late, when c
// has been added to e as d, so majority is the last to read c; and the operand
// that dies is the one written over, with the table of the function permuted.

// simdKernel is what the two kernels of vectors differ in, beside the
// instructions.
type simdKernel struct {
	name   string // of the function
	lanes  int
	regs   int
	letter string // what the names of registers begin with
	load   string // the instruction that reads, writes and copies whole vectors
	lag    int    // see simdState.settle
	// paired computes the first hash of the next slot beside the second hash of
	// this one, which takes registers.
	paired bool
	// repeat is how often the numbers that are added stand in memory: for every
	// lane where instructions cannot broadcast what they read.
	repeat int
	alu    func(simdPlaces) simdALU
}

// print returns the assembly.
func (k simdKernel) print() ([]byte, error) {
	pool := new(simdPool)
	begin := func(slots string, crowded bool) (simdPlaces, simdALU) {
		p := simdPlaces{
			simdCode: &simdCode{regs: k.regs, letter: k.letter, move: k.load},
			kernel:   k, pool: pool, slots: slots, crowded: crowded,
		}
		return p, k.alu(p)
	}

	fill, m := begin("", false)
	nonce := m.turned(m.add(simdOperand{mem: "laneNumbers<>(SB)"}, m.register(fill.broadcast("simdBlock_nonces(DI)"))))
	fill.into(fill.nonces().mem, k.load, "", nonce)
	simdFill(m, nonce, func(t int, wk simdOperand) { fill.into(m.table(t).mem, k.load, "", wk) })

	// The state between the hashes of a pair goes through memory.
	firstHash := func(crowded bool) *simdCode {
		c, m := begin("BX", crowded)
		for i, v := range simdFirst(m, m.register(c.nonces()), k.lag) {
			c.into(c.between(i).mem, k.load, "", v)
		}
		return c.simdCode
	}
	secondHash := func(crowded bool) *simdCode {
		c, m := begin("R11", crowded)
		var state [8]simdOperand
		for i := range state {
			state[i] = m.register(c.between(i))
		}
		m.compare(m.turned(simdSecond(m, state, k.lag)))
		return c.simdCode
	}

	var w simdText
	w.head(k)
	w.enter(k)
	w.code(fill.simdCode)
	if k.paired {
		w.lines("TESTQ R11, R11", "JNZ pair")
		w.code(firstHash(false))
		w.lines("JMP next", "PCALIGN $64", "")
		w.label("pair")
		w.code(secondHash(true).alongside(firstHash(true)))
		w.mask()
		w.lines("")
		w.label("next")
		w.lines("MOVQ BX, R11", "ADDQ $simdSlot__size, BX", "DECQ R12", "JNZ pair")
		w.group(k)
		w.code(secondHash(false))
		w.mask()
	} else {
		c, m := begin("BX", false)
		m.compare(m.turned(simdSecond(m, simdFirst(m, m.register(c.nonces()), k.lag), k.lag)))
		w.lines("PCALIGN $64", "")
		w.label("slot")
		w.code(c.simdCode)
		w.mask()
		w.lines("ADDQ $simdSlot__size, BX", "DECQ R12", "JNZ slot")
		w.group(k)
	}
	w.lines("VZEROUPPER", "MOVL R10, ret+40(FP)", "RET", "")
	w.lanes(k)
	w.numbers(pool, k.repeat)
	if w.err != nil {
		return nil, w.err
	}
	return []byte(w.String()), nil
}

// simdText is the file that is printed, and the first error.
type simdText struct {
	strings.Builder
	err error
}

func (w *simdText) lines(lines ...string) {
	for _, l := range lines {
		if l != "" {
			w.WriteString("\t" + l)
		}
		w.WriteString("\n")
	}
}

func (w *simdText) label(name string) { w.WriteString(name + ":\n") }

func (w *simdText) code(c *simdCode) {
	if err := c.print(&w.Builder); err != nil && w.err == nil {
		w.err = err
	}
}

func (w *simdText) head(k simdKernel) {
	fmt.Fprintf(w, `// SPDX-License-Identifier: Apache-2.0

// Code generated by asmgen; DO NOT EDIT.

#include "go_asm.h"
#include "textflag.h"

// DI block, SI first slot, DX slots, CX groups of nonces left, AX first nonce
// of the group, R8 numbers, R9 next mask, R10 all masks, R11 slot of the second
// hash if apart, R12 slots left, R13 mask, BX slot of the first hash.
TEXT ·%s(SB), NOSPLIT, $0-44
`, k.name)
}

// enter writes the beginning of the function up to the code that fills the
// table for a group of nonces.
func (w *simdText) enter(k simdKernel) {
	w.lines(
		"MOVQ block+0(FP), DI",
		"MOVQ first+8(FP), SI",
		"MOVQ slots+16(FP), DX",
		"MOVQ groups+24(FP), CX",
		"MOVL nonce+32(FP), AX",
		"LEAQ numbers<>(SB), R8",
		"LEAQ simdBlock_masks(DI), R9",
		"XORL R10, R10",
		"XORL R11, R11",
		"MOVQ SI, BX",
		"MOVQ DX, R12", "")
	w.label("group")
	w.lines("MOVL AX, simdBlock_nonces(DI)")
}

// mask writes what follows a comparison.
func (w *simdText) mask() {
	w.lines("MOVW R13, (R9)", "ORL R13, R10", "ADDQ $2, R9")
}

// group writes what follows the last first hash of a group of nonces.
func (w *simdText) group(k simdKernel) {
	w.lines("MOVQ SI, BX", "MOVQ DX, R12", fmt.Sprintf("ADDL $%d, AX", k.lanes), "DECQ CX", "JNZ group", "")
}

// lanes writes the vectors that make words of nonces: what is added to the
// first one, and the order of bytes that turns each word.
func (w *simdText) lanes(k simdKernel) {
	for i := 0; i < k.lanes; i += 2 {
		fmt.Fprintf(w, "DATA laneNumbers<>+%d(SB)/8, $0x%08x%08x\n", 4*i, i+1, i)
	}
	fmt.Fprintf(w, "GLOBL laneNumbers<>(SB), RODATA|NOPTR, $%d\n\n", 4*k.lanes)
	w.WriteString(`DATA swapWords<>+0(SB)/8, $0x0405060700010203
DATA swapWords<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL swapWords<>(SB), RODATA|NOPTR, $16

`)
}

// numbers writes the pool with every number repeated.
func (w *simdText) numbers(p *simdPool, repeat int) {
	for i, n := range p.list {
		for j := range repeat {
			fmt.Fprintf(w, "DATA numbers<>+%d(SB)/4, $0x%08x\n", 4*(repeat*i+j), n)
		}
	}
	fmt.Fprintf(w, "GLOBL numbers<>(SB), RODATA|NOPTR, $%d\n", 4*repeat*len(p.list))
}

// simdPool collects the numbers that code adds, in order of first use.
type simdPool struct {
	list []uint32
}

func (p *simdPool) index(c uint32) int {
	for i, n := range p.list {
		if n == c {
			return i
		}
	}
	p.list = append(p.list, c)
	return len(p.list) - 1
}

// simdPlaces is code with the places in memory that it uses.
type simdPlaces struct {
	*simdCode
	kernel simdKernel
	pool   *simdPool
	slots  string // the register that points to the slot
	// crowded is code that shares the registers with other code.
	crowded bool
}

// at is a place in a structure whose layout the Go compiler tells the
// assembler (go_asm.h).
func (p simdPlaces) at(field string, offset int, base string) string {
	if offset == 0 && !strings.Contains(field, "+") {
		return fmt.Sprintf("%s(%s)", field, base)
	}
	return fmt.Sprintf("(%s+%d)(%s)", field, offset, base)
}

func (p simdPlaces) broadcast(mem string) simdOperand { return simdOperand{mem: mem, bcst: true} }

// vector is a vector of the block's; the block has room for the widest ones.
func (p simdPlaces) vector(field string, i int) simdOperand {
	return simdOperand{mem: p.at("simdBlock_"+field, 4*p.kernel.lanes*i, "DI")}
}

func (p simdPlaces) nonces() simdOperand       { return p.vector("nonces", 0) }
func (p simdPlaces) between(i int) simdOperand { return p.vector("between", i) }
func (p simdPlaces) table(t int) simdOperand   { return p.vector("wk", t-18) }

func (p simdPlaces) slot(field string, i int) simdOperand {
	return p.broadcast(p.at("simdSlot_"+field, 4*i, p.slots))
}

func (p simdPlaces) tail(field string) simdOperand {
	return p.broadcast(p.at("simdBlock_"+field, 0, "DI"))
}

func (p simdPlaces) constant(c uint32) simdOperand {
	return simdOperand{mem: fmt.Sprintf("%d(R8)", 4*p.kernel.repeat*p.pool.index(c)), bcst: p.kernel.repeat == 1}
}

func simdImm(n int) string { return fmt.Sprintf("$%d, ", n) }
