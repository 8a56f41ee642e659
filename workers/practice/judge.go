// SPDX-License-Identifier: Apache-2.0

package practice

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/job"
)

// maxRoll is how far ahead of its job a share's time may be, seconds.
const maxRoll = 7200

// verdict is the judgement of one share.
type verdict struct {
	event *events.Event
	// block that the share solves, when it does.
	block *hashengine.Hash
	// height of that block.
	height int64
}

// refusal is a judgement against a share.
type refusal struct {
	reason events.RejectReason
	detail string
	// unknown: there is nothing to judge by.
	unknown bool
}

// judge decides about a share found at a place in SHARES. The chain is not
// changed; height is that of its tip, with the blocks of shares judged just
// before.
func (p *Pool) judge(found *events.Event, height int64) verdict {
	s := found.Data.(*events.ShareFound)
	now := p.cfg.Now().UTC()
	id := s.ShareID + "/verdict"
	issued, hash, no := p.examine(found, s, height)
	if no != nil && no.reason == events.RejectDuplicate {
		// The first of its kind has the plain id.
		id += "/" + strconv.FormatUint(found.Sequence, 10)
	}
	basis := events.BasisPractice
	if s.Modelled {
		basis = events.BasisModelled
	}
	var v verdict
	var data events.Payload
	switch {
	case no == nil:
		a := &events.ShareAccepted{
			ShareID: s.ShareID, JobID: s.JobID, Agent: found.Source, Unit: s.Unit,
			Difficulty: issued.work.ShareDifficulty, Payout: issued.work.Payout, JudgedAt: now,
		}
		// A hash comes from the decoded template.
		if hash != nil && issued.template.NetworkTarget.Met(hash) {
			a.Block = true
			v.block, v.height = hash, issued.work.Height
		}
		data = a
	case no.unknown:
		data = &events.ShareUnknown{
			ShareID: s.ShareID, JobID: s.JobID, Agent: found.Source, Unit: s.Unit,
			Difficulty: s.Difficulty, Detail: no.detail, Basis: basis, JudgedAt: now,
		}
	default:
		data = &events.ShareRejected{
			ShareID: s.ShareID, JobID: s.JobID, Agent: found.Source, Unit: s.Unit,
			Difficulty: s.Difficulty, Reason: no.reason, Detail: events.ClipText(no.detail), Basis: basis, JudgedAt: now,
		}
	}
	v.event = events.New(p.cfg.Site, p.cfg.Gateway, data).WithID(id).At(now).CausedBy(found)
	return v
}

// examine finds what speaks against a share. The hash is that of a real share
// without fault.
func (p *Pool) examine(found *events.Event, s *events.ShareFound, height int64) (*issued, *hashengine.Hash, *refusal) {
	no := func(r events.RejectReason, format string, args ...any) (*issued, *hashengine.Hash, *refusal) {
		return nil, nil, &refusal{reason: r, detail: fmt.Sprintf(format, args...)}
	}
	if first, ok := p.seen.get(s.ShareID); ok && first.sequence != found.Sequence {
		return no(events.RejectDuplicate, "found before, at sequence %d", first.sequence)
	}
	j := p.jobs.byID[s.JobID]
	if j == nil {
		if !madeBy(p.instance, s.JobID) {
			return nil, nil, &refusal{unknown: true, detail: "the job was handed out by an earlier start of the pool and is no longer kept"}
		}
		return no(events.RejectUnknown, "no such job, or older than %s", p.cfg.JobLifetime)
	}
	modelled := j.work.Payout.Basis == events.BasisModelled
	switch {
	case j.agent != found.Source:
		return no(events.RejectInvalid, "the job is another agent's")
	case s.Modelled && !modelled:
		return no(events.RejectInvalid, "a modelled share for a real job")
	case !s.Modelled && modelled:
		return no(events.RejectInvalid, "a real share for a modelled job")
	case s.Difficulty != j.work.ShareDifficulty:
		return no(events.RejectInvalid, "difficulty %s claimed, the job's is %s", s.Difficulty, j.work.ShareDifficulty)
	case p.cfg.Now().Sub(j.at) > p.cfg.JobLifetime:
		return no(events.RejectStale, "the job is older than %s", p.cfg.JobLifetime)
	case s.Modelled:
		return j, nil, nil
	case j.work.Height <= height:
		return no(events.RejectStale, "block %d has been found", j.work.Height)
	}
	t, err := j.decoded()
	if err != nil {
		return no(events.RejectInvalid, "the job itself is invalid: %v", err)
	}
	header, err := solution(t, s)
	if err != nil {
		return no(events.RejectInvalid, "%v", err)
	}
	hash := header.Hash()
	if hash.String() != s.ShareID {
		return no(events.RejectInvalid, "the header hashes to %s", hash)
	}
	if !t.ShareTarget.Met(&hash) {
		return no(events.RejectLow, "hash %s does not meet difficulty %s", hash, j.work.ShareDifficulty)
	}
	return j, &hash, nil
}

// solution rebuilds the header of a share.
func solution(t *job.Template, s *events.ShareFound) (hashengine.Header, error) {
	var none hashengine.Header
	extranonce, err := hex.DecodeString(s.Extranonce)
	if err != nil {
		return none, fmt.Errorf("extranonce: %w", err)
	}
	h, err := t.Header(extranonce)
	if err != nil {
		return none, err
	}
	version, err := job.Word(s.Version)
	if err != nil {
		return none, fmt.Errorf("version: %w", err)
	}
	if (version^t.Version)&^t.VersionMask != 0 {
		return none, fmt.Errorf("version %08x changes bits outside the mask %08x", version, t.VersionMask)
	}
	nonce, err := job.Word(s.Nonce)
	if err != nil {
		return none, fmt.Errorf("nonce: %w", err)
	}
	if s.NTime < int64(t.NTime) || s.NTime > int64(t.NTime)+maxRoll {
		return none, fmt.Errorf("ntime %d is outside %d to %d", s.NTime, t.NTime, int64(t.NTime)+maxRoll)
	}
	h.SetVersion(version)
	h.SetTime(uint32(s.NTime))
	h.SetNonce(nonce)
	return h, nil
}
