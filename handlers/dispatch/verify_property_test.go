// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"github.com/ballast-energy/ballast/events"
)

// consistentVerification compares what is verified with what the units say of
// it, and returns its part of the digest.
func (d *Dispatch) consistentVerification() (sum uint64, err error) {
	open := 0
	members, waiting := make(map[*proof]uint64), make(map[*proof]int64)
	for _, u := range d.order {
		if p := u.part; p != nil && !p.Settled {
			members[p] += u.member()
			if u.waiting {
				waiting[p]++
			}
		}
		if p := u.answers; p.open() {
			members[p] += u.suspect()
		}
		if s := u.power; u.raising && u.seen != max(s, u.set) || !u.raising && u.seen != s {
			return 0, fmt.Errorf("unit %s is seen with %d W", u.id, u.seen)
		}
	}
	if len(d.curtailments) > maxCurtailments {
		return 0, fmt.Errorf("%d reductions are verified at once", len(d.curtailments))
	}
	for _, c := range d.curtailments {
		if c.h != c.hash() {
			return 0, fmt.Errorf("the reduction %v changed without its digest", c.Key)
		}
		sum += c.h
		n := 0
		for _, p := range c.parts {
			if p.h != p.hash() || p.of != c {
				return 0, fmt.Errorf("part %d changed without its digest", p.seq)
			}
			sum += p.h
			if p.Settled {
				continue
			}
			n++
			if p.Members != members[p] || p.Waiting != waiting[p] {
				return 0, fmt.Errorf("part %d waits for %d units, %d wait", p.seq, p.Waiting, waiting[p])
			}
			if p.by != nil && !slices.Contains(p.by.parts, p) {
				return 0, fmt.Errorf("part %d is not with its witness", p.seq)
			}
			if d.now > p.Due+giveUp+10*second {
				return 0, fmt.Errorf("part %d never ends", p.seq)
			}
		}
		if open += n; n != c.open || n == 0 {
			return 0, fmt.Errorf("the reduction %v has %d open parts, counts %d", c.Key, n, c.open)
		}
	}
	if open != d.openParts {
		return 0, fmt.Errorf("%d parts are open, %d are counted", open, d.openParts)
	}
	for _, w := range d.watches {
		if w.h != w.hash() {
			return 0, fmt.Errorf("witness %s changed without its digest", w.name())
		}
		if q := w.owed; q != nil {
			if q.h != q.hash() || q.Members != members[q] || q.Settled || q.by != w {
				return 0, fmt.Errorf("what is owed to %s changed without its digest", w.name())
			}
			sum += q.h
		}
		if w.idle() || w.node == nil || w.meter != nil && w.meter.watch != w || w.meter == nil && w.node.watch != w {
			return 0, fmt.Errorf("witness %s is forgotten or idle", w.name())
		}
		sum += w.h
	}
	climbing := 0
	for _, u := range d.order {
		if u.esc != nil && u.esc.Rung < rungPage {
			climbing++
		}
		if o := d.outlets[u.outlet]; u.cut != (o != nil && o.Off) || u.cut && u.raising {
			return 0, fmt.Errorf("unit %s is not barred by its outlet", u.id)
		}
	}
	if climbing != d.climbing || climbing > maxClimbing || len(d.outlets) != len(d.switched) || len(d.outlets) > maxOutlets {
		return 0, fmt.Errorf("%d units are escalated, %d are counted; %d outlets, %d in order", climbing, d.climbing, len(d.outlets), len(d.switched))
	}
	for _, o := range d.switched {
		if o.h != o.hash() || o.send || d.outlets[o.ID] != o {
			return 0, fmt.Errorf("outlet %s changed without its digest", o.ID)
		}
		sum += o.h
	}
	for _, m := range d.site.meters {
		said, watched := int64(0), m.watch != nil && !m.watch.idle()
		for _, u := range d.order {
			for o := d.site.byID[u.caps.Meter]; o != nil; o = o.wider {
				if o == m {
					said += u.seen
				}
			}
		}
		if said != m.seen || watched && m.watch.meter != m {
			return 0, fmt.Errorf("meter %s knows %d W of %d said", m.cfg.Meter, m.seen, said)
		}
	}
	return sum, nil
}

// TestPartSeesItsUnits: what a unit is in the verification of a reduction is in
// the digest of its part, so that thousands of them cost nothing to settle.
func TestPartSeesItsUnits(t *testing.T) {
	u := &unit{id: "u", agent: newAgent("a")}
	was := u.member()
	for name, change := range map[string]func(){
		"asked": func() { u.asked++ }, "changed": func() { u.changed++ }, "raised": func() { u.risenBy++ }, "waiting": func() { u.waiting = !u.waiting }, "id": func() { u.id = "v" },
	} {
		before := *u
		change()
		if u.member() == was {
			t.Errorf("the digest of a part does not see %s", name)
		}
		*u = before
	}
}

// TestEveryFieldOfAPartCounts does for the parts what TestEveryFieldCounts does
// for the entries.
func TestEveryFieldOfAPartCounts(t *testing.T) {
	x, o := &escalation{}, &outlet{}
	p, c, w := &proof{}, &curtailment{}, &witness{node: newNode("n")}
	for name, entry := range map[string]struct {
		v    any
		hash func() uint64
	}{"escalation": {x, x.hash}, "outlet": {o, o.hash}, "part": {&p.partState, p.hash}, "curtailment": {c, c.hash}, "witness": {w, w.hash}} {
		v := reflect.ValueOf(entry.v).Elem()
		for i := range v.NumField() {
			field := v.Type().Field(i).Name
			if slices.Contains([]string{"parts", "open", "h", "node", "meter", "owed", "lessen", "send"}, field) {
				continue
			}
			f := v.Field(i)
			f = reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
			before, was := entry.hash(), reflect.New(f.Type()).Elem()
			was.Set(f)
			switch f.Kind() {
			case reflect.Bool:
				f.SetBool(!f.Bool())
			case reflect.Int, reflect.Int64:
				f.SetInt(f.Int() + 1)
			case reflect.Uint64:
				f.SetUint(f.Uint() + 1)
			case reflect.String:
				f.SetString(f.String() + "x")
			case reflect.Struct:
				f.Set(reflect.ValueOf(events.OrderKey{Ordinal: 1}))
			default:
				t.Fatalf("%s.%s: do not know how to change a %s", name, field, f.Type())
			}
			if entry.hash() == before {
				t.Errorf("the digest of a %s does not see %s", name, field)
			}
			f.Set(was)
		}
	}
}
