// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"math/big"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/hashengine"
)

func TestPlainDifficulty(t *testing.T) {
	for in, want := range map[string]string{
		`1`: "1", `16384`: "16384", `16384.0`: "16384", `0.001`: "0.001", `1e-05`: "0.00001", `1E3`: "1000", `1.5e3`: "1500",
		`1.25e1`: "12.5", `0.0010466537720080985`: "0.0010466537720080985", `"512"`: "512", `"0.5"`: "0.5", `"007"`: "7", `1e+2`: "100",
		`1e29`: "100000000000000000000000000000", `1e-30`: "0.000000000000000000000000000001", `0.10`: "0.1",
	} {
		got, err := PlainDifficulty([]byte(in))
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		``, `0`, `0.0`, `0e5`, `-1`, `"-1"`, `+1`, `NaN`, `"NaN"`, `"Infinity"`, `1e300`, `1e-300`, `1e30`, `1e-31`, `null`, `true`, `[1]`, `{}`,
		`"0x10"`, `""`, `"."`, `".5"`, `"1."`, `"1e"`, `"1e--5"`, `"1e+-5"`, `"1e99999999999999999999"`, `"1/3"`, `"1 "`, `"1_0"`,
		"0." + strings.Repeat("1", 31), strings.Repeat("9", 31), strings.Repeat("9", 100000), "1" + strings.Repeat("0", 64000),
	} {
		got, err := PlainDifficulty([]byte(in))
		if err == nil {
			t.Errorf("%.80s: took it as %s", in, got)
		} else if len(err.Error()) > 300 {
			t.Errorf("%.80s: the error is %d characters long", in, len(err.Error()))
		}
	}
}

func TestParseDifficulty(t *testing.T) {
	if got, err := ParseDifficulty([]byte(`[1e-05, "more"]`)); err != nil || got != "0.00001" {
		t.Errorf("%q, %v", got, err)
	}
	for _, in := range []string{``, `[]`, `{}`, `5`, `"5"`, `[null]`, `[[5]]`} {
		if got, err := ParseDifficulty([]byte(in)); err == nil {
			t.Errorf("%s: took it as %s", in, got)
		}
	}
}

func FuzzDifficulty(f *testing.F) {
	for _, s := range []string{`1`, `0.001`, `1e-05`, `"16384.50"`, `0.0010466537720080985`, `1e300`, `-0`, `00`, `1.e5`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := PlainDifficulty(raw)
		if err != nil {
			return
		}
		whole, part, _ := strings.Cut(got, ".")
		if len(whole) > 30 || len(part) > 30 || strings.ContainsAny(got, "eE+-") || len(whole) > 1 && whole[0] == '0' || strings.HasSuffix(part, "0") {
			t.Fatalf("%q is not plain", got)
		}
		in := raw
		if s, ok := text(raw); ok {
			in = s
		}
		exact, ok := new(big.Rat).SetString(string(in))
		mine, err := hashengine.ParseDifficulty(got)
		if !ok || err != nil || exact.Cmp(mine) != 0 {
			t.Fatalf("%q became %q: %v", in, got, err)
		}
		if again, err := PlainDifficulty([]byte(got)); err != nil || again != got {
			t.Fatalf("%q again is %q: %v", got, again, err)
		}
	})
}
