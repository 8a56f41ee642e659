// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// littleEndian returns the hash as a number, apart from the package's own way.
func littleEndian(h Hash) *big.Int {
	b := slices.Clone(h[:])
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

func TestKnownHeaders(t *testing.T) {
	for i := range knownBlocks {
		b := &knownBlocks[i]
		h := b.header()
		hash := h.Hash()
		if hash.String() != b.hash {
			t.Errorf("block %d hashes to %s, want %s", b.height, hash, b.hash)
		}
		target := blockTarget(t, b)
		if !target.Met(&hash) {
			t.Errorf("block %d does not meet its own target", b.height)
		}
		if h.Version() != b.version || h.PrevHash().String() != b.prev || h.MerkleRoot().String() != b.merkle ||
			h.Time() != b.time || h.Bits() != b.bits || h.Nonce() != b.nonce {
			t.Errorf("block %d: fields do not come back: %s", b.height, h)
		}
		again, err := ParseHeader(h.String())
		if err != nil || again != h {
			t.Errorf("block %d does not survive its text: %v", b.height, err)
		}
	}
}

// TestGenesisHeaderText pins the wire order against the serialised header.
func TestGenesisHeaderText(t *testing.T) {
	const text = "01000000" + "0000000000000000000000000000000000000000000000000000000000000000" +
		"3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a" + "29ab5f49" + "ffff001d" + "1dac2b7c"
	h := knownBlocks[0].header()
	if h.String() != text {
		t.Errorf("genesis header is %s, want %s", h, text)
	}
}

func TestParseRefuses(t *testing.T) {
	long := strings.Repeat("0", 1000)
	for _, text := range []string{"", "00", long, strings.Repeat("0", 63), strings.Repeat("0", 161)} {
		if _, err := ParseHash(text); !errors.Is(err, ErrBadLength) {
			t.Errorf("ParseHash of %d digits: %v", len(text), err)
		}
		if _, err := ParseHeader(text); !errors.Is(err, ErrBadLength) {
			t.Errorf("ParseHeader of %d digits: %v", len(text), err)
		}
		if _, err := ParseTarget(text); !errors.Is(err, ErrBadLength) || len(err.Error()) > 200 {
			t.Errorf("ParseTarget of %d digits: %v", len(text), err)
		}
	}
	if _, err := ParseHash(strings.Repeat("g", 64)); err == nil {
		t.Error("ParseHash took letters beyond f")
	}
	if _, err := ParseHeader(strings.Repeat("g", 160)); err == nil {
		t.Error("ParseHeader took letters beyond f")
	}
	if _, err := ParseTarget(strings.Repeat("g", 64)); err == nil {
		t.Error("ParseTarget took letters beyond f")
	}
	if _, err := ParseTarget(strings.Repeat("0", 64)); !errors.Is(err, ErrTargetZero) {
		t.Errorf("ParseTarget of zero: %v", err)
	}
}
