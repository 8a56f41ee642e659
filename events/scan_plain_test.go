// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/json"
	"strings"
	"testing"
)

// Every byte at every place of a string, however much follows it: eight bytes
// at a time are read as the library reads them.
func TestStringsAnywhere(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				text := []byte(strings.Repeat("a", length))
				text[at] = byte(c)
				for _, rest := range []string{"", " ", strings.Repeat(" ", 9)} {
					data := `"` + string(text) + `"` + rest
					s := scanner{data: []byte(data)}
					have := s.string()
					s.end()
					var want string
					if err := json.Unmarshal([]byte(data), &want); (err == nil) != (s.err == nil) || err == nil && have != want {
						t.Fatalf("%q: read %q, %v; the library %q, %v", data, have, s.err, want, err)
					}
				}
			}
		}
	}
}

// Names are read with their colon, which may stand apart from them.
func TestNamesOfFields(t *testing.T) {
	for name := range strings.SplitSeq("a,power_watts,seven77,eight888,nine99999,sixteen_letters_,seventeen_letters", ",") {
		for _, colon := range []string{":", " :", "\n:"} {
			for _, rest := range []string{"1}", "1,\"another_field\":2}"} {
				s := scanner{data: []byte(`"` + name + `"` + colon + rest)}
				if k := s.key(); string(k) != name || string(s.field) != name || s.err != nil || s.data[s.pos] != '1' {
					t.Errorf("%q: read %q, %v", s.data, k, s.err)
				}
			}
		}
		for _, bad := range []string{`"` + name, `"` + name + `"`, `"` + name + `" 1`, name + `":1`} {
			s := scanner{data: []byte(bad)}
			if k := s.key(); s.err == nil {
				t.Errorf("%q is taken as %q", bad, k)
			}
		}
	}
}
