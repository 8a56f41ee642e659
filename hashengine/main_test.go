// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachKernel runs a test on a new engine of every kernel that runs here, and
// on what drives the wide ones over plain code.
func eachKernel(t *testing.T, test func(t *testing.T, e Engine)) {
	t.Helper()
	for _, k := range slices.Concat(Kernels(), plainEngines) {
		t.Run(k.Name, func(t *testing.T) {
			e, err := k.New()
			if errors.Is(err, ErrNoInstructions) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			test(t, e)
		})
	}
}

// blockTarget returns the target of a known block.
func blockTarget(t testing.TB, b *knownBlock) Target {
	t.Helper()
	target, err := TargetFromBits(b.bits)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// smallWork returns work over the given numbers of versions and nonces in
// which one hash in sixteen is a hit.
func smallWork(rolls, nonces uint32) Work {
	w := NewWork(knownBlocks[2].header(), VersionRollingMask, Target{0: 0x0f, 1: 0xff})
	w.LastRoll = rolls - 1
	w.FirstNonce, w.LastNonce = 1000, 1000+nonces-1
	return w
}

// plainHits returns what plain code finds in the work.
func plainHits(w *Work) map[Header]Hash {
	found := make(map[Header]Hash)
	h := w.Header
	for seconds := uint64(0); seconds <= uint64(w.TimeRolls); seconds++ {
		h.SetTime(w.Header.Time() + uint32(seconds))
		for roll := uint64(w.FirstRoll); roll <= uint64(w.LastRoll); roll++ {
			h.SetVersion(w.Version(uint32(roll)))
			for nonce := uint64(w.FirstNonce); nonce <= uint64(w.LastNonce); nonce++ {
				h.SetNonce(uint32(nonce))
				if hash := DoubleSHA256(h[:]); w.Target.Int().Cmp(littleEndian(hash)) >= 0 {
					found[h] = hash
				}
			}
		}
	}
	return found
}
