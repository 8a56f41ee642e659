// SPDX-License-Identifier: Apache-2.0

package sha256d

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// random returns a midstate and a tail of the generator.
func random(rnd *rand.Rand) (mid State, tail Tail) {
	for i := range mid {
		mid[i] = rnd.Uint32()
	}
	for i := range tail {
		tail[i] = rnd.Uint32()
	}
	return mid, tail
}

// shani returns a kernel of this file's family or skips the test on machines
// that have none.
func shani(t testing.TB, name string) Kernel {
	make, ok := kernels[name]
	if !ok {
		t.Skipf("%s: %v", name, requireSHANI())
	}
	return make()
}

// TestSHANILanes places tiles so that one known candidate is in every lane and
// at every end, for both kernels.
func TestSHANILanes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	mid, tail := random(rnd)
	const bound = 0x0000ffff
	planted := uint32(1 << 20)
	for Top(&mid, &tail, planted) > bound {
		planted++
	}
	out := new([MaxTile]Candidate)[:]
	t.Run("vr5", func(t *testing.T) {
		k := shani(t, "shani_vr5")
		k.SetTarget(bound)
		for lane := range vr5Lanes {
			mids := new([vr5Lanes]State)
			for l := range mids {
				mids[l], _ = random(rnd)
				if l == lane {
					mids[l] = mid
				}
				k.SetSlot(l, &mids[l], &tail)
			}
			for slots := 1; slots <= vr5Lanes; slots++ {
				for _, nonces := range []int{1, 2, 3, 4, 5, 247, vr5Nonces} {
					for _, at := range []int{0, nonces / 2, nonces - 1} {
						nonce := planted - uint32(at)
						got := sorted(out[:k.Scan(0, slots, nonce, nonces, out)])
						if want := expected(mids[:], &tail, 0, slots, nonce, nonces, bound); !slices.Equal(got, sorted(want)) {
							t.Fatalf("lane %d, %d slots, nonce %d of %d: %v, want %v", lane, slots, at, nonces, got, want)
						}
					}
				}
			}
		}
	})
	t.Run("n4", func(t *testing.T) {
		k := shani(t, "shani_n4")
		k.SetTarget(bound)
		k.SetSlot(0, &mid, &tail)
		for _, nonces := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 999, n4Nonces} {
			for at := range min(nonces, 12) {
				for _, at := range []int{at, nonces - 1 - at} {
					nonce := planted - uint32(at)
					got := sorted(out[:k.Scan(0, 1, nonce, nonces, out)])
					if want := expected([]State{mid}, &tail, 0, 1, nonce, nonces, bound); !slices.Equal(got, sorted(want)) {
						t.Fatalf("nonce %d of %d: %v, want %v", at, nonces, got, want)
					}
				}
			}
		}
	})
}

// TestSHANIFull scans under targets that all hashes meet, many do (several in
// one iteration), and few: full tiles, at the very begin and end of the
// nonces, twice in succession from the same records.
func TestSHANIFull(t *testing.T) {
	for _, name := range []string{"shani_vr5", "shani_n4"} {
		t.Run(name, func(t *testing.T) {
			k := shani(t, name)
			rnd := rand.New(rand.NewPCG(5, 6))
			_, tail := random(rnd)
			mids := make([]State, k.Slots())
			for i := range mids {
				mids[i], _ = random(rnd)
				k.SetSlot(i, &mids[i], &tail)
			}
			slots, nonces := k.Shape(len(mids))
			out := make([]Candidate, slots*nonces)
			for _, top := range []uint32{math.MaxUint32, 0x00ffffff, 0x0000ffff, 0} {
				bound := k.SetTarget(top)
				for _, nonce := range []uint32{0, 1, 2, 3, math.MaxUint32 - uint32(nonces) + 1} {
					for _, slot := range []int{0, len(mids) - slots} {
						got := sorted(out[:k.Scan(slot, slots, nonce, nonces, out)])
						want := expected(mids, &tail, slot, slots, nonce, nonces, bound)
						if !slices.Equal(got, sorted(want)) {
							t.Fatalf("bound %08x, nonce %d, slot %d: %d candidates, want %d", bound, nonce, slot, len(got), len(want))
						}
					}
				}
			}
		})
	}
}

// TestSHANITailChanges changes what records depend on, one at a time, between
// scans of the same nonces.
func TestSHANITailChanges(t *testing.T) {
	k := shani(t, "shani_vr5")
	rnd := rand.New(rand.NewPCG(7, 8))
	mid, tail := random(rnd)
	out := new([MaxTile]Candidate)[:]
	bound := k.SetTarget(0x01ffffff)
	for i := range 2 * len(tail) {
		tail[i%len(tail)] ^= 1 << i
		k.SetSlot(7, &mid, &tail)
		got := sorted(out[:k.Scan(7, 1, 1000, vr5Nonces, out)])
		if want := expected([]State{mid}, &tail, 0, 1, 1000, vr5Nonces, bound); !slices.Equal(got, want) {
			t.Fatalf("change %d: %v, want %v", i, got, want)
		}
	}
}

// TestSHANIEmpty gives tiles of nothing.
func TestSHANIEmpty(t *testing.T) {
	for _, name := range []string{"shani_vr5", "shani_n4"} {
		k := shani(t, name)
		k.SetTarget(math.MaxUint32)
		if n := k.Scan(0, 1, 5, 0, nil) + k.Scan(0, 0, 5, 5, nil); n != 0 {
			t.Errorf("%s: %d candidates in nothing", name, n)
		}
	}
}

// TestWholeBytes checks the bound against its definition and that it is what
// mask and target mean.
func TestWholeBytes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	for i := range 10000 {
		top := rnd.Uint32() >> rnd.IntN(33)
		mask, target, bound := wholeBytes(top)
		if want := uint32(uint64(1)<<(32-bits.LeadingZeros32(top)/8*8) - 1); bound != want {
			t.Fatalf("top %08x: bound %08x, want %08x", top, bound, want)
		}
		hash := rnd.Uint32() >> rnd.IntN(33)
		if i%2 == 0 {
			hash = bound + uint32(i%3-1) // next to the bound
		}
		e := bits.ReverseBytes32(hash) - IV[7]
		if got := e&mask[1] == target[1]; got != (hash <= bound) {
			t.Fatalf("top %08x, hash %08x: candidate %t", top, hash, got)
		}
		for _, j := range []int{0, 2, 3} {
			if mask[j] != 0 || target[j] == 0 {
				t.Fatalf("word %d can match", j)
			}
		}
	}
}

// FuzzSHANI compares both kernels with plain code on any tile.
func FuzzSHANI(f *testing.F) {
	f.Add(uint64(1), uint32(0), uint16(1), uint16(1), uint32(0x00ffffff))
	f.Add(uint64(2), uint32(math.MaxUint32), uint16(3), uint16(1000), uint32(0))
	f.Add(uint64(3), uint32(255), uint16(5), uint16(248), uint32(math.MaxUint32))
	f.Fuzz(func(t *testing.T, seed uint64, nonce uint32, slots, nonces uint16, top uint32) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		for _, name := range []string{"shani_vr5", "shani_n4"} {
			k := shani(t, name)
			_, tail := random(rnd)
			s, n := k.Shape(k.Slots())
			s, n = 1+int(slots)%s, 1+int(nonces)%n
			mids := make([]State, s)
			for i := range mids {
				mids[i], _ = random(rnd)
				k.SetSlot(i, &mids[i], &tail)
			}
			begin := min(nonce, math.MaxUint32-uint32(n)+1)
			bound := k.SetTarget(top)
			out := make([]Candidate, s*n)
			got := sorted(out[:k.Scan(0, s, begin, n, out)])
			if want := expected(mids, &tail, 0, s, begin, n, bound); !slices.Equal(got, sorted(want)) {
				t.Fatalf("%s: %d slots, nonces %d+%d, bound %08x: %v, want %v", name, s, begin, n, bound, got, want)
			}
		}
	})
}

// TestAligned checks what the SHA instructions insist on, for blocks of many
// sizes, which the heap places differently.
func TestAligned(t *testing.T) {
	for n := 1; n < 200; n++ {
		v := aligned[vector](n)
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(v))); at%64 != 0 || len(v) != n {
			t.Fatalf("%d vectors: %d of them at %#x", n, len(v), at)
		}
		for _, x := range v {
			if x != (vector{}) {
				t.Fatal("not zero")
			}
		}
	}
}

// TestSHANITooLarge gives tiles beyond Shape, which must not get as far as the
// assembly.
func TestSHANITooLarge(t *testing.T) {
	for _, name := range []string{"shani_vr5", "shani_n4"} {
		for _, more := range []int{9, 1 << 20} {
			k := shani(t, name)
			_, nonces := k.Shape(k.Slots())
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: %d nonces too many were scanned", name, more)
					}
				}()
				k.Scan(0, 1, 0, nonces+more, make([]Candidate, nonces+more))
			}()
		}
	}
}
