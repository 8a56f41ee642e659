// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node/rpc"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// Bounds of submitting a block.
const (
	// submitTimeout of one try: a node verifies a block for seconds at worst.
	submitTimeout = 60 * time.Second
	// otherOpinions is how long other nodes may still accept what one has
	// rejected.
	otherOpinions = 10 * time.Second
	// placeTimeout of the look at where an accepted block stands.
	placeTimeout = 5 * time.Second
)

// Submit implements upstream.Upstream. Only blocks go to the node, and to all
// configured nodes at once; what is none is rejected here as low. A block is
// sent again until a node has answered or Config.SubmitFor is over; sending
// it twice does no harm. Accepted says that a node has taken the block as
// valid, and Detail whether it stood on that node's best chain then: whether it
// stays there, workers/upstream/confirm tells. The verdict comes with the first
// acceptance; the other nodes are gone on with. The job may be of a session
// that has closed.
func (n *Node) Submit(s upstream.Submission, done func(upstream.Verdict)) {
	block, err := n.assemble(s)
	if err != nil {
		done(refusal(err))
		return
	}
	abort, stopping, ok := n.enter()
	if !ok {
		done(upstream.Verdict{State: upstream.Rejected, Reason: events.RejectStale, Detail: "not sent: mining on the node has ended", Answered: time.Now()})
		return
	}
	go func() {
		defer n.inflight.Done()
		o := n.offer(abort, stopping, block)
		done(o.decide(abort))
		o.rest(stopping)
	}()
}

// SubmitBlock implements upstream.BlockSubmitter. It goes to all configured
// nodes at once and returns at the first acceptance; the other nodes are gone
// on with until they have answered, Config.SubmitFor is over or Close is
// called. When ctx ends before a node has answered, no further try is made.
//
// Of a job of another gateway, or of an earlier start, the block can be made if
// the job has no transactions, or if a template that is kept here builds on the
// same block with the same transactions in the same order, which gateways on
// one node mostly have in common; else the error wraps ErrNoTransactions. It
// can be called without Run; who does calls Close at the end.
func (n *Node) SubmitBlock(ctx context.Context, s upstream.Submission) error {
	block, err := n.assemble(s)
	if err != nil {
		return err
	}
	// The tries outlive ctx once there is a verdict.
	o := n.offer(context.WithoutCancel(ctx), nil, block)
	unwatch := context.AfterFunc(ctx, o.cancel)
	v := o.decide(ctx)
	unwatch()
	n.linger(o)
	switch v.State {
	case upstream.Accepted:
		return nil
	case upstream.Rejected:
		return fmt.Errorf("block %s at height %d: rejected as %s: %s", block.hash, s.Job.Height, v.Reason, v.Detail)
	default:
		return fmt.Errorf("block %s at height %d: it is unknown whether it was taken: %s", block.hash, s.Job.Height, v.Detail)
	}
}

// refusal of what is not sent.
func refusal(err error) upstream.Verdict {
	v := upstream.Verdict{State: upstream.Rejected, Reason: events.RejectInvalid, Detail: err.Error(), Answered: time.Now()}
	switch {
	case errors.Is(err, ErrNotABlock):
		v.Reason = events.RejectLow
	case errors.Is(err, ErrNoTransactions):
		v.Reason = events.RejectUnknown
	}
	return v
}

// judge turns the best answer into a verdict.
func (n *Node) judge(ctx context.Context, a answer, hash hashengine.Hash, written bool) upstream.Verdict {
	switch a.state {
	case taken:
		n.refresh() // the next block builds on this one
		// Who has taken it has just answered; another one may hang.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), placeTimeout)
		defer cancel()
		v := upstream.Verdict{State: upstream.Accepted}
		switch confirmations, err := a.peer.confirmations(ctx, hash); {
		case errors.Is(err, upstream.ErrUnknownBlock):
			// btcd says nothing of a block whose previous one it lacks.
			v.State, v.Detail = upstream.Unknown, "the node took the block and does not know it: the block before is missing there"
		case err != nil:
			v.Detail = fmt.Sprintf("accepted; where it stands could not be asked: %v", err)
		case confirmations > 0:
			v.Detail = "on the best chain"
		default:
			v.Detail = "valid, and not on the best chain: another block of its height was there before"
		}
		if a.words != "" {
			v.Detail = fmt.Sprintf("%s (%q)", v.Detail, a.words)
		}
		return v
	case refused:
		return upstream.Verdict{State: upstream.Rejected, Reason: a.reason, Detail: a.words}
	}
	if written {
		return upstream.Verdict{State: upstream.Unknown, Detail: "no node has answered: " + a.words}
	}
	return upstream.Verdict{State: upstream.Rejected, Reason: events.RejectStale, Detail: "not sent, as no node could be reached: " + a.words}
}

// answer of one node to a block.
type answer struct {
	peer   *peer
	state  answerState
	reason events.RejectReason
	words  string // the node's own, or why there are none
}

type answerState int

const (
	silent answerState = iota
	refused
	taken
)

// submit sends a block to one node until it has answered.
func (p *peer) submit(ctx context.Context, stopping <-chan struct{}, block rpc.Digits, written func()) answer {
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for {
		call, cancel := context.WithTimeout(ctx, submitTimeout)
		var result *string
		err := p.blocks.CallWritten(call, "submitblock", []any{block}, &result, written)
		cancel()
		var said *rpc.Error
		switch {
		case err == nil && result == nil:
			return answer{state: taken}
		case err == nil:
			return classify(*result)
		case errors.As(err, &said) && !rpc.NotReady(err):
			return answer{state: refused, reason: events.RejectInvalid, words: said.Error()}
		case errors.Is(err, rpc.ErrResult):
			// An answer it is, but to what?
			return answer{words: err.Error()}
		}
		select {
		case <-ctx.Done():
			return answer{words: err.Error()}
		case <-stopping:
			return answer{words: err.Error()}
		case <-time.After(retry.NextBackOff()):
		}
	}
}
