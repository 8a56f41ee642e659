// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/cpuid/v2"
)

// TestMoves moves at random for long and checks that the result still is an
// order of the kernel.
func TestMoves(t *testing.T) {
	for name := range builders {
		text, err := orders.ReadFile(orderFile(name))
		if err != nil {
			t.Fatal(err)
		}
		f, err := parseFrozen(string(text))
		if err != nil {
			t.Fatal(err)
		}
		k, err := f.plain(name)
		if err != nil {
			t.Fatal(err)
		}
		c := conflicts(k.list)
		s := searcher{rnd: rand.New(rand.NewPCG(1, 2))}
		before := slices.Clone(f.order)
		for range 20_000 {
			f.order = s.moved(f.order, c)
		}
		if slices.Equal(before, f.order) {
			t.Errorf("%s: nothing moved", name)
		}
		if _, err := f.build(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSearch runs short searches on copies of the order files: they end by
// themselves and leave files that build.
func TestSearch(t *testing.T) {
	if !cpuid.CPU.Supports(cpuid.SHA, cpuid.AVX2) {
		t.Skip("no SHA instructions")
	}
	dir := t.TempDir()
	for name := range builders {
		text, err := orders.ReadFile(orderFile(name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name+".txt")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := search([]string{"-kernel", name, "-seconds", "0.3", "-stagger", "0.5", "-orders", dir}); err != nil {
			t.Fatal(err)
		}
		if text, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		f, err := parseFrozen(string(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.build(name); err != nil {
			t.Error(err)
		}
	}
}

// TestSearchRefuses gives arguments that make no search.
func TestSearchRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"-kernel", "n5"}, {"-orders", t.TempDir()}, {"-seconds", "0"}, {"-stagger", "2"},
	} {
		if err := search(args); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
