// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ballast-energy/ballast/hashengine/internal/sha256d"
)

// DefaultSelfTestHits is the number of hits that [Kernel.SelfTest] plants.
const DefaultSelfTestHits = 10_000

// SelfTestOptions describe a self-test.
type SelfTestOptions struct {
	// Hits is the number of hits to plant; 0 means [DefaultSelfTestHits].
	Hits int
	// Seed of the random headers, places and targets. The same seed makes the
	// same test.
	Seed uint64
}

// SelfTestReport says what a self-test did.
type SelfTestReport struct {
	// Kernel is the kernel's name.
	Kernel string `json:"kernel"`
	// Blocks is the number of blocks of the main chain that were found.
	Blocks int `json:"blocks"`
	// Planted is the number of hits that were planted, Found of those that
	// were found at their places. Nothing else was found.
	Planted int `json:"planted"`
	Found   int `json:"found"`
	// Hashes is the number of hashes that were compared with plain code.
	Hashes uint64 `json:"hashes"`
	// Lanes is the number of different places in a tile at which hits were
	// found, counted as version slot × nonce, and LanesOf how many places the
	// tiles have; both 0 for kernels that compute one hash at a time.
	Lanes   int `json:"lanes"`
	LanesOf int `json:"lanes_of"`
}

// SelfTest tests the kernel far more thoroughly than [Check]: known blocks of
// the main chain at every place of a tile, so in every lane and with the whole
// comparison of a real target, and random headers with hits planted at random
// places and at every edge, each of which must be found, exactly once, and
// nothing else. progress, if not nil, is called now and then.
//
// It returns an error that wraps [ErrWrongHash] if the kernel fails,
// [ErrNoInstructions] if it cannot run here, or the context's cause. A kernel
// that fails must not be used, and [Choose] would refuse it.
func (k Kernel) SelfTest(ctx context.Context, o SelfTestOptions, progress func(done, of int)) (SelfTestReport, error) {
	if o.Hits == 0 {
		o.Hits = DefaultSelfTestHits
	}
	if o.Hits < 0 {
		return SelfTestReport{Kernel: k.Name}, fmt.Errorf("self-test: %d hits to plant: want 1 or more, or 0 for %d", o.Hits, DefaultSelfTestHits)
	}
	if progress == nil {
		progress = func(int, int) {}
	}
	t := selfTest{report: SelfTestReport{Kernel: k.Name}, random: rand.New(rand.NewPCG(o.Seed, 0))}
	engine, err := k.New()
	if err != nil {
		return t.report, err
	}
	steps := []func() error{func() error { return t.blocks(ctx, engine) }}
	if k.lanes != nil {
		bare, err := k.lanes()
		if err != nil {
			return t.report, fmt.Errorf("kernel %s: %w", k.Name, err)
		}
		steps = append(steps,
			func() error { return t.blockInEveryLane(ctx, bare) },
			func() error { return t.plantInTiles(ctx, bare, o.Hits/2, func(done int) { progress(done, o.Hits) }) },
		)
	}
	steps = append(steps, func() error {
		return t.plantInWork(ctx, engine, o.Hits, func(done int) { progress(done, o.Hits) })
	})
	for _, step := range steps {
		if err := step(); err != nil {
			return t.report, fmt.Errorf("kernel %s: self-test: %w", k.Name, err)
		}
	}
	t.report.Lanes = len(t.places)
	progress(o.Hits, o.Hits)
	return t.report, nil
}

// selfTest is one under way.
type selfTest struct {
	report SelfTestReport
	random *rand.Rand
	places map[sha256d.Candidate]struct{}
}

// blocks finds known blocks as a miner would.
func (t *selfTest) blocks(ctx context.Context, e Engine) error {
	if err := Check(e); err != nil {
		return err
	}
	for i := range knownBlocks {
		b := &knownBlocks[i]
		target, err := TargetFromBits(b.bits)
		if err != nil {
			return err
		}
		work := NewWork(b.header(), 0, target)
		work.FirstNonce, work.LastNonce = b.nonce-100_000, b.nonce+100_000
		var found []Hit
		n, err := Search(ctx, e, &work, func(h Hit) bool { found = append(found, h); return true })
		if err != nil {
			return err
		}
		if len(found) != 1 || found[0].Header != b.header() || n != work.Space() {
			return fmt.Errorf("%w: block %d: found %d headers among %d", ErrWrongHash, b.height, len(found), n)
		}
		t.report.Blocks++
	}
	return nil
}

// blockInEveryLane moves known blocks through every place of a tile: their
// hashes begin with 32 zero bits and more, so the kernel compares what it
// compares when it mines. The other slots hold other versions.
func (t *selfTest) blockInEveryLane(ctx context.Context, k sha256d.Kernel) error {
	t.places = make(map[sha256d.Candidate]struct{})
	slots := k.Slots()
	perTile, nonces := k.Shape(slots)
	t.report.LanesOf = perTile * nonces
	out := make([]sha256d.Candidate, sha256d.MaxTile)
	for i := range knownBlocks {
		b := &knownBlocks[i]
		if bound := k.SetTarget(0); bound != 0 {
			return fmt.Errorf("%w: a target of zero in the top word is compared with %08x", ErrWrongHash, bound)
		}
		for slot := range perTile {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			for s := range perTile {
				header := b.header()
				if s != slot {
					header.SetVersion(header.Version() + uint32(s+1)<<13)
				}
				mid, tail := midstate(&header)
				k.SetSlot(s, &mid, &tail)
			}
			for index := range nonces {
				first := b.nonce - uint32(index)
				n := k.Scan(0, perTile, first, nonces, out)
				want := sha256d.Candidate{Slot: uint16(slot), Index: uint16(index)}
				if n != 1 || out[0] != want {
					return fmt.Errorf("%w: block %d at slot %d, nonce %d of a tile: found %v", ErrWrongHash, b.height, slot, index, out[:n])
				}
				t.places[want] = struct{}{}
			}
		}
	}
	return nil
}

// midstate returns the state behind the header's first block and the beginning
// of its second.
func midstate(h *Header) (mid sha256d.State, tail sha256d.Tail) {
	var w sha256d.Schedule
	for i := range 16 {
		w[i] = binary.BigEndian.Uint32(h[4*i:])
	}
	mid = sha256d.IV
	mid.Compress(&w)
	for i := range tail {
		tail[i] = binary.BigEndian.Uint32(h[64+4*i:])
	}
	return mid, tail
}

// randomHeader fills a header with noise.
func (t *selfTest) randomHeader() Header {
	var h Header
	for i := 0; i < len(h); i += 4 {
		binary.LittleEndian.PutUint32(h[i:], t.random.Uint32())
	}
	return h
}

// plantInTiles makes random places of random tiles hits, by asking for the
// very hash that lies there, all of its top 32 bits.
func (t *selfTest) plantInTiles(ctx context.Context, k sha256d.Kernel, hits int, progress func(done int)) error {
	exact, ok := k.(sha256d.Exact)
	if !ok {
		return nil // it compares with an order, as plantInWork does
	}
	slots := k.Slots()
	perTile, nonces := k.Shape(slots)
	mids := make([]sha256d.State, slots)
	out := make([]sha256d.Candidate, sha256d.MaxTile)
	for i := range hits {
		if i%64 == 0 {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			progress(i)
		}
		header := t.randomHeader()
		slot := t.random.IntN(slots - perTile + 1)
		var tail sha256d.Tail
		for s := range perTile {
			header.SetVersion(t.random.Uint32())
			mids[s], tail = midstate(&header)
			k.SetSlot(slot+s, &mids[s], &tail)
		}
		want := sha256d.Candidate{Slot: uint16(t.random.IntN(perTile)), Index: uint16(t.random.IntN(nonces))}
		first := uint32(t.random.Uint64N(1<<32 - uint64(nonces) + 1))
		exact.SetExact(sha256d.Top(&mids[want.Slot], &tail, first+uint32(want.Index)))
		t.report.Planted++
		n := k.Scan(slot, perTile, first, nonces, out)
		t.report.Hashes += uint64(perTile) * uint64(nonces)
		if n != 1 || out[0] != want {
			return fmt.Errorf("%w: hit planted at slot %d, nonce %d of a tile: found %v", ErrWrongHash, want.Slot, want.Index, out[:n])
		}
		t.report.Found++
		t.places[want] = struct{}{}
	}
	return nil
}

// lowTarget returns one of the eight lowest hashes of the work's space.
func (t *selfTest) lowTarget(work *Work) Target {
	all := plainSearch(work)
	targets := make([]Target, 0, len(all))
	for _, hash := range all {
		var target Target
		for i, b := range hash {
			target[len(hash)-1-i] = b
		}
		targets = append(targets, target)
	}
	slices.SortFunc(targets, func(a, b Target) int { return bytes.Compare(a[:], b[:]) })
	return targets[t.random.IntN(min(8, len(targets)))]
}

// plantInWork makes the elements of random work with the lowest hashes hits,
// by choosing their hashes for targets, until hits are planted. The whole
// space is compared with plain code.
func (t *selfTest) plantInWork(ctx context.Context, e Engine, hits int, progress func(done int)) error {
	for t.report.Planted < hits {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		progress(t.report.Planted)
		work := NewWork(t.randomHeader(), 0, MaxTarget)
		if t.random.IntN(2) == 0 {
			work.VersionMask = VersionRollingMask
			work.FirstRoll = t.random.Uint32N(1 << 16)
			work.LastRoll = min(work.FirstRoll+t.random.Uint32N(9), 1<<16-1)
		}
		nonces := 1 + t.random.Uint32N(300)
		work.FirstNonce = uint32(t.random.Uint64N(1<<32 - uint64(nonces) + 1))
		switch t.random.IntN(8) {
		case 0:
			work.FirstNonce = 0
		case 1:
			work.FirstNonce = -nonces // up to the very last
		}
		work.LastNonce = work.FirstNonce + nonces - 1
		// The target is one of the lowest hashes of the space, so that hits
		// are few and one lies exactly on it.
		work.Target = t.lowTarget(&work)
		want := plainSearch(&work)
		t.report.Planted += len(want)
		n, err := compareSpace(e, &work, want)
		t.report.Hashes += n
		if err != nil {
			return err
		}
		t.report.Found = t.report.Planted
	}
	return nil
}
