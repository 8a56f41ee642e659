// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// orders holds the frozen orders, one file per kernel.
//
//go:embed orders/*.txt
var orders embed.FS

// frozen is a kernel's arrangement and the order of its instructions as a
// search found them. Element n of the order is the place, in the list that the
// arrangement builds, of the instruction that is printed as number n.
type frozen struct {
	notes []string // where and how it was found
	arrangement
	order []int
}

// builders is the list of kernels that have a frozen order.
var builders = map[string]func(arrangement) kernel{"vr5": versions, "n4": nonces}

// ordered returns the kernel of the name in its frozen order.
func ordered(name string) (kernel, error) {
	text, err := orders.ReadFile(orderFile(name))
	if err != nil {
		return kernel{}, err
	}
	f, err := parseFrozen(string(text))
	if err != nil {
		return kernel{}, fmt.Errorf("%s: %w", orderFile(name), err)
	}
	k, err := f.build(name)
	if err != nil {
		return kernel{}, fmt.Errorf("%s: %w", orderFile(name), err)
	}
	return k, nil
}

func orderFile(name string) string { return "orders/" + name + ".txt" }

// build returns the kernel with its list in the frozen order, having checked
// that no instruction was moved across one that it depends on.
func (f frozen) build(name string) (kernel, error) {
	k, err := f.plain(name)
	if err != nil {
		return kernel{}, err
	}
	if len(f.order) != len(k.list) {
		return kernel{}, fmt.Errorf("an order of %d for a list of %d instructions", len(f.order), len(k.list))
	}
	place := make([]int, len(f.order))
	for i := range place {
		place[i] = -1
	}
	list := make([]inst, len(f.order))
	for n, i := range f.order {
		if i < 0 || i >= len(place) || place[i] >= 0 {
			return kernel{}, fmt.Errorf("instruction %d is no place in the list or there twice", i)
		}
		place[i] = n
		list[n] = k.list[i]
	}
	for i, row := range conflicts(k.list) {
		for j, conflict := range row[:i] {
			if conflict && place[j] > place[i] {
				return kernel{}, fmt.Errorf("%q is before %q, which it depends on", k.list[i], k.list[j])
			}
		}
	}
	k.list = list
	return k, nil
}

// plain returns the kernel as the arrangement builds it. Arrangements that
// need more registers than there are come back as errors.
func (f frozen) plain(name string) (k kernel, err error) {
	build, ok := builders[name]
	if !ok {
		return kernel{}, fmt.Errorf("no kernel is named %q", name)
	}
	defer func() {
		if shortage, ok := recover().(arrangementError); ok {
			err = shortage
		}
	}()
	return build(f.arrangement), nil
}

// parseFrozen reads the text of an order file.
func parseFrozen(text string) (frozen, error) {
	var f frozen
	lanes, rest, ok := strings.Cut(text, "\norder\n")
	if !ok {
		return f, errors.New("no line says order")
	}
	for line := range strings.Lines(lanes) {
		line = strings.TrimSpace(line)
		key, value, _ := strings.Cut(line, " ")
		var err error
		switch key {
		case "", "//":
			if value != "" && !strings.HasPrefix(value, "SPDX") {
				f.notes = append(f.notes, value)
			}
		case "offsets":
			for word := range strings.FieldsSeq(value) {
				var offset int
				if offset, err = strconv.Atoi(word); err != nil || offset < 0 || offset >= steps {
					return f, fmt.Errorf("offset %q is not 0 to %d", word, steps-1)
				}
				f.offsets = append(f.offsets, offset)
			}
		case "sequence":
			if f.sequence = value; !slices.Contains(sequences, value) {
				return f, fmt.Errorf("sequence %q is none of %v", value, sequences)
			}
		case "together":
			if f.together, err = strconv.ParseBool(value); err != nil {
				return f, err
			}
		default:
			return f, fmt.Errorf("%q is no key", key)
		}
	}
	for word := range strings.FieldsSeq(rest) {
		from, to, isRange := strings.Cut(word, "-")
		if !isRange {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		z, err2 := strconv.Atoi(to)
		if err := errors.Join(err1, err2); err != nil {
			return f, err
		}
		if z < a || z > 1<<16 {
			return f, fmt.Errorf("%q is no range", word)
		}
		for ; a <= z; a++ {
			f.order = append(f.order, a)
		}
	}
	return f, nil
}

// String returns the text of an order file. Runs that kept their order are
// written as ranges.
func (f frozen) String() string {
	var s strings.Builder
	s.WriteString("// SPDX-License-Identifier: Apache-2.0\n")
	for _, note := range f.notes {
		fmt.Fprintf(&s, "// %s\n", note)
	}
	fmt.Fprintf(&s, "offsets %s\n", strings.Trim(fmt.Sprint(f.offsets), "[]"))
	fmt.Fprintf(&s, "sequence %s\ntogether %t\norder\n", f.sequence, f.together)
	column := 0
	for n := 0; n < len(f.order); {
		end := n
		for end+1 < len(f.order) && f.order[end+1] == f.order[end]+1 {
			end++
		}
		word := strconv.Itoa(f.order[n])
		if end > n {
			word += "-" + strconv.Itoa(f.order[end])
		}
		if column > 0 && column+1+len(word) > 100 {
			s.WriteByte('\n')
			column = 0
		} else if column > 0 {
			s.WriteByte(' ')
			column++
		}
		s.WriteString(word)
		column += len(word)
		n = end + 1
	}
	s.WriteByte('\n')
	return s.String()
}
