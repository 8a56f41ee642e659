// SPDX-License-Identifier: Apache-2.0

package sha256d

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"
)

// vectorKernels are the kernels of vectors that this machine can run.
var vectorKernels = func() (list []*simd) {
	for name, make := range map[string]func() (Kernel, error){"avx512": NewAVX512, "avx2": NewAVX2} {
		if k, err := make(); err == nil {
			kernels[name] = func() Kernel { k, _ := make(); return k }
			list = append(list, k.(*simd))
		}
	}
	return list
}()

func randomState(rnd *rand.Rand) (s State) {
	for i := range s {
		s[i] = rnd.Uint32()
	}
	return s
}

// forEachVector runs a test with three slots set to random headers.
func forEachVector(t *testing.T, test func(t *testing.T, k *simd, mids []State, tail *Tail)) {
	for _, k := range vectorKernels {
		t.Run(fmt.Sprint(k.lanes), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(3, uint64(k.lanes)))
			tail := Tail{rnd.Uint32(), rnd.Uint32(), rnd.Uint32()}
			mids := []State{randomState(rnd), randomState(rnd), randomState(rnd)}
			for i := range mids {
				k.SetSlot(i, &mids[i], &tail)
			}
			test(t, k, mids, &tail)
		})
	}
}

// scanned compares a scan with plain code and returns the candidates.
func scanned(t *testing.T, k *simd, mids []State, tail *Tail, slot, slots int, nonce uint32, nonces int, top uint32) []Candidate {
	t.Helper()
	if bound := k.SetTarget(top); bound != top {
		t.Fatalf("target %08x: bound %08x", top, bound)
	}
	out := new([MaxTile]Candidate)[:]
	got := sorted(out[:k.Scan(slot, slots, nonce, nonces, out)])
	want := sorted(expected(mids, tail, slot, slots, nonce, nonces, top))
	if !slices.Equal(got, want) {
		t.Fatalf("slots %d+%d, nonces %d+%d, target %08x: %v, want %v", slot, slots, nonce, nonces, top, got, want)
	}
	return got
}

// TestVectorLanes moves one header through all lanes, under its own number as
// the target (a candidate) and the number below (none).
func TestVectorLanes(t *testing.T) {
	forEachVector(t, func(t *testing.T, k *simd, mids []State, tail *Tail) {
		const nonce = 0xdeadbeef
		for slot := range mids {
			top := Top(&mids[slot], tail, nonce)
			for lane := range 2 * k.lanes {
				got := scanned(t, k, mids, tail, slot, 1, nonce-uint32(lane), 2*k.lanes, top)
				if !slices.Contains(got, Candidate{Index: uint16(lane)}) {
					t.Errorf("slot %d, index %d: missed", slot, lane)
				}
				got = scanned(t, k, mids, tail, slot, 1, nonce-uint32(lane), 2*k.lanes, top-1)
				if slices.Contains(got, Candidate{Index: uint16(lane)}) {
					t.Errorf("slot %d, index %d: found above the target", slot, lane)
				}
			}
		}
	})
}

// TestVectorTargets has from none to all of a group as candidates.
func TestVectorTargets(t *testing.T) {
	forEachVector(t, func(t *testing.T, k *simd, mids []State, tail *Tail) {
		var tops []uint32
		for i := range k.lanes {
			tops = append(tops, Top(&mids[1], tail, 1000+uint32(i)))
		}
		slices.Sort(tops)
		for i, top := range tops {
			if got := scanned(t, k, mids, tail, 1, 1, 1000, k.lanes, top); len(got) != i+1 {
				t.Errorf("target %d of the group: %d candidates", i, len(got))
			}
		}
		if got := scanned(t, k, mids, tail, 1, 1, 1000, k.lanes, tops[0]-1); len(got) != 0 {
			t.Errorf("target below the least: %v", got)
		}
		scanned(t, k, mids, tail, 0, 3, 1000, k.lanes, 0)
		scanned(t, k, mids, tail, 0, 3, 1000, k.lanes, math.MaxUint32)
	})
}

// TestVectorEnds has tiles of every length up to beyond two groups, in the
// middle of the nonces and up to the last one.
func TestVectorEnds(t *testing.T) {
	forEachVector(t, func(t *testing.T, k *simd, mids []State, tail *Tail) {
		for nonces := 1; nonces <= 2*k.lanes+1; nonces++ {
			for slots := 1; slots <= len(mids); slots++ {
				scanned(t, k, mids, tail, len(mids)-slots, slots, 12345, nonces, math.MaxUint32)
				scanned(t, k, mids, tail, 0, slots, -uint32(nonces), nonces, math.MaxUint32)
				scanned(t, k, mids, tail, 0, slots, -uint32(nonces), nonces, 0x3fffffff)
			}
		}
		if n := k.Scan(0, 0, 0, 5, nil) + k.Scan(0, 1, 0, 0, nil); n != 0 {
			t.Errorf("empty tiles: %d candidates", n)
		}
	})
}

// TestVectorMemory makes kernels and the caller's arguments at all kinds of
// addresses.
func TestVectorMemory(t *testing.T) {
	forEachVector(t, func(t *testing.T, k *simd, mids []State, tail *Tail) {
		var all []*simd // kept, so that none takes the place of another
		for shift := range 32 {
			other := newSIMD(k.lanes, k.tile, k.scan)
			all = append(all, other)
			if at := uintptr(unsafe.Pointer(other.block)); at%64 != 0 {
				t.Fatalf("block at %x", at)
			}
			words := new([64]uint32)[shift:]
			mid, end := (*State)(words[:8]), (*Tail)(words[8:11])
			*mid, *end = mids[2], *tail
			other.SetSlot(0, mid, end)
			other.SetTarget(math.MaxUint32)
			out := new([MaxTile + 32]Candidate)[shift:]
			if n := other.Scan(0, 1, 7, k.lanes+1, out[:k.lanes+1]); n != k.lanes+1 {
				t.Errorf("shift %d: %d candidates, want %d", shift, n, k.lanes+1)
			}
			if out[k.lanes+1] != (Candidate{}) {
				t.Errorf("shift %d: written behind the end", shift)
			}
		}
		runtime.KeepAlive(all)
	})
}

// TestVectorAllocates checks that scanning and setting do not.
func TestVectorAllocates(t *testing.T) {
	forEachVector(t, func(t *testing.T, k *simd, mids []State, tail *Tail) {
		out := new([MaxTile]Candidate)[:]
		k.SetTarget(1 << 28)
		if n := testing.AllocsPerRun(10, func() {
			k.SetSlot(0, &mids[0], tail)
			k.Scan(0, 3, 0, 100, out)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// FuzzVectors compares tiles of random headers with plain code.
func FuzzVectors(f *testing.F) {
	f.Add(uint64(1), uint32(0), uint16(33), uint8(1), uint32(1<<28))
	f.Add(uint64(2), uint32(math.MaxUint32), uint16(1), uint8(64), uint32(math.MaxUint32))
	f.Fuzz(func(t *testing.T, seed uint64, nonce uint32, nonces uint16, slots uint8, top uint32) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		for _, k := range vectorKernels {
			n := 1 + int(slots)%simdSlots
			_, most := k.Shape(n)
			m := 1 + int(nonces)%most
			nonce := min(nonce, -uint32(m))
			mids := new([simdSlots]State)[:n]
			tail := Tail{rnd.Uint32(), rnd.Uint32(), rnd.Uint32()}
			for i := range mids {
				mids[i] = randomState(rnd)
				k.SetSlot(i, &mids[i], &tail)
			}
			scanned(t, k, mids, &tail, 0, n, nonce, m, top)
		}
	})
}

// BenchmarkVectors reports core cycles per hash of the quickest call by how
// many slots share a schedule, down to one: work without version rolling.
func BenchmarkVectors(b *testing.B) {
	for _, k := range vectorKernels {
		for _, slots := range []int{1, 4, simdSlots} {
			b.Run(fmt.Sprintf("lanes=%d/slots=%d", k.lanes, slots), func(b *testing.B) {
				for i := range slots {
					k.SetSlot(i, &State{uint32(i)}, &Tail{1, 2, 3})
				}
				k.SetTarget(0)
				n, m := k.Shape(slots)
				out := new([MaxTile]Candidate)[:]
				took, rate := math.Inf(1), 0.0
				for i := 0; b.Loop(); i++ {
					begin := time.Now()
					k.Scan(0, n, uint32(i*m), m, out)
					took = min(took, float64(time.Since(begin)))
					rate = max(rate, clock())
				}
				b.ReportMetric(took*rate/float64(n*m), "cycles/hash")
				b.ReportMetric(float64(n*m)*1e3/took, "MH/s")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
