// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ballast-energy/ballast/workers/upstream"
)

// offer is a block on its way to every node that is on the network. Each has a
// loop of its own: the others may lie nearer to the rest of the network than
// the one that is first to take it.
type offer struct {
	node    *Node
	block   *block
	cancel  context.CancelFunc
	written atomic.Pointer[time.Time] // when it first was on the wire
	answers chan answer               // one of each node, in the end
	left    int                       // nodes that have not answered
	held    *held                     // until a node has answered
	settled bool                      // one has
}

// offer sends the block. Tries end with ctx and after Config.SubmitFor; none is
// begun after stopping. decide must be called, and then rest.
func (n *Node) offer(ctx context.Context, stopping <-chan struct{}, b *block) *offer {
	tries, cancel := context.WithTimeout(ctx, n.config.SubmitFor)
	o := &offer{node: n, block: b, cancel: cancel, answers: make(chan answer, len(n.peers)), held: n.spool.hold(b)}
	wrote := func() {
		now := time.Now()
		o.written.CompareAndSwap(nil, &now)
	}
	text := b.digits()
	for _, p := range n.peers {
		if p.wrong.Load() == nil {
			o.left++
			go func() {
				a := p.submit(tries, stopping, text, wrote)
				a.peer = p
				o.answers <- a
			}()
		}
	}
	return o
}

// decide waits until one node has taken the block, all have refused it, or time
// is up.
func (o *offer) decide(ctx context.Context) upstream.Verdict {
	best := answer{words: "no node is on the network"}
	limit := make(<-chan time.Time)
	for decided := false; o.left > 0 && !decided; {
		select {
		case a := <-o.answers:
			o.left--
			if a.state >= best.state {
				best = a
			}
			if decided = a.state == taken; a.state == refused {
				limit = time.After(otherOpinions)
			}
		case <-limit:
			decided = true
		}
	}
	written := o.written.Load()
	v := o.node.judge(ctx, best, o.block.hash, written != nil)
	if written != nil {
		v.Written = *written
	}
	if o.settled = best.state != silent; o.settled {
		v.Answered = time.Now()
	}
	o.node.config.Log.Info("block submitted", "hash", o.block.hash.String(), "state", int(v.State), "detail", v.Detail)
	return v
}

// rest waits for the nodes that have not answered yet. What is under way is cut
// off when stopping closes.
func (o *offer) rest(stopping <-chan struct{}) {
	defer o.cancel()
	o.held.release(o.settled)
	for o.left > 0 {
		select {
		case a := <-o.answers:
			o.left--
			if a.state != silent && !o.settled {
				o.settled = true
				o.held.release(true)
			}
			o.node.config.Log.Info("block submitted to another node, too", "hash", o.block.hash.String(), "node", a.peer.String(), "taken", a.state == taken, "answer", a.words)
		case <-stopping:
			o.cancel()
			stopping = nil
		}
	}
}

// linger goes on with an offer in the background until Close; after it nothing
// goes on.
func (n *Node) linger(o *offer) {
	n.mu.Lock()
	closing := n.closing
	if closing != nil {
		n.lingering.Add(1)
	}
	n.mu.Unlock()
	if closing == nil {
		o.cancel()
		o.rest(nil)
		return
	}
	go func() {
		defer n.lingering.Done()
		o.rest(closing)
	}()
}
