// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/judge"
	"github.com/ballast-energy/ballast/workers/upstream"
)

const verdictSuffix = "/verdict"

// take judges a share that is stored, or goes on with one that is known. m is
// to be acknowledged once its verdict is stored; nil when there is none.
func (g *Gateway) take(e *events.Event, m jetstream.Msg) {
	s := e.Data.(*events.ShareFound)
	acknowledge := func() {
		if m != nil {
			_ = m.Ack() // or it comes again, and is known
		}
	}
	if s.Gateway != g.cfg.Gateway {
		acknowledge()
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if first, known := g.seen.Get(s.ShareID); known && first.Sequence == 0 && e.Source == g.cfg.Gateway {
		// One of the downstream server's, whose place was not known yet.
		g.seen.Put(s.ShareID, judge.Sighting{Sequence: e.Sequence, Judged: first.Judged})
	}
	key, first, known := g.verdictKey(e, s)
	duplicate := key != s.ShareID+verdictSuffix
	if f := g.flights[key]; f != nil {
		f.sequence, f.msg, f.stored = e.Sequence, m, true
		if !duplicate {
			g.seen.Put(s.ShareID, judge.Sighting{Sequence: e.Sequence})
		}
		g.ready(f)
		return
	}
	if duplicate {
		own, _ := g.seen.Get(key)
		first.Judged = own.Judged
	}
	if known && first.Judged {
		acknowledge()
		return
	}
	if !known {
		g.seen.Put(s.ShareID, judge.Sighting{Sequence: e.Sequence})
	}
	f := &flight{
		key: key, agent: e.Source, share: *s, cause: e, sequence: e.Sequence, stored: true, msg: m,
		difficulty: s.Difficulty,
	}
	g.fly(f)
	if duplicate {
		g.settle(f, judge.Refuse(events.RejectDuplicate, "found before, at sequence %d", first.Sequence))
		return
	}
	g.judge(f)
}

// verdictKey is the id that the verdict on a share has. The first of its kind
// has the plain one, others have their place in SHARES behind it. The caller
// holds mu.
func (g *Gateway) verdictKey(e *events.Event, s *events.ShareFound) (key string, first judge.Sighting, known bool) {
	first, known = g.seen.Get(s.ShareID)
	key = s.ShareID + verdictSuffix
	plain := g.flights[key]
	early := plain != nil && plain.sequence == 0 && plain.agent == e.Source && plain.share.JobID == s.JobID
	if known && first.Sequence != e.Sequence && !early {
		key += "/" + strconv.FormatUint(e.Sequence, 10)
	}
	return key, first, known
}

// settle gives a flight the gateway's own no. The caller holds mu.
func (g *Gateway) settle(f *flight, no *judge.Refusal) {
	basis := events.BasisLive
	if i := g.issued.byID[f.share.JobID]; i != nil {
		basis = i.Work.Payout.Basis
	} else if w := g.past.work[f.share.JobID]; w != nil {
		basis = w.Work.Payout.Basis
	} else if g.state.newest != nil {
		basis = g.state.newest.Terms.Basis
	}
	f.verdict = f.refuse(no, basis, g.cfg.Now())
	g.ready(f)
}

// judge decides what becomes of a share of the bus. The caller holds mu.
func (g *Gateway) judge(f *flight) {
	s := &f.share
	i := g.issued.byID[s.JobID]
	if i == nil {
		g.judgePast(f)
		return
	}
	solved, no := g.examine(f.agent, s, i)
	if no != nil {
		g.settle(f, no)
		return
	}
	g.advance(f, i, solved)
}

// advance sends a share that is right to the upstream, or books it locally
// when it is below its difficulty. The caller holds mu.
func (g *Gateway) advance(f *flight, i *issue, solved *judge.Solved) {
	f.issue, f.payout, f.block = i, i.Work.Payout, solved.Block
	now := g.cfg.Now()
	g.account.at(now).difficulty += approximate(i.Work.ShareDifficulty)
	if !i.task.wants(&solved.Hash) {
		f.verdict = f.accept(now, true)
		g.ready(f)
		return
	}
	f.difficulty = i.task.difficulty
	g.submit(f, submission(i, solved), i.task.session.open, nil)
}

// examine checks a share in full. A hash that meets the network's target is
// let through whatever else speaks against it: no block is lost.
func (g *Gateway) examine(agent string, s *events.ShareFound, i *issue) (*judge.Solved, *judge.Refusal) {
	mismatch := i.Match(agent, s)
	if s.Modelled {
		return nil, mismatch
	}
	solved, no := i.Solve(s)
	if no != nil {
		return nil, no
	}
	t, now := i.task, g.cfg.Now()
	switch {
	case solved.Block:
		return solved, nil
	case mismatch != nil:
		return nil, mismatch
	case t.MinTime != 0 && s.NTime < int64(t.MinTime) || s.NTime > int64(t.maxTime()):
		return nil, judge.Refuse(events.RejectInvalid, "ntime %d is outside %d to %d", s.NTime, t.MinTime, t.maxTime())
	case !solved.Share:
		return nil, i.Low(solved.Hash)
	case !t.session.open:
		return nil, judge.Refuse(events.RejectStale, "the upstream's session of the job has closed: the share was not sent")
	case t.void(now):
		return nil, judge.Refuse(events.RejectStale, "the upstream has voided the job %s ago", now.Sub(t.session.cleanAt).Round(1e6))
	case now.Sub(i.At) > g.cfg.JobLifetime:
		return nil, judge.Refuse(events.RejectStale, "the job is older than %s", g.cfg.JobLifetime)
	}
	return solved, nil
}

// judgePast decides about a share whose job is not known: of an earlier start
// of the gateway, forgotten, or made up. The caller holds mu.
func (g *Gateway) judgePast(f *flight) {
	submitted := g.past.mayHaveSent(f.share.ShareID)
	if w := g.past.work[f.share.JobID]; w != nil && !f.share.Modelled {
		if solved, no := w.Solve(&f.share); no == nil && solved.Block {
			f.block, f.payout = true, w.Work.Payout
			if g.blocks[f.share.ShareID] == nil {
				g.reviveBlock(f, w.Work)
			}
			if up, ok := g.cfg.Upstream.(upstream.BlockSubmitter); ok {
				g.resubmit(f, w, solved, up)
				return
			}
			// A block is written without waiting for the store.
			submitted = true
		}
	}
	switch {
	case submitted:
		g.settle(f, &judge.Refusal{Unknown: true, Detail: "the gateway ended between writing the share and the answer"})
	case judge.MadeBy(g.instance, f.share.JobID):
		g.settle(f, judge.Refuse(events.RejectUnknown, "no such job, or older than %s", g.cfg.JobLifetime))
	default:
		g.settle(f, judge.Refuse(events.RejectStale, "the gateway has started anew since the job: its session is gone and the share was never sent"))
	}
}

// approximate value of a difficulty, for figures of hash rates.
func approximate(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return v
}
