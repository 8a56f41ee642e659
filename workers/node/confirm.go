// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node/rpc"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// Confirmations implements upstream.Confirmer. It asks the node that serves,
// and the others when that does not answer or does not know the block; the
// error wraps upstream.ErrUnknownBlock when all that answer do not know it. It can be
// called without Run.
func (n *Node) Confirmations(ctx context.Context, block hashengine.Hash) (int64, error) {
	var unknown, silence error
	for _, p := range n.byPreference() {
		c, err := p.confirmations(ctx, block)
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, upstream.ErrUnknownBlock):
			unknown = err
		default:
			silence = errors.Join(silence, err)
		}
	}
	if unknown != nil && silence == nil {
		return 0, unknown
	}
	if unknown != nil {
		// Who is silent may know it: unknown is for certain only if all say so.
		return 0, fmt.Errorf("one node does not know block %s, and another does not answer: %w", block, silence)
	}
	return 0, silence
}

// Height implements upstream.Chain: of the best block of the node that serves,
// or of the next that answers.
func (n *Node) Height(ctx context.Context) (int64, error) {
	var failed error
	for _, p := range n.byPreference() {
		var height int64
		err := p.blocks.Call(ctx, "getblockcount", nil, &height)
		if err == nil && (height < 0 || height > maxHeight) {
			err = fmt.Errorf("getblockcount of %s: height %d", p, height)
		}
		if err == nil {
			return height, nil
		}
		failed = errors.Join(failed, err)
	}
	return 0, failed
}

// byPreference are the usable nodes, the one that serves first.
func (n *Node) byPreference() []*peer {
	serving := n.current()
	peers := []*peer{serving}
	for _, p := range n.peers {
		if p != serving && p.wrong.Load() == nil {
			peers = append(peers, p)
		}
	}
	return peers
}

func (p *peer) confirmations(ctx context.Context, block hashengine.Hash) (int64, error) {
	hash := block.String()
	var header struct {
		Hash          string `json:"hash"`
		Confirmations *int64 `json:"confirmations"`
	}
	err := p.blocks.Call(ctx, "getblockheader", []any{hash, true}, &header)
	var said *rpc.Error
	switch {
	case err == nil && (header.Confirmations == nil || header.Hash != hash):
		return 0, fmt.Errorf("getblockheader of %s: %w: hash or confirmations are not there", p, rpc.ErrResult)
	case err == nil:
		return max(0, *header.Confirmations), nil // −1 when beside the best chain
	case errors.As(err, &said) && said.Code == rpc.CodeNotFound:
		return 0, fmt.Errorf("%w: %s of node %s", upstream.ErrUnknownBlock, hash, p)
	case errors.As(err, &said) && said.Code == rpc.CodeInternal:
		// btcd fails to tell the height of a block beside the best chain. It
		// is one if its bare header can be had.
		var bare string
		if bareErr := p.blocks.Call(ctx, "getblockheader", []any{hash, false}, &bare); bareErr != nil {
			return 0, err
		}
		h, parseErr := hashengine.ParseHeader(bare)
		if parseErr != nil || h.Hash() != block {
			return 0, err
		}
		return 0, nil
	default:
		return 0, err
	}
}
