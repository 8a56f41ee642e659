// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// ErrDuplicate is wrapped by a sink's answer to a share that it knows already:
// an upstream may send the same work twice, under two ids. The miner is told
// so, and nothing has gone wrong.
var ErrDuplicate = errors.New("stratum server: the share is known")

// ErrStale is wrapped by a sink's answer to a share whose upstream session was
// lost: it cannot be sent any more. The miner is told so, and nothing has gone
// wrong.
var ErrStale = errors.New("stratum server: the session of the share's job is over")

// Share is a valid share of a miner: its hash meets the difficulty that the
// connection was given for the job, or the network's.
type Share struct {
	// Connection that it came over, unique within one start of the server.
	Connection uint64
	// Worker is the unit token of the name that submitted it.
	Worker string
	// Job as it was handed to [Server.SetJob]. It may be of a session that has
	// closed, see [Config.Outage], and when Block is set it may be void.
	Job *upstream.Job
	// Extranonce2 whole, as the upstream wants it. The receiver may keep it.
	Extranonce2 []byte
	// Version of the header with rolled bits, NTime and Nonce.
	Version, NTime, Nonce uint32
	// Header complete, and its hash.
	Header hashengine.Header
	Hash   hashengine.Hash
	// Difficulty that it is worth, exact decimal text: that of the connection
	// when the job was issued; of a Block below that, the network's as a power
	// of two.
	Difficulty string
	// MeetsUpstream: it meets the job's own difficulty too, and the upstream
	// will want it. If not it is proof of work all the same.
	MeetsUpstream bool
	// Block: the hash meets the network's target. Such a share may be late or
	// below Difficulty, and is to be submitted before all others.
	Block bool
	// Received by the clock of the server.
	Received time.Time
}

// Sink stores shares.
type Sink interface {
	// Take stores a share and then calls done once, with nil when it is
	// stored: the miner is told so only then. done may be called from
	// anywhere, before Take returns too, and does not block. Take is called
	// from the goroutine that reads the connection, for many connections at
	// once; while it blocks, that connection is not read.
	Take(s Share, done func(error))
}

// SinkFunc is a function as a Sink.
type SinkFunc func(s Share, done func(error))

// Take calls f.
func (f SinkFunc) Take(s Share, done func(error)) { f(s, done) }
