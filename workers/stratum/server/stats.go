// SPDX-License-Identifier: Apache-2.0

package server

import (
	"sync/atomic"
	"time"

	"github.com/ballast-energy/ballast/workers/stratum"
)

// cause is why a connection ended.
type cause int32

const (
	causeNone cause = iota
	causePeer
	causeRead
	causeWrite
	causeSlow
	causeOpening
	causeIdle
	causeHandshake
	causeFlood
	causeMalformed
	causeTooLong
	causeInvalid
	causeUnauthorised
	causeNoWork
	causeMoved
	causeShutdown
	causes
)

var causeNames = [causes]string{
	causePeer: "closed-by-peer", causeRead: "read-error", causeWrite: "write-error", causeSlow: "slow-reader",
	causeOpening: "opening-timeout", causeIdle: "idle", causeHandshake: "tls-handshake", causeFlood: "flood",
	causeMalformed: "malformed", causeTooLong: "line-too-long", causeInvalid: "invalid-shares",
	causeUnauthorised: "unauthorised", causeNoWork: "no-work", causeMoved: "session-closed", causeShutdown: "shutdown",
}

// refusal of a share: a code of the protocol and what it is counted as.
type refusal int

const (
	notRefused refusal = iota
	refusedNotSubscribed
	refusedUnauthorised
	refusedParams
	refusedWorker
	refusedStale
	refusedExtranonce
	refusedTime
	refusedVersion
	refusedLow
	refusedDuplicate
	refusedFull
	refusedUnanswered
	refusedNotStored
	refusals
)

var refusalTable = [refusals]struct {
	name, text string
	code       int
}{
	refusedNotSubscribed: {"not-subscribed", "Not subscribed", stratum.CodeNotSubscribed},
	refusedUnauthorised:  {"unauthorised", "Unauthorized worker", stratum.CodeUnauthorized},
	refusedParams:        {"params", "", stratum.CodeOther}, // the text says which
	refusedWorker:        {"worker", "Worker name not authorized on this connection", stratum.CodeOther},
	refusedStale:         {"stale", "Job not found", stratum.CodeStale},
	refusedExtranonce:    {"extranonce2", "Wrong length of extranonce2", stratum.CodeOther},
	refusedTime:          {"ntime", "ntime out of range", stratum.CodeOther},
	refusedVersion:       {"version", "Version bits outside the mask", stratum.CodeOther},
	refusedLow:           {"low-difficulty", "Above target", stratum.CodeLowDifficulty},
	refusedDuplicate:     {"duplicate", "Duplicate share", stratum.CodeDuplicate},
	refusedFull:          {"filter-full", "Too many shares for this job", stratum.CodeOther},
	refusedUnanswered:    {"unanswered", "Too many shares in flight", stratum.CodeOther},
	refusedNotStored:     {"not-stored", "Share could not be stored", stratum.CodeOther},
}

// invalid reports whether the miner is at fault.
func (r refusal) invalid() bool {
	switch r {
	case notRefused, refusedStale, refusedFull, refusedUnanswered, refusedNotStored:
		return false
	}
	return true
}

// counters of a server; all only grow but the gauges of connections.
type counters struct {
	open, openTLS, ready            atomic.Int64
	accepted, refusedAll, refusedIP atomic.Uint64
	ended                           [causes]atomic.Uint64
	messages, malformed, unknown    atomic.Uint64
	logins, loginsRefused           atomic.Uint64
	shares, blocks, upstream        atomic.Uint64
	stored                          atomic.Uint64
	refused                         [refusals]atomic.Uint64
	jobs, fanOut                    atomic.Uint64
	fanOutNanos                     atomic.Int64
	difficulties, renewals          atomic.Uint64
	full                            atomic.Uint64
}

// SessionStats are those of one upstream session.
type SessionStats struct {
	// Slots held by connections, and Capacity of them.
	Slots, Capacity uint64
}

// Stats of a server since its start. Gauges are Connections, TLS, Ready,
// Sessions, Waiting and Stranded; the rest only grow.
type Stats struct {
	// Connections open, TLS among them, and Ready: subscribed, authorised and
	// at work.
	Connections, TLS, Ready int64
	// Sessions by id.
	Sessions map[string]SessionStats
	// Accepted connections; those turned away at once because there were too
	// many in all, or of one address.
	Accepted, RefusedConnections, RefusedAddress uint64
	// Ended connections by cause, such as "idle" or "slow-reader".
	Ended map[string]uint64
	// Messages read, Malformed ones and those of Unknown methods.
	Messages, Malformed, Unknown uint64
	// Logins allowed and refused.
	Logins, LoginsRefused uint64
	// Shares found valid, those among them that MeetUpstream or are Blocks,
	// and those that the sink has Stored.
	Shares, MeetUpstream, Blocks, Stored uint64
	// Refused shares by reason, such as "stale" or "duplicate".
	Refused map[string]uint64
	// Jobs handed out, the connections that they were written to in all, and
	// how long the last one took.
	Jobs, FanOut uint64
	LastFanOut   time.Duration
	// Difficulties changed, and jobs Renewed for single connections.
	Difficulties, Renewed uint64
	// Full counts how often no session had a slot for a connection, or there
	// was no session.
	Full uint64
	// Waiting connections whose subscription is not answered yet for that
	// reason, and Stranded ones that have lost their session and wait for
	// another; gauges.
	Waiting, Stranded int64
}

// Stats may be called at any time.
func (s *Server) Stats() Stats {
	c := &s.count
	st := Stats{
		Connections: c.open.Load(), TLS: c.openTLS.Load(), Ready: c.ready.Load(), Sessions: make(map[string]SessionStats),
		Accepted: c.accepted.Load(), RefusedConnections: c.refusedAll.Load(), RefusedAddress: c.refusedIP.Load(),
		Ended: make(map[string]uint64), Refused: make(map[string]uint64),
		Messages: c.messages.Load(), Malformed: c.malformed.Load(), Unknown: c.unknown.Load(),
		Logins: c.logins.Load(), LoginsRefused: c.loginsRefused.Load(),
		Shares: c.shares.Load(), MeetUpstream: c.upstream.Load(), Blocks: c.blocks.Load(), Stored: c.stored.Load(),
		Jobs: c.jobs.Load(), FanOut: c.fanOut.Load(), LastFanOut: time.Duration(c.fanOutNanos.Load()),
		Difficulties: c.difficulties.Load(), Renewed: c.renewals.Load(), Full: c.full.Load(),
	}
	for i := causeNone + 1; i < causes; i++ {
		st.Ended[causeNames[i]] = c.ended[i].Load()
	}
	for i := notRefused + 1; i < refusals; i++ {
		st.Refused[refusalTable[i].name] = c.refused[i].Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Waiting = int64(s.waiting)
	st.Stranded = int64(len(s.homeless)) - st.Waiting
	for id, sp := range s.sessions {
		st.Sessions[id] = SessionStats{Slots: sp.used, Capacity: sp.capacity}
	}
	return st
}
