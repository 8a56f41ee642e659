// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ballast-energy/ballast/hashengine/internal/sha256d"
)

// exactLanes can be asked for one very hash, as the self-test does.
type exactLanes struct {
	*plainLanes
	exact *uint32
}

func (k *exactLanes) SetTarget(top uint32) uint32 {
	k.exact = nil
	return k.plainLanes.SetTarget(top)
}

func (k *exactLanes) SetExact(top uint32) {
	k.exact = &top
	k.bound = top
}

func (k *exactLanes) Scan(slot, slots int, nonce uint32, nonces int, out []sha256d.Candidate) int {
	n := k.plainLanes.Scan(slot, slots, nonce, nonces, out)
	if k.exact == nil {
		return n
	}
	kept := slices.DeleteFunc(out[:n], func(c sha256d.Candidate) bool {
		s := slot + int(c.Slot)
		return sha256d.Top(&k.mids[s], &k.tails[s], nonce+uint32(c.Index)) != *k.exact
	})
	return len(kept)
}

func exactKernel(lie func([]sha256d.Candidate, int) int) Kernel {
	return Kernel{Name: "exact", lanes: func() (sha256d.Kernel, error) {
		k := &exactLanes{plainLanes: newPlainLanes(3, 3, 5, true)}
		k.lie = lie
		return k, nil
	}}
}

func TestSelfTest(t *testing.T) {
	for _, k := range slices.Concat(Kernels(), plainEngines, []Kernel{exactKernel(nil)}) {
		t.Run(k.Name, func(t *testing.T) {
			hits := 60
			last := -1
			r, err := k.SelfTest(t.Context(), SelfTestOptions{Hits: hits, Seed: 7}, func(done, of int) {
				if done < last || done > of || of != hits {
					t.Errorf("progress %d of %d behind %d", done, of, last)
				}
				last = done
			})
			if errors.Is(err, ErrNoInstructions) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Kernel != k.Name || r.Blocks != 3 || r.Planted < hits || r.Found != r.Planted || r.Hashes < uint64(hits) || r.Lanes != r.LanesOf || last != hits {
				t.Errorf("%+v, progress up to %d", r, last)
			}
			if wide := k.lanes != nil; wide != (r.Lanes > 0) {
				t.Errorf("%d places", r.Lanes)
			}
		})
	}
}

// TestSelfTestFindsLiars: kernels that lose, move or invent candidates.
func TestSelfTestFindsLiars(t *testing.T) {
	for _, c := range []struct {
		name string
		lie  func(out []sha256d.Candidate, n int) int
	}{
		{"deaf in one lane", func(out []sha256d.Candidate, n int) int {
			return len(slices.DeleteFunc(out[:n], func(c sha256d.Candidate) bool { return c == sha256d.Candidate{Slot: 2, Index: 4} }))
		}},
		{"off by one", func(out []sha256d.Candidate, n int) int {
			for i := range out[:n] {
				out[i].Index++
			}
			return n
		}},
		{"twice", func(out []sha256d.Candidate, n int) int {
			if n > 0 {
				out[n] = out[0]
				n++
			}
			return n
		}},
		{"inventing", func(out []sha256d.Candidate, n int) int {
			out[n] = sha256d.Candidate{}
			return n + 1
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exactKernel(c.lie).SelfTest(t.Context(), SelfTestOptions{Hits: 40}, nil); !errors.Is(err, ErrWrongHash) {
				t.Errorf("passed: %v", err)
			}
		})
	}
}

func TestSelfTestEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	cancel(reason)
	if _, err := exactKernel(nil).SelfTest(ctx, SelfTestOptions{}, nil); !errors.Is(err, reason) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := exactKernel(nil).SelfTest(t.Context(), SelfTestOptions{Hits: -1}, nil); err == nil {
		t.Error("took a negative number of hits")
	}
}

// TestChoiceRefusesLiars: what fails its check is never used, however quick.
func TestChoiceRefusesLiars(t *testing.T) {
	liar := Kernel{Name: "liar", lanes: func() (sha256d.Kernel, error) {
		k := newPlainLanes(4, 4, 16, false)
		k.lie = func([]sha256d.Candidate, int) int { return 0 }
		return k, nil
	}}
	lacking := Kernel{Name: "lacking", lanes: func() (sha256d.Kernel, error) { return nil, ErrNoInstructions }}
	portable, err := KernelByName("portable")
	if err != nil {
		t.Fatal(err)
	}
	c, err := chooseFrom([]Kernel{liar, lacking, portable})
	if err != nil {
		t.Fatal(err)
	}
	if c.Rolling.Kernel.Name != "portable" || c.Fixed.Kernel.Name != "portable" || len(c.Rated) != 1 {
		t.Errorf("chose %s and %s of %d", c.Rolling.Kernel.Name, c.Fixed.Kernel.Name, len(c.Rated))
	}
	if !errors.Is(c.Refused["liar"], ErrWrongHash) || !errors.Is(c.Refused["lacking"], ErrNoInstructions) {
		t.Errorf("refused: %v", c.Refused)
	}
	if _, err := chooseFrom([]Kernel{liar, lacking}); !errors.Is(err, ErrWrongHash) {
		t.Errorf("no kernel left: %v", err)
	}
}

// TestAutoTurnsToTheKernelThatSuits: one engine, two kernels.
func TestAutoTurnsToTheKernelThatSuits(t *testing.T) {
	c := Choice{
		Rolling: Rated{Kernel: Kernel{Name: "many", lanes: func() (sha256d.Kernel, error) { return newPlainLanes(32, 32, 8, false), nil }}},
		Fixed:   Rated{Kernel: Kernel{Name: "one", lanes: func() (sha256d.Kernel, error) { return newPlainLanes(1, 1, 64, false), nil }}},
	}
	k := c.kernel()
	if k.Name != AutoKernel {
		t.Fatalf("kernel %s", k.Name)
	}
	e, err := k.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(e); err != nil {
		t.Error(err)
	}
	for _, rolls := range []uint32{1, 40, 2, 100} {
		w := smallWork(rolls, 50)
		verify(t, e, &w, 3)
		auto := e.(*autoEngine)
		if many := auto.Engine == auto.rolling; many != (rolls >= manyVersions) {
			t.Errorf("%d versions: rolling %v", rolls, many)
		}
	}
	c.Fixed = c.Rolling
	if k := c.kernel(); k.Name != "many" {
		t.Errorf("one kernel for all work is %s", k.Name)
	}
}
