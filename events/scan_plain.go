// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// plain reads a string that stands for itself, ASCII without escapes, if it
// begins right here: nearly every string of the journal, eight bytes at a time.
// False means that nothing was read and the general reader decides.
func (s *scanner) plain() ([]byte, bool) {
	data, start := s.data, s.pos+1
	if s.err != nil || start > len(data) || data[start-1] != '"' {
		return nil, false
	}
	for i := start; i+8 <= len(data); i += 8 {
		m := marks(binary.LittleEndian.Uint64(data[i:]))
		if m == 0 {
			continue
		}
		i += bits.TrailingZeros64(m) / 8
		if data[i] != '"' {
			return nil, false
		}
		s.pos = i + 1
		return data[start:i], true
	}
	return nil, false // too near the end of the data for eight at a time
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
