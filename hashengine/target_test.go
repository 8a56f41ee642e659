// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestTargetFromBits(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("0", n) }
	for _, c := range []struct {
		bits uint32
		want string // hexadecimal
		err  error
	}{
		{bits: 0x1d00ffff, want: zeros(8) + "ffff" + zeros(52)},
		{bits: 0x1b0404cb, want: zeros(10) + "0404cb" + zeros(48)},
		{bits: 0x207fffff, want: "7fffff" + zeros(58)},
		{bits: 0x03123456, want: zeros(58) + "123456"},
		{bits: 0x02123456, want: zeros(60) + "1234"},
		{bits: 0x01123456, want: zeros(62) + "12"},
		{bits: 0x04123456, want: zeros(56) + "12345600"},
		{bits: 0x05009234, want: zeros(56) + "92340000"},
		{bits: 0x20123456, want: "123456" + zeros(58)},
		{bits: 0x2100ffff, want: "ffff" + zeros(60)},
		{bits: 0x220000ff, want: "ff" + zeros(62)},

		{bits: 0x00000000, err: ErrTargetZero},
		{bits: 0x1d000000, err: ErrTargetZero},
		{bits: 0x00123456, err: ErrTargetZero},
		{bits: 0x01003456, err: ErrTargetZero},
		{bits: 0x02000056, err: ErrTargetZero},
		{bits: 0xff000000, err: ErrTargetZero},
		{bits: 0x1d80ffff, err: ErrTargetNegative},
		{bits: 0x01fedcba, err: ErrTargetNegative},
		{bits: 0x04923456, err: ErrTargetNegative},
		{bits: 0x1d800000, err: ErrTargetNegative},
		{bits: 0x21123456, err: ErrTargetOverflow},
		{bits: 0x2200ffff, err: ErrTargetOverflow},
		{bits: 0x230000ff, err: ErrTargetOverflow},
		{bits: 0x23000001, err: ErrTargetOverflow},
		{bits: 0xff7fffff, err: ErrTargetOverflow},
	} {
		got, err := TargetFromBits(c.bits)
		if !errors.Is(err, c.err) {
			t.Errorf("%08x: error %v, want %v", c.bits, err, c.err)
			continue
		}
		if c.err == nil && got.String() != c.want {
			t.Errorf("%08x: %s, want %s", c.bits, got, c.want)
		}
		if c.err != nil && !got.IsZero() {
			t.Errorf("%08x: a target beside an error: %s", c.bits, got)
		}
	}
}

// TestTargetBitsRoundTrip checks the expansion against its formula and the
// compact form against the expansion.
func TestTargetBitsRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		bits := r.Uint32N(0x24)<<24 | r.Uint32N(0x00800000)
		target, err := TargetFromBits(bits)
		want := big.NewInt(int64(bits & 0x7fffff))
		if e := uint(bits >> 24); e >= 3 {
			want.Lsh(want, 8*(e-3))
		} else {
			want.Rsh(want, 8*(3-e))
		}
		if valid := want.Sign() > 0 && want.BitLen() <= 256; valid != (err == nil) {
			t.Fatalf("%08x: error %v for the value %x", bits, err, want)
		} else if !valid {
			continue
		}
		if target.Int().Cmp(want) != 0 {
			t.Fatalf("%08x: %s, want %064x", bits, target, want)
		}
		again, err := TargetFromBits(target.Bits())
		if err != nil || again != target {
			t.Fatalf("%08x: compact form %08x expands to %s: %v", bits, target.Bits(), again, err)
		}
	}
	if (Target{}).Bits() != 0 {
		t.Error("compact form of zero is not zero")
	}
	if got := MaxTarget.Bits(); got != 0x2100ffff {
		t.Errorf("compact form of all ones is %08x", got)
	}
}

func TestTargetFromInt(t *testing.T) {
	for _, c := range []struct {
		n   *big.Int
		err error
	}{
		{big.NewInt(1), nil},
		{MaxTarget.Int(), nil},
		{big.NewInt(0), ErrTargetZero},
		{big.NewInt(-1), ErrTargetNegative},
		{twoTo256, ErrTargetOverflow},
	} {
		got, err := TargetFromInt(c.n)
		if !errors.Is(err, c.err) {
			t.Errorf("%x: %v", c.n, err)
		} else if err == nil && got.Int().Cmp(c.n) != 0 {
			t.Errorf("%x: %s", c.n, got)
		}
	}
}

func TestTargetCompare(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		var h Hash
		var target Target
		for i := range h {
			h[i] = byte(r.Uint32())
			target[31-i] = h[i]
		}
		// Equal in most bytes, so that every one of them decides at times.
		if r.IntN(3) > 0 {
			target[r.IntN(32)] = byte(r.Uint32())
		}
		want := littleEndian(h).Cmp(target.Int())
		if got := target.Compare(&h); got != want {
			t.Fatalf("hash %s against %s: %d, want %d", h, target, got, want)
		}
		if target.Met(&h) != (want <= 0) {
			t.Fatalf("hash %s, target %s: Met is wrong", h, target)
		}
	}
	text := MaxTarget.String()
	if got, err := ParseTarget(text); err != nil || got != MaxTarget {
		t.Errorf("target of all ones does not survive its text: %v", err)
	}
}
