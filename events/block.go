// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Block is one block of ours, on its way from a hash that meets the network's
// target to a booking. It is told apart by its hash, never by its height: two
// valid blocks at one height are common on test chains and happen on the main
// chain.
type Block struct {
	// BlockHash in display order, 64 hex digits; also the share's id.
	BlockHash string `json:"block_hash"`
	// Height of the block.
	Height int64 `json:"height"`
	// NBits of the block's header, 8 hex digits; empty in what older gateways
	// said.
	NBits string `json:"nbits,omitempty"`
	// Pool that it was submitted to: the id of the gateway's upstream.
	Pool string `json:"pool"`
	// JobID, Agent and Unit of the share.
	JobID string `json:"job_id"`
	Agent string `json:"agent"`
	Unit  string `json:"unit"`
	// RewardSats that the coinbase pays, satoshi: subsidy and fees.
	RewardSats int64 `json:"reward_sats"`
	// Scheme under which the block is worth something to us: the whole
	// coinbase for solo, nothing besides the share for the others.
	Scheme Scheme `json:"scheme"`
	// Basis of the value.
	Basis Basis `json:"basis"`
	// Confirmations on the best chain when this was seen; 0 when it is not on
	// it.
	Confirmations int64 `json:"confirmations"`
	// Detail in words: the node's answer, or why the block is orphaned.
	Detail string `json:"detail,omitempty"`
	// SeenAt by the gateway's clock.
	SeenAt time.Time `json:"seen_at"`
}

// BlockFound (block.found) is a block that was submitted. It is worth nothing
// yet. The source token of the subject is the gateway's id.
type BlockFound Block

// BlockMatured (block.matured) is a block of ours with 100 confirmations on
// the best chain: a solo reward is booked by it.
type BlockMatured Block

// BlockOrphaned (block.orphaned) is a block of ours that the best chain does
// not hold: refused by the node, or overtaken by another. A reward booked for
// it is reversed. Should the chain turn to it again, block.matured follows all
// the same.
type BlockOrphaned Block
