// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
)

// Errors about targets. They are wrapped with the value at fault.
var (
	// ErrTargetZero: no hash can be at or below a target of zero in practice,
	// and compact forms that expand to zero are invalid by consensus.
	ErrTargetZero = errors.New("target is zero")
	// ErrTargetNegative: the value is below zero. Compact targets say so by the
	// sign bit 0x00800000, with which consensus takes no target, whatever the
	// rest.
	ErrTargetNegative = errors.New("target is negative")
	// ErrTargetOverflow: the value does not fit into 256 bits.
	ErrTargetOverflow = errors.New("target does not fit into 256 bits")
)

// Target is a 256-bit bound, big-endian: Target[0] is the most significant
// byte. A hash read as a little-endian number meets the target when it is less
// than or equal to it.
type Target [32]byte

// MaxTarget is the target of all ones, which every hash meets.
var MaxTarget = Target{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
}

// TargetFromBits expands a compact target (nBits of a header):
// mantissa × 256^(exponent−3) with the exponent in the top byte. It refuses
// what consensus refuses: the sign bit, zero, and more than 256 bits.
func TargetFromBits(nBits uint32) (Target, error) {
	var t Target
	mantissa := nBits & 0x007fffff
	exponent := int(nBits >> 24)
	if nBits&0x00800000 != 0 {
		return t, fmt.Errorf("nBits %08x: %w", nBits, ErrTargetNegative)
	}
	if exponent < 3 {
		mantissa >>= 8 * (3 - exponent)
		exponent = 3
	}
	if mantissa == 0 {
		return t, fmt.Errorf("nBits %08x: %w", nBits, ErrTargetZero)
	}
	if 8*(exponent-3)+bits.Len32(mantissa) > 256 {
		return t, fmt.Errorf("nBits %08x: %w", nBits, ErrTargetOverflow)
	}
	// The mantissa's lowest byte has weight 256^(exponent−3); bytes that fall
	// off the upper end are zero, or the check above had refused them.
	for i := range 3 {
		if at := 31 - (exponent - 3) - i; at >= 0 {
			t[at] = byte(mantissa >> (8 * i))
		}
	}
	return t, nil
}

// Bits returns the compact form of the target, rounded down to the 23 bits of
// precision that the form has: TargetFromBits(t.Bits()) ≤ t. It returns 0 for
// the zero target.
func (t Target) Bits() uint32 {
	lead := 0
	for lead < len(t) && t[lead] == 0 {
		lead++
	}
	size := len(t) - lead
	var mantissa uint32
	for i := range 3 {
		mantissa <<= 8
		if lead+i < len(t) {
			mantissa |= uint32(t[lead+i])
		}
	}
	if mantissa&0x00800000 != 0 { // would read as the sign bit
		mantissa >>= 8
		size++
	}
	return uint32(size)<<24 | mantissa
}

// TargetFromInt returns the target of the value n. It refuses zero, negative
// numbers and numbers of more than 256 bits.
func TargetFromInt(n *big.Int) (Target, error) {
	var t Target
	switch {
	case n.Sign() == 0:
		return t, ErrTargetZero
	case n.Sign() < 0:
		return t, ErrTargetNegative
	case n.BitLen() > 256:
		return t, fmt.Errorf("target of %d bits: %w", n.BitLen(), ErrTargetOverflow)
	}
	n.FillBytes(t[:])
	return t, nil
}

// ParseTarget reads a target from 64 hexadecimal digits, most significant
// first, as getblocktemplate prints it. Zero is refused.
func ParseTarget(text string) (Target, error) {
	var t Target
	if len(text) != 2*len(t) {
		return t, fmt.Errorf("target %q: %w: have %d hexadecimal digits, want %d", clip(text), ErrBadLength, len(text), 2*len(t))
	}
	if _, err := hex.Decode(t[:], []byte(text)); err != nil {
		return Target{}, fmt.Errorf("target %q: %w", text, err)
	}
	if t.IsZero() {
		return t, fmt.Errorf("target %q: %w", text, ErrTargetZero)
	}
	return t, nil
}

// String returns the target as 64 hexadecimal digits, most significant first.
func (t Target) String() string { return hex.EncodeToString(t[:]) }

// Int returns the target as a new integer.
func (t Target) Int() *big.Int { return new(big.Int).SetBytes(t[:]) }

// IsZero reports whether the target is zero, which no work may have.
func (t Target) IsZero() bool { return t == Target{} }

// Compare returns −1, 0 or +1 as the hash, read as a little-endian number, is
// below, equal to or above the target. It does not allocate.
func (t *Target) Compare(h *Hash) int {
	for i := range 4 {
		a := binary.LittleEndian.Uint64(h[24-8*i:])
		b := binary.BigEndian.Uint64(t[8*i:])
		if a < b {
			return -1
		}
		if a > b {
			return 1
		}
	}
	return 0
}

// Met reports whether the hash is at or below the target.
func (t *Target) Met(h *Hash) bool { return t.Compare(h) <= 0 }

// top returns the most significant 32 bits of the target.
func (t *Target) top() uint32 { return binary.BigEndian.Uint32(t[:]) }
