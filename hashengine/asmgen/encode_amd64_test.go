// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/ballast-energy/ballast/hashengine/internal/sha256d"
)

// assembled returns the code of an assembly function of package sha256d as the
// linker put it into this program. It is found in the neighbourhood of the
// package's Go functions.
func assembled(t *testing.T, name string) []byte {
	near := reflect.ValueOf(sha256d.NewSHANIVR5).Pointer()
	full := strings.TrimSuffix(runtime.FuncForPC(near).Name(), "NewSHANIVR5") + name
	const reach = 1 << 20
	var longest []byte
	for pc := near - reach; pc < near+reach; {
		f := runtime.FuncForPC(pc)
		if f == nil || f.Name() != full {
			pc += 16
			continue
		}
		end := f.Entry()
		for g := f; g != nil && g.Name() == full && g.Entry() == f.Entry(); g = runtime.FuncForPC(end) {
			end++
		}
		// The wrapper for Go's own calls has the same name and is short.
		if n := int(end - f.Entry()); n > len(longest) {
			longest = unsafe.Slice((*byte)(address(f.Entry())), n)
		}
		pc = (end + 15) &^ 15
	}
	if longest == nil {
		t.Fatalf("%s is not in this program", full)
	}
	return longest
}

// address makes a pointer of the address of code, which does not move.
func address(pc uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&pc)) }

// TestEncoder compares the encoder's bytes with those of the Go assembler, for
// all instructions of all loops.
func TestEncoder(t *testing.T) {
	// Only what may be called is linked.
	for _, make := range []func() (sha256d.Kernel, error){sha256d.NewSHANIVR5, sha256d.NewSHANIN4} {
		k, err := make()
		if err != nil {
			t.Skip(err)
		}
		k.Scan(0, 0, 0, 0, nil)
	}
	vr5, err := ordered("vr5")
	if err != nil {
		t.Fatal(err)
	}
	n4, err := ordered("n4")
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]kernel{"scanVR5": vr5, "scanN4": n4, "fillVR5": fill()} {
		t.Run(name, func(t *testing.T) {
			code := assembled(t, name)
			zeroUpper := []byte{0xc5, 0xf8, 0x77}
			begin := bytes.Index(code, zeroUpper)
			if begin < 0 {
				t.Fatal("no VZEROUPPER")
			}
			// The loop begins at the next line of the cache.
			base := uintptr(unsafe.Pointer(unsafe.SliceData(code)))
			loop := (base + uintptr(begin+len(zeroUpper)) + 63) &^ 63
			rest := code[loop-base:]
			for n, i := range k.list {
				want := i.encode(nil)
				if !bytes.HasPrefix(rest, want) {
					t.Fatalf("instruction %d, %s: % x, the assembler has % x", n, i, want, rest[:len(want)+4])
				}
				rest = rest[len(want):]
			}
		})
	}
}
