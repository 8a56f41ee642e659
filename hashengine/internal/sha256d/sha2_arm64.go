// SPDX-License-Identifier: Apache-2.0

package sha256d

import (
	"fmt"
	"math/bits"

	"github.com/klauspost/cpuid/v2"
)

const (
	// sha2Slots is the number of version slots: enough that making the
	// schedules, a fifth of a hash per nonce, is shared by many.
	sha2Slots = 64
	// sha2Batch is the number of nonces whose schedules are kept. They take
	// 26 kB, which fits the first-level cache of every such processor.
	sha2Batch = 128
	// sha2Tile is the number of hashes per call.
	sha2Tile = 1024
)

// vector is a register: four words, the first in lane 0.
type vector [4]uint32

// sha2Group holds the schedules of the header's second block for four nonces.
type sha2Group struct {
	nonces [4]vector     // word 3 of the block in lane 0, zeros
	words  [12][4]vector // rounds 16 to 63 with their constants, per four rounds and nonce
}

// sha2Slot is a version slot.
type sha2Slot struct {
	abcd3, efgh3 vector // after round 3 with a nonce of zero
	abcd, efgh   vector // the midstate
}

// sha2Tail is what the schedules of all nonces have in common.
type sha2Tail struct {
	q0, q4, q7 vector // see the printer of sha2Fill
}

// sha2Constants is what the assembly reads besides. Fields from padding to zero
// are loaded together.
type sha2Constants struct {
	first                         [3]vector // words of rounds 4 to 15 of the first hash
	padding, startA, startE, zero vector
	second                        [15]vector // constants of rounds 1 to 60
	iv7                           vector
	bits                          vector     // what a candidate in each lane adds to the mask
	schedule                      [12]vector // constants of rounds 16 to 63
	q1, q3                        vector     // words 4 to 7 and 12 to 15 of the block
	lanes                         vector
}

var sha2Table = makeSHA2Table()

func makeSHA2Table() *sha2Constants {
	block := new(Tail).Block(0)
	t := &sha2Constants{
		padding: vector{0x80000000, 0, 0, 256}, // the inner hash's, without the zeros between
		iv7:     vector{IV[7], IV[7], IV[7], IV[7]},
		bits:    vector{1, 2, 4, 8},
		lanes:   vector{0, 1, 2, 3},
		zero:    vector{},
		q1:      vector(block[4:8]),
		q3:      vector(block[12:16]),
	}
	for i := range 12 {
		t.first[i/4][i%4] = block[4+i] + K[4+i]
	}
	for i := range 60 {
		t.second[i/4][i%4] = K[1+i]
	}
	for i := range 48 {
		t.schedule[i/4][i%4] = K[16+i]
	}
	start := IV
	start.Rounds(new(Schedule), 0, 1)
	t.startA, t.startE = vector(start[:4]), vector(start[4:])
	return t
}

// sha2 is the kernel on the SHA-256 instructions of ARMv8.
type sha2 struct {
	groups [sha2Batch / 4]sha2Group
	masks  [sha2Batch / 4]uint8
	slots  [sha2Slots]sha2Slot
	tails  [sha2Slots]Tail
	bound  uint32

	// What groups holds: filled groups of this tail from this nonce on.
	common sha2Tail
	tail   Tail
	nonce  uint32
	filled int
}

// NewARM64 returns the kernel on the SHA-256 instructions of ARMv8. It fails
// with [ErrNoInstructions] where the processor has none.
func NewARM64() (Kernel, error) {
	if !cpuid.CPU.Supports(cpuid.ASIMD, cpuid.SHA2) {
		return nil, fmt.Errorf("%w: SHA256H of ARMv8", ErrNoInstructions)
	}
	return new(sha2), nil
}

// Slots implements [Kernel].
func (k *sha2) Slots() int { return sha2Slots }

// Shape implements [Kernel]. Up to eight slots go over the nonces together;
// more come in tiles of nearly equal size.
func (k *sha2) Shape(slots int) (slotsPerTile, noncesPerTile int) {
	const most = sha2Tile / sha2Batch
	tiles := (slots + most - 1) / most
	slotsPerTile = (slots + tiles - 1) / tiles
	if tiles > 1 {
		return slotsPerTile, sha2Batch // all tiles use the schedules of the first
	}
	return slotsPerTile, sha2Tile / slotsPerTile &^ 3
}

// SetTarget implements [Kernel].
func (k *sha2) SetTarget(top uint32) (bound uint32) {
	k.bound = top
	return top
}

// SetSlot implements [Kernel].
func (k *sha2) SetSlot(slot int, mid *State, tail *Tail) {
	after := *mid
	after.Rounds(&Schedule{tail[0], tail[1], tail[2]}, 0, 4)
	k.slots[slot] = sha2Slot{
		abcd3: vector(after[:4]), efgh3: vector(after[4:]),
		abcd: vector(mid[:4]), efgh: vector(mid[4:]),
	}
	k.tails[slot] = *tail
}

// Scan implements [Kernel].
func (k *sha2) Scan(slot, slots int, nonce uint32, nonces int, out []Candidate) int {
	found := 0
	for begin := 0; begin < nonces; begin += sha2Batch {
		n := min(nonces-begin, sha2Batch)
		groups := (n + 3) / 4
		k.fill(&k.tails[slot], nonce+uint32(begin), groups)
		for s := range slots {
			if sha2ScanAside(sha2Table, &k.slots[slot+s], &k.groups[0], &k.masks[0], groups, k.bound) == 0 {
				continue
			}
			for g, mask := range k.masks[:groups] {
				for ; mask != 0; mask &= mask - 1 {
					i := 4*g + bits.TrailingZeros8(mask)
					if i >= n {
						break // idle lanes of the last group
					}
					out[found] = Candidate{Slot: uint16(s), Index: uint16(begin + i)}
					found++
				}
			}
		}
	}
	return found
}

// fill sees to it that there are schedules of so many groups of nonces.
func (k *sha2) fill(tail *Tail, nonce uint32, groups int) {
	same := k.filled > 0 && k.tail == *tail
	if same && k.nonce == nonce && k.filled >= groups {
		return
	}
	if !same {
		k.tail, k.common = *tail, makeSHA2Tail(tail)
	}
	sha2Fill(sha2Table, &k.common, &k.groups[0], groups, nonce)
	k.nonce, k.filled = nonce, groups
}

// makeSHA2Tail expands as much of the block as does not depend on the nonce.
func makeSHA2Tail(tail *Tail) sha2Tail {
	w := tail.Block(0)
	w.Expand(16, 18)
	return sha2Tail{
		q0: vector{tail[0], tail[1], tail[2], 0},
		// The part of W16 … W19 that SHA256SU0 leaves out.
		q4: vector{0, ssig1(w[15]), ssig1(w[16]), ssig1(w[17])},
		// What SHA256SU0 makes of W12 … W16.
		q7: vector{0, 0, ssig0(w[15]), w[15] + ssig0(w[16])},
	}
}

// sha2Fill computes the schedules of count groups of nonces from nonce on.
//
//go:noescape
func sha2Fill(table *sha2Constants, tail *sha2Tail, groups *sha2Group, count int, nonce uint32)

// sha2Scan computes the double hashes of count groups of nonces. Bit i of a
// group's mask tells whether the top word of nonce i is at or below bound. It
// returns the union of the masks.
//
//go:noescape
func sha2Scan(table *sha2Constants, slot *sha2Slot, groups *sha2Group, masks *uint8, count int, bound uint32) (union uint32)

// sha2ScanAside is sha2Scan as a system call is made (see aside.go).
//
//go:nosplit
func sha2ScanAside(table *sha2Constants, slot *sha2Slot, groups *sha2Group, masks *uint8, count int, bound uint32) uint32 {
	entersyscall()
	union := sha2Scan(table, slot, groups, masks, count, bound)
	exitsyscall()
	return union
}
