// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
	"testing"
)

func TestDifficultyAndWorkOfBits(t *testing.T) {
	for _, c := range []struct {
		bits       uint32
		difficulty string
		work       string
	}{
		{0x1d00ffff, "1", "4295032833"},
		{0x1b0404cb, "16307.420938523983", "70040908352512"},
		{0x17034219, "86388558925171.0117", "371041696979166003650763"},
		{0x1702068f, "138955357012247.297", "596817820688841045216562"},
		{0x1a44b9f2, "244112.487774336", "1048471149936089"},
		{0x207fffff, "4.656542373906925e-10", "2"},
	} {
		target, err := TargetFromBits(c.bits)
		if err != nil {
			t.Fatal(err)
		}
		if got := target.Work().String(); got != c.work {
			t.Errorf("%08x: work %s, want %s", c.bits, got, c.work)
		}
		// The figures are rounded to the digits shown.
		want, err := strconv.ParseFloat(c.difficulty, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := target.Difficulty().Float64(); got < want*(1-3e-15) || got > want*(1+3e-15) {
			t.Errorf("%08x: difficulty %v, want %v", c.bits, got, want)
		}
		// Difficulty and target are exact inverses.
		if back, err := TargetFromDifficulty(target.Difficulty()); err != nil || back != target {
			t.Errorf("%08x: difficulty and back gives %s: %v", c.bits, back, err)
		}
	}
	if (Target{}).Difficulty() != nil {
		t.Error("the zero target has a difficulty")
	}
	if got := MaxTarget.Work(); got.Cmp(big.NewInt(1)) != 0 {
		t.Errorf("work of the target of all ones is %s, want 1", got)
	}
}

func TestWorkOfDifficulty(t *testing.T) {
	for _, c := range []struct{ difficulty, work string }{
		{"1", "4295032833"},
		{"1.0", "4295032833"},
		{"0.001", "4295032"},
		{"1e-3", "4295032"},
		{"1E-03", "4295032"},
		{"1/1000", "4295032"},
		{"0.01", "42950328"},
		{"0.1", "429503283"},
		{"8192", "35184908967936"},
		{"16384", "70369817935872"},
		{"1.6384e+4", "70369817935872"},
		{"65536", "281479271743489"},
		{"524288", "2251834173947912"},
		{"1048576", "4503668347895824"},
	} {
		target, err := TargetFromDifficultyText(c.difficulty)
		if err != nil {
			t.Errorf("%s: %v", c.difficulty, err)
			continue
		}
		if got := target.Work().String(); got != c.work {
			t.Errorf("difficulty %s: work %s, want %s", c.difficulty, got, c.work)
		}
	}
}

func TestTargetFromDifficultyBounds(t *testing.T) {
	one, _ := TargetFromDifficultyText("1")
	if want, _ := TargetFromBits(0x1d00ffff); one != want {
		t.Errorf("difficulty 1 is %s", one)
	}
	third, err := TargetFromDifficultyText("3")
	if err != nil {
		t.Fatal(err)
	}
	if want := new(big.Int).Quo(difficulty1, big.NewInt(3)); third.Int().Cmp(want) != 0 {
		t.Errorf("difficulty 3 is %s", third)
	}
	if easy, err := TargetFromDifficultyText("1e-30"); err != nil || easy != MaxTarget {
		t.Errorf("difficulty 1e-30 is %s: %v", easy, err)
	}
	if _, err := TargetFromDifficultyText("1e80"); !errors.Is(err, ErrTargetZero) {
		t.Errorf("difficulty 1e80: %v", err)
	}
	for _, d := range []*big.Rat{nil, new(big.Rat), big.NewRat(-1, 2)} {
		if _, err := TargetFromDifficulty(d); !errors.Is(err, ErrBadDifficulty) {
			t.Errorf("difficulty %v: %v", d, err)
		}
	}
}

func TestParseDifficultyRefuses(t *testing.T) {
	for _, text := range []string{
		"", " ", "0", "0.0", "0e5", "-1", "+1", "1 ", " 1", "1,5", "1.", ".5", "1e", "e5", "1e+", "1e+-5", "1e--5",
		"1e101", "1e-101", "1e1000000000", "1e99999999999999999999", "0x10", "0b1", "1_000", "Inf", "NaN", "1p5",
		"1/0", "0/1", "1/", "/1", "1/2/3", "1.5/2", "-1/2", "1e5/2", strings.Repeat("1", 201), "١",
	} {
		if d, err := ParseDifficulty(text); !errors.Is(err, ErrBadDifficulty) {
			t.Errorf("%q: %v, %v", clip(text), d, err)
		} else if len(err.Error()) > 400 {
			t.Errorf("%q: error of %d characters", clip(text), len(err.Error()))
		}
	}
}

func FuzzParseDifficulty(f *testing.F) {
	for _, seed := range []string{"1", "0.001", "1e-05", "65536/3", "1e1000000000", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDifficulty(text)
		if err != nil {
			return
		}
		if d.Sign() <= 0 {
			t.Fatalf("%q gave %s", text, d)
		}
		target, err := TargetFromDifficulty(d)
		if err != nil {
			return
		}
		if again, err := TargetFromDifficulty(target.Difficulty()); err != nil || target != MaxTarget && again != target {
			t.Fatalf("%q: target %s and back %s: %v", text, target, again, err)
		}
	})
}
