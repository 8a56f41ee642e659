// SPDX-License-Identifier: Apache-2.0

package sha256d

import (
	"fmt"

	"github.com/klauspost/cpuid/v2"
)

// NewAVX2 returns the kernel of eight nonces in a vector. It needs AVX2 and a
// system that saves the registers.
func NewAVX2() (Kernel, error) {
	if !cpuid.CPU.Supports(cpuid.AVX2) {
		return nil, fmt.Errorf("%w: the processor or the system lacks AVX2", ErrNoInstructions)
	}
	return newSIMD(8, 512, scanAVX2Aside), nil
}

// scanAVX2 tests slots version slots under groups of 8 nonces and returns the
// union of the masks that it writes to the block.
//
//go:noescape
func scanAVX2(block *simdBlock, first *simdSlot, slots, groups int, nonce uint32) uint32

// scanAVX2Aside is scanAVX2 as a system call is made (see aside.go).
//
//go:nosplit
func scanAVX2Aside(block *simdBlock, first *simdSlot, slots, groups int, nonce uint32) uint32 {
	entersyscall()
	union := scanAVX2(block, first, slots, groups, nonce)
	exitsyscall()
	return union
}
