// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/schemas"
)

// differences lists all that the schemas and the readers judge differently, on
// purpose. Every line must occur in TestSchemasAndReadersAgree.
var differences = []struct {
	why string
	// mutation that brings it out, or the beginning of it.
	mutation string
	// goSays is part of the readers' error; empty where the schema refuses
	// and the readers do not.
	goSays string
}{
	{"a publisher learns of a misspelt field, an old reader survives a new one", "unknown field", ""},
	{"null in an optional field is no field", "null", ""},
	{"an empty optional text is no text", "empty", ""},
	{"readers skip line breaks in base64, as encoding/json does", "control", ""},
	{"readers drop digits beyond nanoseconds", "time 10 digits", ""},
	{"readers take a comma and large offsets, as encoding/json does", "time comma", ""},
	{"readers take a comma and large offsets, as encoding/json does", "time offset 24", ""},
	{"minus zero is zero, but not written as other languages write it", "other value -0", ""},
	{"an empty optional list is no list", "no items", ""},
	{"an empty optional list is no list", "other value []", ""},
	{"an empty optional list is no list", "added []", ""},
	{"a day that does not exist in UTC's year", "time year 1000", "year 999"},
	{"rule between fields: a range", "", "is not above min_watts"},
	{"rule between fields: staleness and period", "", "would always be stale"},
	{"rule between fields: enough readings to be stuck", "", "too few readings to tell"},
	{"rule between fields: settlement intervals", "", "does not divide"},
	{"rule between fields: one name once", "", "is listed twice"},
	{"rule between fields: what a node hangs on is listed", "", "is no node of this site"},
	{"rule between fields: a total at a node is balanced by its mining", "", "tells nothing without a meter"},
	{"rule between fields: a budget is refilled", "", "would never be refilled"},
	{"rule between fields: levels rise", "", "list the levels rising"},
	{"rule between fields: spans rise", "", "list the spans rising"},
	{"rule between fields: the last level is the nameplate", "", "is not nameplate_watts"},
	{"rule between fields: the last level is full power", "", "give that of full power in both"},
	{"rule between fields: both lists of levels agree", "", "are not the watts of the levels that hash"},
	{"rule between fields: only the lowest level sleeps", "", "only the lowest of several levels may sleep"},
	{"rule between fields: a boot from sleep", "", "belongs to a level that hashes nothing"},
	{"rule between fields: capabilities within the nameplate", "", "is above nameplate_watts"},
	{"rule between fields: windows are not empty", "", "must be after"},
	{"rule between fields: validity", "", "is before issued_at"},
	{"rule between fields: the energy balance", "", "the balance is off by"},
	{"rule between fields: modelled within mining", "", "is above mining_milliwatt_hours"},
	{"rule between fields: over the limit by mining", "", "is above over_limit_milliseconds"},
	{"rule between fields: the margin", "", "resale − energy cost"},
	{"rule between fields: modelled within what was forgone", "", "is above milliwatt_hours"},
	{"rule between fields: forgone within what was possible", "", "are above nameplate_milliwatt_hours"},
	{"rule between fields: the net cost", "", "is not forgone − avoided cost"},
	{"rule between fields: found is the sum", "", "is below accepted + rejected + unknown"},
	{"rule between fields: theirs minus ours", "", "must be shares_stated"},
	{"rule between fields: theirs minus ours", "", "must be stated_millisats"},
	{"rule between fields: the carry is below one", "", "is not below carry_denominator"},
	{"rule between fields: one figure per line", "", "figures for"},
	{"rule between fields: lines follow each other", "", "is not the end of the line before"},
	{"rule between fields: a window does not end before it begins", "", "is before window_start"},
	{"rule between fields: a calendar is in order", "", "do not rise"},
	{"rule between fields: order of the totals", "", "twice or out of order"},
}

// mutation is an example with one thing changed.
type mutation struct {
	path, name string
	json       []byte
}

func TestSchemasAndReadersAgree(t *testing.T) {
	met := make([]bool, len(differences))
	count := 0
	for _, info := range Types() {
		root := schemaOf(t, info.Type)
		for n, ex := range examples(t, info.Type) {
			for _, m := range mutate(t, root, ex) {
				count++
				schemaErr := schemas.Validate(string(info.Type), m.json)
				p := info.New()
				goErr := UnmarshalPayload(m.json, p)
				if goErr == nil {
					goErr = p.Validate()
				}
				if (schemaErr == nil) == (goErr == nil) {
					continue
				}
				known := false
				for i, d := range differences {
					if strings.HasPrefix(m.name, d.mutation) && (d.goSays == "") == (goErr == nil) &&
						(goErr == nil || strings.Contains(goErr.Error(), d.goSays)) {
						known, met[i] = true, true
						break
					}
				}
				if !known {
					t.Errorf("%s example %d, %s at %s:\n  schema: %v\n  Go: %v\n  %s", info.Type, n, m.name, m.path, schemaErr, goErr, head(m.json))
				}
			}
		}
	}
	for i, ok := range met {
		if !ok {
			t.Errorf("no mutation met the difference %q", differences[i].why)
		}
	}
	t.Logf("%d mutations", count)
}

func head(b []byte) string {
	if len(b) > 600 {
		return string(b[:600]) + "…"
	}
	return string(b)
}

// mutate changes every place of an example in every way that its schema
// bounds, one at a time.
func mutate(t *testing.T, root map[string]any, example []byte) []mutation {
	var doc any
	dec := json.NewDecoder(strings.NewReader(string(example)))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	var out []mutation
	emit := func(path, name string) {
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, mutation{path, name, b})
	}
	var walk func(path string, s map[string]any, v any, set func(any), remove func())
	walk = func(path string, s map[string]any, v any, set func(any), remove func()) {
		s = resolve(t, s)
		try := func(name string, w any) { set(w); emit(path, name); set(v) }
		if remove != nil {
			remove()
			emit(path, "removed")
			set(v)
		}
		try("null", nil)
		for _, w := range []any{true, "x", json.Number("7"), json.Number("7.0"), json.Number("7e0"), json.Number("-0"), []any{}, map[string]any{}} {
			if path != "" {
				try(fmt.Sprintf("other value %v", w), w)
			}
		}
		switch v := v.(type) {
		case map[string]any:
			v["x_unknown"] = json.Number("1")
			emit(path, "unknown field")
			delete(v, "x_unknown")
			props, _ := s["properties"].(map[string]any)
			for _, name := range slices.Sorted(maps.Keys(props)) {
				p := props[name].(map[string]any)
				value, present := v[name]
				if present {
					walk(path+"/"+name, p, value, func(w any) { v[name] = w }, func() { delete(v, name) })
					continue
				}
				for _, w := range plausible(resolve(t, p)) {
					v[name] = w
					emit(path+"/"+name, fmt.Sprintf("added %v", w))
				}
				delete(v, name)
			}
		case []any:
			items, _ := s["items"].(map[string]any)
			try("no items", []any{})
			try("twice", append(slices.Clone(v), v[0]))
			for _, k := range []string{"maxItems", "minItems"} {
				if most, ok := s[k].(float64); ok {
					try(k, repeat(v[0], int(most)))
					try(k+"+1", repeat(v[0], int(most)+1))
				}
			}
			for i := range v {
				walk(fmt.Sprintf("%s/%d", path, i), items, v[i], func(w any) { v[i] = w }, nil)
			}
		case json.Number:
			lo, hi := int64(s["minimum"].(float64)), int64(s["maximum"].(float64))
			for _, n := range []int64{lo, lo - 1, hi, hi + 1, -9223372036854775808, 9223372036854775807} {
				name := "minimum or maximum"
				if n == lo-1 {
					name = fmt.Sprintf("minimum-1 %d", n)
				}
				try(name, json.Number(fmt.Sprint(n)))
			}
			try("too large for 64 bits", json.Number("18446744073709551616"))
			try("enormous", json.Number("1"+strings.Repeat("0", 400)))
		case string:
			mutateText(s, v, try)
		}
	}
	walk("", root, doc, func(w any) { doc = w }, nil)
	return out
}

func mutateText(s map[string]any, v string, try func(string, any)) {
	try("empty", "")
	try("longer", v+"-")
	try("control", v+"\n")
	try("broken", "\x7f"+v)
	try("upper case", strings.ToUpper(v))
	try("longest", strings.Repeat("a", 64))
	try("too long for a token", strings.Repeat("a", 65))
	try("name", strings.Repeat("A", 128))
	try("too long for a name", strings.Repeat("A", 129))
	if most, ok := s["maxLength"].(float64); ok && s["contentEncoding"] == nil {
		try("maxLength", strings.Repeat("é", int(most)))
		try("maxLength+1", strings.Repeat("é", int(most)+1))
		try("maxLength a", strings.Repeat("a", int(most)))
		try("maxLength+1 a", strings.Repeat("a", int(most)+1))
	}
	for _, w := range []string{"0", "0.0", "00", "01", "-1", "-0", "1.", ".5", "1e3", "1.5", strings.Repeat("9", 30), strings.Repeat("9", 31),
		"0." + strings.Repeat("0", 29) + "1", "0." + strings.Repeat("0", 30) + "1", strings.Repeat("9", 200), strings.Repeat("9", 201),
		"17000000", "17800000", "02034219", "21034219", "03000001", "1703421", "17034219a"} {
		try("number text "+w, w)
	}
	for _, e := range listOf(s["enum"]) {
		try("enum", e)
	}
	if s["format"] != "date-time" {
		return
	}
	for name, w := range map[string]string{
		"time year 0": "0000-01-01T00:00:00Z", "time zero": "0001-01-01T00:00:00Z", "time year 999": "0999-12-31T23:59:59Z",
		"time year 1000": "1000-01-01T00:00:00+01:00", "time year 1000 Z": "1000-01-01T00:00:00Z", "time 1970": "1970-01-01T00:00:00Z",
		"time last": "9999-12-31T23:59:59.999999999Z", "time year 10000": "10000-01-01T00:00:00Z",
		"time offset": "2026-03-02T18:04:05+05:30", "time 9 digits": "2026-03-02T18:04:05.123456789Z",
		"time 10 digits": "2026-03-02T18:04:05.1234567891Z", "time comma": "2026-03-02T18:04:05,5Z", "time no digits": "2026-03-02T18:04:05.Z",
		"time leap second": "2016-12-31T23:59:60Z", "time hour 24": "2026-03-02T24:00:00Z", "time one digit": "2026-3-02T18:04:05Z",
		"time February 29": "2026-02-29T00:00:00Z", "time leap day": "2028-02-29T00:00:00Z", "time lower": "2026-03-02t18:04:05z",
		"time space": "2026-03-02 18:04:05Z", "time offset 24": "2026-03-02T18:04:05+24:00", "time local": "2026-03-02T18:04:05",
		"time minus": "-2026-03-02T18:04:05Z", "time month 13": "2026-13-02T18:04:05Z", "time minute 60": "2026-03-02T18:60:05Z",
	} {
		try(name, w)
	}
}

func repeat(v any, n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// plausible values for a field that an example leaves out.
func plausible(s map[string]any) []any {
	switch s["type"] {
	case "boolean":
		return []any{true, false}
	case "integer":
		return []any{json.Number(fmt.Sprint(int64(s["minimum"].(float64)))), json.Number(fmt.Sprint(int64(s["maximum"].(float64))))}
	case "string":
		if e := listOf(s["enum"]); e != nil {
			return e
		}
		return []any{"abc", "20000000", "2026-03-02T18:04:05Z", "0", "QUJD"}
	case "array":
		return []any{[]any{}, []any{json.Number("1")}}
	}
	return []any{map[string]any{}}
}
