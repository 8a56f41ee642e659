// SPDX-License-Identifier: Apache-2.0

package sha256d

import "errors"

// ErrNoInstructions is wrapped by constructors of kernels where the processor,
// or the system that runs on it, lacks instructions that the kernel needs.
var ErrNoInstructions = errors.New("this machine lacks the instructions")

// Candidate is a place in a tile whose hash is small enough to be looked at.
type Candidate struct {
	// Slot is the version slot, counted from the tile's first.
	Slot uint16
	// Index is the nonce, counted from the tile's first.
	Index uint16
}

// Kernel computes the double hashes of tiles. A tile is a rectangle of the
// search space: some consecutive version slots under some consecutive nonces.
// A kernel belongs to one goroutine at a time and does not allocate after it
// was made.
//
// Call order: SetTarget and SetSlot before the Scan calls that need them. Both
// may be called again at any time between calls of Scan.
type Kernel interface {
	// Slots is the number of version slots that the kernel holds, at least 1.
	Slots() int

	// Shape returns the largest tile of one call of Scan when slots version
	// slots are in use (1 to Slots): how many slots and how many nonces. It is
	// chosen so that a call takes 20 to 60 µs on a processor of today and
	// that the work common to the slots is shared by enough of them. A smaller
	// tile is as correct, only slower. slots × nonces is at most MaxTile.
	Shape(slots int) (slotsPerTile, noncesPerTile int)

	// SetTarget sets which hashes are candidates: at least all whose most
	// significant 32 bits (see Top) are at or below top. It returns the bound
	// that the kernel uses instead, at or above top, since some kernels only
	// compare whole bytes: exactly the hashes at or below bound are
	// candidates.
	SetTarget(top uint32) (bound uint32)

	// SetSlot gives a version slot its midstate, the state behind the header's
	// first block, and the beginning of its second block. Slots that are
	// scanned together have the same tail.
	SetSlot(slot int, mid *State, tail *Tail)

	// Scan tests the tile of the slots slot … slot+slots-1 and the nonces
	// nonce … nonce+nonces-1, which must not wrap around. It writes every
	// candidate to out, in no particular order, and returns their number. out
	// has room for slots × nonces. Tiles with the same nonces in succession
	// are what a kernel with a shared schedule is quick at.
	Scan(slot, slots int, nonce uint32, nonces int, out []Candidate) int
}

// Exact is a kernel that compares for equality, and so can be asked for one
// very hash: how a test plants hits whose every bit is compared, as it is when
// the target's top word is zero.
type Exact interface {
	// SetExact makes candidates exactly the hashes whose most significant 32
	// bits are top, until the next SetTarget.
	SetExact(top uint32)
}

// MaxTile is the most hashes of a tile.
const MaxTile = 4096
