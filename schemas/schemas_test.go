// SPDX-License-Identifier: Apache-2.0

package schemas

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
)

func document(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEverySchemaIsComplete(t *testing.T) {
	if len(List()) == 0 {
		t.Fatal("no schema embedded")
	}
	for _, typ := range List() {
		raw, err := Schema(typ)
		if err != nil {
			t.Fatal(err)
		}
		s := document(t, raw)
		if s["$id"] != BaseURL+typ+".schema.json" || s["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
			t.Errorf("%s: $id %v, $schema %v", typ, s["$id"], s["$schema"])
		}
		if s["title"] == "" || s["description"] == "" {
			t.Errorf("%s: title or description is missing", typ)
		}
		checkFields(t, typ, s)
	}
	for name, d := range document(t, Definitions())["$defs"].(map[string]any) {
		checkFields(t, "defs/"+name, d.(map[string]any))
	}
}

// checkFields walks a schema: every field described and closed, every number
// bounded to what JSON readers hold exactly and given a unit.
func checkFields(t *testing.T, at string, s map[string]any) {
	t.Helper()
	const most = 1<<53 - 1
	switch s["type"] {
	case "integer":
		lo, okLo := s["minimum"].(float64)
		hi, okHi := s["maximum"].(float64)
		if !okLo || !okHi || lo < -most || hi > most || lo > hi {
			t.Errorf("%s: minimum and maximum must lie within ±(2^53−1)", at)
		}
		if u, _ := s["x-unit"].(string); u == "" {
			t.Errorf("%s: x-unit is missing", at)
		}
	case "number":
		t.Errorf("%s: the contract has integers only", at)
	case "string":
		if s["enum"] == nil && s["pattern"] == nil && s["maxLength"] == nil {
			t.Errorf("%s: a string needs an enum, a pattern or a length", at)
		}
	case "object":
		if s["additionalProperties"] != false {
			t.Errorf("%s: additionalProperties must be false", at)
		}
	case "array":
		if s["maxItems"] == nil {
			t.Errorf("%s: maxItems is missing", at)
		}
	}
	for name, f := range mapOf(s["properties"]) {
		f := f.(map[string]any)
		if strings.ToLower(name) != name || strings.Contains(name, "-") {
			t.Errorf("%s/%s: field names are snake_case", at, name)
		}
		if d, _ := f["description"].(string); d == "" && f["$ref"] == nil {
			t.Errorf("%s/%s: description is missing", at, name)
		}
		checkFields(t, at+"/"+name, f)
	}
	if items, ok := s["items"].(map[string]any); ok {
		checkFields(t, at+"/[]", items)
	}
}

func mapOf(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func TestExamplesValidate(t *testing.T) {
	for _, typ := range List() {
		raw, _ := Schema(typ)
		var s struct{ Examples []json.RawMessage }
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		if len(s.Examples) != 2 || string(s.Examples[0]) == string(s.Examples[1]) {
			t.Errorf("%s: want two different examples", typ)
		}
		for i, e := range s.Examples {
			if err := Validate(typ, e); err != nil {
				t.Errorf("example %d: %v", i, err)
			}
		}
	}
}

func TestValidateSaysWhereWhatAndFix(t *testing.T) {
	for _, c := range []struct{ typ, payload, want string }{
		{"grid.signal", `{"kind":"curtail"}`, "grid.signal: /: power_watts is missing; add it"},
		{"grid.signal", `{"kind":"shed"}`, "/kind: shed is not possible; use one of curtail, restore"},
		{"grid.signal", `{"kind":"restore","power_watts":5}`, "/power_watts: does not belong here"},
		{"clock.tick", `{"second":1.0}`, "/second: 1.0 is not written as an integer"},
		{"clock.tick", `{"second":1e3}`, "without fraction or exponent"},
		{"clock.tick", `{"second":-1}`, "/second: -1 is too low; use 0 or more"},
		{"clock.tick", `{"second":1} x`, "bytes follow the JSON value"},
		{"clock.tick", `{"second":NaN}`, "not JSON"},
		{"clock.tick", `{"second":null}`, "/second: is null; write an integer"},
		{"clock.tick", `[]`, "/: is array; write an object"},
		{"clock.tick", `{"second":1,"secnod":2}`, `field "secnod" is unknown; check its spelling`},
		{"meter.reading", `{"power_watts":1,"sampled_at":"yesterday","quality":"good"}`, "/sampled_at:"},
		{"command.ramp", `{}`, "problems\n  /: agent is missing"},
		{"permit.renewed", `{"decider":"d","key":{"epoch":0,"sequence":0,"ordinal":0},"boot_id":"b","counter":1,"lease_milliseconds":5000,"units":[{"unit":"A","setpoint_watts":0}]}`, `/units/0/unit: "A" has the wrong shape; match`},
	} {
		err := Validate(c.typ, []byte(c.payload))
		var bad *InvalidError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s:\n got %v\nwant …%s…", c.typ, c.payload, err, c.want)
		}
	}
	if err := Validate("no.such", []byte(`{}`)); err == nil || !strings.Contains(err.Error(), "the types are: ai.job, alert.cleared") {
		t.Errorf("unknown type: %v", err)
	}
	for _, bad := range []string{"defs", "../schemas/defs", ""} {
		if _, err := Schema(bad); err == nil {
			t.Errorf("Schema(%q) must fail", bad)
		}
	}
}

func TestValidateConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, typ := range List() {
				if Validate(typ, []byte(`{}`)) == nil && typ != "" {
					t.Errorf("%s: {} passed", typ)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkValidate(b *testing.B) {
	payload := []byte(`{"power_watts":41200000,"energy_milliwatt_hours":918273645546,"sampled_at":"2026-03-02T18:04:05.25Z","quality":"good"}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := Validate("meter.reading", payload); err != nil {
			b.Fatal(err)
		}
	}
}
