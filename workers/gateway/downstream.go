// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/job"
	"github.com/ballast-energy/ballast/workers/judge"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// Why a downstream share is refused. Nothing is stored of it then, but for
// ErrSessionClosed: the share and its rejection as stale are.
var (
	ErrDuplicate     = errors.New("the share was found before")
	ErrUnknownJob    = errors.New("the gateway does not know the job")
	ErrSessionClosed = errors.New("the upstream's session of the job has closed: the share was not sent")
)

// DownstreamShare is a share of a miner that is connected to the gateway's own
// server, which has checked it.
type DownstreamShare struct {
	// Unit that found it, [a-z0-9-]{1,64}: its worker's name.
	Unit string
	// Job as OnJob handed it out.
	Job *upstream.Job
	// Extranonce2 whole, as the upstream wants it.
	Extranonce2 []byte
	// Header complete, and its hash.
	Header hashengine.Header
	Hash   hashengine.Hash
	// Difficulty that the miner was given for the job, exact decimal text.
	Difficulty string
	// Block: the hash meets the network's target.
	Block bool
}

// DownstreamRoom is how much of the sessions' search space is left to the
// miners of the gateway's own server.
type DownstreamRoom struct {
	// Full: a miner waits for a place, or the next one would have to. Only
	// another slice or session helps.
	Full bool
	// Sessions that the server has work of, the places that they were divided
	// into, and those Used.
	Sessions    int
	Slots, Used uint64
	// Waiting miners have no place.
	Waiting int
}

// Downstream stores a share of a miner connected to this gateway, as an event
// of the gateway's own with the miner as its unit, and sends it on when the
// upstream wants it. done is called once, from anywhere: with nil when the
// share is stored and its verdict is, or is on its way; with an error when it
// was refused or the gateway ends. It must not block. A block is written to
// the upstream before anything is stored. A share that the upstream would want
// but whose session has closed is rejected as stale; one below that is proof of
// work as ever.
func (g *Gateway) Downstream(s DownstreamShare, done func(error)) {
	if err := g.downstream(s, done); err != nil {
		done(fmt.Errorf("share %s of %s: %w", s.Hash, s.Unit, err))
	}
}

func (g *Gateway) downstream(s DownstreamShare, done func(error)) error {
	now := g.cfg.Now().UTC()
	g.mu.Lock()
	defer g.mu.Unlock()
	id, t, payout, ok := g.below.find(s.Job)
	if !ok {
		return ErrUnknownJob
	}
	found := &events.ShareFound{
		ShareID: s.Hash.String(), JobID: id, Gateway: g.cfg.Gateway, Unit: s.Unit,
		Version: job.WordText(s.Header.Version()), NTime: int64(s.Header.Time()), Nonce: job.WordText(s.Header.Nonce()),
		Extranonce: hex.EncodeToString(s.Extranonce2), Difficulty: s.Difficulty, FoundAt: now,
	}
	if err := found.Validate(); err != nil {
		return err
	}
	e := events.New(g.cfg.Site, g.cfg.Gateway, found).WithID(found.ShareID).At(now)
	if _, known := g.seen.Get(found.ShareID); known {
		return ErrDuplicate
	}
	g.seen.Put(found.ShareID, judge.Sighting{})
	f := &flight{
		key: found.ShareID + verdictSuffix, agent: g.cfg.Gateway, share: *found, cause: e,
		difficulty: s.Difficulty, payout: payout, block: s.Block,
		issue: &issue{
			Job:  judge.Job{Agent: g.cfg.Gateway, Work: &events.WorkAssigned{JobID: found.JobID, Height: s.Job.Height, Payout: payout}, At: now},
			task: t,
		},
	}
	g.fly(f)
	g.account.at(now).difficulty += approximate(s.Difficulty)
	if t.wants(&s.Hash) && !t.session.open && !s.Block {
		no := judge.Refuse(events.RejectStale, "%v", ErrSessionClosed)
		g.end(f, f.refuse(no, payout.Basis, now), now, func(err error) {
			if err == nil {
				err = ErrSessionClosed
			}
			done(err)
		})
		return nil
	}
	if t.wants(&s.Hash) {
		f.difficulty = t.difficulty
		g.submit(f, upstream.Submission{
			Session: t.session.ID, Job: s.Job, Extranonce2: s.Extranonce2, Version: s.Header.Version(), NTime: s.Header.Time(),
			Nonce: s.Header.Nonce(), Header: s.Header, Hash: s.Hash, Block: s.Block,
		}, t.session.open, done, e)
		return nil
	}
	g.end(f, f.accept(now, true), now, done)
	return nil
}

// end stores a downstream share together with the gateway's own verdict. The
// caller holds mu.
func (g *Gateway) end(f *flight, verdict events.Payload, now time.Time, done func(error)) {
	f.verdict, f.stored, f.ending = verdict, true, true
	e := events.New(g.cfg.Site, g.cfg.Gateway, verdict).WithID(f.key).At(now).CausedBy(f.cause)
	g.commits.store(func(err error) {
		g.landed(f, err)
		done(err)
	}, f.cause, e)
}

// lower hands a job to the gateway's own server, if it has one and the session
// has a slice for miners, and then what slices were added to that.
func (d *dispatcher) lower(t *task, payout events.Payout) {
	g := d.g
	s := t.session.space
	if g.cfg.OnJob == nil || len(s.downstream) == 0 {
		return
	}
	if !t.lowered {
		t.lowered = true
		g.mu.Lock()
		g.below.keep(t, g.instance+"-d-"+strconv.FormatUint(t.serial, 10), payout)
		g.mu.Unlock()
		g.cfg.OnJob(t.Job, s.downstream[0])
		s.told = max(s.told, 1)
	}
	for ; s.told < len(s.downstream); s.told++ {
		g.cfg.OnSlice(t.Job, s.downstream[s.told])
	}
}
