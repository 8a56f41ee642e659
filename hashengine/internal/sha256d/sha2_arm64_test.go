// SPDX-License-Identifier: Apache-2.0

package sha256d

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

func init() {
	if k, err := NewARM64(); err == nil {
		kernels["arm64"] = func() Kernel { k, _ = NewARM64(); return k }
	}
}

// needSHA2 skips the test on processors without the instructions. Where they
// are known to be there, as in make arm64, nothing may be skipped.
func needSHA2(t testing.TB) Kernel {
	t.Helper()
	k, err := NewARM64()
	switch {
	case err == nil:
	case os.Getenv("BALLAST_TEST_SHA2") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
	return k
}

// TestSHA2Missing pretends that the processor lacks the instructions.
func TestSHA2Missing(t *testing.T) {
	needSHA2(t)
	cpuid.CPU.Disable(cpuid.SHA2)
	defer cpuid.CPU.Enable(cpuid.SHA2)
	if k, err := NewARM64(); k != nil || !errors.Is(err, ErrNoInstructions) {
		t.Errorf("%v, %v", k, err)
	}
}

// newSHA2 returns the kernel with random slots that have the same tail.
func newSHA2(t testing.TB, rnd *rand.Rand) (k Kernel, mids []State, tail Tail) {
	t.Helper()
	k = needSHA2(t)
	tail = Tail{rnd.Uint32(), rnd.Uint32(), rnd.Uint32()}
	mids = make([]State, k.Slots())
	for i := range mids {
		for j := range mids[i] {
			mids[i][j] = rnd.Uint32()
		}
		k.SetSlot(i, &mids[i], &tail)
	}
	return k, mids, tail
}

// TestSHA2BoundIsExact sets the target to the top word of one hash and to one
// below, for a hash in each place of whole and partial groups.
func TestSHA2BoundIsExact(t *testing.T) {
	k, mids, tail := newSHA2(t, rand.New(rand.NewPCG(3, 4)))
	out := make([]Candidate, MaxTile)
	for _, last := range []uint32{1 << 20, math.MaxUint32} {
		for nonces := 1; nonces <= 9; nonces++ {
			nonce := last - uint32(nonces) + 1
			for i := range nonces {
				slot := (7*i + nonces) % k.Slots()
				top := Top(&mids[slot], &tail, nonce+uint32(i))
				for _, target := range []uint32{top, top - 1} {
					bound := k.SetTarget(target)
					if bound != target {
						t.Fatalf("target %08x: bound %08x", target, bound)
					}
					got := sorted(out[:k.Scan(slot, 1, nonce, nonces, out)])
					want := expected(mids, &tail, slot, 1, nonce, nonces, bound)
					if !slices.Equal(got, want) {
						t.Errorf("%d nonces from %08x, bound %08x: %v, want %v", nonces, nonce, bound, got, want)
					}
				}
			}
		}
	}
}

// TestSHA2KeepsSchedules goes through tiles that may and may not use the
// schedules of the tile before.
func TestSHA2KeepsSchedules(t *testing.T) {
	k, mids, tail := newSHA2(t, rand.New(rand.NewPCG(5, 6)))
	other := Tail{tail[0], tail[1], tail[2] + 1}
	k.SetSlot(9, &mids[9], &other)
	bound := k.SetTarget(1 << 30)
	out := make([]Candidate, MaxTile)
	for _, tile := range []struct {
		name        string
		slot, slots int
		nonce       uint32
		nonces      int
	}{
		{"zero state", 0, 1, 0, 5},
		{"the same nonces", 1, 3, 0, 5},
		{"another tail, the same nonces", 9, 1, 0, 5},
		{"the first tail again", 2, 2, 0, 5},
		{"more nonces", 2, 2, 0, 100},
		{"fewer nonces", 3, 1, 0, 33},
		{"a later nonce", 3, 1, 4, 33},
		{"several batches", 4, 2, 4, 400},
		{"the first batch of them", 4, 2, 4, 128},
		{"nothing", 4, 2, 77, 0},
		{"the last nonces", 0, 8, math.MaxUint32 - 129, 130},
	} {
		tt := &tail
		if tile.slot == 9 {
			tt = &other
		}
		got := sorted(out[:k.Scan(tile.slot, tile.slots, tile.nonce, tile.nonces, out)])
		want := sorted(expected(mids, tt, tile.slot, tile.slots, tile.nonce, tile.nonces, bound))
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d candidates, want %d", tile.name, len(got), len(want))
		}
	}
}

// TestSHA2Unaligned calls the assembly with memory on every word.
func TestSHA2Unaligned(t *testing.T) {
	needSHA2(t)
	rnd := rand.New(rand.NewPCG(7, 8))
	var mid State
	for i := range mid {
		mid[i] = rnd.Uint32()
	}
	tail := Tail{rnd.Uint32(), rnd.Uint32(), rnd.Uint32()}
	const groups, nonce = 3, math.MaxUint32 - 5 // beyond the last nonce, too
	var k sha2
	k.SetSlot(0, &mid, &tail)
	common := makeSHA2Tail(&tail)
	for shift := range 16 {
		words := make([]uint32, 16+int(unsafe.Sizeof([groups]sha2Group{}))/4)
		g := (*[groups]sha2Group)(unsafe.Pointer(&words[shift]))
		slots := make([]uint32, 16+int(unsafe.Sizeof(sha2Slot{}))/4)
		slot := (*sha2Slot)(unsafe.Pointer(&slots[shift]))
		tails := make([]uint32, 16+int(unsafe.Sizeof(sha2Tail{}))/4)
		c := (*sha2Tail)(unsafe.Pointer(&tails[shift]))
		*slot, *c = k.slots[0], common
		sha2Fill(sha2Table, c, &g[0], groups, nonce)
		for i := range 4 * groups {
			w := tail.Block(nonce + uint32(i))
			w.Expand(16, 64)
			if got, want := g[i/4].nonces[i%4], (vector{w[3]}); got != want {
				t.Fatalf("shift %d, nonce %d: %x, want %x", shift, i, got, want)
			}
			for r := 16; r < 64; r++ {
				if got, want := g[i/4].words[r/4-4][i%4][r%4], w[r]+K[r]; got != want {
					t.Fatalf("shift %d, nonce %d, round %d: %08x, want %08x", shift, i, r, got, want)
				}
			}
		}
		masks := make([]uint8, groups+2)
		const bound = 1 << 31
		union := sha2Scan(sha2Table, slot, &g[0], &masks[1], groups, bound)
		want, all := make([]uint8, groups+2), uint32(0)
		for i := range 4 * groups {
			if Top(&mid, &tail, nonce+uint32(i)) <= bound {
				want[1+i/4] |= 1 << (i % 4)
			}
		}
		for _, m := range want {
			all |= uint32(m)
		}
		if !slices.Equal(masks, want) || union != all {
			t.Errorf("shift %d: masks %x, union %x; want %x, %x", shift, masks, union, want, all)
		}
	}
}

func TestSHA2DoesNotAllocate(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	k, mids, tail := newSHA2(t, rnd)
	k.SetTarget(1 << 28)
	out := make([]Candidate, MaxTile)
	nonce := uint32(0)
	if n := testing.AllocsPerRun(20, func() {
		k.SetSlot(3, &mids[0], &tail)
		k.Scan(0, 8, nonce, 20, out)
		nonce += 20
	}); n != 0 {
		t.Errorf("%v allocations a tile", n)
	}
}

// FuzzSHA2 compares a tile with plain code.
func FuzzSHA2(f *testing.F) {
	f.Add(uint64(1), uint32(0), uint32(0), uint8(0), uint8(1), uint16(1))
	f.Add(uint64(2), uint32(math.MaxUint32), uint32(math.MaxUint32), uint8(63), uint8(8), uint16(131))
	f.Add(uint64(3), uint32(1<<28), uint32(1<<31), uint8(60), uint8(7), uint16(255))
	f.Fuzz(func(t *testing.T, seed uint64, top, nonce uint32, slot, slots uint8, nonces uint16) {
		k, mids, tail := newSHA2(t, rand.New(rand.NewPCG(seed, 11)))
		first := int(slot) % k.Slots()
		n := min(1+int(slots)%8, k.Slots()-first)
		m := 1 + int(nonces)%(MaxTile/8)
		nonce = min(nonce, math.MaxUint32-uint32(m)+1)
		bound := k.SetTarget(top)
		out := make([]Candidate, n*m)
		got := sorted(out[:k.Scan(first, n, nonce, m, out)])
		if want := sorted(expected(mids, &tail, first, n, nonce, m, bound)); !slices.Equal(got, want) {
			t.Errorf("slots %d+%d, nonces %d+%d, bound %08x: %d candidates, want %d", first, n, nonce, m, bound, len(got), len(want))
		}
	})
}
