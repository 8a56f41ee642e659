// SPDX-License-Identifier: Apache-2.0

package job

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
)

// Template is a job decoded.
type Template struct {
	// Version of the header, and VersionMask of the bits that may be rolled.
	Version, VersionMask uint32
	// PrevHash of the header.
	PrevHash hashengine.Hash
	// NTime of the header, Unix seconds.
	NTime uint32
	// Bits is the compact network target, NetworkTarget the same expanded.
	Bits          uint32
	NetworkTarget hashengine.Target
	// ShareTarget that a share must meet.
	ShareTarget hashengine.Target
	// ExtranonceBytes that the agent chooses.
	ExtranonceBytes int

	before, after []byte // of the coinbase, around the agent's extranonce
	branches      []hashengine.Hash
}

// Parse decodes a job. The error names the field at fault.
func Parse(w *events.WorkAssigned) (*Template, error) {
	t := &Template{ExtranonceBytes: w.ExtranonceBytes}
	var err error
	fail := func(field string, err error) (*Template, error) {
		return nil, fmt.Errorf("job %s: %s: %w", w.JobID, field, err)
	}
	for _, f := range []struct {
		name, text string
		to         *uint32
	}{{"version", w.Version, &t.Version}, {"version_mask", w.VersionMask, &t.VersionMask}, {"nbits", w.NBits, &t.Bits}} {
		if *f.to, err = Word(f.text); err != nil {
			return fail(f.name, err)
		}
	}
	if t.PrevHash, err = wireHash(w.PrevHash); err != nil {
		return fail("prev_hash", err)
	}
	if w.NTime < 0 || w.NTime > 1<<32-1 {
		return fail("ntime", fmt.Errorf("%d does not fit into a header", w.NTime))
	}
	t.NTime = uint32(w.NTime)
	if t.NetworkTarget, err = hashengine.TargetFromBits(t.Bits); err != nil {
		return fail("nbits", err)
	}
	if t.ShareTarget, err = hashengine.TargetFromDifficultyText(w.ShareDifficulty); err != nil {
		return fail("share_difficulty", err)
	}
	for _, f := range []struct {
		name, text string
		to         *[]byte
	}{{"coinbase1", w.Coinbase1, &t.before}, {"extranonce_prefix", w.ExtranoncePrefix, &t.before}, {"coinbase2", w.Coinbase2, &t.after}} {
		b, err := hex.DecodeString(f.text)
		if err != nil {
			return fail(f.name, err)
		}
		*f.to = append(*f.to, b...)
	}
	if t.ExtranonceBytes < 0 || t.ExtranonceBytes > 32 {
		return fail("extranonce_bytes", fmt.Errorf("%d is outside 0 to 32", t.ExtranonceBytes))
	}
	for i, text := range w.MerkleBranches {
		h, err := wireHash(text)
		if err != nil {
			return fail(fmt.Sprintf("merkle_branches[%d]", i), err)
		}
		t.branches = append(t.branches, h)
	}
	return t, nil
}

// Coinbase is the coinbase transaction under the agent's extranonce.
func (t *Template) Coinbase(extranonce []byte) ([]byte, error) {
	if len(extranonce) != t.ExtranonceBytes {
		return nil, fmt.Errorf("extranonce of %d bytes: the job asks for %d", len(extranonce), t.ExtranonceBytes)
	}
	b := make([]byte, 0, len(t.before)+len(extranonce)+len(t.after))
	b = append(b, t.before...)
	b = append(b, extranonce...)
	return append(b, t.after...), nil
}

// Header is the block header under the agent's extranonce, with the job's own
// version and time and nonce 0.
func (t *Template) Header(extranonce []byte) (hashengine.Header, error) {
	var h hashengine.Header
	coinbase, err := t.Coinbase(extranonce)
	if err != nil {
		return h, err
	}
	root := hashengine.DoubleSHA256(coinbase)
	var pair [64]byte
	for _, b := range t.branches {
		copy(pair[:32], root[:])
		copy(pair[32:], b[:])
		root = hashengine.DoubleSHA256(pair[:])
	}
	h.SetVersion(t.Version)
	h.SetPrevHash(t.PrevHash)
	h.SetMerkleRoot(root)
	h.SetTime(t.NTime)
	h.SetBits(t.Bits)
	return h, nil
}

// Word reads 8 hex digits as a number, the most significant first.
func Word(text string) (uint32, error) {
	if len(text) != 8 {
		return 0, fmt.Errorf("%q: want 8 hex digits", text)
	}
	v, err := strconv.ParseUint(text, 16, 32)
	return uint32(v), err
}

// WordText is the inverse of Word.
func WordText(v uint32) string { return fmt.Sprintf("%08x", v) }

// wireHash reads a hash in internal byte order.
func wireHash(text string) (h hashengine.Hash, err error) {
	if len(text) != 2*len(h) {
		return h, fmt.Errorf("%d hex digits, want %d", len(text), 2*len(h))
	}
	_, err = hex.Decode(h[:], []byte(text))
	return h, err
}
