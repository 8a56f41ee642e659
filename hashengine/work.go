// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// VersionRollingMask is the set of header version bits that BIP 320 frees for
// general use by miners: bits 13 to 28.
const VersionRollingMask uint32 = 0x1fffe000

// Errors that [Work.Validate] wraps.
var (
	// ErrEmptyRange: a range whose first element lies beyond its last.
	// Ranges do not wrap around; describe a wrapped one as two pieces of work.
	ErrEmptyRange = errors.New("range is empty")
	// ErrRollRange: a roll beyond what the version mask can express.
	ErrRollRange = errors.New("version roll lies beyond the version mask")
	// ErrTimeRange: times beyond the last that a header can hold.
	ErrTimeRange = errors.New("time range passes the end of 32 bits")
)

// Work is a search space: one header template, every nonce of a range under
// every version of a range of rolls at every time of a range of seconds, and
// the target that a hash must meet.
//
// A version roll is a whole number whose bits are laid into the set bits of
// VersionMask, lowest first, and then exclusive-ored onto the template's
// version. Roll 0 is the template's own version, and rolls 0 to 2^k−1 are the
// 2^k different versions that a mask of k bits allows.
//
// The zero Work is not usable, as its target is zero; [NewWork] makes one that
// covers a template's whole space at the template's time. The merkle root is
// the template's: for another extranonce make another Work.
//
// Work is a plain value. It holds no pointers but Tag and may be copied freely.
type Work struct {
	// Header is the template. Its nonce is ignored.
	Header Header
	// VersionMask is the set of version bits that may be rolled, usually
	// [VersionRollingMask] or what a pool granted of it (BIP 310). Zero means
	// that the version is fixed.
	VersionMask uint32
	// FirstRoll and LastRoll bound the version rolls, both inclusive, each at
	// most 2^k−1 for a mask of k bits.
	FirstRoll, LastRoll uint32
	// FirstNonce and LastNonce bound the nonces, both inclusive.
	FirstNonce, LastNonce uint32
	// TimeRolls is the number of seconds after the template's time that may
	// be used, too. Zero, the usual, keeps the time. Whoever sets it knows how
	// far ahead of the clock its pool or node accepts times. Times are the
	// outermost loop: the next is begun when all nonces of all versions are
	// done.
	TimeRolls uint32
	// Target is what a hash must be at or below: a pool's share target or the
	// network's. It need not be related to the template's nBits.
	Target Target
	// Tag is the caller's: it comes back in every [Hit] and is not looked at.
	Tag any
}

// NewWork returns work over all nonces of the template under all versions that
// the mask allows.
func NewWork(template Header, versionMask uint32, target Target) Work {
	return Work{
		Header:      template,
		VersionMask: versionMask,
		LastRoll:    lastRoll(versionMask),
		LastNonce:   math.MaxUint32,
		Target:      target,
	}
}

// lastRoll returns the highest roll of a mask.
func lastRoll(mask uint32) uint32 {
	return uint32(uint64(1)<<bits.OnesCount32(mask) - 1)
}

// Validate returns nil if the work can be scanned. Every engine checks it
// before it accepts work.
func (w *Work) Validate() error {
	if w.Target.IsZero() {
		return fmt.Errorf("work: %w: set the share target or the network target", ErrTargetZero)
	}
	if w.FirstNonce > w.LastNonce {
		return fmt.Errorf("work: nonces %d to %d: %w", w.FirstNonce, w.LastNonce, ErrEmptyRange)
	}
	if w.FirstRoll > w.LastRoll {
		return fmt.Errorf("work: version rolls %d to %d: %w", w.FirstRoll, w.LastRoll, ErrEmptyRange)
	}
	if last := lastRoll(w.VersionMask); w.LastRoll > last {
		return fmt.Errorf("work: version roll %d: %w: mask %08x allows 0 to %d", w.LastRoll, ErrRollRange, w.VersionMask, last)
	}
	if w.TimeRolls > math.MaxUint32-w.Header.Time() {
		return fmt.Errorf("work: %d seconds after time %d: %w", w.TimeRolls, w.Header.Time(), ErrTimeRange)
	}
	return nil
}

// Version returns the header version of a roll. Bits of the roll beyond the
// mask are ignored.
func (w *Work) Version(roll uint32) uint32 {
	version := w.Header.Version()
	for mask := w.VersionMask; mask != 0; mask &= mask - 1 {
		if roll&1 != 0 {
			version ^= mask & -mask
		}
		roll >>= 1
	}
	return version
}

// Nonces returns the number of nonces in the range, 1 to 2^32 for valid work.
func (w *Work) Nonces() uint64 { return uint64(w.LastNonce) - uint64(w.FirstNonce) + 1 }

// Rolls returns the number of versions in the range, 1 to 2^32 for valid work.
func (w *Work) Rolls() uint64 { return uint64(w.LastRoll) - uint64(w.FirstRoll) + 1 }

// Times returns the number of times in the range, 1 to 2^32 for valid work.
func (w *Work) Times() uint64 { return uint64(w.TimeRolls) + 1 }

// Space returns the number of hashes that scanning the work takes: nonces ×
// versions × times. A space of 2^64 hashes and more is reported as 2^64−1.
func (w *Work) Space() uint64 {
	hi, lo := bits.Mul64(w.Nonces(), w.Rolls())
	if hi == 0 {
		hi, lo = bits.Mul64(lo, w.Times())
	}
	if hi != 0 {
		return math.MaxUint64
	}
	return lo
}

// Split divides the work into at most n disjoint pieces of nearly equal size
// that together are exactly the work. It divides the nonces, so that every
// piece keeps all versions, which kernels that roll versions thrive on; only
// when there are fewer nonces than pieces does it divide the rolls, and then
// the times. It returns fewer pieces only if the space is too small, and nil
// for n < 1.
func (w *Work) Split(n int) []Work {
	if n < 1 {
		return nil
	}
	nonceParts := min(w.Nonces(), uint64(n))
	rollParts := min(w.Rolls(), uint64(n)/nonceParts)
	timeParts := min(w.Times(), uint64(n)/(nonceParts*rollParts))
	// One dimension too small to matter must not cost pieces in the next: 3
	// nonces × 5 rolls are 5 pieces for n = 5, not 3.
	if nonceParts < uint64(n) && nonceParts*rollParts < uint64(n) && w.Rolls() >= uint64(n) {
		nonceParts, rollParts, timeParts = 1, uint64(n), 1
	}
	pieces := make([]Work, 0, nonceParts*rollParts*timeParts)
	for i := range nonceParts {
		for j := range rollParts {
			for k := range timeParts {
				piece := *w
				piece.FirstNonce, piece.LastNonce = share(w.FirstNonce, w.Nonces(), i, nonceParts)
				piece.FirstRoll, piece.LastRoll = share(w.FirstRoll, w.Rolls(), j, rollParts)
				first, last := share(w.Header.Time(), w.Times(), k, timeParts)
				piece.Header.SetTime(first)
				piece.TimeRolls = last - first
				pieces = append(pieces, piece)
			}
		}
	}
	return pieces
}

// share returns the inclusive bounds of the i-th of n parts of the range that
// starts at first and has size elements. Sizes differ by at most one.
func share(first uint32, size, i, n uint64) (lo, hi uint32) {
	// size ≤ 2^32, and n is the length of a slice that fits into memory, so
	// the product stays far below 2^64.
	return first + uint32(size*i/n), first + uint32(size*(i+1)/n-1)
}

// Hit is a header whose hash meets its work's target, checked with plain code.
type Hit struct {
	// Header is the template with the version and the nonce filled in. Ask it
	// for Version, Time and Nonce; the version bits that BIP 310 submits are
	// Header.Version() & mask.
	Header Header
	// Hash is the header's double SHA-256.
	Hash Hash
	// Tag is the work's.
	Tag any
}
