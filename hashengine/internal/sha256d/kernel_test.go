// SPDX-License-Identifier: Apache-2.0

package sha256d

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// kernels yields every kernel that this machine can run. The files of the
// architectures add theirs.
var kernels = map[string]func() Kernel{}

// expected returns the candidates of a tile by plain code.
func expected(mids []State, tail *Tail, slot, slots int, nonce uint32, nonces int, bound uint32) []Candidate {
	var out []Candidate
	for s := range slots {
		for i := range nonces {
			if Top(&mids[slot+s], tail, nonce+uint32(i)) <= bound {
				out = append(out, Candidate{Slot: uint16(s), Index: uint16(i)})
			}
		}
	}
	return out
}

func sorted(c []Candidate) []Candidate {
	slices.SortFunc(c, func(a, b Candidate) int {
		return (int(a.Slot)-int(b.Slot))<<16 + int(a.Index) - int(b.Index)
	})
	return c
}

// TestKernels compares every kernel with plain code on random midstates, tails
// and tiles under targets from every hash to one in some hundred.
func TestKernels(t *testing.T) {
	for name, make := range kernels {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			k := make()
			out := new([MaxTile]Candidate)[:]
			for round := range 60 {
				slots := k.Slots()
				mids := new([4096]State)[:slots]
				var tail Tail
				for i := range tail {
					tail[i] = rnd.Uint32()
				}
				for i := range mids {
					for j := range mids[i] {
						mids[i][j] = rnd.Uint32()
					}
					k.SetSlot(i, &mids[i], &tail)
				}
				tops := []uint32{math.MaxUint32, 0x0fffffff, 0x00ffffff, 0x00400000, 0x01234567, 0x007fffff}
				top := tops[round%len(tops)]
				bound := k.SetTarget(top)
				if bound < top {
					t.Fatalf("target %08x: bound %08x is lower", top, bound)
				}
				for range 6 {
					use := 1 + rnd.IntN(slots)
					maxSlots, maxNonces := k.Shape(use)
					if maxSlots < 1 || maxSlots > use || maxNonces < 1 || maxSlots*maxNonces > MaxTile {
						t.Fatalf("shape of %d slots: %d × %d", use, maxSlots, maxNonces)
					}
					n, m := 1+rnd.IntN(maxSlots), 1+rnd.IntN(maxNonces)
					if rnd.IntN(2) == 0 {
						n, m = maxSlots, maxNonces
					}
					slot := rnd.IntN(slots - n + 1)
					nonce := uint32(rnd.Uint64N(1<<32 - uint64(m) + 1))
					if rnd.IntN(4) == 0 {
						nonce = math.MaxUint32 - uint32(m) + 1 // up to the very last
					}
					got := sorted(out[:k.Scan(slot, n, nonce, m, out)])
					want := expected(mids, &tail, slot, n, nonce, m, bound)
					if !slices.Equal(got, sorted(want)) {
						t.Fatalf("round %d: slots %d+%d, nonces %d+%d, bound %08x: %d candidates, want %d", round, slot, n, nonce, m, bound, len(got), len(want))
					}
				}
			}
		})
	}
}
