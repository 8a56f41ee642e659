// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/judge"
	"github.com/ballast-energy/ballast/workers/upstream"
)

const (
	// submitTime bounds the submission of a block past its session: as long as
	// a node that is away may come back to a chain that has not gone on.
	submitTime = 10 * time.Minute
	// templateLook is how often a block of an earlier start that could not be
	// made looks whether there is work, and with it transactions to make it of.
	templateLook = 50 * time.Millisecond
)

// watchBlocks hears shares as they cross the bus, before they are stored, and
// sends those that are blocks at once.
func (g *Gateway) watchBlocks(ctx context.Context) {
	heard := make(chan *nats.Msg, 16384)
	sub, err := g.bus.Conn().ChanSubscribe(events.Subject(g.bus.Prefix(), g.cfg.Site, events.TypeShareFound, "*"), heard)
	if err != nil {
		g.log.Error("blocks wait for the store: cannot hear the bus", "error", err)
		return
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is gone
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-heard:
			if g.mayBeBlock(m.Data) {
				g.early(m)
			}
		}
	}
}

// easiestTarget of the open sessions' jobs, as hex. The caller holds mu.
func (g *Gateway) easiestTarget() string {
	var best hashengine.Target
	for _, s := range g.usable() {
		if n := s.current.network; bytes.Compare(n[:], best[:]) > 0 {
			best = n
		}
	}
	return best.String()
}

var shareIDField = []byte(`"share_id":"`)

// mayBeBlock reports whether the id of a share, which is its hash, meets the
// network's target: nearly none does. It looks at nothing else.
func (g *Gateway) mayBeBlock(data []byte) bool {
	_, rest, ok := bytes.Cut(data, shareIDField)
	if !ok {
		return true // written by somebody else: look closely
	}
	g.mu.Lock()
	easiest := g.easiest
	g.mu.Unlock()
	return len(rest) < len(easiest) || string(rest[:len(easiest)]) <= easiest
}

// early looks closely at a share that claims to be a block.
func (g *Gateway) early(m *nats.Msg) {
	e, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return // the inspector reports it
	}
	s := e.Data.(*events.ShareFound)
	if s.Modelled || e.Source == g.cfg.Gateway {
		return
	}
	if s.Gateway != g.cfg.Gateway {
		g.submitForeign(e.Source, s)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.issued.byID[s.JobID]
	if _, known := g.seen.Get(s.ShareID); known || i == nil {
		return
	}
	solved, no := g.examine(e.Source, s, i)
	if no != nil || !solved.Block {
		return // judged once it is stored
	}
	g.seen.Put(s.ShareID, judge.Sighting{})
	f := &flight{key: s.ShareID + verdictSuffix, agent: e.Source, share: *s, cause: e, difficulty: s.Difficulty}
	g.fly(f)
	g.advance(f, i, solved)
}

// blockTime is how long a block is tried to be submitted past its session:
// submitTime, and DrainTime at most once the gateway is to end.
func (g *Gateway) blockTime() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), submitTime)
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-g.ending:
		}
		drain := time.NewTimer(g.cfg.DrainTime)
		defer drain.Stop()
		select {
		case <-ctx.Done():
		case <-drain.C:
			cancel()
		}
	}()
	return ctx, cancel
}

// resubmit sends the block of a share that an earlier start of the gateway left
// without a verdict: it was found while no gateway ran, or the gateway was
// killed before it was written. Sending it twice does no harm. The caller holds
// mu.
func (g *Gateway) resubmit(f *flight, w *judge.Job, solved *judge.Solved, up upstream.BlockSubmitter) {
	s, err := foreignSubmission(w, solved)
	if err != nil { // it was solved, so this cannot be
		g.settle(f, &judge.Refusal{Unknown: true, Detail: err.Error()})
		return
	}
	g.running.Go(func() {
		ctx, cancel := g.blockTime()
		defer cancel()
		err := up.SubmitBlock(ctx, s)
		if err != nil {
			// With work come transactions, which may be those of the block.
			if noWork := g.awaitWork(ctx); noWork == nil {
				err = up.SubmitBlock(ctx, s)
			}
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if err != nil {
			g.settle(f, &judge.Refusal{Unknown: true, Detail: "found for an earlier start of the gateway, which may have submitted it; submitted again: " + err.Error()})
			return
		}
		f.verdict = f.accept(g.cfg.Now(), false)
		g.ready(f)
	})
}

// awaitWork waits until the upstream has given work.
func (g *Gateway) awaitWork(ctx context.Context) error {
	look := time.NewTicker(templateLook)
	defer look.Stop()
	for {
		g.mu.Lock()
		open := len(g.usable()) > 0
		g.mu.Unlock()
		if open {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return errors.New("no session was opened")
		}
	}
}

// submitBlock brings a block past a session that has closed.
func (g *Gateway) submitBlock(f *flight, s upstream.Submission, up upstream.Upstream) {
	ctx, cancel := g.blockTime()
	defer cancel()
	v := upstream.Verdict{State: upstream.Accepted, Written: g.cfg.Now()}
	if err := up.(upstream.BlockSubmitter).SubmitBlock(ctx, s); err != nil {
		v.State, v.Reason, v.Detail = upstream.Rejected, events.RejectStale, err.Error()
		if ctx.Err() != nil {
			v.State = upstream.Unknown
		}
	}
	v.Answered = g.cfg.Now()
	g.answered(f, v)
}

// submitForeign submits a block of another gateway's, if the upstream takes
// such.
func (g *Gateway) submitForeign(agent string, s *events.ShareFound) {
	up, ok := g.cfg.Upstream.(upstream.BlockSubmitter)
	if !ok {
		return
	}
	g.mu.Lock()
	j := g.foreign.find(agent, s.JobID)
	g.mu.Unlock()
	g.running.Go(func() {
		ctx, cancel := g.blockTime()
		defer cancel()
		if j == nil {
			select {
			case g.lookups <- struct{}{}:
				j = g.storedWork(ctx, agent, s.JobID)
				<-g.lookups
			default: // whoever makes up shares does not keep the bus busy
			}
		}
		if j == nil {
			return
		}
		solved, no := j.Solve(s)
		if no != nil || !solved.Block {
			return
		}
		sub, err := foreignSubmission(j, solved)
		if err != nil {
			return // it was solved, so this cannot be
		}
		if err := up.SubmitBlock(ctx, sub); err != nil {
			g.log.Info("another gateway's block was not taken here", "block", s.ShareID, "gateway", s.Gateway, "answer", err)
		}
	})
}

// storedWork finds work that was handed out before this gateway listened, nil
// when JOBS does not keep it.
func (g *Gateway) storedWork(ctx context.Context, agent, job string) *judge.Job {
	for e, err := range g.bus.Events(ctx, events.ReadRequest{
		Stream: events.StreamJobs, Types: []events.Type{events.TypeWorkAssigned}, Site: g.cfg.Site, Source: agent,
	}) {
		if err != nil {
			if onlyOne(err) {
				continue
			}
			return nil
		}
		if w, ok := e.Data.(*events.WorkAssigned); ok && w.JobID == job {
			own := *w
			own.MerkleBranches = append([]string(nil), w.MerkleBranches...)
			return &judge.Job{Agent: agent, Work: &own, At: e.Arrived}
		}
	}
	return nil
}

// foreignWork keeps the work that other gateways handed out of late, unread
// but for the newest of an agent that finds a block.
type foreignWork struct {
	byAgent map[string][]foreignMsg
}

type foreignMsg struct {
	m  *nats.Msg
	at time.Time
}

// keptWork of an agent.
const keptWork = 4

func newForeignWork() *foreignWork { return &foreignWork{byAgent: make(map[string][]foreignMsg)} }

func (f *foreignWork) keep(agent string, m *nats.Msg, self string) {
	if bytes.Contains(m.Data, []byte(`"gateway":"`+self+`"`)) {
		return
	}
	kept := append(f.byAgent[agent], foreignMsg{m, time.Now()})
	if len(kept) > keptWork {
		kept = append([]foreignMsg(nil), kept[1:]...)
	}
	f.byAgent[agent] = kept
}

func (f *foreignWork) forget(t0 time.Time) {
	for agent, kept := range f.byAgent {
		if kept[len(kept)-1].at.Before(t0) {
			delete(f.byAgent, agent)
		}
	}
}

func (f *foreignWork) find(agent, job string) *judge.Job {
	for _, k := range f.byAgent[agent] {
		e, err := events.Decode(k.m.Subject, k.m.Header, k.m.Data)
		if err != nil {
			continue
		}
		if w, ok := e.Data.(*events.WorkAssigned); ok && w.JobID == job {
			return &judge.Job{Agent: agent, Work: w, At: k.at}
		}
	}
	return nil
}

// foreignSubmission is a share of work that was handed out elsewhere.
func foreignSubmission(j *judge.Job, solved *judge.Solved) (upstream.Submission, error) {
	job, err := foreignJob(j.Work)
	if err != nil {
		return upstream.Submission{}, err
	}
	return upstream.Submission{
		Job: job, Extranonce2: solved.Extranonce, Version: solved.Header.Version(), NTime: solved.Header.Time(),
		Nonce: solved.Header.Nonce(), Header: solved.Header, Hash: solved.Hash, Block: true,
	}, nil
}

// foreignJob is another gateway's work as an upstream's job, the agent's
// prefix being its extranonce1.
func foreignJob(w *events.WorkAssigned) (*upstream.Job, error) {
	j := &judge.Job{Work: w}
	t, err := j.Template()
	if err != nil {
		return nil, err
	}
	c1, err1 := hex.DecodeString(w.Coinbase1)
	c2, err2 := hex.DecodeString(w.Coinbase2)
	prefix, err3 := hex.DecodeString(w.ExtranoncePrefix)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	out := &upstream.Job{
		ID: w.JobID, Version: t.Version, VersionMask: t.VersionMask, PrevHash: t.PrevHash,
		Coinbase1: c1, Coinbase2: c2, Extranonce1: prefix, Extranonce2Bytes: w.ExtranonceBytes,
		NTime: t.NTime, Bits: t.Bits, Height: w.Height, Difficulty: w.ShareDifficulty,
		Terms: upstream.Terms{Scheme: w.Payout.Scheme, FeePPM: w.Payout.FeePPM, RewardSats: w.Payout.RewardSats, Basis: w.Payout.Basis},
	}
	for _, b := range w.MerkleBranches {
		var h hashengine.Hash
		if _, err := hex.Decode(h[:], []byte(b)); err != nil {
			return nil, err
		}
		out.Branches = append(out.Branches, h)
	}
	return out, nil
}
