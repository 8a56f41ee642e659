// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// plain reads a string that stands for itself if it begins right here: nearly
// every string of the journal. False means that nothing was read and the general
// reader decides.
func (s *scanner) plain() ([]byte, bool) {
	start := s.pos + 1
	if s.err != nil || start > len(s.data) || s.data[s.pos] != '"' {
		return nil, false
	}
	n := PlainLength(s.data[start:])
	if n < 0 {
		return nil, false
	}
	s.pos = start + n + 1
	return s.data[start : start+n], true
}

// PlainLength is how many bytes of b stand before its first quotation mark, if
// all of them stand for themselves in a JSON string (RFC 8259, section 7): ASCII
// without escapes and control characters. It looks at eight bytes at a time; −1
// says that b is not such a string, or ends too soon to tell. It may be called
// concurrently.
func PlainLength(b []byte) int {
	for i := 0; i+8 <= len(b); i += 8 {
		m := marks(binary.LittleEndian.Uint64(b[i:]))
		if m == 0 {
			continue
		}
		if i += bits.TrailingZeros64(m) / 8; b[i] == '"' {
			return i
		}
		break
	}
	return -1
}

// marks sets the highest bit of the lowest byte of w that ends a plain string
// (a quotation mark) or does not belong into one (a backslash, a control
// character, what is no ASCII); 0 when there is none. Bits of higher bytes mean
// nothing.
func marks(w uint64) uint64 {
	const ones, tops = 0x0101010101010101, utf8.RuneSelf * 0x0101010101010101
	quote, slash := w^'"'*ones, w^'\\'*ones
	return ((quote-ones)&^quote | (slash-ones)&^slash | (w-' '*ones)&^w | w) & tops
}
