// SPDX-License-Identifier: Apache-2.0

package schemas

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
)

// resolver reads the shared definitions that a schema refers to.
type resolver map[string]any

// resolve follows $ref; what stands beside it goes before what it refers to.
func (r resolver) resolve(s map[string]any) map[string]any {
	ref, ok := s["$ref"].(string)
	if !ok {
		return s
	}
	_, name, _ := strings.Cut(ref, "#/$defs/")
	out := map[string]any{}
	for k, v := range r.resolve(mapOf(r[name])) {
		out[k] = v
	}
	for k, v := range s {
		if k != "$ref" {
			out[k] = v
		}
	}
	return out
}

// breaks lists what in the new schema would break somebody who relies on the
// old one: a field removed, newly required or no longer given, a type, range,
// length, enum or form narrowed, a unit changed.
func breaks(at string, before, now map[string]any, oldDefs, newDefs resolver) []string {
	before, now = oldDefs.resolve(before), newDefs.resolve(now)
	var out []string
	say := func(format string, args ...any) { out = append(out, at+": "+fmt.Sprintf(format, args...)) }

	for _, k := range []string{"type", "format", "pattern", "const", "contentEncoding", "x-unit", "$id"} {
		if !reflect.DeepEqual(before[k], now[k]) {
			say("%s was %v, is %v", k, before[k], now[k])
		}
	}
	for _, k := range []string{"minimum", "minLength", "minItems"} {
		if n, ok := now[k].(float64); ok {
			if b, had := before[k].(float64); !had || n > b {
				say("%s was %v, is %v", k, before[k], n)
			}
		}
	}
	for _, k := range []string{"maximum", "maxLength", "maxItems"} {
		if n, ok := now[k].(float64); ok {
			if b, had := before[k].(float64); !had || n < b {
				say("%s was %v, is %v", k, before[k], n)
			}
		}
	}
	if e, ok := now["enum"].([]any); ok {
		was, had := before["enum"].([]any)
		if !had {
			say("enum is new")
		}
		for _, v := range was {
			if !slices.Contains(e, v) {
				say("%v is no longer possible", v)
			}
		}
	}
	for _, k := range []string{"if", "then", "else", "not", "allOf", "anyOf", "oneOf", "contains"} {
		if !reflect.DeepEqual(before[k], now[k]) {
			say("the condition %s changed", k)
		}
	}

	must, mustNow := setOf(before["required"]), setOf(now["required"])
	props, propsNow := mapOf(before["properties"]), mapOf(now["properties"])
	for _, f := range sortedKeys(props) {
		field, ok := propsNow[f].(map[string]any)
		if !ok {
			say("field %s was removed", f)
			continue
		}
		if must[f] && !mustNow[f] {
			say("field %s is no longer required: older readers need it", f)
		}
		if !must[f] && mustNow[f] {
			say("field %s is newly required", f)
		}
		out = append(out, breaks(at+"/"+f, mapOf(props[f]), field, oldDefs, newDefs)...)
	}
	for _, f := range sortedKeys(propsNow) {
		if _, had := props[f]; !had && mustNow[f] {
			say("new field %s is required", f)
		}
	}
	if items, ok := before["items"].(map[string]any); ok {
		out = append(out, breaks(at+"/[]", items, mapOf(now["items"]), oldDefs, newDefs)...)
	}
	return out
}

func setOf(v any) map[string]bool {
	out := map[string]bool{}
	l, _ := v.([]any)
	for _, e := range l {
		out[fmt.Sprint(e)] = true
	}
	return out
}

func sortedKeys(m map[string]any) []string {
	var ks []string
	for k := range m {
		ks = append(ks, k)
	}
	sort.Strings(ks)
	return ks
}

func TestBreaks(t *testing.T) {
	defs := resolver{
		"watts":  map[string]any{"type": "integer", "x-unit": "W", "minimum": 0.0, "maximum": 10.0},
		"wider":  map[string]any{"type": "integer", "x-unit": "W", "minimum": -1.0, "maximum": 11.0},
		"kilo":   map[string]any{"type": "integer", "x-unit": "kW", "minimum": 0.0, "maximum": 10.0},
		"narrow": map[string]any{"type": "integer", "x-unit": "W", "minimum": 1.0, "maximum": 10.0},
	}
	for _, c := range []struct{ before, now, want string }{
		{`{"type":"object","properties":{"a":{"$ref":"#/$defs/watts"}},"required":["a"]}`, `{"type":"object","properties":{"a":{"$ref":"#/$defs/watts"}},"required":["a"]}`, ""},
		{`{"description":"a"}`, `{"description":"b"}`, ""},
		{`{"properties":{"a":{}}}`, `{"properties":{"a":{},"b":{}}}`, ""},
		{`{"properties":{"a":{}}}`, `{"properties":{}}`, "x: field a was removed"},
		{`{"properties":{"a":{}}}`, `{"properties":{"a":{},"b":{}},"required":["b"]}`, "x: new field b is required"},
		{`{"properties":{"a":{}}}`, `{"properties":{"a":{}},"required":["a"]}`, "x: field a is newly required"},
		{`{"properties":{"a":{}},"required":["a"]}`, `{"properties":{"a":{}}}`, "x: field a is no longer required: older readers need it"},
		{`{"$ref":"#/$defs/watts"}`, `{"$ref":"#/$defs/wider"}`, ""},
		{`{"$ref":"#/$defs/watts"}`, `{"$ref":"#/$defs/kilo"}`, "x: x-unit was W, is kW"},
		{`{"$ref":"#/$defs/watts"}`, `{"$ref":"#/$defs/narrow"}`, "x: minimum was 0, is 1"},
		{`{"$ref":"#/$defs/watts"}`, `{"$ref":"#/$defs/watts","maximum":9}`, "x: maximum was 10, is 9"},
		{`{"type":"integer"}`, `{"type":"string"}`, "x: type was integer, is string"},
		{`{"type":"string"}`, `{"type":"string","maxLength":5}`, "x: maxLength was <nil>, is 5"},
		{`{"maxLength":5}`, `{"maxLength":6}`, ""},
		{`{"maxLength":5}`, `{}`, ""},
		{`{"minItems":1}`, `{"minItems":2}`, "x: minItems was 1, is 2"},
		{`{"enum":["a","b"]}`, `{"enum":["b","c"]}`, "x: a is no longer possible"},
		{`{"enum":["a"]}`, `{"enum":["a","b"]}`, ""},
		{`{"type":"string"}`, `{"type":"string","enum":["a"]}`, "x: enum is new"},
		{`{"pattern":"^a$"}`, `{"pattern":"^b$"}`, "x: pattern was ^a$, is ^b$"},
		{`{"format":"date-time"}`, `{}`, "x: format was date-time, is <nil>"},
		{`{}`, `{"allOf":[{"required":["a"]}]}`, "x: the condition allOf changed"},
		{`{"items":{"properties":{"a":{"$ref":"#/$defs/watts"}}}}`, `{"items":{"properties":{"a":{"$ref":"#/$defs/kilo"}}}}`, "x/[]/a: x-unit was W, is kW"},
		{`{"items":{"type":"string"}}`, `{}`, "x/[]: type was string, is <nil>"},
	} {
		got := strings.Join(breaks("x", document(t, []byte(c.before)), document(t, []byte(c.now)), defs, defs), "; ")
		if got != c.want {
			t.Errorf("%s → %s:\n got %q\nwant %q", c.before, c.now, got, c.want)
		}
	}
}

// git runs a git command in the repository.
func git(args ...string) (string, error) {
	out, err := exec.Command("git", args...).Output()
	return strings.TrimSpace(string(out)), err
}

func TestCompatibleWithLastRelease(t *testing.T) {
	tags, err := git("tag", "--list", "v*", "--merged", "HEAD", "--sort=-version:refname")
	if err != nil {
		t.Skipf("SKIPPED: no git repository to compare with: %v", err)
	}
	tag, _, _ := strings.Cut(tags, "\n")
	if tag == "" {
		t.Skip("SKIPPED: no release tag (v*) yet; compatibility is enforced from the first one on")
	}
	listing, err := git("ls-tree", "--name-only", tag, "./")
	if err != nil {
		t.Fatal(err)
	}
	old := map[string]map[string]any{}
	for _, f := range strings.Fields(listing) {
		if typ, ok := strings.CutSuffix(f, suffix); ok {
			raw, err := git("show", tag+":./"+f)
			if err != nil {
				t.Fatal(err)
			}
			var s map[string]any
			if err := json.Unmarshal([]byte(raw), &s); err != nil {
				t.Fatalf("%s at %s: %v", f, tag, err)
			}
			old[typ] = s
		}
	}
	oldDefs := resolver(mapOf(old[definitions]["$defs"]))
	newDefs := resolver(mapOf(document(t, Definitions())["$defs"]))
	for typ, before := range old {
		if typ == definitions {
			continue
		}
		raw, err := Schema(typ)
		if err != nil {
			t.Errorf("%s was removed since %s", typ, tag)
			continue
		}
		for _, b := range breaks(typ, before, document(t, raw), oldDefs, newDefs) {
			t.Errorf("breaks %s: %s", tag, b)
		}
	}
}
