// SPDX-License-Identifier: Apache-2.0

package main

import "encoding/binary"

// The search cannot wait for an assembler: it puts together the machine code
// of a thousand instructions some hundred times a second. The few forms of the
// lists are encoded here, to the same bytes as by the Go assembler, which a
// test compares.

// opcodeMap is where in the tables of the instruction set an opcode is.
type opcodeMap uint8

const (
	map0F   opcodeMap = 1
	map0F38 opcodeMap = 2
	map0F3A opcodeMap = 3
)

// form is how an operation is encoded. prefix is the one that VEX compresses:
// 0 none, 1 for 66.
type form struct {
	prefix uint8
	table  opcodeMap
	opcode uint8
	sse    bool // an encoding without VEX
	imm    bool // an immediate byte follows
	wide   bool // VEX.W: a memory operand of 64 bits
}

var forms = map[operation]form{
	opRounds:  {0, map0F38, 0xcb, true, false, false},
	opMsg1:    {0, map0F38, 0xcc, true, false, false},
	opMsg2:    {0, map0F38, 0xcd, true, false, false},
	opLoad:    {1, map0F, 0x6f, false, false, false},
	opLoadLow: {1, map0F, 0x6e, false, false, true},
	opStore:   {1, map0F, 0x7f, false, false, false},
	opAdd:     {1, map0F, 0xfe, false, false, false},
	opAnd:     {1, map0F, 0xdb, false, false, false},
	opOr:      {1, map0F, 0xeb, false, false, false},
	opEqual:   {1, map0F, 0x76, false, false, false},
	opAlign:   {1, map0F3A, 0x0f, false, true, false},
	opShuffle: {1, map0F, 0x70, false, true, false},
	opWeave:   {0, map0F, 0xc6, false, true, false},
	opPick:    {1, map0F38, 0x00, false, false, false},
	opBlend:   {1, map0F3A, 0x02, false, true, false},
	opMask:    {1, map0F, 0xd7, false, false, false},
}

// encode appends the machine code of the instruction.
func (i inst) encode(code []byte) []byte {
	if i.op == opAdvance { // ADDQ $imm, DX
		if i.imm < 0x80 {
			return append(code, 0x48, 0x83, 0xc2, i.imm)
		}
		return binary.LittleEndian.AppendUint32(append(code, 0x48, 0x81, 0xc2), uint32(i.imm))
	}
	f := forms[i.op]
	reg, second, rm := i.dst, i.a, i.b // ModRM.reg, VEX.vvvv, ModRM.rm
	switch i.op {
	case opRounds:
		rm = i.a
	case opLoad, opLoadLow, opMsg1, opMsg2:
		second = 0
	case opStore:
		reg, second = i.a, 0
	case opShuffle:
		second, rm = 0, i.a
	case opMask:
		reg, second, rm = 0, 0, i.a
	}
	if i.op == opLoad && i.mem.base == noBase { // between registers it is a store
		f, reg, rm = forms[opStore], i.b, i.dst
	}
	extend := uint8(0)
	if i.mem.base == noBase {
		extend = rm >> 3
	}
	switch {
	case f.sse:
		if reg >= 8 || extend != 0 {
			code = append(code, 0x40|reg>>3<<2|extend)
		}
		code = append(code, 0x0f, 0x38)
	case f.table == map0F && extend == 0 && !f.wide:
		code = append(code, 0xc5, (reg>>3^1)<<7|(^second&15)<<3|f.prefix)
	default:
		third := (^second&15)<<3 | f.prefix
		if f.wide {
			third |= 0x80
		}
		code = append(code, 0xc4, (reg>>3^1)<<7|1<<6|(extend^1)<<5|uint8(f.table), third)
	}
	code = append(code, f.opcode)
	code = i.mem.encode(code, reg&7, rm&7)
	if f.imm {
		code = append(code, i.imm)
	}
	return code
}

// encode appends ModRM and displacement.
func (m memory) encode(code []byte, reg, rm uint8) []byte {
	switch m.base {
	case contextBase:
		rm = 7
	case recordBase:
		rm = 2
	default:
		return append(code, 0xc0|reg<<3|rm)
	}
	switch d := m.offset; {
	case d == 0:
		return append(code, reg<<3|rm)
	case d == int32(int8(d)):
		return append(code, 0x40|reg<<3|rm, uint8(d))
	default:
		return binary.LittleEndian.AppendUint32(append(code, 0x80|reg<<3|rm), uint32(d))
	}
}

// loop returns a function around the list: it runs SI times, as in the
// generated assembly, with candidates passed over.
func loop(list []inst) []byte {
	const line = 64
	code := []byte{0xc5, 0xf8, 0x77} // VZEROUPPER
	for len(code) < line {
		code = append(code, 0x90)
	}
	for _, i := range list {
		code = i.encode(code)
	}
	return closeLoop(append(code, 0x85, 0xc0, 0x75, 0), line) // TESTL AX, AX; JNE next
}

// closeLoop appends the count, the jump back and the return.
func closeLoop(code []byte, begin int) []byte {
	code = append(code, 0x48, 0xff, 0xce, 0x0f, 0x85) // DECQ SI; JNE loop
	code = binary.LittleEndian.AppendUint32(code, uint32(begin-len(code)-4))
	return append(code, 0xc3) // RET
}
