// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/ballast-energy/ballast/hashengine/internal/sha256d"
)

// brokenEngine spoils what a good engine returns.
type brokenEngine struct {
	Engine
	spoil func(hits []Hit, r *Result)
}

func (b *brokenEngine) Scan(hits []Hit) Result {
	r := b.Engine.Scan(hits)
	b.spoil(hits, &r)
	return r
}

func newBroken(t testing.TB, spoil func(hits []Hit, r *Result)) Engine {
	t.Helper()
	e, err := newPortable()
	if err != nil {
		t.Fatal(err)
	}
	return &brokenEngine{e, spoil}
}

// spoilers are the ways in which a kernel may be wrong.
func spoilers() map[string]func(hits []Hit, r *Result) {
	calls := 0
	var last Hit
	return map[string]func(hits []Hit, r *Result){
		"misses a hit": func(_ []Hit, r *Result) {
			if calls++; r.Hits > 0 && calls%7 == 0 {
				r.Hits--
			}
		},
		"invents a hit": func(hits []Hit, r *Result) {
			if r.Hits > 0 {
				hits[0].Header.SetNonce(hits[0].Header.Nonce() + 1)
				hits[0].Hash = hits[0].Header.Hash()
			}
		},
		"gives a wrong hash": func(hits []Hit, r *Result) {
			if r.Hits > 0 {
				hits[0].Hash[0] ^= 1
			}
		},
		"reports twice": func(hits []Hit, r *Result) {
			if r.Hits > 0 && r.Hits < len(hits) {
				hits[r.Hits] = hits[0]
				r.Hits++
			} else if r.Hits > 0 {
				hits[0], last = last, hits[0]
			}
		},
		"counts too much":  func(_ []Hit, r *Result) { r.Hashes += 3 },
		"counts too few":   func(_ []Hit, r *Result) { r.Hashes -= min(r.Hashes, 1) },
		"does not end":     func(_ []Hit, r *Result) { r.Done = false },
		"ends too early":   func(_ []Hit, r *Result) { r.Done = true },
		"refutes a hit":    func(_ []Hit, r *Result) { r.Faults += uint64(r.Hits) },
		"stands still":     func(_ []Hit, r *Result) { *r = Result{} },
		"has nothing done": func(_ []Hit, r *Result) { *r = Result{Done: true} },
	}
}

func TestCheck(t *testing.T) {
	eachKernel(t, func(t *testing.T, e Engine) {
		if err := Check(e); err != nil {
			t.Error(err)
		}
		if r := e.Scan(make([]Hit, 1)); r != (Result{Done: true}) {
			t.Errorf("work is left after a check: %+v", r)
		}
	})
	for name, spoil := range spoilers() {
		t.Run(name, func(t *testing.T) {
			if err := Check(newBroken(t, spoil)); !errors.Is(err, ErrWrongHash) {
				t.Errorf("a broken engine passes: %v", err)
			}
		})
	}
}

func TestKernelList(t *testing.T) {
	for _, k := range Kernels() {
		if got, err := KernelByName(k.Name); err != nil || got.Name != k.Name || k.Summary == "" {
			t.Errorf("kernel %q: %v", k.Name, err)
		}
	}
	if _, err := KernelByName("nonesuch"); !errors.Is(err, ErrUnknownKernel) {
		t.Errorf("unknown kernel: %v", err)
	}
	if _, err := (Kernel{}).New(); !errors.Is(err, ErrUnknownKernel) {
		t.Errorf("zero kernel: %v", err)
	}
	best, err := Fastest()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Fastest(); err != nil || again.Name != best.Name {
		t.Errorf("the fastest kernel was %s and is %s: %v", best.Name, again.Name, err)
	}
	// The caller owns the list it gets.
	Kernels()[0].Name = "changed"
	if Kernels()[0].Name == "changed" {
		t.Error("a caller can change the list")
	}
}

func TestSearch(t *testing.T) {
	eachKernel(t, func(t *testing.T, e Engine) {
		w := smallWork(3, 500)
		want := plainHits(&w)
		n, err := Search(t.Context(), e, &w, func(h Hit) bool {
			delete(want, h.Header)
			return true
		})
		if err != nil || n != w.Space() || len(want) != 0 {
			t.Errorf("%d hashes, %d hits missing: %v", n, len(want), err)
		}

		calls := 0
		if n, err := Search(t.Context(), e, &w, func(Hit) bool { calls++; return false }); err != nil || calls != 1 || n == 0 {
			t.Errorf("%d calls of found after it said no, %d hashes: %v", calls, n, err)
		}

		bad := w
		bad.Target = Target{}
		if n, err := Search(t.Context(), e, &bad, nil); !errors.Is(err, ErrTargetZero) || n != 0 {
			t.Errorf("bad work: %d hashes, %v", n, err)
		}
	})
}

func TestSearchCancelled(t *testing.T) {
	eachKernel(t, func(t *testing.T, e Engine) {
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("the load came back")
		w := NewWork(knownBlocks[0].header(), VersionRollingMask, MaxTarget)
		w.FirstNonce, w.LastNonce = 0, math.MaxUint32
		hits := 0
		n, err := Search(ctx, e, &w, func(Hit) bool {
			if hits++; hits == 100 {
				cancel(reason)
			}
			return true
		})
		// Every hash is a hit; those of the last call are still handed out, and
		// at most a tile's were still waiting in the engine.
		if waiting := n - uint64(hits); !errors.Is(err, reason) || hits < 100 || waiting > sha256d.MaxTile {
			t.Errorf("%d hashes, %d hits: %v", n, hits, err)
		}
		if n, err := Search(ctx, e, &w, nil); !errors.Is(err, reason) || n != 0 {
			t.Errorf("cancelled before it began: %d hashes, %v", n, err)
		}
	})
}
