// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"fmt"
	"io"
)

// Tree is text for a person: a line, where it can be looked up, and what hangs
// beneath it.
type Tree struct {
	Text string
	// Place in a stream, or an id; shown behind the text.
	Place string
	Below []*Tree
}

// Style dims what is not read first; nil leaves all as it is.
type Style struct {
	// Title and Place paint the first line and the places.
	Title, Place func(string) string
}

// add hangs a line beneath t and returns it.
func (t *Tree) add(text, place string) *Tree {
	k := &Tree{Text: text, Place: place}
	t.Below = append(t.Below, k)
	return k
}

// addf is add without a place.
func (t *Tree) addf(format string, args ...any) *Tree { return t.add(fmt.Sprintf(format, args...), "") }

// Print writes the tree.
func (t *Tree) Print(w io.Writer, s *Style) error {
	plain := func(s string) string { return s }
	if s == nil {
		s = &Style{Title: plain, Place: plain}
	}
	if _, err := fmt.Fprintln(w, t.line(s.Title, s)); err != nil {
		return err
	}
	return t.below(w, "", s)
}

func (t *Tree) line(paint func(string) string, s *Style) string {
	if t.Place == "" {
		return paint(t.Text)
	}
	return paint(t.Text) + "  " + s.Place("["+t.Place+"]")
}

func (t *Tree) below(w io.Writer, indent string, s *Style) error {
	for i, k := range t.Below {
		branch, more := "├─ ", "│  "
		if i == len(t.Below)-1 {
			branch, more = "└─ ", "   "
		}
		if _, err := fmt.Fprintln(w, indent+branch+k.line(func(s string) string { return s }, s)); err != nil {
			return err
		}
		if err := k.below(w, indent+more, s); err != nil {
			return err
		}
	}
	return nil
}
