// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/judge"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// flight is a share on its way to a verdict, from the moment it is heard of
// until the verdict is stored. Guarded by Gateway.mu.
type flight struct {
	// key is the id of the verdict, agent who found the share.
	key, agent string
	share      events.ShareFound
	cause      *events.Event
	// sequence of share.found in SHARES; 0 while it is not known to be there.
	sequence uint64
	// stored: share.found is, and a verdict may follow.
	stored bool
	// msg to be acknowledged, nil when there is none.
	msg jetstream.Msg
	// issue that it solves, nil when there is none.
	issue *issue
	// difficulty that an acceptance credits, and its payout.
	difficulty string
	payout     events.Payout
	block      bool
	// verdict once it is known, and ending once it is being stored.
	verdict events.Payload
	ending  bool
}

// fly enters a flight. The caller holds mu.
func (g *Gateway) fly(f *flight) {
	g.flights[f.key] = f
	g.account.Found++
}

// ready ends a flight if both its share is stored and its verdict known. The
// caller holds mu.
func (g *Gateway) ready(f *flight) {
	if !f.stored || f.verdict == nil || f.ending {
		return
	}
	f.ending = true
	e := events.New(g.cfg.Site, g.cfg.Gateway, f.verdict).WithID(f.key).At(g.cfg.Now().UTC()).CausedBy(f.cause)
	g.commits.store(func(err error) { g.landed(f, err) }, e)
}

// landed books a verdict that is stored.
func (g *Gateway) landed(f *flight, err error) {
	if err != nil {
		return // the next start finds the share without a verdict
	}
	g.mu.Lock()
	g.book(f)
	msg := f.msg
	g.mu.Unlock()
	if msg != nil {
		_ = msg.Ack() // or it comes again, and is known
	}
	poke(g.flown)
}

// book counts a verdict that is stored and ends the flight. The caller holds
// mu.
func (g *Gateway) book(f *flight) {
	delete(g.flights, f.key)
	g.past.judged(f.share.ShareID)
	if f.key == f.share.ShareID+verdictSuffix {
		g.seen.Put(f.share.ShareID, judge.Sighting{Sequence: f.sequence, Judged: true})
	} else {
		g.seen.Put(f.key, judge.Sighting{Sequence: f.sequence, Judged: true})
	}
	switch v := f.verdict.(type) {
	case *events.ShareAccepted:
		g.account.Accepted++
		if v.Local {
			g.account.Local++
		}
	case *events.ShareRejected:
		g.account.Rejected++
	case *events.ShareUnknown:
		g.account.Unknown++
	}
}

// accept is the payload of a yes.
func (f *flight) accept(at time.Time, local bool) *events.ShareAccepted {
	a := &events.ShareAccepted{
		ShareID: f.share.ShareID, JobID: f.share.JobID, Agent: f.agent, Unit: f.share.Unit,
		Difficulty: f.difficulty, Payout: f.payout, Block: f.block, Local: local, JudgedAt: at.UTC(),
	}
	if f.share.Difficulty != f.difficulty {
		a.WorkDifficulty = f.share.Difficulty
	}
	return a
}

// refuse is the payload of a no, or of a share without an answer.
func (f *flight) refuse(no *judge.Refusal, basis events.Basis, at time.Time) events.Payload {
	if f.share.Modelled {
		basis = events.BasisModelled
	}
	if no.Unknown {
		return &events.ShareUnknown{
			ShareID: f.share.ShareID, JobID: f.share.JobID, Agent: f.agent, Unit: f.share.Unit,
			Difficulty: f.difficulty, Detail: events.ClipText(no.Detail), Basis: basis, JudgedAt: at.UTC(),
		}
	}
	return &events.ShareRejected{
		ShareID: f.share.ShareID, JobID: f.share.JobID, Agent: f.agent, Unit: f.share.Unit,
		Difficulty: f.difficulty, Reason: no.Reason, Detail: events.ClipText(no.Detail), Basis: basis, JudgedAt: at.UTC(),
	}
}

// submission of a flight's share. solved and issue must be there.
func submission(i *issue, solved *judge.Solved) upstream.Submission {
	x := make([]byte, 0, i.task.Extranonce2Bytes)
	x = append(append(x, i.slice...), solved.Extranonce...)
	return upstream.Submission{
		Session: i.task.session.ID, Job: i.task.Job, Extranonce2: x,
		Version: solved.Header.Version(), NTime: solved.Header.Time(), Nonce: solved.Header.Nonce(),
		Header: solved.Header, Hash: solved.Hash, Block: solved.Block,
	}
}

// submitted is the event that says that a share is about to be written. The
// caller holds mu.
func (g *Gateway) submitted(f *flight, s *upstream.Submission) *events.Event {
	now := g.cfg.Now().UTC()
	return events.New(g.cfg.Site, g.cfg.Gateway, &events.ShareSubmitted{
		ShareID: f.share.ShareID, JobID: f.share.JobID, Agent: f.agent, Unit: f.share.Unit,
		Pool: f.payout.Pool, Session: s.Session, SubmittedAt: now,
	}).WithID(f.share.ShareID + "/submitted").At(now).CausedBy(f.cause)
}

// submit stores that a share is about to be written, together with what stands
// before it, which is the share itself where it is not stored yet, and then
// writes it. A block is written at once. stored, when not nil, hears when it is
// stored. The caller holds mu; open says whether the session of the job is.
func (g *Gateway) submit(f *flight, s upstream.Submission, open bool, stored func(error), before ...*events.Event) {
	up := f.issue.task.session.up
	g.account.Submitted++
	g.account.at(g.cfg.Now()).submitted++
	evs := append(before, g.submitted(f, &s))
	own := len(before) > 0
	write := func() {
		if _, ok := up.(upstream.BlockSubmitter); ok && s.Block && !open {
			g.submitBlock(f, s, up)
			return
		}
		up.Submit(s, func(v upstream.Verdict) { g.answered(f, v) })
	}
	if s.Block {
		evs = append(evs, g.foundBlock(f))
		g.running.Go(write)
	}
	g.commits.store(func(err error) {
		if stored != nil {
			stored(err)
		}
		if err != nil {
			return
		}
		if own {
			g.mu.Lock()
			f.stored = true
			g.ready(f)
			g.mu.Unlock()
		}
		if !s.Block {
			write()
		}
	}, evs...)
}

// answered takes the upstream's answer to a share.
func (g *Gateway) answered(f *flight, v upstream.Verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.verdict != nil {
		return
	}
	now := v.Answered
	if now.IsZero() {
		now = g.cfg.Now()
	}
	if v.State == upstream.Accepted {
		g.taken(f.issue.task.session.Address)
	}
	_, confirms := f.issue.task.session.up.(upstream.Confirmer)
	switch {
	case v.State == upstream.Accepted,
		// The node has the block already: another gateway was faster.
		f.block && confirms && v.State == upstream.Rejected && v.Reason == events.RejectDuplicate:
		f.verdict = f.accept(now, false)
	case v.State == upstream.Rejected:
		g.account.at(g.cfg.Now()).rejected++
		reason := v.Reason
		if reason == "" {
			reason = events.RejectInvalid
		}
		f.verdict = f.refuse(&judge.Refusal{Reason: reason, Detail: v.Detail}, f.payout.Basis, now)
		if f.block {
			g.refusedBlock(f, v.Detail)
		}
	default:
		detail := v.Detail
		if detail == "" {
			detail = "the upstream did not answer"
		}
		f.verdict = f.refuse(&judge.Refusal{Unknown: true, Detail: detail}, f.payout.Basis, now)
	}
	g.ready(f)
}
