// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
	"time"
)

// scanAll scans the engine's work to the end with a slice of n hits.
func scanAll(t testing.TB, e Engine, n int) (found []Hit, hashes uint64) {
	t.Helper()
	hits := make([]Hit, n)
	for {
		r := e.Scan(hits)
		hashes += r.Hashes
		found = append(found, hits[:r.Hits]...)
		if r.Faults != 0 {
			t.Fatalf("%d faults", r.Faults)
		}
		if r.Done {
			return found, hashes
		}
		if r.Hashes == 0 && r.Hits == 0 {
			t.Fatal("a call made no progress")
		}
	}
}

// verify scans the work and compares with plain code: every hit found, none
// invented, none twice.
func verify(t testing.TB, e Engine, w *Work, n int) {
	t.Helper()
	if err := e.Load(w); err != nil {
		t.Fatal(err)
	}
	want := plainHits(w)
	found, hashes := scanAll(t, e, n)
	if hashes != w.Space() {
		t.Fatalf("counted %d hashes in a space of %d", hashes, w.Space())
	}
	if len(found) != len(want) {
		t.Fatalf("found %d hits, want %d", len(found), len(want))
	}
	for _, hit := range found {
		if hash, ok := want[hit.Header]; !ok || hash != hit.Hash {
			t.Fatalf("invented or repeated: %s %s", hit.Header, hit.Hash)
		}
		if hit.Tag != w.Tag {
			t.Fatalf("tag %v, want %v", hit.Tag, w.Tag)
		}
		delete(want, hit.Header)
	}
	if r := e.Scan(make([]Hit, 1)); r != (Result{Done: true}) {
		t.Fatalf("scan after the end: %+v", r)
	}
}

func TestKernelsFindKnownBlocks(t *testing.T) {
	eachKernel(t, func(t *testing.T, e Engine) {
		for i := range knownBlocks {
			b := &knownBlocks[i]
			w := NewWork(b.header(), 0, blockTarget(t, b))
			w.FirstNonce, w.LastNonce = b.nonce-3000, b.nonce+3000
			w.Tag = b.height
			if err := e.Load(&w); err != nil {
				t.Fatal(err)
			}
			found, hashes := scanAll(t, e, 4)
			if len(found) != 1 || found[0].Header != b.header() || found[0].Hash.String() != b.hash || found[0].Tag != b.height {
				t.Errorf("block %d: found %v", b.height, found)
			}
			if hashes != 6001 {
				t.Errorf("block %d: %d hashes", b.height, hashes)
			}
		}
	})
}

func TestKernelsAgainstPlainCode(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Work)
	}{
		{"one in sixteen", func(*Work) {}},
		{"every hash", func(w *Work) { w.Target = MaxTarget }},
		{"one nonce, many versions", func(w *Work) { w.LastNonce, w.LastRoll = w.FirstNonce, 700 }},
		{"one nonce, one version", func(w *Work) { w.LastNonce, w.LastRoll, w.Target = w.FirstNonce, 0, MaxTarget }},
		{"no rolling", func(w *Work) { w.VersionMask, w.LastRoll = 0, 0 }},
		{"the end of the nonces", func(w *Work) { w.FirstNonce, w.LastNonce = math.MaxUint32-300, math.MaxUint32 }},
		{"the last nonce", func(w *Work) { w.FirstNonce, w.LastNonce, w.Target = math.MaxUint32, math.MaxUint32, MaxTarget }},
		{"the last rolls", func(w *Work) { w.FirstRoll, w.LastRoll = 0xfffe, 0xffff }},
		{"last roll of 32 bits", func(w *Work) {
			w.VersionMask, w.FirstRoll, w.LastRoll = math.MaxUint32, math.MaxUint32-1, math.MaxUint32
		}},
		{"seven times", func(w *Work) { w.TimeRolls, w.LastNonce = 6, w.FirstNonce+60 }},
		{"the last times", func(w *Work) {
			w.Header.SetTime(math.MaxUint32 - 2)
			w.TimeRolls, w.LastNonce, w.VersionMask, w.FirstRoll, w.LastRoll = 2, w.FirstNonce+90, 0, 0, 0
		}},
		{"every hash at several times", func(w *Work) { w.Target, w.TimeRolls, w.LastNonce = MaxTarget, 3, w.FirstNonce+40 }},
		{"four hundred versions", func(w *Work) { w.LastNonce, w.LastRoll, w.TimeRolls = w.FirstNonce+20, 399, 1 }},
		{"a target that is a hash", func(w *Work) {
			h := w.Header
			h.SetNonce(w.FirstNonce + 5)
			hash := h.Hash()
			for i := range hash {
				w.Target[31-i] = hash[i]
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := smallWork(3, 400)
			w.Tag = c.name
			c.change(&w)
			eachKernel(t, func(t *testing.T, e Engine) {
				for _, n := range []int{1, 2, 64} {
					verify(t, e, &w, n)
				}
			})
		})
	}
}

func TestScanWithoutRoomOrWork(t *testing.T) {
	eachKernel(t, func(t *testing.T, e Engine) {
		if r := e.Scan(make([]Hit, 1)); r != (Result{Done: true}) {
			t.Errorf("without work: %+v", r)
		}
		w := smallWork(1, 100)
		if err := e.Load(&w); err != nil {
			t.Fatal(err)
		}
		if r := e.Scan(nil); r != (Result{}) {
			t.Errorf("without room: %+v", r)
		}
		verify(t, e, &w, 1)
	})
}

func TestScanDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("allocations are not those of a normal build")
	}
	eachKernel(t, func(t *testing.T, e Engine) {
		w := smallWork(1<<16-1, 1<<30)
		w.Tag = t
		hits := make([]Hit, 64)
		if err := e.Load(&w); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(50, func() { e.Scan(hits) }); n != 0 {
			t.Errorf("%v allocations a call", n)
		}
		if n := testing.AllocsPerRun(50, func() { _ = e.Load(&w) }); n != 0 {
			t.Errorf("%v allocations a load", n)
		}
	})
}

// TestLoadForgets loads other work in the middle of a scan.
func TestLoadForgets(t *testing.T) {
	eachKernel(t, func(t *testing.T, e Engine) {
		long := smallWork(1000, 1<<20)
		short := smallWork(2, 100)
		for range 5 {
			if err := e.Load(&long); err != nil {
				t.Fatal(err)
			}
			e.Scan(make([]Hit, 3))
			verify(t, e, &short, 3)
		}
	})
}

// slowClock advances by a fixed step whenever it is read, so every call seems
// to take that long.
func slowClock(step time.Duration) func() time.Duration {
	var now time.Duration
	return func() time.Duration {
		now += step
		return now
	}
}

func TestCallAdaptsToTheClock(t *testing.T) {
	e := &portableEngine{cursor: newCursor()}
	w := NewWork(knownBlocks[1].header(), 0, Target{31: 1})
	if err := e.Load(&w); err != nil {
		t.Fatal(err)
	}
	hits := make([]Hit, 1)
	call := func(took time.Duration, calls int) (hashes uint64) {
		e.now = slowClock(took)
		for range calls {
			hashes = e.Scan(hits).Hashes
		}
		return hashes
	}
	if n := call(time.Microsecond, 20); n < 2*firstChunk {
		t.Errorf("quick calls stay at %d hashes", n)
	}
	if n := call(time.Second, 20); n > minChunk {
		t.Errorf("slow calls stay at %d hashes", n)
	}
}

// brokenCompressor reports a top word that is not the hash's.
type brokenCompressor struct{}

func (brokenCompressor) midstate(*Header) {}
func (brokenCompressor) sweep(uint32, uint64, uint32) (uint64, uint32) {
	return 1, 0
}

func TestFaultsAreCountedAndNotHandedOut(t *testing.T) {
	c := newCursor()
	w := smallWork(2, 50)
	if err := c.load(&w); err != nil {
		t.Fatal(err)
	}
	var total Result
	hits := make([]Hit, 8)
	for !total.Done {
		r := scanSerial(&c, brokenCompressor{}, hits)
		total.Hashes += r.Hashes
		total.Hits += r.Hits
		total.Faults += r.Faults
		total.Done = r.Done
	}
	if want := (Result{Hashes: 100, Faults: 100, Done: true}); total != want {
		t.Errorf("%+v, want %+v", total, want)
	}
}

func FuzzKernels(f *testing.F) {
	for i := range knownBlocks {
		h := knownBlocks[i].header()
		f.Add(h[:], VersionRollingMask, uint16(0), uint8(3), knownBlocks[i].nonce, uint16(300), uint16(0x0fff), uint8(3))
	}
	f.Add([]byte{}, uint32(0), uint16(0), uint8(0), uint32(math.MaxUint32), uint16(40), uint16(0xffff), uint8(1))
	f.Add([]byte{1}, uint32(math.MaxUint32), uint16(9), uint8(9), uint32(math.MaxUint32-5), uint16(900), uint16(0x00ff), uint8(9))
	var engines []Engine
	for _, k := range slices.Concat(Kernels(), plainEngines) {
		e, err := k.New()
		if errors.Is(err, ErrNoInstructions) {
			continue
		}
		if err != nil {
			f.Fatal(err)
		}
		engines = append(engines, e)
	}
	f.Fuzz(func(t *testing.T, template []byte, mask uint32, roll uint16, rolls uint8, nonce uint32, nonces, target uint16, room uint8) {
		times := uint32(room >> 6)
		var h Header
		copy(h[:], template)
		w := NewWork(h, mask, Target{31: 1})
		binary.BigEndian.PutUint16(w.Target[:], target)
		w.FirstRoll = min(uint32(roll), w.LastRoll)
		w.LastRoll = uint32(min(uint64(w.FirstRoll)+uint64(rolls%8), uint64(w.LastRoll)))
		w.TimeRolls = min(times, math.MaxUint32-h.Time())
		w.FirstNonce = nonce
		w.LastNonce = uint32(min(uint64(nonce)+uint64(nonces%1000), math.MaxUint32))
		for _, e := range engines {
			verify(t, e, &w, int(room%16)+1)
		}
	})
}
