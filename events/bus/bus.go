// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Durability says what an acknowledged event survives.
type Durability string

// Durabilities (bus.durability).
const (
	// PowerLoss: what is acknowledged by a stream that keeps facts or money
	// is on the disk (fsync); readings may lose their last moments.
	PowerLoss Durability = "power-loss"
	// ProcessCrash: what is acknowledged survives the death of the process,
	// not of the machine (sync every second).
	ProcessCrash Durability = "process-crash"
)

// Bus is one connection to NATS with the streams of Ballast on it, and the
// embedded server when Open started one. Safe for concurrent use.
type Bus struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	prefix string
	// server is nil when the bus is somebody else's.
	server *server.Server
}

// Conn is the connection, for what this package does not offer.
func (b *Bus) Conn() *nats.Conn { return b.nc }

// JetStream is the stream API of the connection.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// Prefix is the first token of every subject.
func (b *Bus) Prefix() string { return b.prefix }
