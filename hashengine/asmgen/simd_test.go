// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// TestPermuted evaluates functions of three operands in every order.
func TestPermuted(t *testing.T) {
	for _, table := range []uint8{0x96, 0xca, 0xe8, 0x01, 0x72} {
		for _, order := range [][3]int{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}, {0, 2, 1}, {2, 1, 0}, {1, 0, 2}} {
			got := permuted(table, order)
			for bits := range 8 {
				old := [3]int{bits >> 2 & 1, bits >> 1 & 1, bits & 1}
				place := old[order[0]]<<2 | old[order[1]]<<1 | old[order[2]]
				if got>>place&1 != table>>bits&1 {
					t.Errorf("function %02x in the order %v: %02x is wrong for %v", table, order, got, old)
				}
			}
		}
	}
}

// TestRegisters prints code that needs copies, reuses registers and runs out
// of them.
func TestRegisters(t *testing.T) {
	code := func(regs int) (*simdCode, []simdOperand) {
		c := &simdCode{regs: regs, letter: "Z", move: "VMOVDQA32"}
		var in []simdOperand
		for _, mem := range []string{"0(DI)", "64(DI)", "128(DI)"} {
			in = append(in, c.op("VMOVDQA32", "", simdOperand{mem: mem}))
		}
		return c, in
	}
	const begin = "\tVMOVDQA32 0(DI), Z0\n\tVMOVDQA32 64(DI), Z1\n\tVMOVDQA32 128(DI), Z2\n"
	for _, test := range []struct {
		name string
		regs int
		rest func(c *simdCode, in []simdOperand)
		want string // the text, or of the error
	}{
		{"over the one that dies", 3, func(c *simdCode, in []simdOperand) {
			y := c.ternlog(0xca, in[0], in[1], in[2])
			c.into("0(SI)", "VPADDD", "", y, in[0])
			c.into("64(SI)", "VMOVDQA32", "", in[1])
		}, "\tVPTERNLOGD $0xb8, Z1, Z0, Z2\n\tVPADDD Z2, Z0, 0(SI)\n\tVMOVDQA32 Z1, 64(SI)\n"},
		{"over a copy", 4, func(c *simdCode, in []simdOperand) {
			y := c.ternlog(0xca, in[0], in[1], in[2])
			for _, v := range append(in, y) {
				c.into("0(SI)", "VMOVDQA32", "", v)
			}
		}, "\tVMOVDQA32 Z0, Z3\n\tVPTERNLOGD $0xca, Z2, Z1, Z3\n" +
			"\tVMOVDQA32 Z0, 0(SI)\n\tVMOVDQA32 Z1, 0(SI)\n\tVMOVDQA32 Z2, 0(SI)\n\tVMOVDQA32 Z3, 0(SI)\n"},
		{"no register for a copy", 3, func(c *simdCode, in []simdOperand) {
			y := c.ternlog(0xca, in[0], in[1], in[2])
			for _, v := range append(in, y) {
				c.into("0(SI)", "VMOVDQA32", "", v)
			}
		}, "more than 3 vector registers"},
		{"no register", 2, func(c *simdCode, in []simdOperand) {
			c.into("0(SI)", "VPADDD", "", in[0], in[1])
			c.into("0(SI)", "VMOVDQA32", "", in[2])
		}, "more than 2 vector registers"},
		{"unread", 3, func(c *simdCode, in []simdOperand) {
			c.into("0(SI)", "VPADDD", "", in[0], in[1])
		}, "nothing reads the result"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, in := code(test.regs)
			test.rest(c, in)
			var w strings.Builder
			err := c.print(&w)
			switch {
			case err != nil && !strings.Contains(err.Error(), test.want):
				t.Errorf("%v, want %q", err, test.want)
			case err == nil && w.String() != begin+test.want:
				t.Errorf("printed\n%swant\n%s%s", w.String(), begin, test.want)
			}
		})
	}
}

// TestAlongside checks that mixed code keeps the order of each and that the
// results stay apart.
func TestAlongside(t *testing.T) {
	stream := func(base string, n int) *simdCode {
		c := &simdCode{regs: 4, letter: "Z", move: "VMOVDQA32"}
		for range n {
			v := c.op("VMOVDQA32", "", simdOperand{mem: "0(" + base + ")"})
			c.into("64("+base+")", "VMOVDQA32", "", v)
		}
		return c
	}
	mixed := stream("SI", 4).alongside(stream("DI", 2))
	var w strings.Builder
	if err := mixed.print(&w); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(w.String(), "\n"); got != 12 {
		t.Errorf("%d instructions, want 12:\n%s", got, w.String())
	}
	for _, base := range []string{"SI", "DI"} {
		read := ""
		for line := range strings.Lines(w.String()) {
			if f := strings.Fields(strings.ReplaceAll(line, ",", "")); f[1] == "0("+base+")" {
				read = f[2]
			} else if f[2] == "64("+base+")" && f[1] != read {
				t.Errorf("%s: %s is written, %s was read:\n%s", base, f[1], read, w.String())
			}
		}
	}
}
