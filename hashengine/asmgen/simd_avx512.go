// SPDX-License-Identifier: Apache-2.0

package main

// avx512 has 16 lanes and 32 registers, rotations and functions of three
// operands in one instruction, and numbers broadcast from memory for nothing.
var avx512 = simdKernel{
	name: "scanAVX512", lanes: 16, regs: 32, letter: "Z", load: "VMOVDQA32",
	lag: 1, paired: true, repeat: 1,
	alu: func(p simdPlaces) simdALU { return avx512ALU{p} },
}

type avx512ALU struct{ simdPlaces }

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

// word stores the words that are read again after seven rounds or more if two
// hashes share the registers. Else there are enough, and stores are not quite
// free.
func (m avx512ALU) word(x simdOperand, t, last int) (near, far simdOperand) {
	if !m.crowded || t+7 > last {
		return x, x
	}
	far = m.vector("words", t%16)
	m.into(far.mem, "VMOVDQA32", "", x)
	return x, far
}

func (m avx512ALU) turned(x simdOperand) simdOperand {
	order := m.op("VBROADCASTI32X4", "", simdOperand{mem: "swapWords<>(SB)"})
	return m.op("VPSHUFB", "", order, x)
}

func (m avx512ALU) compare(top simdOperand) {
	m.into("K1", "VPCMPUD", "$2, ", m.tail("target"), top) // top ≤ target
	m.into("R13", "KMOVW", "", simdOperand{mem: "K1"})
}
