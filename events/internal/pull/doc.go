// SPDX-License-Identifier: Apache-2.0

// Package pull takes messages from a JetStream pull consumer with as little as
// possible between the socket and the reader: one channel, no locks, no
// goroutine of its own.
//
// # Usage
//
// New subscribes an inbox, Ask sends a request for messages, C delivers them.
// Whatever arrives goes through Take first: it tells messages from statuses of
// the server and keeps count of what is still owed. When C stays silent for
// longer than Silence, the request is lost (a reconnect, a restart of the
// server) and must be made again: nothing here waits for a wake-up that may
// never come.
//
// # Concurrency
//
// A Loop belongs to one goroutine.
package pull
