// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/workers/node/coinbase"
	"github.com/ballast-energy/ballast/workers/node/rpc"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// Node mines solo. It implements upstream.Upstream, upstream.Chain and
// upstream.BlockSubmitter.
type Node struct {
	config  Config
	network coinbase.Network
	payout  []byte
	peers   []*peer
	serving atomic.Int32 // index of the peer that templates come from
	store   *store
	keeper  *keeper // nil: nothing is kept over a restart
	spool   *spool  // as above

	sessions atomic.Uint32 // counts sessions from a random start
	jobs     atomic.Int64
	nudge    chan struct{} // a new template is wanted

	mu       sync.Mutex
	running  bool
	inflight sync.WaitGroup
	stopping chan struct{} // closed when Run ends: no further tries
	abort    context.Context
	// lingering counts offers that go on behind SubmitBlock, until closing is
	// closed; nil after Close.
	lingering sync.WaitGroup
	closing   chan struct{}
}

// peer is one of the configured nodes.
type peer struct {
	// templates come on one client, blocks and questions go by another: what
	// takes long never stands before a block.
	templates, blocks *rpc.Client
	wrong             atomic.Pointer[error] // why it is never used: it is on another network
}

var (
	_ upstream.Upstream       = (*Node)(nil)
	_ upstream.Chain          = (*Node)(nil)
	_ upstream.BlockSubmitter = (*Node)(nil)
)

// New checks the configuration, the address among it. It does not call a node.
func New(c Config) (*Node, error) {
	c.setDefaults()
	network, payout, err := c.check()
	if err != nil {
		return nil, err
	}
	n := &Node{config: c, network: network, payout: payout, store: newStore(c.Keep), nudge: make(chan struct{}, 1), closing: make(chan struct{})}
	if c.Dir != "" {
		n.keeper, n.spool = newKeeper(c), newSpool(c)
	}
	for _, e := range c.Nodes {
		p := &peer{}
		if p.templates, err = rpc.NewClient(e); err == nil {
			p.blocks, err = rpc.NewClient(e)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		n.peers = append(n.peers, p)
	}
	var start [4]byte
	if _, err := rand.Read(start[:]); err != nil {
		return nil, err
	}
	n.sessions.Store(binary.BigEndian.Uint32(start[:]))
	return n, nil
}

// ID implements upstream.Upstream.
func (n *Node) ID() string { return n.config.ID }

// Address implements upstream.Upstream: of the first node.
func (n *Node) Address() string { return n.config.Nodes[0].URL }

// current is the peer that templates come from.
func (n *Node) current() *peer { return n.peers[n.serving.Load()] }

// refresh asks for a new template, soon.
func (n *Node) refresh() {
	select {
	case n.nudge <- struct{}{}:
	default: // one is wanted already
	}
}

// shutdownGrace is what a block on its way to a node is given when Run ends.
const shutdownGrace = 5 * time.Second

// Run implements upstream.Upstream. It returns an error when every node is on
// another network than configured, or blocks need a signature that Ballast
// cannot give. Run must not be called twice at a time.
//
// Blocks that are being submitted outlive a session: their verdict comes when a
// node has answered. When ctx ends they get a few seconds more, and then their
// verdict, before the session is closed.
func (n *Node) Run(ctx context.Context, sink upstream.Sink) error {
	abort, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	n.begin(abort)
	defer n.Close()
	s := &lockedSink{sink: sink}
	defer n.keeper.run(s.Trouble)()
	n.sendAgain(s.Trouble)
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(250*time.Millisecond),
		backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(0))
	for {
		session, err := n.open(ctx, s)
		switch {
		case ctx.Err() != nil:
			n.finish(cancel)
			return nil
		case errors.Is(err, ErrWrongNetwork) || errors.Is(err, ErrSignet):
			n.finish(cancel)
			return err
		case err != nil:
			s.Trouble(err)
			select {
			case <-ctx.Done():
			case <-time.After(retry.NextBackOff()):
			}
			continue
		}
		retry.Reset()
		cause := session.serve(ctx)
		if ctx.Err() != nil {
			n.finish(cancel)
			s.Closed(session.ID, nil)
			return nil
		}
		s.Closed(session.ID, cause)
	}
}

// Close cuts off what SubmitBlock has left going on in the background, and
// drops idle connections. Run does so at its end; it is for who asks a node
// afterwards, or without Run. Blocks can be submitted after it all the same,
// to nodes that answer before the first acceptance.
func (n *Node) Close() {
	n.mu.Lock()
	if n.closing != nil {
		close(n.closing)
		n.closing = nil
	}
	n.mu.Unlock()
	n.lingering.Wait()
	for _, p := range n.peers {
		p.templates.Close()
		p.blocks.Close()
	}
}

// begin lets submissions in.
func (n *Node) begin(abort context.Context) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running, n.abort, n.stopping = true, abort, make(chan struct{})
	if n.closing == nil {
		n.closing = make(chan struct{})
	}
}

// finish lets no submission in any more, and waits for those under way.
func (n *Node) finish(cancel context.CancelFunc) {
	n.mu.Lock()
	n.running = false
	close(n.stopping)
	n.mu.Unlock()
	timer := time.AfterFunc(shutdownGrace, cancel)
	defer timer.Stop()
	n.inflight.Wait()
}

// enter counts a submission in. It reports false when Run is not running.
func (n *Node) enter() (abort context.Context, stopping <-chan struct{}, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.running {
		return nil, nil, false
	}
	n.inflight.Add(1)
	return n.abort, n.stopping, true
}

// lockedSink calls a sink one call at a time.
type lockedSink struct {
	mu   sync.Mutex
	sink upstream.Sink
}

func (s *lockedSink) Opened(o upstream.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink.Opened(o)
}

func (s *lockedSink) Job(j *upstream.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink.Job(j)
}

func (s *lockedSink) Closed(session string, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink.Closed(session, cause)
}

func (s *lockedSink) Trouble(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink.Trouble(err)
}
