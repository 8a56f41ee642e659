// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"fmt"

	"github.com/ballast-energy/ballast/hashengine"
)

const hexDigits = "0123456789abcdef"

// hexValue of a digit in either case, −1 for any other byte.
var hexValue = func() (v [256]int8) {
	for i := range v {
		v[i] = -1
	}
	for i := range int8(16) {
		v[hexDigits[i]] = i
	}
	for i := range int8(6) {
		v['A'+i] = 10 + i
	}
	return v
}()

// decodeHex appends the bytes of digits to b.
func decodeHex(b, digits []byte) ([]byte, bool) {
	if len(digits)%2 != 0 {
		return b, false
	}
	for i := 0; i < len(digits); i += 2 {
		hi, lo := hexValue[digits[i]], hexValue[digits[i+1]]
		if hi < 0 || lo < 0 {
			return b, false
		}
		b = append(b, byte(hi)<<4|byte(lo))
	}
	return b, true
}

func appendHex(b, raw []byte) []byte {
	for _, c := range raw {
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return b
}

// appendWord writes 8 hex digits of a number, the most significant first.
func appendWord(b []byte, v uint32) []byte {
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, hexDigits[v>>shift&15])
	}
	return b
}

// word reads a text of 8 hex digits.
func word(raw []byte, what string) (uint32, error) {
	t, ok := text(raw)
	if !ok || len(t) != 8 {
		return 0, fmt.Errorf("%s: %s is not a text of 8 hex digits", what, clip(raw))
	}
	var v uint32
	for _, c := range t {
		d := hexValue[c]
		if d < 0 {
			return 0, fmt.Errorf("%s: %s is not a text of 8 hex digits", what, clip(raw))
		}
		v = v<<4 | uint32(d)
	}
	return v, nil
}

// hexBytes reads a text of between lo and hi bytes in hex.
func hexBytes(to, raw []byte, what string, lo, hi int) ([]byte, error) {
	t, ok := text(raw)
	if !ok {
		return nil, fmt.Errorf("%s: %s is not a text", what, clip(raw))
	}
	if len(t) < 2*lo || len(t) > 2*hi {
		return nil, fmt.Errorf("%s: %d hex digits; want %d to %d", what, len(t), 2*lo, 2*hi)
	}
	if to, ok = decodeHex(to, t); !ok {
		return nil, fmt.Errorf("%s: %s is not hex of whole bytes", what, clip(raw))
	}
	return to, nil
}

// hash reads a text of 64 hex digits as it stands.
func hash(raw []byte, what string) (h hashengine.Hash, err error) {
	t, ok := text(raw)
	if ok && len(t) == 2*len(h) {
		_, ok = decodeHex(h[:0], t)
	} else {
		ok = false
	}
	if !ok {
		return h, fmt.Errorf("%s: %s is not a text of 64 hex digits", what, clip(raw))
	}
	return h, nil
}

// ReverseWords turns the bytes of each of the eight 4-byte words round: from
// header order to the order that mining.notify has the previous block in, and
// back.
func ReverseWords(h hashengine.Hash) hashengine.Hash {
	for i := 0; i < len(h); i += 4 {
		h[i], h[i+1], h[i+2], h[i+3] = h[i+3], h[i+2], h[i+1], h[i]
	}
	return h
}
