// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"math"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/hashengine/internal/sha256d"
)

// plainLanes is a wide kernel in plain code, with tiles of odd sizes and a
// bound that is looser than the target, so that what drives kernels is tested
// on every machine.
type plainLanes struct {
	slots, perTile, nonces int
	whole                  bool // bounds of whole bytes only
	bound                  uint32
	mids                   []sha256d.State
	tails                  []sha256d.Tail
	// lie is called for every tile and may falsify the candidates.
	lie func(out []sha256d.Candidate, n int) int
}

func newPlainLanes(slots, perTile, nonces int, whole bool) *plainLanes {
	return &plainLanes{slots: slots, perTile: perTile, nonces: nonces, whole: whole,
		mids: make([]sha256d.State, slots), tails: make([]sha256d.Tail, slots)}
}

func (k *plainLanes) Slots() int { return k.slots }

func (k *plainLanes) Shape(slots int) (int, int) { return min(k.perTile, slots), k.nonces }

func (k *plainLanes) SetTarget(top uint32) uint32 {
	k.bound = top
	if k.whole {
		k.bound = math.MaxUint32
		for k.bound>>8 >= top && k.bound > 0 {
			k.bound >>= 8
		}
	}
	return k.bound
}

func (k *plainLanes) SetSlot(slot int, mid *sha256d.State, tail *sha256d.Tail) {
	k.mids[slot], k.tails[slot] = *mid, *tail
}

func (k *plainLanes) Scan(slot, slots int, nonce uint32, nonces int, out []sha256d.Candidate) (n int) {
	if slots < 1 || slot+slots > k.slots || slots > k.perTile || nonces < 1 || nonces > k.nonces || uint64(nonce)+uint64(nonces) > 1<<32 {
		panic("a tile beyond what the kernel offers")
	}
	for s := range slots {
		for i := range nonces {
			if sha256d.Top(&k.mids[slot+s], &k.tails[slot+s], nonce+uint32(i)) <= k.bound {
				out[n] = sha256d.Candidate{Slot: uint16(s), Index: uint16(i)}
				n++
			}
		}
	}
	if k.lie != nil {
		n = k.lie(out, n)
	}
	return n
}

// plainEngines are drivers over plain code, by what is odd about them.
var plainEngines = []Kernel{
	{Name: "lanes 7 in 3 by 37", lanes: func() (sha256d.Kernel, error) { return newPlainLanes(7, 3, 37, true), nil }},
	{Name: "lanes 1 by 100", lanes: func() (sha256d.Kernel, error) { return newPlainLanes(1, 1, 100, false), nil }},
	{Name: "lanes 64 in 64 by 16", lanes: func() (sha256d.Kernel, error) { return newPlainLanes(64, 64, 16, false), nil }},
}

func TestLaneFaultsAreCountedAndNotHandedOut(t *testing.T) {
	k := newPlainLanes(4, 4, 8, false)
	k.lie = func(out []sha256d.Candidate, n int) int {
		out[n] = sha256d.Candidate{Slot: 0, Index: 0} // not one, or one already
		return n + 1
	}
	e := newLaneEngine(k)
	e.now = slowClock(time.Microsecond) // ten tiles, however slow the machine
	w := smallWork(4, 80)
	w.Target = Target{2: 1} // nothing meets it
	if err := e.Load(&w); err != nil {
		t.Fatal(err)
	}
	var total Result
	hits := make([]Hit, 3)
	for !total.Done {
		r := e.Scan(hits)
		total.Hashes += r.Hashes
		total.Hits += r.Hits
		total.Faults += r.Faults
		total.Done = r.Done
	}
	if want := (Result{Hashes: 320, Faults: 10, Done: true}); total != want {
		t.Errorf("%+v, want %+v", total, want)
	}
}

// TestLaneCallsAdaptToTheClock: on a processor that is far too slow for the
// kernel's tiles they shrink, and grow back on one that is quick.
func TestLaneCallsAdaptToTheClock(t *testing.T) {
	e := newLaneEngine(newPlainLanes(8, 8, 128, false))
	w := NewWork(knownBlocks[1].header(), VersionRollingMask, Target{31: 1})
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
	if n := call(10*time.Microsecond, 20); n < 4*8*128 {
		t.Errorf("quick calls do %d hashes", n)
	}
	if n := call(time.Second, 300); n != 16 {
		t.Errorf("slow calls do %d hashes", n)
	}
	if n := call(10*time.Microsecond, 50); n < 4*8*128 {
		t.Errorf("calls do not recover: %d hashes", n)
	}
}

// TestLaneCallsStayShortWhenEveryHashIsAHit: looking at candidates counts.
func TestLaneCallsStayShortWhenEveryHashIsAHit(t *testing.T) {
	e := newLaneEngine(newPlainLanes(8, 8, 128, false))
	w := smallWork(8, 128)
	w.Target = MaxTarget
	if err := e.Load(&w); err != nil {
		t.Fatal(err)
	}
	e.now = slowClock(MaxCall)
	hits := make([]Hit, 2000)
	var total Result
	calls := 0
	for !total.Done {
		r := e.Scan(hits)
		if r.Hits > 128 {
			t.Fatalf("%d hits in one call", r.Hits)
		}
		total.Hits += r.Hits
		total.Done = r.Done
		calls++
	}
	if total.Hits != 1024 || calls < 8 {
		t.Errorf("%d hits in %d calls", total.Hits, calls)
	}
}
