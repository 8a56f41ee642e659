// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// expectation is one line that begins with expect.
type expectation struct {
	w        words
	from, to time.Duration
	kind     expectKind
	// count wanted: −1 at least one, 0 none.
	count  int
	want   pattern
	watts  int64
	agent  string
	unit   string
	probed int
}

type expectKind uint8

const (
	expectOutput expectKind = iota
	expectNothing
	expectDraw
	expectPower
)

// probe is the draw of an agent or unit as looked up for an expectation.
type probe struct {
	watts int64
	known bool
}

// pattern is what an output must look like.
type pattern struct {
	typ    events.Type
	source string
	fields []field
}

type field struct {
	path, value string
}

func (s *Story) expect(w *words, from, to time.Duration) error {
	e := &expectation{w: *w, from: from, to: to, count: -1}
	if err := e.read(w); err != nil {
		return err
	}
	s.expects = append(s.expects, e)
	return w.end()
}

func (e *expectation) read(w *words) error {
	switch {
	case w.take("nothing"):
		e.kind, e.count = expectNothing, 0
		return nil
	case w.take("draw", "at", "most"):
		var err error
		e.kind = expectDraw
		e.watts, err = w.power()
		return err
	case w.take("power"):
		return e.readPower(w)
	case w.take("no"):
		e.count = 0
	default:
		if n, err := strconv.Atoi(w.peek()); err == nil && n > 0 {
			e.count = n
			w.i++
		}
	}
	what, err := w.word("what to expect")
	if err != nil {
		return err
	}
	switch what {
	case "ramp", "curtail", "renewal":
		e.want.typ = map[string]events.Type{"ramp": events.TypeCommandRamp, "curtail": events.TypeCommandCurtail, "renewal": events.TypePermitRenewed}[what]
		if w.more() && !slices.Contains([]string{"to", "because", "unit", "signal"}, w.peek()) {
			if e.want.source, err = w.word("an agent"); err != nil {
				return err
			}
		}
	case "broadcast":
		e.want.typ, e.want.source = events.TypeCommandCurtail, events.BroadcastSource
	case "metered":
		e.want.typ = events.TypeCurtailmentMetered
		o, err := w.word("an outcome: met, late, unmetered or short")
		if err != nil {
			return err
		}
		e.want.fields = append(e.want.fields, field{"outcome", o})
	case "escalated":
		e.want.typ = events.TypeUnitEscalated
		u, err := w.word("the id of a unit")
		if err != nil {
			return err
		}
		e.want.fields = append(e.want.fields, field{"unit", u})
		if w.take("to") {
			r, err := w.word("a rung: retry, shed, outlet, page or followed")
			if err != nil {
				return err
			}
			e.want.fields = append(e.want.fields, field{"rung", r})
		}
	case "outlet":
		return e.readOutlet(w)
	case "decided":
		e.want.typ = events.TypeDispatchDecided
	case "alert", "cleared":
		e.want.typ = events.TypeAlertRaised
		if what == "cleared" {
			e.want.typ = events.TypeAlertCleared
		}
		id, err := w.word("the id of an alert")
		e.want.fields = append(e.want.fields, field{"alert", id})
		return err
	case "output":
		t, err := w.word("an event type")
		if err != nil {
			return err
		}
		if _, ok := events.Info(events.Type(t)); !ok {
			return w.errorf("%q is no event type", t)
		}
		e.want.typ = events.Type(t)
		if w.take("from") {
			if e.want.source, err = w.word("a source"); err != nil {
				return err
			}
		}
	default:
		return w.errorf("expected nothing, ramp, curtail, broadcast, renewal, decided, metered, escalated, outlet, alert, cleared, draw, power or output, found %q", what)
	}
	return e.readFields(w)
}

// readOutlet reads "OUTLET off|on [because REASON] [FIELD VALUE]…".
func (e *expectation) readOutlet(w *words) error {
	e.want.typ = events.TypeCommandOutlet
	id, err := w.word("the id of an outlet")
	if err != nil {
		return err
	}
	off := w.take("off")
	if !off {
		if err := w.need("on"); err != nil {
			return err
		}
	}
	e.want.fields = append(e.want.fields, field{"outlet", id}, field{"off", strconv.FormatBool(off)})
	return e.readFields(w)
}

func (e *expectation) readPower(w *words) (err error) {
	e.kind = expectPower
	if e.agent, err = w.word("an agent"); err != nil {
		return err
	}
	if w.take("unit") {
		if e.unit, err = w.word("a unit"); err != nil {
			return err
		}
	}
	e.watts, err = w.power()
	return err
}

// readFields reads "unit U to P because R signal ID FIELD VALUE …".
func (e *expectation) readFields(w *words) error {
	point := "units.*"
	for w.more() {
		name, _ := w.word("a field")
		switch name {
		case "unit":
			id, err := w.word("a unit")
			if err != nil {
				return err
			}
			point = "units.unit=" + id
			e.want.fields = append(e.want.fields, field{point + ".unit", id})
			continue
		case "to":
			name = point + ".setpoint_watts"
			if e.want.source == events.BroadcastSource {
				name = "all_units_watts"
			}
		case "because":
			name = "reason"
			if e.want.typ == events.TypeDispatchDecided {
				name = "binding"
			}
		case "signal":
			name = "signal_id"
		}
		var value string
		if w.isPower() {
			n, err := w.power()
			if err != nil {
				return err
			}
			value = strconv.FormatInt(n, 10)
		} else {
			var err error
			if value, err = w.word("a value for " + name); err != nil {
				return err
			}
		}
		e.want.fields = append(e.want.fields, field{name, value})
	}
	return nil
}

// prepare plans what can only be seen while the story runs.
func (e *expectation) prepare(p *player) {
	if e.kind != expectPower {
		return
	}
	e.probed = len(p.powers)
	p.powers = append(p.powers, probe{})
	p.push(task{at: e.to, turn: turnLook, do: func(p *player) error {
		r := p.rigs[e.agent]
		if r == nil {
			return nil
		}
		pr := probe{watts: r.power(), known: true}
		if e.unit != "" {
			u := r.byID[e.unit]
			if pr.known = u != nil; pr.known {
				pr.watts = u.power
			}
		}
		p.powers[e.probed] = pr
		return nil
	}})
}

func (e *expectation) check(p *player) error {
	switch e.kind {
	case expectPower:
		pr := p.powers[e.probed]
		if !pr.known {
			return e.w.errorf("no worker %s %s at %s", e.agent, e.unit, e.to)
		}
		if pr.watts != e.watts {
			return e.w.errorf("%s draws %d W at %s, not %d W", e.agent, pr.watts, e.to, e.watts)
		}
		return nil
	case expectDraw:
		for i, s := range p.draws {
			ends := time.Duration(1 << 62)
			if i+1 < len(p.draws) {
				ends = p.draws[i+1].at
			}
			if s.draw > e.watts && s.at <= e.to && (ends > e.from || s.at >= e.from) {
				return e.w.errorf("the site draws %d W at %s, more than %d W", s.draw, max(s.at, e.from), e.watts)
			}
		}
		return nil
	}
	var found []*said
	for i := range p.said {
		s := &p.said[i]
		if s.at < e.from || s.at > e.to {
			continue
		}
		if e.kind == expectNothing && s.stored || e.kind == expectOutput && e.want.match(s) {
			found = append(found, s)
		}
	}
	switch {
	case e.count == 0 && len(found) > 0:
		return e.w.errorf("expected none, but at %s: %s", found[0].at, found[0])
	case e.count < 0 && len(found) == 0:
		return e.w.errorf("not found; in that time there was %s", p.heard(e.from, e.to))
	case e.count > 0 && len(found) != e.count:
		return e.w.errorf("expected %d, found %d; in that time there was %s", e.count, len(found), p.heard(e.from, e.to))
	}
	return nil
}

// heard lists the outputs of a time for a message.
func (p *player) heard(from, to time.Duration) string {
	var b strings.Builder
	n := 0
	for i := range p.said {
		s := &p.said[i]
		if s.at < from || s.at > to {
			continue
		}
		if n++; n <= 8 {
			fmt.Fprintf(&b, "\n\t%s %s", s.at, s)
		}
	}
	if n == 0 {
		return "nothing"
	}
	if n > 8 {
		fmt.Fprintf(&b, "\n\tand %d more", n-8)
	}
	return b.String()
}

// String shows an output in one line.
func (s *said) String() string {
	b, err := json.Marshal(s.data)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %s %s", s.data.EventType(), s.source, b)
}

func (w *pattern) match(s *said) bool {
	if s.data.EventType() != w.typ || w.source != "" && s.source != w.source {
		return false
	}
	if len(w.fields) > 0 && s.fields == nil {
		b, err := json.Marshal(s.data)
		if err != nil {
			return false
		}
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		if d.Decode(&s.fields) != nil {
			return false
		}
	}
	for _, f := range w.fields {
		if !has(s.fields, strings.Split(f.path, "."), f.value) {
			return false
		}
	}
	return true
}

// has reports whether the value stands at the path. "*" wants it at every
// element of a list, "key=value" at the elements with that field.
func has(v any, path []string, want string) bool {
	if len(path) == 0 {
		return text(v) == want
	}
	switch x := v.(type) {
	case map[string]any:
		y, ok := x[path[0]]
		if !ok {
			return want == "none" && len(path) == 1
		}
		return has(y, path[1:], want)
	case []any:
		key, id, chosen := strings.Cut(path[0], "=")
		if chosen || path[0] == "*" {
			n := 0
			for _, y := range x {
				if m, ok := y.(map[string]any); chosen && (!ok || text(m[key]) != id) {
					continue
				}
				if n++; !has(y, path[1:], want) {
					return false
				}
			}
			return n > 0
		}
		if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 {
			if i >= len(x) {
				return want == "none" && len(path) == 1
			}
			return has(x[i], path[1:], want)
		}
	}
	return false
}

func text(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case json.Number:
		return x.String()
	case bool:
		return strconv.FormatBool(x)
	}
	return ""
}
