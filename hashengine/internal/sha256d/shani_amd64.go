// SPDX-License-Identifier: Apache-2.0

package sha256d

import (
	"fmt"
	"math"
	"math/bits"
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

// requireSHANI fails where the processor lacks what the SHA-NI kernels use.
// AVX2 is for one instruction (VPBLENDD) and the three-operand forms.
func requireSHANI() error {
	if !cpuid.CPU.Supports(cpuid.SHA, cpuid.SSSE3, cpuid.SSE4, cpuid.AVX, cpuid.AVX2) {
		return fmt.Errorf("%w: the processor %q has not all of SHA-NI, SSE4.1 and AVX2", ErrNoInstructions, cpuid.CPU.BrandName)
	}
	return nil
}

// laneHits is what a loop writes when an iteration ended with candidates.
type laneHits struct {
	left  uint32 // iterations left, this one included
	lanes uint32 // a bit per lane
}

// aligned returns n zero values that begin at a cache line, which Go promises
// of neither stacks nor the heap: instructions in the encodings of SSE fault
// on operands that are not aligned to 16 bytes.
func aligned[T any](n int) []T {
	const line = 64
	var one T
	block := make([]byte, uintptr(n)*unsafe.Sizeof(one)+line-1)
	begin := unsafe.Pointer(unsafe.SliceData(block))
	return unsafe.Slice((*T)(unsafe.Add(begin, -uintptr(begin)&(line-1))), n)
}

// readBefore returns the records without the first. An iteration of the loops
// ends hashes that the one before it began, and reads the record of that one:
// the very first iteration reads the record in front, whose contents do not
// matter, since nothing was begun. But it has to be there. In front of what the
// heap hands out there may be nothing, and reading that ends the process.
func readBefore[T any](records []T) []T { return records[1:] }

// wholeBytes returns what the loops compare the last word of the hash with,
// before the initial state is added to it. They compare for equality, so of
// the target's top word only the leading zero bytes count, and those are the
// lowest of the hash's word. The other words of the vector never match.
func wholeBytes(top uint32) (mask, target vector, bound uint32) {
	zeroes := 0
	for zeroes < 4 && top>>(24-8*zeroes) == 0 {
		zeroes++
	}
	low := uint32(uint64(1)<<(8*zeroes) - 1)
	mask = vector{1: low}
	target = vector{1, -IV[7] & low, 1, 1}
	return mask, target, uint32(uint64(1)<<(32-8*zeroes) - 1)
}

// wholeWord returns what the loops compare with to find the hashes whose most
// significant 32 bits are exactly top.
func wholeWord(top uint32) (mask, target vector) {
	return vector{1: math.MaxUint32}, vector{1, bits.ReverseBytes32(top) - IV[7], 1, 1}
}

// abef and cdgh return the state as the SHA instructions hold it.
func (s *State) abef() vector { return vector{s[5], s[4], s[1], s[0]} }

func (s *State) cdgh() vector { return vector{s[7], s[6], s[3], s[2]} }

// beforeNonce returns the state after rounds 0 to 3 of the second block less
// the word that holds the nonce, which enters a and e of round 3 by addition.
func (t *Tail) beforeNonce(mid *State) State {
	w := Schedule{t[0], t[1], t[2]}
	s := *mid
	s.Rounds(&w, 0, 4)
	return s
}

// linear returns the parts of the words 16 to 31 of the second block that do
// not depend on the nonce: W16 to W19, W20 to W23 and W28 to W31.
func (t *Tail) linear() (c4, c5, c7 vector) {
	const bit, length = 0x80000000, 640
	w16 := ssig0(t[1]) + t[0]
	w17 := ssig1(length) + ssig0(t[2]) + t[1]
	c4 = vector{w16, w17, ssig1(w16) + t[2], ssig1(w17) + ssig0(bit)}
	c5 = vector{bit, 0, length, w16}
	c7 = vector{2: ssig0(length), 3: ssig0(w16) + length}
	return c4, c5, c7
}
