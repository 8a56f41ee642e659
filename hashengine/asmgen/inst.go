// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// base says what a memory operand is relative to.
type base uint8

const (
	noBase      base = iota // a register operand
	contextBase             // DI: the context
	recordBase              // DX: the current record
)

// memory is a memory operand.
type memory struct {
	base   base
	offset int32
}

func (m memory) plus(bytes int32) memory { m.offset += bytes; return m }

// operation is what an instruction does; the names are the assembler's.
type operation uint8

const (
	opRounds  operation = iota // dst = two rounds of dst (c d g h) and a (a b e f) with the words in X0
	opMsg1                     // dst = first half of a schedule step of dst and b
	opMsg2                     // dst = second half of a schedule step of dst and b
	opLoad                     // dst = b
	opLoadLow                  // dst = the lower half of b, the rest zero
	opStore                    // mem = a
	opAdd                      // dst = a + b
	opAnd                      // dst = a & b
	opOr                       // dst = a | b
	opEqual                    // dst = a == b, word by word
	opAlign                    // dst = words 1..3 of b, then word 0 of a
	opShuffle                  // dst = words of a picked by imm
	opWeave                    // dst = two words of a, two of b, picked by imm
	opPick                     // dst = bytes of a picked by b
	opBlend                    // dst = words of b where imm has a bit, else of a
	opMask                     // AX = top bits of the bytes of a
	opAdvance                  // DX += imm
)

// inst is one instruction. dst, a and b are vector registers; where mem has a
// base it stands in place of b.
type inst struct {
	op        operation
	dst, a, b uint8
	mem       memory
	imm       uint8
}

// resource is something that an instruction reads or writes.
type resource int32

// Vector registers are resources 0 to 15; vectors of the context follow by
// their offsets, records by theirs behind those.
const (
	scalarAX resource = 16 + iota
	scalarDX
	contextResource resource = 1 << 10
	recordResource  resource = 1 << 20
)

// effects returns what the instruction reads and writes. Loop counters and
// flags are outside of the list, so they do not appear.
func (i inst) effects() (reads, writes []resource) {
	r := func(regs ...uint8) {
		for _, x := range regs {
			reads = append(reads, resource(x))
		}
	}
	switch i.op {
	case opRounds:
		r(0, i.dst, i.a)
	case opMsg1, opMsg2:
		r(i.dst)
	case opAdd, opAnd, opOr, opEqual, opAlign, opWeave, opPick, opBlend, opStore, opShuffle, opMask:
		r(i.a)
	case opAdvance:
		return []resource{scalarDX}, []resource{scalarDX}
	}
	switch i.mem.base {
	case contextBase:
		cell := contextResource + resource(i.mem.offset/vectorBytes)
		if i.op == opStore {
			return reads, append(writes, cell)
		}
		reads = append(reads, cell)
	case recordBase:
		reads = append(reads, scalarDX)
		if i.op == opStore { // nothing reads what is written to records
			return reads, append(writes, recordResource+resource(i.mem.offset/vectorBytes))
		}
	default:
		switch i.op {
		case opMsg1, opMsg2, opLoad, opAdd, opAnd, opOr, opEqual, opAlign, opWeave, opPick, opBlend:
			r(i.b)
		}
	}
	if i.op == opMask {
		return reads, append(writes, scalarAX)
	}
	return reads, append(writes, resource(i.dst))
}

// resources is a set of resources, numbered as they appear in a list.
type resources [6]uint64

func (s *resources) set(n int) { s[n/64] |= 1 << (n % 64) }

func (s *resources) meets(o *resources) bool {
	var common uint64
	for i := range s {
		common |= s[i] & o[i]
	}
	return common != 0
}

// conflicts tells for every pair of instructions whether they must keep their
// order: one writes what the other reads or writes.
func conflicts(list []inst) [][]bool {
	numbers := map[resource]int{}
	collect := func(from []resource) (s resources) {
		for _, r := range from {
			if _, known := numbers[r]; !known {
				numbers[r] = len(numbers)
			}
			s.set(numbers[r])
		}
		return s
	}
	reads, writes := make([]resources, len(list)), make([]resources, len(list))
	for n, i := range list {
		r, w := i.effects()
		reads[n], writes[n] = collect(r), collect(w)
	}
	out := make([][]bool, len(list))
	for n := range list {
		out[n] = make([]bool, len(list))
		for m := range n {
			c := writes[n].meets(&writes[m]) || writes[n].meets(&reads[m]) || writes[m].meets(&reads[n])
			out[n][m], out[m][n] = c, c
		}
	}
	return out
}

// String prints the instruction as the Go assembler reads it.
func (i inst) String() string {
	x := func(r uint8) string { return fmt.Sprintf("X%d", r) }
	b := x(i.b)
	switch i.mem.base {
	case contextBase:
		b = fmt.Sprintf("%d(DI)", i.mem.offset)
	case recordBase:
		b = fmt.Sprintf("%d(DX)", i.mem.offset)
	}
	three := func(name string) string { return fmt.Sprintf("%s %s, %s, %s", name, b, x(i.a), x(i.dst)) }
	four := func(name string) string {
		return fmt.Sprintf("%s $%d, %s, %s, %s", name, i.imm, b, x(i.a), x(i.dst))
	}
	switch i.op {
	case opRounds:
		return fmt.Sprintf("SHA256RNDS2 X0, %s, %s", x(i.a), x(i.dst))
	case opMsg1:
		return fmt.Sprintf("SHA256MSG1 %s, %s", b, x(i.dst))
	case opMsg2:
		return fmt.Sprintf("SHA256MSG2 %s, %s", b, x(i.dst))
	case opLoad:
		return fmt.Sprintf("VMOVDQA %s, %s", b, x(i.dst))
	case opLoadLow:
		return fmt.Sprintf("VMOVQ %s, %s", b, x(i.dst))
	case opStore:
		return fmt.Sprintf("VMOVDQA %s, %s", x(i.a), b)
	case opAdd:
		return three("VPADDD")
	case opAnd:
		return three("VPAND")
	case opOr:
		return three("VPOR")
	case opEqual:
		return three("VPCMPEQD")
	case opPick:
		return three("VPSHUFB")
	case opAlign:
		return four("VPALIGNR")
	case opWeave:
		return four("VSHUFPS")
	case opBlend:
		return four("VPBLENDD")
	case opShuffle:
		return fmt.Sprintf("VPSHUFD $%d, %s, %s", i.imm, x(i.a), x(i.dst))
	case opMask:
		return fmt.Sprintf("VPMOVMSKB %s, AX", x(i.a))
	case opAdvance:
		return fmt.Sprintf("ADDQ $%d, DX", i.imm)
	}
	panic("instruction of no kind")
}
