// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// avx512ALU emits AVX-512: 16 lanes, rotations and functions of three
// operands in one instruction, numbers broadcast from memory for nothing.
type avx512ALU struct {
	*simdCode
	pool *simdPool
	next string // what is added to the address of a slot
}

func (m avx512ALU) add(x, y simdOperand) simdOperand {
	if y.mem != "" {
		x, y = y, x
	}
	return m.op("VPADDD", "", x, m.register(y))
}

func (m avx512ALU) register(x simdOperand) simdOperand {
	switch {
	case x.mem == "":
		return x
	case x.bcst:
		return m.op("VPBROADCASTD", "", x)
	}
	return m.op("VMOVDQA32", "", x)
}

func (m avx512ALU) rotations(x simdOperand, r [3]int) simdOperand {
	x = m.register(x)
	return m.ternlog(0x96, m.rotate(x, r[0]), m.rotate(x, r[1]), m.rotate(x, r[2]))
}

func (m avx512ALU) rotationsShift(x simdOperand, r [3]int) simdOperand {
	return m.ternlog(0x96, m.rotate(x, r[0]), m.rotate(x, r[1]), m.op("VPSRLD", simdImm(r[2]), x))
}

func (m avx512ALU) rotate(x simdOperand, n int) simdOperand { return m.op("VPRORD", simdImm(n), x) }

func (m avx512ALU) choice(e, f, g simdOperand) simdOperand { return m.ternlog(0xca, e, f, g) }

func (m avx512ALU) majority(a, b, c, _ simdOperand) (maj, ab simdOperand) {
	return m.ternlog(0xe8, a, b, c), simdOperand{}
}

func (m avx512ALU) word(x simdOperand, t int) (near, far simdOperand) {
	if t > 60-7 {
		return x, x
	}
	to := simdAddress("simdBlock_words", 64*(t%16), "DI")
	m.into(to, "VMOVDQA32", "", x)
	return x, simdOperand{mem: to}
}

func (m avx512ALU) constant(c uint32) simdOperand {
	return simdOperand{mem: fmt.Sprintf("%d(R8)", 4*m.pool.index(c)), bcst: true}
}

func (m avx512ALU) slot(field string, i int) simdOperand {
	return simdOperand{mem: simdAddress("simdSlot_"+field+m.next, 4*i, "R11"), bcst: true}
}

func (m avx512ALU) tail(field string) simdOperand {
	return simdOperand{mem: simdAddress("simdBlock_"+field, 0, "DI"), bcst: true}
}

func (m avx512ALU) table(t int) simdOperand {
	return simdOperand{mem: simdAddress("simdBlock_wk", 64*(t-18), "DI")}
}

// printAVX512 returns avx512_amd64.s.
func printAVX512() ([]byte, error) {
	pool := new(simdPool)
	begin := func(next string) avx512ALU {
		return avx512ALU{&simdCode{regs: 32, letter: "Z", move: "VMOVDQA32"}, pool, next}
	}
	nonces := simdOperand{mem: "simdBlock_nonces(DI)"}

	fill := begin("")
	order := fill.op("VBROADCASTI32X4", "", simdOperand{mem: "swapWords<>(SB)"})
	lanes := fill.op("VPADDD", "", simdOperand{mem: "laneNumbers<>(SB)"}, fill.op("VPBROADCASTD", "", simdOperand{mem: "AX"}))
	nonce := fill.op("VPSHUFB", "", order, lanes)
	fill.into(nonces.mem, "VMOVDQA32", "", nonce)
	simdFill(fill, nonce, func(t int, wk simdOperand) {
		fill.into(fill.table(t).mem, "VMOVDQA32", "", wk)
	})

	lag, _ := strconv.Atoi(os.Getenv("L"))
	lag2, _ := strconv.Atoi(os.Getenv("L2"))
	firstOf := func(next string, lag int) *simdCode {
		first := begin(next)
		for i, v := range simdFirst(first, first.register(nonces), lag) {
			first.into(simdAddress("simdBlock_between", 64*i, "DI"), "VMOVDQA32", "", v)
		}
		return first.simdCode
	}
	secondOf := func(lag int) *simdCode {
		second := begin("")
		var state [8]simdOperand
		for i := range state {
			state[i] = second.op("VMOVDQA32", "", simdOperand{mem: simdAddress("simdBlock_between", 64*i, "DI")})
		}
		hash := simdSecond(second, state, lag)
		top := second.op("VPSHUFB", "", second.op("VBROADCASTI32X4", "", simdOperand{mem: "swapWords<>(SB)"}), hash)
		second.into("K1", "VPCMPUD", "$2, ", simdOperand{mem: "simdBlock_target(DI)", bcst: true}, top)
		return second.simdCode
	}

	var w strings.Builder
	simdHead(&w)
	simdEnter(&w, "scanAVX512")
	if err := fill.print(&w); err != nil {
		return nil, err
	}
	w.WriteString("	MOVQ SI, R11\n	MOVQ DX, R12\n")
	if err := firstOf("", lag).print(&w); err != nil {
		return nil, err
	}
	w.WriteString("	DECQ R12\n	JZ last\n	PCALIGN $64\n\nslot:\n")
	if err := secondOf(lag2).alongside(firstOf("+simdSlot__size", lag)).print(&w); err != nil {
		return nil, err
	}
	w.WriteString("	KMOVW K1, R13\n	MOVW R13, (R9)\n	ORL R13, R10\n	ADDQ $2, R9\n	ADDQ $simdSlot__size, R11\n	DECQ R12\n	JNZ slot\n\nlast:\n")
	if err := secondOf(lag2).print(&w); err != nil {
		return nil, err
	}
	w.WriteString("	KMOVW K1, R13\n")
	simdLeave(&w, 16)
	simdLanes(&w, 16)
	pool.print(&w, 1)
	return []byte(w.String()), nil
}
