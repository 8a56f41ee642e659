// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"math"
	"math/bits"
	"testing"
)

func TestWorkValidate(t *testing.T) {
	header := knownBlocks[1].header()
	for _, c := range []struct {
		name   string
		change func(*Work)
		space  uint64
		err    error
	}{
		{"whole space", func(*Work) {}, 1 << 48, nil},
		{"no rolling", func(w *Work) { w.VersionMask, w.LastRoll = 0, 0 }, 1 << 32, nil},
		{"all version bits", func(w *Work) { w.VersionMask, w.LastRoll = math.MaxUint32, math.MaxUint32 }, math.MaxUint64, nil},
		{"target of all ones", func(w *Work) { w.Target = MaxTarget }, 1 << 48, nil},
		{"smallest target", func(w *Work) { w.Target = Target{31: 1} }, 1 << 48, nil},
		{"one nonce, one version", func(w *Work) { w.FirstNonce, w.LastNonce, w.LastRoll = 7, 7, 0 }, 1, nil},
		{"the last nonce", func(w *Work) { w.FirstNonce, w.LastRoll = math.MaxUint32, 0 }, 1, nil},
		{"the last roll", func(w *Work) { w.FirstRoll = 0xffff }, 1 << 32, nil},
		{"ten minutes", func(w *Work) { w.TimeRolls = 599 }, 600 << 48, nil},
		{"up to the last time", func(w *Work) { w.TimeRolls = math.MaxUint32 - w.Header.Time() }, math.MaxUint64, nil},

		{"zero work", func(w *Work) { *w = Work{} }, 1, ErrTargetZero},
		{"target zero", func(w *Work) { w.Target = Target{} }, 1 << 48, ErrTargetZero},
		{"nonces wrap around", func(w *Work) { w.FirstNonce, w.LastNonce = math.MaxUint32, 0 }, 0, ErrEmptyRange},
		{"rolls wrap around", func(w *Work) { w.FirstRoll, w.LastRoll = 2, 1 }, 0, ErrEmptyRange},
		{"roll without a mask", func(w *Work) { w.VersionMask, w.LastRoll = 0, 1 }, 0, ErrRollRange},
		{"times beyond the end", func(w *Work) { w.Header.SetTime(math.MaxUint32); w.TimeRolls = 1 }, 0, ErrTimeRange},
		{"roll beyond the mask", func(w *Work) { w.LastRoll = 1 << 16 }, 0, ErrRollRange},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := NewWork(header, VersionRollingMask, blockTarget(t, &knownBlocks[1]))
			c.change(&w)
			if err := w.Validate(); !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if c.err == nil && w.Space() != c.space {
				t.Errorf("space %d, want %d", w.Space(), c.space)
			}
			eachKernel(t, func(t *testing.T, e Engine) {
				good := smallWork(1, 1)
				if err := e.Load(&good); err != nil {
					t.Fatal(err)
				}
				if err := e.Load(&w); !errors.Is(err, c.err) {
					t.Fatalf("load: error %v, want %v", err, c.err)
				}
				if r := e.Scan(make([]Hit, 1)); c.err != nil && r != (Result{Done: true}) {
					t.Errorf("scan after refused work: %+v", r)
				}
			})
		})
	}
}

func TestVersionRolls(t *testing.T) {
	for _, mask := range []uint32{0, 1, 0x80000000, VersionRollingMask & 0xf000f000, 0x00a05003, 0x1000e001} {
		w := NewWork(Header{}, mask, MaxTarget)
		for _, version := range []uint32{0, 0x20000000, 0xffffffff, 0x2aaaa555} {
			w.Header.SetVersion(version)
			if w.Version(0) != version {
				t.Errorf("mask %08x: roll 0 is %08x, not the template's %08x", mask, w.Version(0), version)
			}
			seen := make(map[uint32]bool)
			for roll := uint64(0); roll <= uint64(w.LastRoll); roll++ {
				v := w.Version(uint32(roll))
				if v&^mask != version&^mask {
					t.Fatalf("mask %08x: roll %d changes bits outside: %08x", mask, roll, v)
				}
				seen[v] = true
			}
			if len(seen) != 1<<bits.OnesCount32(mask) {
				t.Errorf("mask %08x: %d different versions", mask, len(seen))
			}
		}
	}
}

func TestSplit(t *testing.T) {
	for _, rolls := range []uint32{1, 2, 3, 7, 16} {
		for _, nonces := range []uint32{1, 2, 3, 10, 101} {
			for _, n := range []int{1, 2, 3, 4, 8, 13, 500} {
				w := smallWork(rolls, nonces)
				w.FirstRoll++
				w.LastRoll++
				w.Tag = "tag"
				pieces := w.Split(n)
				if len(pieces) == 0 || len(pieces) > n {
					t.Fatalf("%d×%d into %d: %d pieces", rolls, nonces, n, len(pieces))
				}
				if rolls >= uint32(n) || nonces >= uint32(n) {
					if len(pieces) != n {
						t.Errorf("%d×%d into %d: only %d pieces", rolls, nonces, n, len(pieces))
					}
				}
				type place struct{ roll, nonce uint32 }
				seen := make(map[place]bool)
				least, most := uint64(math.MaxUint64), uint64(0)
				for _, p := range pieces {
					if err := p.Validate(); err != nil {
						t.Fatal(err)
					}
					if p.Header != w.Header || p.Target != w.Target || p.VersionMask != w.VersionMask || p.Tag != w.Tag {
						t.Fatal("a piece is of other work")
					}
					least, most = min(least, p.Space()), max(most, p.Space())
					for roll := p.FirstRoll; roll <= p.LastRoll; roll++ {
						for nonce := p.FirstNonce; nonce <= p.LastNonce; nonce++ {
							if seen[place{roll, nonce}] {
								t.Fatalf("%d×%d into %d: overlap", rolls, nonces, n)
							}
							seen[place{roll, nonce}] = true
						}
					}
				}
				if uint64(len(seen)) != w.Space() {
					t.Errorf("%d×%d into %d: %d of %d elements", rolls, nonces, n, len(seen), w.Space())
				}
				if most > 2*least {
					t.Errorf("%d×%d into %d: pieces of %d and %d", rolls, nonces, n, least, most)
				}
			}
		}
	}
	for _, n := range []int{1, 2, 3, 7, 30, 100} {
		w := smallWork(3, 2)
		w.TimeRolls = 4
		type place struct{ time, roll, nonce uint32 }
		seen := make(map[place]bool)
		pieces := w.Split(n)
		for _, p := range pieces {
			for seconds := uint32(0); seconds <= p.TimeRolls; seconds++ {
				for roll := p.FirstRoll; roll <= p.LastRoll; roll++ {
					for nonce := p.FirstNonce; nonce <= p.LastNonce; nonce++ {
						at := place{p.Header.Time() + seconds, roll, nonce}
						if seen[at] || at.time < w.Header.Time() || at.time > w.Header.Time()+4 {
							t.Fatalf("3×2×5 into %d: overlap or outside at %+v", n, at)
						}
						seen[at] = true
					}
				}
			}
		}
		if uint64(len(seen)) != w.Space() || len(pieces) > n || n >= 30 && len(pieces) != 30 {
			t.Errorf("3×2×5 into %d: %d of %d elements in %d pieces", n, len(seen), w.Space(), len(pieces))
		}
	}
	whole := NewWork(Header{}, math.MaxUint32, MaxTarget)
	if whole.Split(0) != nil || whole.Split(-1) != nil {
		t.Error("split into less than one piece gave some")
	}
	pieces := whole.Split(3)
	var nonces uint64
	for _, p := range pieces {
		nonces += p.Nonces()
	}
	if len(pieces) != 3 || nonces != 1<<32 || pieces[2].LastNonce != math.MaxUint32 {
		t.Errorf("the whole space splits into %d pieces of %d nonces", len(pieces), nonces)
	}
}
