// SPDX-License-Identifier: Apache-2.0

package practice

import (
	"strconv"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/judge"
)

// verdict is the judgement of one share.
type verdict struct {
	event *events.Event
	// block that the share solves, when it does.
	block *hashengine.Hash
	// height of that block.
	height int64
}

// judge decides about a share found at a place in SHARES. The chain is not
// changed; height is that of its tip, with the blocks of shares judged just
// before.
func (p *Pool) judge(found *events.Event, height int64) verdict {
	s := found.Data.(*events.ShareFound)
	now := p.cfg.Now().UTC()
	id := s.ShareID + "/verdict"
	issued, solved, no := p.examine(found, s, height)
	if no != nil && no.Reason == events.RejectDuplicate {
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
			Difficulty: issued.Work.ShareDifficulty, Payout: issued.Work.Payout, JudgedAt: now,
		}
		if solved != nil && solved.Block {
			a.Block = true
			v.block, v.height = &solved.Hash, issued.Work.Height
		}
		data = a
	case no.Unknown:
		data = &events.ShareUnknown{
			ShareID: s.ShareID, JobID: s.JobID, Agent: found.Source, Unit: s.Unit,
			Difficulty: s.Difficulty, Detail: no.Detail, Basis: basis, JudgedAt: now,
		}
	default:
		data = &events.ShareRejected{
			ShareID: s.ShareID, JobID: s.JobID, Agent: found.Source, Unit: s.Unit,
			Difficulty: s.Difficulty, Reason: no.Reason, Detail: events.ClipText(no.Detail), Basis: basis, JudgedAt: now,
		}
	}
	v.event = events.New(p.cfg.Site, p.cfg.Gateway, data).WithID(id).At(now).CausedBy(found)
	return v
}

// examine finds what speaks against a share. Solved is that of a real share
// without fault.
func (p *Pool) examine(found *events.Event, s *events.ShareFound, height int64) (*judge.Job, *judge.Solved, *judge.Refusal) {
	if first, ok := p.seen.Get(s.ShareID); ok && first.Sequence != found.Sequence {
		return nil, nil, judge.Refuse(events.RejectDuplicate, "found before, at sequence %d", first.Sequence)
	}
	j := p.jobs.Get(s.JobID)
	if j == nil {
		if !judge.MadeBy(p.instance, s.JobID) {
			return nil, nil, &judge.Refusal{Unknown: true, Detail: "the job was handed out by an earlier start of the pool and is no longer kept"}
		}
		return nil, nil, judge.Refuse(events.RejectUnknown, "no such job, or older than %s", p.cfg.JobLifetime)
	}
	if no := j.Match(found.Source, s); no != nil {
		return nil, nil, no
	}
	switch {
	case p.cfg.Now().Sub(j.At) > p.cfg.JobLifetime:
		return nil, nil, judge.Refuse(events.RejectStale, "the job is older than %s", p.cfg.JobLifetime)
	case s.Modelled:
		return j, nil, nil
	case j.Work.Height <= height:
		return nil, nil, judge.Refuse(events.RejectStale, "block %d has been found", j.Work.Height)
	}
	solved, no := j.Solve(s)
	if no == nil && !solved.Share {
		no = j.Low(solved.Hash)
	}
	if no != nil {
		return nil, nil, no
	}
	return j, solved, nil
}
