// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"
)

// arm64List is a list of instructions in the syntax of the Go assembler, in
// turns of one or more, and how many there are of each class.
type arm64List struct {
	turns [][]string
	class map[string]int
}

// add appends a turn of one instruction, formatted as by fmt.Sprintf.
func (l *arm64List) add(format string, args ...any) {
	l.turns = append(l.turns, nil)
	l.join(format, args...)
}

// join appends an instruction to the last turn.
func (l *arm64List) join(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	last := len(l.turns) - 1
	l.turns[last] = append(l.turns[last], text)
	if l.class == nil {
		l.class = map[string]int{}
	}
	l.class[arm64Class(text)]++
}

// arm64Class says what an instruction costs: "hash", "schedule", "vector",
// "memory" or "scalar".
func arm64Class(text string) string {
	name, operands, _ := strings.Cut(text, " ")
	switch {
	case strings.HasPrefix(name, "SHA256SU"):
		return "schedule"
	case strings.HasPrefix(name, "SHA256H"):
		return "hash"
	case strings.Contains(operands, "("):
		return "memory"
	case strings.HasPrefix(name, "V"), strings.HasPrefix(name, "F"):
		return "vector"
	}
	return "scalar"
}

// stagger appends the instructions of the lanes in turns, every lane one turn
// behind the one before.
func (l *arm64List) stagger(lanes []*arm64List) {
	left := true
	for turn := 0; left; turn++ {
		left = false
		for behind, lane := range lanes {
			i := turn - behind
			left = left || i < len(lane.turns)
			if i < 0 || i >= len(lane.turns) {
				continue
			}
			for _, text := range lane.turns[i] {
				l.add("%s", text)
			}
		}
	}
}

// total returns the number of instructions.
func (l *arm64List) total() int {
	n := 0
	for _, c := range l.class {
		n += c
	}
	return n
}

// writeTo prints the instructions.
func (l *arm64List) writeTo(out *bytes.Buffer) {
	for _, turn := range l.turns {
		for _, text := range turn {
			fmt.Fprintf(out, "\t%s\n", text)
		}
	}
}
