// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"github.com/ballast-energy/ballast/events"
)

// TestEveryFieldCounts changes every field of the entries, one by one: the
// digest must see it, or replicas could differ unnoticed. Fields that follow
// from others are named, and those that the digest of the part of a curtailment
// sees (TestPartSeesItsUnits).
func TestEveryFieldCounts(t *testing.T) {
	a := newAgent("a")
	u := &unit{id: "u", agent: a}
	m := &meter{}
	s, p := &signal{}, &programme{}
	c, r := &cell{}, &raised{}
	for _, tt := range []struct {
		name    string
		entry   any
		hash    func() uint64
		derived []string
	}{
		{"unit", u, func() uint64 { return u.hash() }, []string{"agent", "caps", "fall", "steps", "only", "merit", "levels", "asleep", "sleepFor", "raiseBook", "fallBook", "extra", "fixed", "counted", "node", "homeless", "reason", "before", "binds", "tight", "bound", "wayFor", "group", "risen", "h", "part", "answers", "answering", "asked", "changed", "risenBy", "waiting", "seen", "esc", "outlet", "cut"}},
		{"agent", a, func() uint64 { return a.hash() }, []string{"id", "units", "lowering", "urged", "cursor", "phase", "index", "h"}},
		{"meter", m, func() uint64 { return m.hash() }, []string{"period", "stale", "stuckAfter", "booked", "units", "index", "node", "job", "claims", "wider", "shared", "due", "slot", "h", "seen", "extra", "watch", "idHash", "work", "doubted"}},
		{"signal", s, func() uint64 { return s.hash() }, []string{"Course", "at", "after"}},
		{"course", &s.Course, func() uint64 { return s.hash() }, nil},
		{"raised", r, func() uint64 { return r.hash() }, nil},
		{"programme", p, func() uint64 { return p.hash() }, []string{"cfg"}},
		{"toil", &u.toil, func() uint64 { return u.toil.hash() }, nil},
		{"account", &m.work.accountState, func() uint64 { return m.work.hash() }, nil},
		{"span", &m.work.Old, func() uint64 { return m.work.hash() }, nil},
		{"cell", c, func() uint64 { return c.hash() }, []string{"h", "text", "micro"}},
	} {
		v := reflect.ValueOf(tt.entry).Elem()
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			if slices.Contains(tt.derived, name) {
				continue
			}
			f := v.Field(i)
			f = reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
			before, was := tt.hash(), reflect.New(f.Type()).Elem()
			was.Set(f)
			switch x := f.Addr().Interface().(type) {
			case *starts:
				x.Account++
			case *bool:
				*x = !*x
			case *events.OrderKey:
				x.Ordinal++
			case *events.MeterConfig:
				x.Meter += "x"
			case *events.PermitState:
				*x = events.PermitRunning
			case *toil:
				x.Cell++
			case *span:
				x.Cells++
			default:
				switch f.Kind() {
				case reflect.Int, reflect.Int64:
					f.SetInt(f.Int() + 1)
				case reflect.Uint64:
					f.SetUint(f.Uint() + 1)
				case reflect.String:
					f.SetString(f.String() + "x")
				default:
					t.Fatalf("%s.%s: do not know how to change a %s", tt.name, name, f.Type())
				}
			}
			if tt.hash() == before {
				t.Errorf("the digest of a %s does not see %s", tt.name, name)
			}
			f.Set(was)
		}
	}
}
