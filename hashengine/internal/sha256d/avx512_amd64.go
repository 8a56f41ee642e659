// SPDX-License-Identifier: Apache-2.0

package sha256d

import (
	"fmt"

	"github.com/klauspost/cpuid/v2"
)

// NewAVX512 returns the kernel of sixteen nonces in a vector. It needs the
// foundation and the byte instructions of AVX-512, and a system that saves the
// registers.
func NewAVX512() (Kernel, error) {
	if !cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512BW) {
		return nil, fmt.Errorf("%w: the processor or the system lacks AVX-512 (F and BW)", ErrNoInstructions)
	}
	return newSIMD(16, 1024, scanAVX512Aside), nil
}

// scanAVX512 tests slots version slots under groups of 16 nonces and returns
// the union of the masks that it writes to the block.
//
//go:noescape
func scanAVX512(block *simdBlock, first *simdSlot, slots, groups int, nonce uint32) uint32

// scanAVX512Aside is scanAVX512 as a system call is made (see aside.go).
//
//go:nosplit
func scanAVX512Aside(block *simdBlock, first *simdSlot, slots, groups int, nonce uint32) uint32 {
	entersyscall()
	union := scanAVX512(block, first, slots, groups, nonce)
	exitsyscall()
	return union
}
