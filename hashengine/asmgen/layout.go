// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// vectorBytes is the size of everything the kernels keep in memory.
const vectorBytes = 16

// vector is four words as they lie in memory, the lowest first.
type vector [4]uint32

// field is an array of vectors in a kernel's context. It becomes a field of
// the Go struct and a range of offsets in the assembly, so the two cannot
// disagree.
type field struct {
	name   string
	about  string
	count  int
	values []vector // constant if not nil
	offset int
}

// layout is the context of a kernel: its constants, what a call is about, and
// scratch.
type layout struct {
	fields []field
	index  map[string]int
	size   int
}

func (l *layout) add(name, about string, count int, values ...vector) {
	if l.index == nil {
		l.index = map[string]int{}
	}
	if _, twice := l.index[name]; twice || values != nil && len(values) != count {
		panic(fmt.Sprintf("field %s is declared wrongly", name))
	}
	l.index[name] = len(l.fields)
	l.fields = append(l.fields, field{name, about, count, values, l.size})
	l.size += count * vectorBytes
}

// at returns the operand of a vector of a field.
func (l *layout) at(name string, i int) memory {
	n, ok := l.index[name]
	if !ok || i < 0 || i >= l.fields[n].count {
		panic(fmt.Sprintf("no vector %s[%d] in the context", name, i))
	}
	return memory{base: contextBase, offset: int32(l.fields[n].offset + i*vectorBytes)}
}

// quads returns the round constants from..to-1 in vectors of four.
func quads(from, to int) []vector {
	var out []vector
	for t := from; t < to; t += 4 {
		out = append(out, vector(roundConstants[t:t+4]))
	}
	return out
}

// String returns the words as Go writes them.
func (v vector) String() string {
	return fmt.Sprintf("0x%08x, 0x%08x, 0x%08x, 0x%08x", v[0], v[1], v[2], v[3])
}
