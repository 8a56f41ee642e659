// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"reflect"
	"strings"
	"testing"
)

func TestNotifiesRefused(t *testing.T) {
	const zero = `"0000000000000000000000000000000000000000000000000000000000000000"`
	good := []string{`"1"`, zero, `"01"`, `""`, `[` + zero + `]`, `"20000000"`, `"1d00ffff"`, `"6b0211b3"`, `false`}
	with := func(i int, v string) []byte {
		p := append([]string(nil), good...)
		p[i] = v
		return []byte("[" + strings.Join(p, ",") + "]")
	}
	if n, err := ParseNotify(with(8, `true,"tenth"`)); err != nil || !n.Clean {
		t.Errorf("%+v, %v", n, err)
	}
	if n, err := ParseNotify(with(4, `[ ]`)); err != nil || len(n.Branches) != 0 {
		t.Errorf("%+v, %v", n, err)
	}
	for i, bad := range [][]string{
		{`5`, `null`, `"` + strings.Repeat("x", 257) + `"`, `"` + strings.Repeat("x", 60000) + `"`}, {`""`, `"00"`, `5`, zero[:64] + `g"`}, {`""`, `"0"`, `"0g"`, `null`, `"` + strings.Repeat("00", MaxCoinbase+1) + `"`},
		{`"0"`, `[]`, `"` + strings.Repeat("00", MaxCoinbase+1) + `"`}, {`""`, `{}`, `[5]`, `["00"]`, `[` + zero + strings.Repeat(","+zero, 32) + `]`, `[` + zero + strings.Repeat(","+zero, 9999) + `]`},
		{`"2"`, `536870912`, `"2000000g"`}, {`""`, `"1d00fff"`}, {`"6b0211b3 "`, `null`}, {`null`, `"x"`, `2`, `[]`},
	} {
		for _, v := range bad {
			if n, err := ParseNotify(with(i, v)); err == nil {
				t.Errorf("param %d as %.80s: took it as %+v", i, v, n)
			} else if len(err.Error()) > 400 {
				t.Errorf("param %d as %.80s: an error of %d characters", i, v, len(err.Error()))
			}
		}
	}
	for _, in := range []string{``, `null`, `{}`, `[]`, `"x"`, `[` + strings.Join(good[:8], ",") + `]`} {
		if n, err := ParseNotify([]byte(in)); err == nil {
			t.Errorf("%s: took it as %+v", in, n)
		}
	}
}

func FuzzNotify(f *testing.F) {
	var m Message
	if err := ParseMessage([]byte(vectorNotify), &m); err != nil {
		f.Fatal(err)
	}
	f.Add(m.Params)
	f.Add([]byte(`["\u0000é","` + strings.Repeat("0", 64) + `","01","",[],"00000000","ffffffff","00000000",0]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if skipValue(in, 0, 0) != len(in) {
			return // params have been scanned before
		}
		n, err := ParseNotify(in)
		if err != nil {
			return
		}
		if len(n.Branches) > MaxBranches || len(n.JobID) > MaxJobID || len(n.Coinbase1) == 0 || len(n.Coinbase1) > MaxCoinbase || len(n.Coinbase2) > MaxCoinbase {
			t.Fatalf("out of bounds: %+v", n)
		}
		line := n.Append(nil)
		var m Message
		if err := ParseMessage(line, &m); err != nil || m.Kind() != Notification {
			t.Fatalf("%s: %v", line, err)
		}
		again, err := ParseNotify(m.Params)
		if err != nil || !reflect.DeepEqual(n, again) {
			t.Fatalf("%s: %v", line, err)
		}
	})
}
