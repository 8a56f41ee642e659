// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
)

// simdValue names one result: it is written once and read by what comes after.
type simdValue int

// simdOperand is a result or a place in memory.
type simdOperand struct {
	value simdValue
	mem   string // the address; empty for a result
	bcst  bool   // 4 bytes of memory for all lanes
}

// simdInstruction is one line of straight code. The sources are in the
// assembler's order, so memory comes first.
type simdInstruction struct {
	op      string
	imm     string // with its comma, or empty
	src     []simdOperand
	dst     simdValue
	hasDst  bool
	to      string // where a store or a comparison puts its result
	ternary bool   // the destination is also the third source; imm8 tells which function
	imm8    uint8
}

// simdCode is straight code in the order in which it is printed. Results get
// registers only when it is printed, so that whoever writes the code needs not
// know what is still alive.
type simdCode struct {
	list   []simdInstruction
	values int
	regs   int    // how many vector registers there are
	letter string // what their names begin with
	move   string // the instruction that copies one
}

func (c *simdCode) result(in simdInstruction) simdOperand {
	in.dst, in.hasDst = simdValue(c.values), true
	c.values++
	c.list = append(c.list, in)
	return simdOperand{value: in.dst}
}

// op emits an instruction with a result of its own.
func (c *simdCode) op(name, imm string, src ...simdOperand) simdOperand {
	return c.result(simdInstruction{op: name, imm: imm, src: src})
}

// ternlog emits the function of three operands that the table gives: bit
// 4x+2y+z of it is the result for the bits x, y and z.
func (c *simdCode) ternlog(table uint8, x, y, z simdOperand) simdOperand {
	return c.result(simdInstruction{op: "VPTERNLOGD", imm8: table, ternary: true, src: []simdOperand{x, y, z}})
}

// into emits an instruction whose result is no vector register.
func (c *simdCode) into(to, name, imm string, src ...simdOperand) {
	c.list = append(c.list, simdInstruction{op: name, imm: imm, src: src, to: to})
}

// alongside returns this code and other code mixed evenly: both have a like
// part done at any place. What one does must not matter to the other.
func (c *simdCode) alongside(other *simdCode) *simdCode {
	out := *c
	out.list = nil
	out.values += other.values
	k := 0
	for i, in := range c.list {
		out.list = append(out.list, in)
		for ; k < (i+1)*len(other.list)/len(c.list); k++ {
			in := other.list[k]
			in.dst += simdValue(c.values)
			in.src = slices.Clone(in.src)
			for j := range in.src {
				in.src[j].value += simdValue(c.values)
			}
			out.list = append(out.list, in)
		}
	}
	return &out
}

// permuted returns the ternary function with its operands in another order:
// the new operand i is the old operand order[i].
func permuted(table uint8, order [3]int) uint8 {
	var out uint8
	for i := range 8 {
		var bit [3]int
		for k, o := range order {
			bit[o] = i >> (2 - k) & 1
		}
		out |= (table >> (bit[0]<<2 | bit[1]<<1 | bit[2]) & 1) << i
	}
	return out
}

// print writes the code with registers. A register is free again behind the
// last reader of what it holds; that reader may already write to it.
func (c *simdCode) print(w *strings.Builder) error {
	lastUse := make(map[simdValue]int)
	for i, in := range c.list {
		for _, s := range in.src {
			if s.mem == "" {
				lastUse[s.value] = i
			}
		}
	}
	reg := make(map[simdValue]int)
	used := make([]bool, c.regs)
	take := func() (int, error) {
		for r, u := range used {
			if !u {
				used[r] = true
				return r, nil
			}
		}
		return 0, fmt.Errorf("more than %d vector registers are needed at once", c.regs)
	}
	text := func(o simdOperand) string {
		if o.mem != "" {
			return o.mem
		}
		return fmt.Sprintf("%s%d", c.letter, reg[o.value])
	}
	for i, in := range c.list {
		if in.hasDst {
			if _, read := lastUse[in.dst]; !read {
				return fmt.Errorf("instruction %d: nothing reads the result of %s", i, in.op)
			}
		}
		if in.ternary {
			if err := c.printTernary(w, i, in, reg, lastUse, used, take, text); err != nil {
				return fmt.Errorf("instruction %d: %w", i, err)
			}
			continue
		}
		line := "\t" + in.op
		for _, s := range in.src {
			if s.bcst && in.op != "VPBROADCASTD" {
				line += ".BCST"
			}
		}
		line += " " + in.imm
		for k, s := range in.src {
			if k > 0 {
				line += ", "
			}
			line += text(s)
		}
		for _, s := range in.src {
			if s.mem == "" && lastUse[s.value] == i {
				used[reg[s.value]] = false
			}
		}
		to := in.to
		if in.hasDst {
			r, err := take()
			if err != nil {
				return fmt.Errorf("instruction %d: %w", i, err)
			}
			reg[in.dst] = r
			to = fmt.Sprintf("%s%d", c.letter, r)
		}
		fmt.Fprintf(w, "%s, %s\n", line, to)
	}
	return nil
}

// printTernary writes over a source that nobody reads again, and over a copy
// of the oldest one if there is none: processors rename the copy away.
func (c *simdCode) printTernary(w *strings.Builder, i int, in simdInstruction, reg map[simdValue]int,
	lastUse map[simdValue]int, used []bool, take func() (int, error), text func(simdOperand) string,
) error {
	over := -1
	for k, s := range in.src {
		if lastUse[s.value] == i {
			over = k
		}
	}
	var dst int
	if over >= 0 {
		dst = reg[in.src[over].value]
	} else {
		over = 0
		for k, s := range in.src {
			if s.value < in.src[over].value {
				over = k
			}
		}
		var err error
		if dst, err = take(); err != nil {
			return err
		}
		fmt.Fprintf(w, "\t%s %s, %s%d\n", c.move, text(in.src[over]), c.letter, dst)
	}
	order := [3]int{over, (over + 1) % 3, (over + 2) % 3}
	fmt.Fprintf(w, "\tVPTERNLOGD $0x%02x, %s, %s, %s%d\n", permuted(in.imm8, order),
		text(in.src[order[2]]), text(in.src[order[1]]), c.letter, dst)
	for _, s := range in.src {
		if lastUse[s.value] == i {
			used[reg[s.value]] = false
		}
	}
	used[dst] = true
	reg[in.dst] = dst
	return nil
}
