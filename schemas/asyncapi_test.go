// SPDX-License-Identifier: Apache-2.0

package schemas

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func asyncDocument(t *testing.T) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := yaml.Unmarshal(AsyncAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// lookUp follows a JSON pointer; nil when it leads nowhere.
func lookUp(doc map[string]any, pointer string) any {
	var v any = doc
	for _, s := range strings.Split(strings.TrimPrefix(pointer, "#/"), "/") {
		s = strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[s]
	}
	return v
}

// walkRefs calls f for every $ref below v.
func walkRefs(v any, f func(ref string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if s, ok := e.(string); ok && k == "$ref" {
				f(s)
			}
			walkRefs(e, f)
		}
	case []any:
		for _, e := range v {
			walkRefs(e, f)
		}
	}
}

func TestAsyncAPIReferencesEveryTypeOnce(t *testing.T) {
	doc := asyncDocument(t)
	count := map[string]int{}
	walkRefs(doc, func(ref string) {
		if typ, ok := strings.CutSuffix(ref, suffix); ok {
			count[strings.TrimPrefix(typ, "./")]++
			return
		}
		if !strings.HasPrefix(ref, "#/") || lookUp(doc, ref) == nil {
			t.Errorf("$ref %q leads nowhere", ref)
		}
	})
	for _, typ := range List() {
		if count[typ] != 1 {
			t.Errorf("%s is referenced %d times, want once", typ, count[typ])
		}
		delete(count, typ)
	}
	for typ := range count {
		t.Errorf("%s has no schema", typ)
	}
}

func TestAsyncAPIStructure(t *testing.T) {
	doc := asyncDocument(t)
	if doc["asyncapi"] != "3.0.0" || doc["defaultContentType"] != "application/json" {
		t.Errorf("asyncapi %v, defaultContentType %v", doc["asyncapi"], doc["defaultContentType"])
	}
	for k := range doc {
		if !slices.Contains([]string{"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}, k) {
			t.Errorf("AsyncAPI 3.0 knows no root field %q", k)
		}
	}
	info := mapOf(doc["info"])
	if info["title"] == nil || info["version"] == nil {
		t.Error("info needs a title and a version")
	}
	name := regexp.MustCompile(`^[A-Za-z0-9_\-.]+$`)
	parameter := regexp.MustCompile(`\{(\w+)\}`)
	used := map[string]bool{}
	for ch, v := range mapOf(doc["channels"]) {
		c := mapOf(v)
		address, _ := c["address"].(string)
		var want []string
		for _, m := range parameter.FindAllStringSubmatch(address, -1) {
			want = append(want, m[1])
		}
		slices.Sort(want)
		var have []string
		for p := range mapOf(c["parameters"]) {
			have = append(have, p)
		}
		slices.Sort(have)
		if !name.MatchString(ch) || address == "" || !slices.Equal(want, have) {
			t.Errorf("channel %s: address %q, parameters %v", ch, address, have)
		}
		if len(mapOf(c["messages"])) != 1 {
			t.Errorf("channel %s: want one message", ch)
		}
		used["#/channels/"+ch] = false
	}
	for op, v := range mapOf(doc["operations"]) {
		o := mapOf(v)
		ref, _ := mapOf(o["channel"])["$ref"].(string)
		if _, ok := used[ref]; !ok {
			t.Errorf("operation %s: no channel %q", op, ref)
		}
		used[ref] = true
		if o["action"] != "send" && o["action"] != "receive" || o["summary"] == nil {
			t.Errorf("operation %s: action %v, summary %v", op, o["action"], o["summary"])
		}
	}
	for ch, ok := range used {
		if !ok {
			t.Errorf("%s has no operation", ch)
		}
	}
	components := mapOf(doc["components"])
	for n, v := range mapOf(components["messages"]) {
		m := mapOf(v)
		payload := mapOf(m["payload"])
		if m["name"] != n || m["title"] == nil || m["summary"] == nil || m["headers"] == nil ||
			payload["schemaFormat"] != "application/schema+json;version=draft-2020-12" ||
			mapOf(payload["schema"])["$ref"] != "./"+n+suffix {
			t.Errorf("message %s is incomplete: %v", n, m)
		}
		raw, err := Schema(n)
		if err != nil {
			t.Error(err)
			continue
		}
		if s := document(t, raw); s["title"] != m["title"] || s["description"] != m["summary"] {
			t.Errorf("message %s: title or summary is not that of the schema", n)
		}
	}
}
