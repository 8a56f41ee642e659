// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
)

// Upstream is where shares are worth something.
type Upstream interface {
	// ID names the pool in payouts: [a-z0-9-]{1,64}.
	ID() string
	// Address is where it is, without credentials.
	Address() string
	// Run keeps a session open until ctx ends, and returns nil then. What goes
	// wrong it says through the sink, and tries again by itself with growing
	// pauses; it returns an error only for what no retry can mend, such as an
	// address of another network.
	Run(ctx context.Context, sink Sink) error
	// Submit writes a share to the session of its job. done is called exactly
	// once, possibly before Submit returns: Unknown when the share may have
	// been written and no answer can come any more, Rejected as stale when it
	// certainly has not been written because the session has closed. Submit
	// does not wait for the answer. Block candidates overtake what is queued.
	Submit(s Submission, done func(Verdict))
}

// Sink hears an upstream.
type Sink interface {
	// Opened: a session is open; its jobs follow.
	Opened(Session)
	// Job: new work of an open session.
	Job(*Job)
	// Closed: a session is over, and all its jobs with it. Every share
	// submitted to it has had its verdict, or gets it now. cause is nil when
	// ctx ended.
	Closed(session string, cause error)
	// Trouble: something is wrong, and what: no session can be had just now,
	// which is repeated at every failed try, or an open one is not as it
	// should be (bad messages, a clock far off, a reconnect refused).
	Trouble(error)
}

// Session is one life of a connection.
type Session struct {
	// ID unique within one start of the process, [a-z0-9-]{1,64}.
	ID string
	// Address in use, without credentials: with failover not always the same.
	Address string
	// Primary: it is the first of the configured ones.
	Primary bool
	// VersionMask that the upstream granted; jobs carry their own.
	VersionMask uint32
}

// Job is work of a session, decoded and checked.
type Job struct {
	// Session that it belongs to, and ID within it: the upstream's own text
	// where the bus can carry it, else one that stands for it.
	Session, ID string
	// Version of the header, and VersionMask of bits that may be rolled; 0
	// when this job must not be rolled.
	Version, VersionMask uint32
	// PrevHash in header order.
	PrevHash hashengine.Hash
	// Coinbase1 + Extranonce1 + extranonce2 of Extranonce2Bytes + Coinbase2 is
	// the coinbase transaction without its witness.
	Coinbase1, Coinbase2 []byte
	Extranonce1          []byte
	Extranonce2Bytes     int
	// Branches of the merkle tree, header order.
	Branches []hashengine.Hash
	// NTime of the header, and the bounds within which it may be rolled, Unix
	// seconds.
	NTime, MinTime, MaxTime uint32
	// Bits is the compact network target.
	Bits uint32
	// Height of the block, 0 when the coinbase does not tell.
	Height int64
	// Difficulty that the upstream wants of a share, exact decimal text. A
	// node wants the network's difficulty.
	Difficulty string
	// Clean: earlier jobs of the session are void.
	Clean bool
	// Terms by which a share is paid.
	Terms Terms
	// Received by the process's clock.
	Received time.Time
}

// Terms of payment.
type Terms struct {
	Scheme events.Scheme
	// FeePPM of the pool.
	FeePPM int64
	// RewardSats of the block under the scheme: the template's where there is
	// one, else 0, and the gateway takes the newest market quote.
	RewardSats int64
	// FeesSats of RewardSats are transaction fees, the rest is the subsidy; 0
	// where RewardSats is 0.
	FeesSats int64
	// Basis of the value.
	Basis events.Basis
}

// Submission is a share on its way to the upstream.
type Submission struct {
	// Session and Job that it is for.
	Session string
	Job     *Job
	// Extranonce2 whole, as the upstream wants it.
	Extranonce2 []byte
	// Version of the header with rolled bits, NTime and Nonce.
	Version, NTime, Nonce uint32
	// Header complete, and its hash.
	Header hashengine.Header
	Hash   hashengine.Hash
	// Block: the hash meets the network's target.
	Block bool
}

// State of a verdict.
type State int

// States.
const (
	// Unknown: the upstream may or may not have taken it.
	Unknown State = iota
	// Accepted.
	Accepted
	// Rejected.
	Rejected
)

// Verdict is the upstream's answer to a share.
type Verdict struct {
	State State
	// Reason of a rejection as a code, and Detail: the upstream's own words,
	// or what happened.
	Reason events.RejectReason
	Detail string
	// Written is when the share went out on the wire, zero when it never did;
	// Answered is when the answer came.
	Written, Answered time.Time
}

// ErrUnknownBlock: who was asked has never seen the block. It has answered: a
// block that it does not know is not on its best chain.
var ErrUnknownBlock = errors.New("the node does not know the block")

// Confirmer is an upstream that can tell what became of a block.
type Confirmer interface {
	// Confirmations of the block on the best chain, by its hash; 0 when it is
	// known and not on it. The error wraps ErrUnknownBlock when the upstream
	// does not know it; any other error says that nothing is known.
	Confirmations(ctx context.Context, block hashengine.Hash) (int64, error)
}

// Chain is a Confirmer that can also tell how far the best chain has gone on,
// and so whether another block has buried one. Package confirm follows blocks
// on it.
type Chain interface {
	Confirmer
	// Height of the best block.
	Height(ctx context.Context) (int64, error)
}

// BlockSubmitter is an upstream that takes a block from a job of another
// gateway: every gateway of a site submits every block.
type BlockSubmitter interface {
	// SubmitBlock submits the block of the share; the job may be of a session
	// that has closed. An error says that the block was not taken, in the
	// node's words.
	SubmitBlock(ctx context.Context, s Submission) error
}
