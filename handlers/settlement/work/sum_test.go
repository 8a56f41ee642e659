// SPDX-License-Identifier: Apache-2.0

package work

import (
	"errors"
	"math/big"
	"strings"
	"testing"
)

func TestSums(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"0", "0"}, {"0.0", "0"}, {"000", "0"}, {"629145600", "629145600"}, {"0.001", "0.001"}, {"1.50", "1.5"},
		{strings.Repeat("9", 60) + "." + strings.Repeat("9", 30), strings.Repeat("9", 60) + "." + strings.Repeat("9", 30)},
	} {
		v, err := ParseSum(c.text)
		if err != nil || FormatDifficulty(v) != c.want {
			t.Errorf("%s is read as %v, %v", c.text, v, err)
		}
	}
	for _, text := range []string{"", ".", "1.", ".5", "-1", "+1", "1e3", "1 ", "0x1", strings.Repeat("1", 61), "0." + strings.Repeat("1", 31), "1.2.3"} {
		if v, err := ParseSum(text); !errors.Is(err, ErrSum) {
			t.Errorf("%q is read as %v, %v", text, v, err)
		}
	}
	one, half := One(), new(big.Int).Div(One(), big.NewInt(2))
	for _, c := range []struct {
		a, b *big.Int
		want string
	}{{one, half, "0.5"}, {half, one, "-0.5"}, {one, one, "0"}} {
		if got := FormatDifference(c.a, c.b); got != c.want {
			t.Errorf("difference %s, want %s", got, c.want)
		}
	}
}

func FuzzParseSum(f *testing.F) {
	f.Add("1.5")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseSum(s)
		if err != nil {
			return
		}
		if again, err := ParseSum(FormatDifficulty(v)); err != nil || again.Cmp(v) != 0 {
			t.Errorf("%q: %v, then %v, %v", s, v, again, err)
		}
	})
}
