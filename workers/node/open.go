// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// ErrWrongNetwork: a node is on another network than configured. It is not
// used, as blocks there would pay nobody.
var ErrWrongNetwork = errors.New("the node is on another network")

// Bounds of single calls.
const (
	callTimeout = 20 * time.Second
	tipTimeout  = 10 * time.Second
	// longPollTimeout after which a parked call is made anew: routers forget
	// silent connections.
	longPollTimeout = 10 * time.Minute
)

// open opens a session on the first node that can be had and is not behind
// what has been mined on before; on the one with the longest chain if all
// others are.
func (n *Node) open(ctx context.Context, sink *lockedSink) (*session, error) {
	var problems, wrong []error
	var best *template
	bestAt := -1
	for i, p := range n.peers {
		if bad := p.wrong.Load(); bad != nil {
			wrong = append(wrong, *bad)
			continue
		}
		t, err := n.probe(ctx, p)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, ErrWrongNetwork) || errors.Is(err, ErrSignet):
			p.wrong.Store(&err)
			wrong = append(wrong, err)
			if len(n.peers) > 1 {
				sink.Trouble(err)
			}
			continue
		case err != nil:
			problems = append(problems, err)
			continue
		case best == nil || t.height > best.height:
			best, bestAt = t, i
		}
		if best.height >= n.store.highest() {
			break
		}
	}
	switch {
	case best != nil:
		for _, err := range problems {
			sink.Trouble(err)
		}
	case len(problems) > 0:
		return nil, fmt.Errorf("no node to mine on: %w", errors.Join(problems...))
	default:
		return nil, errors.Join(wrong...)
	}
	p := n.peers[bestAt]
	if highest := n.store.highest(); best.height < highest {
		sink.Trouble(fmt.Errorf("node %s builds on height %d, and %d has been seen: it is behind, or the chain was reorganised; mining on it all the same, as there is no better", p, best.height-1, highest-1))
	}
	n.serving.Store(int32(bestAt))
	count := n.sessions.Add(1)
	s := &session{
		Session: upstream.Session{
			ID:          fmt.Sprintf("%08x", count),
			Address:     p.templates.Endpoint().URL,
			Primary:     bestAt == 0,
			VersionMask: hashengine.VersionRollingMask,
		},
		node: n, peer: p, sink: sink,
		extranonce1: binary.BigEndian.AppendUint32(append([]byte(nil), n.config.ExtranoncePrefix...), count),
		results:     make(chan result),
	}
	s.sink.Opened(s.Session)
	if err := s.issue(best); err != nil {
		// Build has been tried with the configuration: this cannot happen but
		// by a template, and the next one may be better.
		s.sink.Closed(s.ID, err)
		return nil, err
	}
	return s, nil
}

// probe checks the network of a node and takes a first template.
func (n *Node) probe(ctx context.Context, p *peer) (*template, error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var text string
	if err := p.templates.Call(call, "getblockhash", []any{0}, &text); err != nil {
		return nil, err
	}
	genesis, err := hashengine.ParseHash(text)
	if err != nil {
		return nil, fmt.Errorf("getblockhash of %s: %w", p, err)
	}
	if genesis != n.network.Genesis() {
		name := coinbase.NameOfGenesis(genesis)
		if name == "" {
			name = "one that begins with block " + genesis.String()
		}
		return nil, fmt.Errorf("%w: node %s is on %s, configured is %s; change the node's address or the network", ErrWrongNetwork, p, name, n.network.Name)
	}
	return n.fetch(call, p, "")
}

// fetch takes a template, parked at the node until there is something new if
// there is a longPollID.
func (n *Node) fetch(ctx context.Context, p *peer, longPollID string) (*template, error) {
	rules := []string{"segwit"}
	if n.network.Name == "signet" {
		rules = append(rules, "signet")
	}
	request := map[string]any{"capabilities": []string{"coinbasevalue", "longpoll"}, "rules": rules}
	if longPollID != "" {
		request["longpollid"] = longPollID
	}
	var raw json.RawMessage
	if err := p.templates.Call(ctx, "getblocktemplate", []any{request}, &raw); err != nil {
		return nil, err
	}
	t, err := parseTemplate(raw, n.store.newest())
	if err != nil {
		return nil, fmt.Errorf("getblocktemplate of %s: %w", p, err)
	}
	return t, nil
}

// tip is the hash of the node's best block.
func (p *peer) tip(ctx context.Context) (hashengine.Hash, error) {
	ctx, cancel := context.WithTimeout(ctx, tipTimeout)
	defer cancel()
	var text string
	if err := p.blocks.Call(ctx, "getbestblockhash", nil, &text); err != nil {
		return hashengine.Hash{}, err
	}
	h, err := hashengine.ParseHash(text)
	if err != nil {
		return h, fmt.Errorf("getbestblockhash of %s: %w", p, err)
	}
	return h, nil
}

// String is the node's address without credentials.
func (p *peer) String() string { return p.blocks.Endpoint().URL }
