// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// words is one line cut into words, read from the front.
type words struct {
	file string
	line int
	w    []string
	i    int
}

// Error is what is wrong with a line of a scenario, or an expectation that was
// not met.
type Error struct {
	// File and Line, from 1.
	File string
	Line int
	// Message says what was expected and what was found.
	Message string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message) }

func (w *words) errorf(format string, args ...any) error {
	return &Error{File: w.file, Line: w.line, Message: fmt.Sprintf(format, args...)}
}

// cut splits a line into words: quoted text is one word that begins with a
// quote, a JSON object to the end of the line one that begins with a brace.
func cut(file string, line int, s string) (*words, error) {
	w := &words{file: file, line: line}
	for {
		s = strings.TrimLeft(s, " \t\r,")
		switch {
		case s == "" || s[0] == '#':
			return w, nil
		case s[0] == '"':
			end := strings.IndexByte(s[1:], '"')
			if end < 0 {
				return nil, w.errorf("quoted text without an end: %s", s)
			}
			w.w = append(w.w, s[:end+1])
			s = s[end+2:]
		case s[0] == '{':
			w.w = append(w.w, strings.TrimSpace(s))
			return w, nil
		default:
			end := strings.IndexAny(s, " \t\r,")
			if end < 0 {
				end = len(s)
			}
			w.w = append(w.w, s[:end])
			s = s[end:]
		}
	}
}

func (w *words) more() bool { return w.i < len(w.w) }

func (w *words) peek() string {
	if w.more() {
		return w.w[w.i]
	}
	return ""
}

// take consumes the words if they come next.
func (w *words) take(want ...string) bool {
	if w.i+len(want) > len(w.w) {
		return false
	}
	for k, s := range want {
		if w.w[w.i+k] != s {
			return false
		}
	}
	w.i += len(want)
	return true
}

// need consumes the word or fails.
func (w *words) need(want string) error {
	if !w.take(want) {
		return w.errorf("expected %q, found %s", want, w.found())
	}
	return nil
}

func (w *words) found() string {
	if !w.more() {
		return "the end of the line"
	}
	return strconv.Quote(w.peek())
}

// word consumes any word; quotes are taken off.
func (w *words) word(what string) (string, error) {
	if !w.more() {
		return "", w.errorf("expected %s, found the end of the line", what)
	}
	s := w.w[w.i]
	w.i++
	return strings.TrimPrefix(s, `"`), nil
}

func (w *words) end() error {
	if w.more() {
		return w.errorf("do not understand %q here", w.peek())
	}
	return nil
}

const longest = 30 * 24 * time.Hour

// duration reads 90s, 10m, 1.5s.
func (w *words) duration() (time.Duration, error) {
	s, err := w.word("a duration such as 90s")
	if err != nil {
		return 0, err
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > longest {
		return 0, w.errorf("%q is no duration between 0s and %s; write 90s, 10m or 1.5s", s, longest)
	}
	return d, nil
}

func (w *words) integer(what string) (int64, error) {
	s, err := w.word(what)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, w.errorf("%q is no %s: write a whole number", s, what)
	}
	return n, nil
}

// scaled reads a decimal number and a unit as an exact integer.
func (w *words) scaled(what string, units map[string]int64) (int64, error) {
	s, err := w.word(what)
	if err != nil {
		return 0, err
	}
	unit := ""
	for i, c := range s {
		if c != '-' && c != '+' && c != '.' && (c < '0' || c > '9') {
			s, unit = s[:i], s[i:]
			break
		}
	}
	if unit == "" {
		if unit, err = w.word("a unit after " + s); err != nil {
			return 0, err
		}
	}
	scale, ok := units[unit]
	if !ok {
		return 0, w.errorf("%q is no unit of %s", unit, what)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok || len(s) > 24 {
		return 0, w.errorf("%q is no number", s)
	}
	r.Mul(r, new(big.Rat).SetInt64(scale))
	if !r.IsInt() || !r.Num().IsInt64() {
		return 0, w.errorf("%s %s is no whole number of the smallest unit of %s", s, unit, what)
	}
	return r.Num().Int64(), nil
}

var (
	powerUnits      = map[string]int64{"W": 1, "kW": 1_000, "MW": 1_000_000, "GW": 1_000_000_000}
	priceUnits      = map[string]int64{"$/MWh": 1_000_000, "µ$/MWh": 1}
	efficiencyUnits = map[string]int64{"J/TH": 1_000, "mJ/TH": 1}
	shareUnits      = map[string]int64{"%": 10_000, "ppm": 1}
)

func (w *words) power() (int64, error) { return w.scaled("power such as 3.5 kW", powerUnits) }

// isPower reports whether a number with a unit of power comes next.
func (w *words) isPower() bool {
	probe := *w
	_, err := probe.power()
	return err == nil
}
