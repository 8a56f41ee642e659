// SPDX-License-Identifier: Apache-2.0

package main

// avx2 has 8 lanes and 16 registers. A rotation is two shifts and an
// exclusive or, and only whole vectors are read from memory on the way.
var avx2 = simdKernel{
	name: "scanAVX2", lanes: 8, regs: 16, letter: "Y", load: "VMOVDQA",
	lag: 0, repeat: 8,
	alu: func(p simdPlaces) simdALU { return avx2ALU{p} },
}

type avx2ALU struct{ simdPlaces }

func (m avx2ALU) add(x, y simdOperand) simdOperand {
	if y.mem != "" {
		x, y = y, x
	}
	if x.bcst {
		x = m.register(x)
	}
	return m.op("VPADDD", "", x, m.register(y))
}

func (m avx2ALU) register(x simdOperand) simdOperand {
	switch {
	case x.mem == "":
		return x
	case x.bcst:
		return m.op("VPBROADCASTD", "", x)
	}
	return m.op("VMOVDQA", "", x)
}

func (m avx2ALU) rotations(x simdOperand, r [3]int) simdOperand {
	return m.xor(m.xor(m.rotate(x, r[0]), m.rotate(x, r[1])), m.rotate(x, r[2]))
}

func (m avx2ALU) rotationsShift(x simdOperand, r [3]int) simdOperand {
	x = m.register(x)
	return m.xor(m.xor(m.rotate(x, r[0]), m.rotate(x, r[1])), m.op("VPSRLD", simdImm(r[2]), x))
}

func (m avx2ALU) rotate(x simdOperand, n int) simdOperand {
	return m.xor(m.op("VPSRLD", simdImm(n), x), m.op("VPSLLD", simdImm(32-n), x))
}

func (m avx2ALU) xor(x, y simdOperand) simdOperand { return m.op("VPXOR", "", x, y) }

// choice is g with the bits turned that differ from f, where e is set.
func (m avx2ALU) choice(e, f, g simdOperand) simdOperand {
	return m.xor(g, m.op("VPAND", "", e, m.xor(f, g)))
}

// majority is b with the bits turned in which both others differ from it.
func (m avx2ALU) majority(a, b, c, bc simdOperand) (maj, ab simdOperand) {
	ab = m.xor(a, b)
	return m.xor(b, m.op("VPAND", "", m.register(bc), ab)), ab
}

// word stores all words that are read again: the registers are full with the
// state. Only the last two stay in one as well, from when words are computed
// one at a time.
func (m avx2ALU) word(x simdOperand, t, last int) (near, far simdOperand) {
	if t+2 > last {
		return x, x
	}
	far = m.vector("words", t%16)
	m.into(far.mem, "VMOVDQA", "", x)
	if t >= 16 {
		return x, far
	}
	return far, far
}

func (m avx2ALU) turned(x simdOperand) simdOperand {
	order := m.op("VBROADCASTI128", "", simdOperand{mem: "swapWords<>(SB)"})
	return m.op("VPSHUFB", "", order, x)
}

func (m avx2ALU) compare(top simdOperand) {
	lower := m.op("VPMINUD", "", m.register(m.tail("target")), top)
	m.into("R13", "VMOVMSKPS", "", m.op("VPCMPEQD", "", lower, top))
}
