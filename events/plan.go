// SPDX-License-Identifier: Apache-2.0

package events

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"
)

// plan is how the JSON of one struct is read: field by field, as its tags say.
// Payloads without a reader of their own are read by plan.
type plan struct {
	fields []fieldPlan
	byName map[string]int
	// required has a bit for every field that must be present.
	required uint64
}

type fieldPlan struct {
	name  string
	index int
	read  reader
}

// reader reads one value into v.
type reader func(s *scanner, v reflect.Value)

var plans sync.Map // reflect.Type of the struct → *plan

func planFor(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := &plan{byName: make(map[string]int)}
	for i := range t.NumField() {
		name, opts, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if opts != "omitempty" {
			p.required |= 1 << len(p.fields)
		}
		p.byName[name] = len(p.fields)
		p.fields = append(p.fields, fieldPlan{name, i, readerFor(t.Field(i).Type)})
	}
	if len(p.fields) > 64 {
		panic(fmt.Sprintf("events: %s has more than 64 fields", t))
	}
	plans.Store(t, p)
	return p
}

var timeType = reflect.TypeFor[time.Time]()

func readerFor(t reflect.Type) reader {
	if t == timeType {
		return func(s *scanner, v reflect.Value) { *v.Addr().Interface().(*time.Time) = s.time() }
	}
	switch t.Kind() {
	case reflect.String:
		return func(s *scanner, v reflect.Value) { v.SetString(s.string()) }
	case reflect.Bool:
		return func(s *scanner, v reflect.Value) { v.SetBool(s.bool()) }
	case reflect.Int, reflect.Int64:
		return func(s *scanner, v reflect.Value) {
			n := s.int64()
			if v.OverflowInt(n) {
				s.fail("the number is too large")
			}
			v.SetInt(n)
		}
	case reflect.Uint32:
		return func(s *scanner, v reflect.Value) { v.SetUint(uint64(s.uint32())) }
	case reflect.Uint64:
		return func(s *scanner, v reflect.Value) { v.SetUint(s.uint64()) }
	case reflect.Struct:
		p := planFor(t)
		return func(s *scanner, v reflect.Value) { p.read(s, v) }
	case reflect.Pointer:
		read := readerFor(t.Elem())
		return func(s *scanner, v reflect.Value) {
			v.Set(reflect.New(t.Elem()))
			read(s, v.Elem())
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return func(s *scanner, v reflect.Value) { v.SetBytes(s.bytes()) }
		}
		read := readerFor(t.Elem())
		return func(s *scanner, v reflect.Value) {
			v.Set(reflect.MakeSlice(t, 0, 0))
			if !s.open('[', "an array") {
				return
			}
			for n := 0; s.more(n, ']'); n++ {
				v.Grow(1)
				v.SetLen(n + 1)
				read(s, v.Index(n))
			}
		}
	}
	panic(fmt.Sprintf("events: no reader for fields of type %s", t))
}

// read fills v, a zero struct, from an object.
func (p *plan) read(s *scanner, v reflect.Value) {
	var f fields
	if !s.open('{', "an object") {
		return
	}
	for n := 0; s.more(n, '}'); n++ {
		i, known := p.byName[string(s.key())]
		if !known {
			s.skip(0)
			continue
		}
		if f.take(s, i) {
			p.fields[i].read(s, v.Field(p.fields[i].index))
		}
	}
	f.need(s, p.required, func(i int) string { return p.fields[i].name })
}

// fields remembers which fields of an object have been seen, and which of them
// were more than null.
type fields struct {
	seen, given uint64
}

// take reports that the value of field i is to be read now. A null is taken
// like an absent field; the same field twice is a fault, because readers of
// other languages would not agree on which one counts.
func (f *fields) take(s *scanner, i int) bool {
	bit := uint64(1) << i
	if f.seen&bit != 0 {
		s.fail("is there twice")
		return false
	}
	f.seen |= bit
	if s.null() {
		return false
	}
	f.given |= bit
	return s.err == nil
}

// need fails when a required field is missing: a reading without power_watts
// is no reading of 0 W.
func (f *fields) need(s *scanner, required uint64, name func(int) string) {
	if s.err != nil || f.given&required == required {
		return
	}
	for i := 0; ; i++ {
		if required&^f.given&(1<<i) != 0 {
			s.field = nil
			s.fail("%s is missing", name(i))
			return
		}
	}
}
