// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"encoding/hex"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/job"
)

// MaxRoll is how far ahead of its job a share's time may be, seconds: what
// nodes take.
const MaxRoll = 7200

// Refusal is a judgement against a share.
type Refusal struct {
	// Reason code, and Detail in words.
	Reason events.RejectReason
	Detail string
	// Unknown: there is nothing to judge by; Reason is empty.
	Unknown bool
}

// Refuse makes a refusal with a reason.
func Refuse(r events.RejectReason, format string, args ...any) *Refusal {
	return &Refusal{Reason: r, Detail: fmt.Sprintf(format, args...)}
}

// Match finds what speaks against a share before it is computed: whose job it
// is, real and modelled never mixed, the difficulty.
func (j *Job) Match(agent string, s *events.ShareFound) *Refusal {
	modelled := j.Work.Payout.Basis == events.BasisModelled
	switch {
	case j.Agent != agent:
		return Refuse(events.RejectInvalid, "the job is another agent's")
	case s.Modelled && !modelled:
		return Refuse(events.RejectInvalid, "a modelled share for a real job")
	case !s.Modelled && modelled:
		return Refuse(events.RejectInvalid, "a real share for a modelled job")
	case s.Difficulty != j.Work.ShareDifficulty:
		return Refuse(events.RejectInvalid, "difficulty %s claimed, the job's is %s", s.Difficulty, j.Work.ShareDifficulty)
	}
	return nil
}

// Solved is a real share computed again.
type Solved struct {
	// Header complete, and its Hash, which is the share's id.
	Header hashengine.Header
	Hash   hashengine.Hash
	// Extranonce that the agent chose.
	Extranonce []byte
	// Share: the hash meets the job's share difficulty. Block: it meets the
	// network's target.
	Share, Block bool
}

// Solve computes the header of a real share. It refuses one whose header is
// not what the job allows or does not hash to the share's id; whether the hash
// is low enough for anything is in Solved.
func (j *Job) Solve(s *events.ShareFound) (*Solved, *Refusal) {
	t, err := j.Template()
	if err != nil {
		return nil, Refuse(events.RejectInvalid, "the job itself is invalid: %v", err)
	}
	header, extranonce, err := solution(t, s)
	if err != nil {
		return nil, Refuse(events.RejectInvalid, "%v", err)
	}
	hash := header.Hash()
	if hash.String() != s.ShareID {
		return nil, Refuse(events.RejectInvalid, "the header hashes to %s", hash)
	}
	return &Solved{
		Header: header, Hash: hash, Extranonce: extranonce,
		Share: t.ShareTarget.Met(&hash), Block: t.NetworkTarget.Met(&hash),
	}, nil
}

// Low is the refusal of a share that does not meet its job's difficulty.
func (j *Job) Low(h hashengine.Hash) *Refusal {
	return Refuse(events.RejectLow, "hash %s does not meet difficulty %s", h, j.Work.ShareDifficulty)
}

// Solution rebuilds the header of a share.
func Solution(t *job.Template, s *events.ShareFound) (hashengine.Header, error) {
	h, _, err := solution(t, s)
	return h, err
}

func solution(t *job.Template, s *events.ShareFound) (none hashengine.Header, extranonce []byte, err error) {
	extranonce, err = hex.DecodeString(s.Extranonce)
	if err != nil {
		return none, nil, fmt.Errorf("extranonce: %w", err)
	}
	h, err := t.Header(extranonce)
	if err != nil {
		return none, nil, err
	}
	version, err := job.Word(s.Version)
	if err != nil {
		return none, nil, fmt.Errorf("version: %w", err)
	}
	if (version^t.Version)&^t.VersionMask != 0 {
		return none, nil, fmt.Errorf("version %08x changes bits outside the mask %08x", version, t.VersionMask)
	}
	nonce, err := job.Word(s.Nonce)
	if err != nil {
		return none, nil, fmt.Errorf("nonce: %w", err)
	}
	if s.NTime < int64(t.NTime) || s.NTime > int64(t.NTime)+MaxRoll || s.NTime > 1<<32-1 {
		return none, nil, fmt.Errorf("ntime %d is outside %d to %d", s.NTime, t.NTime, int64(t.NTime)+MaxRoll)
	}
	h.SetVersion(version)
	h.SetTime(uint32(s.NTime))
	h.SetNonce(nonce)
	return h, extranonce, nil
}

// Read decodes a share with its place in the stream.
func Read(m jetstream.Msg) (*events.Event, error) {
	e, err := events.Decode(m.Subject(), m.Headers(), m.Data())
	if err != nil {
		return nil, err
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("place of share %s: %w", e.ID, err)
	}
	e.Stream, e.Sequence, e.Arrived = meta.Stream, meta.Sequence.Stream, meta.Timestamp
	return e, nil
}
