// SPDX-License-Identifier: Apache-2.0

//go:build linux

package sha256d

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// guarded returns n zero values in memory of their own between two pages that
// nothing may touch: right behind the first of them, or right before the
// second. align is what the loops want of the address, in bytes; so much less
// one at the end is not guarded where a size is no multiple of it.
func guarded[T any](t *testing.T, n int, atEnd bool, align int) []T {
	t.Helper()
	var one T
	page := unix.Getpagesize()
	size := n * int(unsafe.Sizeof(one))
	room := (size + page - 1) / page * page
	memory, err := unix.Mmap(-1, 0, room+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatalf("memory for the test: %v", err)
	}
	t.Cleanup(func() { _ = unix.Munmap(memory) })
	for _, guard := range [][]byte{memory[:page], memory[page+room:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatalf("guarding a page: %v", err)
		}
	}
	begin := page
	if atEnd {
		begin += (room - size) &^ (align - 1)
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&memory[begin])), n)
}

// TestKernelsStayInTheirMemory: loops that read past what they own do no harm
// for as long as something else lies there, and end the process on the day
// when nothing does. Here nothing does.
func TestKernelsStayInTheirMemory(t *testing.T) {
	edges := map[string]bool{"at the beginning": false, "at the end": true}
	for name, atEnd := range edges {
		t.Run("shani_n4 "+name, func(t *testing.T) {
			made, err := NewSHANIN4()
			if err != nil {
				t.Skip(err)
			}
			k := guarded[n4](t, 1, atEnd, 8)
			k[0] = *made.(*n4)
			k[0].ctx = &guarded[n4Context](t, 1, atEnd, 16)[0]
			*k[0].ctx = n4Constants
			k[0].records = readBefore(guarded[n4Record](t, 1+n4Groups+1, atEnd, 16))
			scanWhole(t, &k[0], 1)
		})
		t.Run("shani_vr5 "+name, func(t *testing.T) {
			made, err := NewSHANIVR5()
			if err != nil {
				t.Skip(err)
			}
			k := guarded[vr5](t, 1, atEnd, 8)
			k[0] = *made.(*vr5)
			k[0].ctx, k[0].fill = &guarded[vr5Context](t, 1, atEnd, 16)[0], &guarded[fillContext](t, 1, atEnd, 16)[0]
			*k[0].ctx, *k[0].fill = vr5Constants, fillConstants
			k[0].slots = guarded[vr5Slot](t, vr5Slots, atEnd, 8)
			k[0].records = readBefore(guarded[vr5Record](t, 1+vr5Nonces+fillLanes, atEnd, 16))
			scanWhole(t, &k[0], vr5Slots)
		})
		for simdName, newKernel := range map[string]func() (Kernel, error){"avx2 ": NewAVX2, "avx512 ": NewAVX512} {
			t.Run(simdName+name, func(t *testing.T) {
				made, err := newKernel()
				if err != nil {
					t.Skip(err)
				}
				k := guarded[simd](t, 1, atEnd, 8)
				k[0] = *made.(*simd)
				k[0].block = &guarded[simdBlock](t, 1, atEnd, 64)[0]
				scanWhole(t, &k[0], simdSlots)
			})
		}
	}
}

// scanWhole scans a tile as large as the kernel takes, with each number of
// slots, and with hits and without.
func scanWhole(t *testing.T, k Kernel, slots int) {
	t.Helper()
	mid, tail := IV, Tail{1, 2, 3}
	for s := range slots {
		k.SetSlot(s, &mid, &tail)
	}
	out := make([]Candidate, MaxTile)
	for _, top := range []uint32{0, 1<<32 - 1} {
		k.SetTarget(top)
		for n := 1; n <= slots; n++ {
			wide, nonces := k.Shape(n)
			if k.Scan(slots-wide, wide, 0, nonces, out) > wide*nonces || k.Scan(0, wide, -uint32(nonces), nonces, out) > wide*nonces {
				t.Fatalf("%d slots: more candidates than hashes", n)
			}
			k.Scan(0, wide, 5, 1, out)
		}
	}
}
