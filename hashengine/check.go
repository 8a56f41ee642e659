// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"fmt"
)

// ErrWrongHash is wrapped by [Check]: the engine does not compute SHA-256d.
var ErrWrongHash = errors.New("engine does not compute double SHA-256 correctly on this machine")

// knownBlock is a block of the main chain.
type knownBlock struct {
	height            int
	version           uint32
	prev, merkle      string
	time, bits, nonce uint32
	hash              string
}

var knownBlocks = []knownBlock{
	{
		0, 1,
		"0000000000000000000000000000000000000000000000000000000000000000",
		"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
		1231006505, 0x1d00ffff, 2083236893,
		"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
	},
	{
		1, 1,
		"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
		"0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098",
		1231469665, 0x1d00ffff, 2573394689,
		"00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048",
	},
	{
		125552, 1,
		"00000000000008a3a41b85b8b29ad444def299fee21793cd8b9e567eab02cd81",
		"2b12fcf1b09288fcaff797d71e950e71ae42b91e8bdb2304758dfcffc2b620e3",
		1305998791, 0x1a44b9f2, 2504433986,
		"00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d",
	},
}

// header returns the block's header.
func (b *knownBlock) header() Header {
	var h Header
	h.SetVersion(b.version)
	h.SetPrevHash(mustHash(b.prev))
	h.SetMerkleRoot(mustHash(b.merkle))
	h.SetTime(b.time)
	h.SetBits(b.bits)
	h.SetNonce(b.nonce)
	return h
}

// mustHash parses the hashes of the table above.
func mustHash(text string) Hash {
	h, err := ParseHash(text)
	if err != nil {
		panic(err)
	}
	return h
}

// Check tests an engine with known answers: blocks of the main chain, which
// must be found among their neighbours, and spaces with many hits, which must
// be exactly those of plain code. It takes a few milliseconds at most, replaces
// the engine's work and leaves the engine without any. Run it once per engine
// before trusting it with work: a kernel may be wrong on one model of processor
// only. [NewMiner] does.
func Check(e Engine) error {
	const around = 50
	for i := range knownBlocks {
		b := &knownBlocks[i]
		header := b.header()
		target, err := TargetFromBits(b.bits)
		if err != nil {
			return fmt.Errorf("checking block %d: %w", b.height, err)
		}
		work := NewWork(header, VersionRollingMask, target)
		work.LastRoll = 4
		work.FirstNonce, work.LastNonce = b.nonce-around, b.nonce+around
		if err := checkSpace(e, &work); err != nil {
			return fmt.Errorf("checking block %d: %w", b.height, err)
		}
	}
	// One hash in sixteen, off and on the ends of the nonce range, with an
	// odd number of versions, so that every lane of a wide kernel has hits.
	header := knownBlocks[2].header()
	dense := NewWork(header, VersionRollingMask, Target{0: 0x0f, 1: 0xff})
	dense.FirstRoll, dense.LastRoll = 3, 9
	dense.FirstNonce, dense.LastNonce = 0, 150
	if err := checkSpace(e, &dense); err != nil {
		return fmt.Errorf("checking the lowest nonces: %w", err)
	}
	dense.FirstNonce, dense.LastNonce = ^uint32(0)-100, ^uint32(0)
	if err := checkSpace(e, &dense); err != nil {
		return fmt.Errorf("checking the highest nonces: %w", err)
	}
	return nil
}

// checkSpace scans the work and compares what is found with plain code.
func checkSpace(e Engine, work *Work) error {
	_, err := compareSpace(e, work, plainSearch(work))
	return err
}

// plainSearch returns the hits of plain code in the work.
func plainSearch(work *Work) map[Header]Hash {
	want := make(map[Header]Hash)
	header := work.Header
	for seconds := uint64(0); seconds <= uint64(work.TimeRolls); seconds++ {
		header.SetTime(work.Header.Time() + uint32(seconds))
		for roll := uint64(work.FirstRoll); roll <= uint64(work.LastRoll); roll++ {
			header.SetVersion(work.Version(uint32(roll)))
			for nonce := uint64(work.FirstNonce); nonce <= uint64(work.LastNonce); nonce++ {
				header.SetNonce(uint32(nonce))
				if hash := header.Hash(); work.Target.Met(&hash) {
					want[header] = hash
				}
			}
		}
	}
	return want
}

// compareSpace scans the work, compares what is found with want, which it uses
// up, and returns how many hashes the engine counted.
func compareSpace(e Engine, work *Work, want map[Header]Hash) (hashes uint64, err error) {
	if err := e.Load(work); err != nil {
		return 0, err
	}
	var hits [3]Hit
	for done := false; !done; {
		r := e.Scan(hits[:])
		hashes += r.Hashes
		done = r.Done
		if r.Faults > 0 {
			return hashes, fmt.Errorf("%w: %d candidates refuted by plain code", ErrWrongHash, r.Faults)
		}
		if r.Hashes == 0 && r.Hits == 0 && !done {
			return hashes, fmt.Errorf("%w: a call made no progress", ErrWrongHash)
		}
		for _, hit := range hits[:r.Hits] {
			if hash, ok := want[hit.Header]; !ok || hash != hit.Hash {
				return hashes, fmt.Errorf("%w: version %08x nonce %d reported twice or wrongly", ErrWrongHash, hit.Header.Version(), hit.Header.Nonce())
			}
			delete(want, hit.Header)
		}
		if hashes > work.Space() {
			break
		}
	}
	if len(want) > 0 {
		return hashes, fmt.Errorf("%w: %d hits of plain code were not found", ErrWrongHash, len(want))
	}
	if hashes != work.Space() {
		return hashes, fmt.Errorf("%w: counted %d hashes in a space of %d", ErrWrongHash, hashes, work.Space())
	}
	return hashes, nil
}
