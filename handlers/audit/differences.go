// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Change is one value that two JSON documents do not have in common.
type Change struct {
	// Path of the value: members by name, elements by their id, unit or meter
	// where they have one, else by position.
	Path string `json:"path"`
	// Recorded and Replayed are the value on either side as JSON, cut when
	// long; empty where that side has none.
	Recorded string `json:"recorded,omitempty"`
	Replayed string `json:"replayed,omitempty"`
}

// String is one line for people.
func (c Change) String() string {
	or := func(s string) string {
		if s == "" {
			return "(none)"
		}
		return s
	}
	return c.Path + ": " + or(c.Recorded) + " → " + or(c.Replayed)
}

// Bounds of a listed difference.
const (
	maxChanges = 64
	maxValue   = 200
)

// Changes lists the values in which two JSON documents differ, in the order of
// the first, at most 64, and says how many there are beyond those. Documents
// that are no JSON are compared as a whole.
func Changes(recorded, replayed []byte) (list []Change, more int) {
	a, errA := document(recorded)
	b, errB := document(replayed)
	w := &comparison{}
	if errA != nil || errB != nil {
		if !bytes.Equal(recorded, replayed) {
			w.add("(bytes)", strconv.Quote(string(recorded)), strconv.Quote(string(replayed)))
		}
		return w.list, w.more
	}
	w.compare("", a, b)
	return w.list, w.more
}

func document(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

type comparison struct {
	list []Change
	more int
}

func (w *comparison) add(path, recorded, replayed string) {
	if len(w.list) >= maxChanges {
		w.more++
		return
	}
	w.list = append(w.list, Change{path, shorten(recorded), shorten(replayed)})
}

func shorten(s string) string {
	if len(s) <= maxValue {
		return s
	}
	return s[:maxValue] + fmt.Sprintf("… (%d bytes)", len(s))
}

func (w *comparison) compare(path string, a, b any) {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			for _, k := range slices.Sorted(maps.Keys(x)) {
				v, has := y[k]
				w.side(join(path, k), x[k], v, true, has)
			}
			for _, k := range slices.Sorted(maps.Keys(y)) {
				if _, has := x[k]; !has {
					w.side(join(path, k), nil, y[k], false, true)
				}
			}
			return
		}
	case []any:
		if y, ok := b.([]any); ok {
			w.elements(path, x, y)
			return
		}
	default:
		if a == b {
			return
		}
	}
	w.add(path, text(a), text(b))
}

func (w *comparison) side(path string, a, b any, hasA, hasB bool) {
	switch {
	case hasA && hasB:
		w.compare(path, a, b)
	case hasA:
		w.add(path, text(a), "")
	default:
		w.add(path, "", text(b))
	}
}

// elements matches those of two lists by their names where all have one.
func (w *comparison) elements(path string, a, b []any) {
	byName := func(list []any) map[string]any {
		out := make(map[string]any, len(list))
		for _, v := range list {
			n := nameOf(v)
			if _, twice := out[n]; n == "" || twice {
				return nil
			}
			out[n] = v
		}
		return out
	}
	x, y := byName(a), byName(b)
	if x != nil && y != nil && len(a)+len(b) > 0 {
		for _, v := range a {
			n := nameOf(v)
			o, has := y[n]
			w.side(path+"["+n+"]", v, o, true, has)
		}
		for _, v := range b {
			if n := nameOf(v); x[n] == nil {
				w.side(path+"["+n+"]", nil, v, false, true)
			}
		}
		return
	}
	for i := range max(len(a), len(b)) {
		var v, o any
		if i < len(a) {
			v = a[i]
		}
		if i < len(b) {
			o = b[i]
		}
		w.side(path+"["+strconv.Itoa(i)+"]", v, o, i < len(a), i < len(b))
	}
}

// nameOf an element of a list.
func nameOf(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return ""
	}
	for _, k := range [...]string{"id", "ID", "unit", "meter", "node", "signal_id"} {
		if s, ok := m[k].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

func join(path, k string) string {
	if path == "" {
		return k
	}
	return path + "." + k
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
