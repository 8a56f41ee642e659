// SPDX-License-Identifier: Apache-2.0

package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Problem is one thing that is wrong with a payload.
type Problem struct {
	// Pointer to the place in the payload, RFC 6901; "/" is the payload.
	Pointer string
	// What is wrong.
	What string
	// Fix says what to do.
	Fix string
}

// String is the problem on one line.
func (p Problem) String() string { return p.Pointer + ": " + p.What + "; " + p.Fix }

// InvalidError is why a payload does not match the schema of its type.
type InvalidError struct {
	// Type of the event.
	Type string
	// Problems, sorted by pointer; at least one.
	Problems []Problem
}

// Error lists all problems, one a line when there are several.
func (e *InvalidError) Error() string {
	if len(e.Problems) == 1 {
		return e.Type + ": " + e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d problems", e.Type, len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// Validate checks the JSON of a payload against the schema of its type. A
// payload that does not match gives an *InvalidError with every problem found;
// any other error means that there is no such type.
func Validate(eventType string, payload []byte) error {
	s, err := compiled(eventType)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return &InvalidError{eventType, []Problem{{"/", "not JSON: " + err.Error(), "send one JSON object"}}}
	}
	if dec.More() || len(bytes.TrimSpace(payload[dec.InputOffset():])) != 0 {
		return &InvalidError{eventType, []Problem{{"/", "bytes follow the JSON value", "send one JSON object and nothing else"}}}
	}
	var problems []Problem
	if err := s.Validate(v); err != nil {
		var bad *jsonschema.ValidationError
		if !errors.As(err, &bad) {
			return fmt.Errorf("check a %s: %w", eventType, err)
		}
		problems = explain(bad, nil)
	}
	problems = numbers(v, nil, problems)
	if len(problems) == 0 {
		return nil
	}
	return &InvalidError{eventType, tidy(problems)}
}

// numbers finds what JSON Schema takes for an integer and our readers do not:
// 1.0, 1e3, -0.
func numbers(v any, at []string, found []Problem) []Problem {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			found = numbers(e, append(at, k), found)
		}
	case []any:
		for i, e := range v {
			found = numbers(e, append(at, fmt.Sprint(i)), found)
		}
	case json.Number:
		if s := v.String(); s == "-0" || strings.ContainsAny(s, ".eE") {
			found = append(found, Problem{pointer(at), s + " is not written as an integer", "write digits only, without fraction or exponent"})
		}
	}
	return found
}

// tidy sorts and removes repetitions, which come from several branches of a
// schema that fail alike.
func tidy(ps []Problem) []Problem {
	sort.Slice(ps, func(i, j int) bool {
		if ps[i].Pointer != ps[j].Pointer {
			return ps[i].Pointer < ps[j].Pointer
		}
		return ps[i].What < ps[j].What
	})
	out := ps[:0]
	for i, p := range ps {
		if i == 0 || p != ps[i-1] {
			out = append(out, p)
		}
	}
	return out
}

func pointer(at []string) string {
	if len(at) == 0 {
		return "/"
	}
	var b strings.Builder
	for _, s := range at {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(s))
	}
	return b.String()
}

// store compiles schemas at their first use. The compiler is not safe for
// concurrent use, so one lock holds it and what it made.
var store struct {
	sync.Mutex
	compiler *jsonschema.Compiler
	done     map[string]*jsonschema.Schema
}

func compiled(eventType string) (*jsonschema.Schema, error) {
	if _, err := Schema(eventType); err != nil {
		return nil, err
	}
	store.Lock()
	defer store.Unlock()
	if s, ok := store.done[eventType]; ok {
		return s, nil
	}
	if store.compiler == nil {
		c := jsonschema.NewCompiler()
		c.DefaultDraft(jsonschema.Draft2020)
		c.AssertFormat()
		for _, t := range append(List(), definitions) {
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(mustRead(t + suffix)))
			if err == nil {
				err = c.AddResource(BaseURL+t+suffix, doc)
			}
			if err != nil {
				return nil, fmt.Errorf("read schema %s: %w", t, err)
			}
		}
		store.compiler, store.done = c, make(map[string]*jsonschema.Schema)
	}
	s, err := store.compiler.Compile(BaseURL + eventType + suffix)
	if err != nil {
		return nil, fmt.Errorf("compile schema %s: %w", eventType, err)
	}
	store.done[eventType] = s
	return s, nil
}
