// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
	"github.com/ballast-energy/ballast/workers/node/rpc"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// Errors of making a block.
var (
	// ErrNotABlock: the hash does not meet the network's target.
	ErrNotABlock = errors.New("not a block: a node takes nothing less")
	// ErrInconsistent: the share does not belong to its job.
	ErrInconsistent = errors.New("the header does not come from the job")
	// ErrNoTransactions: no template that is kept has the job's transactions.
	ErrNoTransactions = errors.New("no template kept here has the transactions of the job; the block must come from the gateway that has")
)

// assemble makes the block of a share, in the form in which nodes take it. The
// job brings the coinbase; the transactions are those of a template kept here
// whose previous block and merkle branches are the job's: the branches commit
// to the exact list of transactions, so neither whose job it is matters, nor
// whether it was handed out before a restart. A job without branches has no
// transactions, and needs no template.
func (n *Node) assemble(s upstream.Submission) (*block, error) {
	j := s.Job
	if j == nil {
		return nil, fmt.Errorf("%w: there is no job", ErrInconsistent)
	}
	target, err := hashengine.TargetFromBits(j.Bits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	h := s.Header
	hash := h.Hash()
	if !target.Met(&hash) {
		return nil, fmt.Errorf("%w (hash %s, target %s)", ErrNotABlock, hash, target)
	}
	if len(s.Extranonce2) != j.Extranonce2Bytes {
		return nil, fmt.Errorf("%w: extranonce2 of %d bytes, want %d", ErrInconsistent, len(s.Extranonce2), j.Extranonce2Bytes)
	}
	tx := coinbase.Parts{Before: j.Coinbase1, After: j.Coinbase2}.Transaction(j.Extranonce1, s.Extranonce2)
	root := coinbase.Climb(hashengine.DoubleSHA256(tx), j.Branches)
	if h.MerkleRoot() != root || h.PrevHash() != j.PrevHash || h.Bits() != j.Bits {
		return nil, fmt.Errorf("%w: merkle root, previous block or target differ", ErrInconsistent)
	}
	txs := &transactions{}
	if t := n.store.find(j.PrevHash, j.Branches); t != nil {
		txs = t.txs
	} else if len(j.Branches) > 0 {
		if txs, err = n.keeper.find(keyOf(j.PrevHash, j.Branches)); err != nil {
			return nil, fmt.Errorf("%w (job %s, height %d): %w", ErrNoTransactions, j.ID, j.Height, err)
		}
	}
	commits, err := coinbase.Commits(j.Coinbase2)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
	}
	if commits {
		if tx, err = coinbase.WithWitness(tx); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInconsistent, err)
		}
	}
	head := make([]byte, 0, len(h)+9+len(tx))
	head = append(head, h[:]...)
	head = coinbase.AppendVarInt(head, uint64(1+len(txs.data)))
	return &block{hash: hash, head: append(head, tx...), txs: txs}, nil
}

// block in two halves: header, count and coinbase, and the transactions behind.
type block struct {
	hash hashengine.Hash
	head []byte
	txs  *transactions
}

// digits of the whole block.
func (b *block) digits() rpc.Digits {
	return rpc.Digits{hex.AppendEncode(nil, b.head), b.txs.hex()}
}
