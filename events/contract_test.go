// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/schemas"
)

// schemaOf is the schema of a type, as maps.
func schemaOf(t testing.TB, typ Type) map[string]any {
	t.Helper()
	raw, err := schemas.Schema(string(typ))
	if err != nil {
		t.Fatal(err)
	}
	return asMap(t, raw)
}

func asMap(t testing.TB, raw []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// resolve follows $ref into the shared definitions; what stands beside the
// $ref goes before what it refers to.
func resolve(t testing.TB, s map[string]any) map[string]any {
	t.Helper()
	ref, ok := s["$ref"].(string)
	if !ok {
		return s
	}
	_, name, ok := strings.Cut(ref, "#/$defs/")
	defs := asMap(t, schemas.Definitions())["$defs"].(map[string]any)
	d, found := defs[name].(map[string]any)
	if !ok || !found {
		t.Fatalf("$ref %q leads nowhere", ref)
	}
	out := make(map[string]any)
	for k, v := range resolve(t, d) {
		out[k] = v
	}
	for k, v := range s {
		if k != "$ref" {
			out[k] = v
		}
	}
	return out
}

// examples of a type, as they stand in its schema.
func examples(t testing.TB, typ Type) []json.RawMessage {
	t.Helper()
	raw, err := schemas.Schema(string(typ))
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ Examples []json.RawMessage }
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s.Examples
}

func TestEveryTypeHasOneSchema(t *testing.T) {
	var types []string
	for _, info := range Types() {
		types = append(types, string(info.Type))
	}
	slices.Sort(types)
	if have := schemas.List(); !slices.Equal(types, have) {
		t.Errorf("types %v\nschemas %v", types, have)
	}
}

func TestExamplesRoundTrip(t *testing.T) {
	for _, info := range Types() {
		for i, ex := range examples(t, info.Type) {
			p := info.New()
			if err := UnmarshalPayload(ex, p); err != nil {
				t.Errorf("%s example %d: %v", info.Type, i, err)
				continue
			}
			if err := p.Validate(); err != nil {
				t.Errorf("%s example %d: %v", info.Type, i, err)
			}
			back, err := AppendPayload(nil, p)
			if err != nil {
				t.Errorf("%s example %d: %v", info.Type, i, err)
				continue
			}
			if !reflect.DeepEqual(asMap(t, ex), asMap(t, back)) {
				t.Errorf("%s example %d changed on its way:\n%s\n%s", info.Type, i, ex, back)
			}
		}
	}
}

func TestSchemaAndGoTypeHaveTheSameFields(t *testing.T) {
	for _, info := range Types() {
		compareFields(t, string(info.Type), schemaOf(t, info.Type), reflect.TypeOf(info.New()).Elem())
	}
}

// compareFields walks a schema and a struct together.
func compareFields(t *testing.T, at string, s map[string]any, typ reflect.Type) {
	t.Helper()
	s = resolve(t, s)
	if s["type"] != "object" {
		t.Errorf("%s: a struct in Go, %v in the schema", at, s["type"])
		return
	}
	props, _ := s["properties"].(map[string]any)
	required := map[string]bool{}
	for _, r := range listOf(s["required"]) {
		required[r.(string)] = true
	}
	seen := map[string]bool{}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		where := at + "/" + name
		if seen[name] = true; name == "" || name == "-" {
			t.Errorf("%s: %s has no json tag", at, f.Name)
			continue
		}
		p, ok := props[name].(map[string]any)
		if !ok {
			t.Errorf("%s: in Go, not in the schema", where)
			continue
		}
		if optional := opts == "omitempty"; optional == required[name] {
			t.Errorf("%s: omitempty %v in Go, required %v in the schema", where, optional, required[name])
		}
		if f.Type.Kind() == reflect.Pointer && opts != "omitempty" {
			t.Errorf("%s: a pointer that is required", where)
		}
		compareType(t, where, resolve(t, p), f.Type)
	}
	for name := range props {
		if !seen[name] {
			t.Errorf("%s/%s: in the schema, not in Go", at, name)
		}
	}
}

func compareType(t *testing.T, at string, s map[string]any, typ reflect.Type) {
	t.Helper()
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	want := ""
	switch {
	case typ == reflect.TypeFor[time.Time]():
		if s["format"] != "date-time" {
			t.Errorf("%s: a time needs format date-time", at)
		}
		want = "string"
	case typ == reflect.TypeFor[[]byte]():
		if s["contentEncoding"] != "base64" {
			t.Errorf("%s: bytes need contentEncoding base64", at)
		}
		want = "string"
	case typ.Kind() == reflect.Struct:
		compareFields(t, at, s, typ)
		return
	case typ.Kind() == reflect.Slice:
		items, ok := s["items"].(map[string]any)
		if !ok {
			t.Errorf("%s: a slice in Go, no items in the schema", at)
			return
		}
		compareType(t, at+"/[]", resolve(t, items), typ.Elem())
		want = "array"
	case typ.Kind() == reflect.String:
		want = "string"
	case typ.Kind() == reflect.Bool:
		want = "boolean"
	case typ.Kind() == reflect.Uint32, typ.Kind() == reflect.Uint64:
		if lo, _ := s["minimum"].(float64); lo < 0 {
			t.Errorf("%s: unsigned in Go, minimum %v in the schema", at, lo)
		}
		want = "integer"
	case typ.Kind() == reflect.Int, typ.Kind() == reflect.Int64:
		want = "integer"
	}
	if s["type"] != want {
		t.Errorf("%s: %s in Go, %v in the schema", at, typ, s["type"])
	}
}

func listOf(v any) []any {
	l, _ := v.([]any)
	return l
}
