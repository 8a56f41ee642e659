// SPDX-License-Identifier: Apache-2.0

package sha256d

import (
	"math/bits"
	"unsafe"
)

// simdSlots is how many version slots share a schedule. The schedule costs a
// fifth of a hash, so 64 leave a third of a percent of it to each, and their
// contexts still fit in the first-level cache beside the table.
const simdSlots = 64

// simdSlot is what the assembly knows of one version slot. All of it depends
// only on the midstate and the tail, and each number spares an addition in
// every vector.
type simdSlot struct {
	mid     [8]uint32
	behind3 [8]uint32 // state behind round 3 of a header whose nonce is 0
	hk      [3]uint32 // h plus word and constant in rounds 4 to 6
	bc      [1]uint32 // b^c behind round 3
	first   [5]uint32 // second hash: what the first hash's words 0 (twice), 1, 2 and 3 become in rounds 0 to 3
}

// simdBlock is the assembly's working memory. Its vectors lie on multiples of
// their size, as one across two cache lines would cost two reads.
type simdBlock struct {
	wk      [46][16]uint32 // words 18 to 63 of the nonces at hand, constants added
	nonces  [16]uint32     // word 3 of them
	words   [16][16]uint32 // the second hash's schedule
	between [8][16]uint32  // the state between the two hashes, where they are apart

	// Words 16 and 17 and what they and words 0 to 2 contribute to others.
	w16, w17, wk16, wk17, c18, c19, c31, c32 uint32

	target uint32
	masks  [2 * MaxTile / 8]uint16 // candidates by group of nonces and slot, a bit for a lane
}

// simd is a kernel of vectors whose lanes are consecutive nonces.
type simd struct {
	lanes int
	tile  int // hashes of a full tile
	scan  func(block *simdBlock, first *simdSlot, slots, groups int, nonce uint32) uint32
	block *simdBlock
	slots [simdSlots]simdSlot
}

func newSIMD(lanes, tile int, scan func(*simdBlock, *simdSlot, int, int, uint32) uint32) *simd {
	return &simd{lanes: lanes, tile: tile, scan: scan, block: newSIMDBlock()}
}

// newSIMDBlock returns a block at the beginning of a cache line. The rest of
// what was allocated lives as long as it.
func newSIMDBlock() *simdBlock {
	const line = 64
	raw := unsafe.Pointer(new([unsafe.Sizeof(simdBlock{}) + line]byte))
	return (*simdBlock)(unsafe.Add(raw, -uintptr(raw)&(line-1)))
}

func (k *simd) Slots() int { return simdSlots }

func (k *simd) Shape(slots int) (slotsPerTile, noncesPerTile int) {
	return slots, max(1, k.tile/k.lanes/slots) * k.lanes
}

func (k *simd) SetTarget(top uint32) (bound uint32) {
	k.block.target = top
	return top
}

func (k *simd) SetSlot(slot int, mid *State, tail *Tail) {
	w := tail.Block(0)
	w.Expand(16, 18)
	s := *mid
	s.Rounds(&w, 0, 4)
	// Round 0 of the second hash with word 0 zero.
	inner := IV
	inner.Rounds(new(Schedule), 0, 1)
	k.slots[slot] = simdSlot{
		mid:     *mid,
		behind3: s,
		hk:      [3]uint32{s[7] + K[4] + w[4], s[6] + K[5], s[5] + K[6]},
		bc:      [1]uint32{s[1] ^ s[2]},
		first: [5]uint32{
			mid[0] + inner[0], mid[0] + inner[4],
			mid[1] + inner[7] + K[1], mid[2] + inner[6] + K[2], mid[3] + inner[5] + K[3],
		},
	}
	b := k.block
	b.w16, b.w17 = w[16], w[17]
	b.wk16, b.wk17 = w[16]+K[16], w[17]+K[17]
	b.c18 = ssig1(w[16]) + w[2]
	b.c19 = ssig1(w[17]) + ssig0(w[4])
	b.c31 = ssig0(w[16]) + w[15]
	b.c32 = ssig0(w[17]) + w[16]
}

func (k *simd) Scan(slot, slots int, nonce uint32, nonces int, out []Candidate) int {
	if slots <= 0 || nonces <= 0 {
		return 0
	}
	groups := (nonces + k.lanes - 1) / k.lanes
	use, masks := k.slots[slot:slot+slots], k.block.masks[:groups*slots]
	// A group at the end may have lanes beyond the tile, even beyond the last
	// nonce: their bits are not looked at.
	if k.scan(k.block, &use[0], slots, groups, nonce) == 0 {
		return 0
	}
	found := 0
	for i, mask := range masks {
		for ; mask != 0; mask &= mask - 1 {
			index := i/slots*k.lanes + bits.TrailingZeros16(mask)
			if index < nonces {
				out[found] = Candidate{Slot: uint16(i % slots), Index: uint16(index)}
				found++
			}
		}
	}
	return found
}
