// SPDX-License-Identifier: Apache-2.0

package decider

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
)

// ErrSnapshot is returned for a snapshot that cannot be used: damaged, or of
// another decider, version, configuration or site. Fold the journal instead.
var ErrSnapshot = errors.New("snapshot cannot be used")

// snapshotMagic opens every snapshot; the number rises with the layout.
const snapshotMagic = "ballast snapshot 1\n"

// maxSnapshotHeader bounds the header line, bytes.
const maxSnapshotHeader = 1 << 20

// Header of a snapshot: where in the journal the state is true.
type Header struct {
	Site       string `json:"site"`
	Decider    string `json:"decider"`
	Version    string `json:"version"`
	ConfigHash string `json:"config_hash"`
	// Epoch and Sequence of the last message folded.
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	// Previous and Chain are the chain before and after that message: hash it
	// onto Previous and Chain must come out, or the journal is another one.
	Previous Digest `json:"previous"`
	Chain    Digest `json:"chain"`
	// StateHash of the decider, 16 hex digits.
	StateHash string `json:"state_hash"`
	// Counts, Origins, Tick, Active and Openings as the runner had them.
	Counts   Counts            `json:"counts"`
	Origins  map[string]uint64 `json:"origins"`
	Tick     int64             `json:"tick"`
	Active   *Activation       `json:"active,omitempty"`
	Openings []Opening         `json:"openings"`
	// Outputs are positions per output stream: everything that the causes
	// after Sequence gave is stored behind them.
	Outputs map[string]uint64 `json:"outputs"`
}

// MarshalText writes the digest as hex.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText reads 64 hex digits.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("digest of %d characters, want %d", len(b), hex.EncodedLen(len(d)))
	}
	_, err := hex.Decode(d[:], b)
	return err
}

// Snapshot returns the state of runner and decider, with outputs as positions
// in the output streams.
func (r *Runner) Snapshot(outputs map[string]uint64) ([]byte, error) {
	state, err := r.d.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("snapshot of %s/%s: %w", r.site, r.id.Name, err)
	}
	h := Header{
		Site: r.site, Decider: r.id.Name, Version: r.id.Version, ConfigHash: r.id.ConfigHash,
		Epoch: r.epoch, Sequence: r.sequence, Previous: r.chain.prev, Chain: r.chain.sum,
		StateHash: r.StateHash(), Counts: r.counts, Origins: r.origins, Tick: r.tick, Active: r.active,
		Openings: r.epochs.Openings(), Outputs: outputs,
	}
	line, err := json.Marshal(&h)
	if err != nil {
		return nil, fmt.Errorf("snapshot of %s/%s: %w", r.site, r.id.Name, err)
	}
	b := make([]byte, 0, len(snapshotMagic)+len(line)+1+len(state)+sha256.Size)
	b = append(b, snapshotMagic...)
	b = append(b, line...)
	b = append(b, '\n')
	b = append(b, state...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// ReadHeader checks the sum of a snapshot and returns its header and the state
// of the decider, which is a part of b.
func ReadHeader(b []byte) (*Header, []byte, error) {
	body := len(b) - sha256.Size
	if body < len(snapshotMagic) || !bytes.HasPrefix(b, []byte(snapshotMagic)) {
		return nil, nil, fmt.Errorf("%w: it does not begin with %q", ErrSnapshot, snapshotMagic)
	}
	if sum := sha256.Sum256(b[:body]); !bytes.Equal(sum[:], b[body:]) {
		return nil, nil, fmt.Errorf("%w: its checksum does not match", ErrSnapshot)
	}
	rest := b[len(snapshotMagic):body]
	end := bytes.IndexByte(rest, '\n')
	if end < 0 || end > maxSnapshotHeader {
		return nil, nil, fmt.Errorf("%w: no header", ErrSnapshot)
	}
	var h Header
	if err := json.Unmarshal(rest[:end], &h); err != nil {
		return nil, nil, fmt.Errorf("%w: header: %w", ErrSnapshot, err)
	}
	return &h, rest[end+1:], nil
}

// Restore takes a snapshot back. The runner must be fresh (NewRunner) and is
// unusable after an error. Whether the journal is the snapshot's is for the
// caller to ask: see Header.Follows.
func (r *Runner) Restore(b []byte) (*Header, error) {
	h, state, err := ReadHeader(b)
	if err != nil {
		return nil, err
	}
	if h.Site != r.site || h.Decider != r.id.Name || h.Version != r.id.Version || h.ConfigHash != r.id.ConfigHash {
		return nil, fmt.Errorf("%w: it is of %s/%s %s-%s, this is %s/%s %s-%s", ErrSnapshot,
			h.Site, h.Decider, h.Version, h.ConfigHash, r.site, r.id.Name, r.id.Version, r.id.ConfigHash)
	}
	if err := r.d.Restore(state); err != nil {
		return nil, fmt.Errorf("%w: state: %w", ErrSnapshot, err)
	}
	if got := r.StateHash(); got != h.StateHash {
		return nil, fmt.Errorf("%w: the state hash is %s after restoring, %s in the header", ErrSnapshot, got, h.StateHash)
	}
	for _, o := range h.Openings {
		r.epochs.Add(o)
	}
	r.sequence, r.epoch, r.counts, r.tick = h.Sequence, h.Epoch, h.Counts, h.Tick
	r.chain.prev, r.chain.sum = h.Previous, h.Chain
	if h.Active != nil {
		a := *h.Active
		r.active = &a
	}
	maps.Copy(r.origins, h.Origins)
	return h, nil
}

// Follows reports whether the journal that holds m, the message at h.Sequence,
// and has seen these openings is the one the snapshot was taken of.
func (h *Header) Follows(m *Raw, openings []Opening) bool {
	var e Epochs
	for _, o := range h.Openings {
		e.Add(o)
	}
	for _, o := range openings {
		e.Add(o)
	}
	if m.Sequence != h.Sequence || e.At(h.Sequence) != h.Epoch {
		return false
	}
	c := chain{sum: h.Previous}
	c.extend(h.Epoch, m)
	return c.sum == h.Chain
}
