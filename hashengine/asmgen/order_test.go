// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"
)

// TestOrderRoundTrip reads the committed orders and writes them again.
func TestOrderRoundTrip(t *testing.T) {
	for name := range builders {
		text, err := orders.ReadFile(orderFile(name))
		if err != nil {
			t.Fatal(err)
		}
		f, err := parseFrozen(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if f.String() != string(text) {
			t.Errorf("%s does not come back as it was written", orderFile(name))
		}
	}
}

// TestOrderRefused gives orders that would compute something else.
func TestOrderRefused(t *testing.T) {
	text, err := orders.ReadFile(orderFile("vr5"))
	if err != nil {
		t.Fatal(err)
	}
	good, err := parseFrozen(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(f *frozen){
		"short":    func(f *frozen) { f.order = f.order[1:] },
		"twice":    func(f *frozen) { f.order[0] = f.order[1] },
		"outside":  func(f *frozen) { f.order[0] = len(f.order) },
		"reversed": func(f *frozen) { slices.Reverse(f.order) },
		"crowded":  func(f *frozen) { f.offsets = []int{0, 0, 0, 0, 0, 0} },
	} {
		t.Run(name, func(t *testing.T) {
			f := good
			f.order = slices.Clone(good.order)
			spoil(&f)
			if _, err := f.build("vr5"); err == nil {
				t.Error("built")
			}
		})
	}
	if _, err := good.build("n5"); err == nil {
		t.Error("a kernel of no name was built")
	}
}

// TestOrderMoves moves single instructions across one that they depend on:
// every such order must be refused.
func TestOrderMoves(t *testing.T) {
	k, err := frozen{arrangement: arrangement{[]int{0, 12, 20, 21}, "up", false}}.plain("n4")
	if err != nil {
		t.Fatal(err)
	}
	c := conflicts(k.list)
	order := make([]int, len(k.list))
	for i := range order {
		order[i] = i
	}
	for i := 1; i < len(order); i++ {
		order[i-1], order[i] = order[i], order[i-1]
		_, err := frozen{arrangement: arrangement{[]int{0, 12, 20, 21}, "up", false}, order: order}.build("n4")
		if refused := err != nil; refused != c[i][i-1] {
			t.Fatalf("%q before %q: refused %t", k.list[i], k.list[i-1], refused)
		}
		order[i-1], order[i] = order[i], order[i-1]
		if i > 60 { // a build checks all pairs: the first two slots are enough
			break
		}
	}
}

// TestParseFrozenRefuses gives texts that are no order files.
func TestParseFrozenRefuses(t *testing.T) {
	for _, text := range []string{
		"", "order\n1", "offsets 30\norder\n0\n", "offsets x\norder\n0\n", "sequence sideways\norder\n0\n",
		"together perhaps\norder\n0\n", "colour red\norder\n0\n", "offsets 1\norder\n3-1\n", "offsets 1\norder\nx\n",
		"offsets 1\norder\n1-x\n", "offsets 1\norder\n1-99999999\n",
	} {
		if _, err := parseFrozen(text); err == nil {
			t.Errorf("%q was read", strings.ReplaceAll(text, "\n", "|"))
		}
	}
}
