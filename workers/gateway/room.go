// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// spaceRemedy is what to do when no further session can be had.
const spaceRemedy = "Use an upstream with a larger extranonce2, or start another gateway."

// roomAsked is what the gateway's own server last said of its room for miners.
type roomAsked struct {
	mu sync.Mutex
	DownstreamRoom
	// open: nothing has been done about it.
	open bool
}

// DownstreamRoom tells how much room the gateway's own server has for miners.
// When there is none, the gateway gives it another slice of a session, or opens
// another session, or says in an alert that it cannot. It may be called from
// anywhere.
func (g *Gateway) DownstreamRoom(r DownstreamRoom) {
	g.room.mu.Lock()
	g.room.DownstreamRoom, g.room.open = r, r.Full
	g.room.mu.Unlock()
	if r.Full {
		poke(g.wake)
		return
	}
	g.alarms.clear(alarmSpace, "downstream", "there is room for further miners of the gateway's own server")
}

// makeRoom claims search space for the gateway's own server: a little in every
// session, and more where it asks.
func (d *dispatcher) makeRoom(ctx context.Context, sessions []*session) {
	g := d.g
	if g.cfg.OnJob == nil {
		return
	}
	g.room.mu.Lock()
	r, asked := g.room.DownstreamRoom, g.room.open
	g.room.mu.Unlock()
	first, done := true, false
	var claimed uint64
	for _, s := range sessions {
		// Where a miner takes a whole session, one is taken when it is wanted.
		if len(s.space.downstream) == 0 && s.space.size > 2 {
			done = d.claimRoom(ctx, s.space, s.space.firstSlices()) || done
		}
		claimed += uint64(len(s.space.downstream))
		first = first && len(s.space.downstream) == 0
	}
	if !asked && !first {
		return
	}
	if !done {
		done = d.moreRoom(ctx, sessions, slicesWanted(r, claimed), first)
	}
	if done {
		g.room.mu.Lock()
		if g.room.DownstreamRoom == r {
			g.room.open = false
		}
		g.room.mu.Unlock()
		return
	}
	if remedy := d.further(); remedy != "" {
		g.alarms.raise(alarmSpace, "downstream", events.SeverityWarning,
			fmt.Sprintf("no room for further miners of the gateway's own server: %d have work in %d sessions of %s, %d wait", r.Used, r.Sessions, extranonces(sessions), r.Waiting),
			remedy+" Miners that have work keep it.")
	}
}

// extranonces tells the sizes of sessions' extranonce2.
func extranonces(sessions []*session) string {
	least, most := 0, 0
	for i, s := range sessions {
		if i == 0 || s.space.size < least {
			least = s.space.size
		}
		most = max(most, s.space.size)
	}
	if least != most {
		return fmt.Sprintf("%d to %d bytes of extranonce2", least, most)
	}
	return fmt.Sprintf("%d bytes of extranonce2", most)
}

// firstSlices is how many slices a session's miners are given before any has
// come.
func (s *space) firstSlices() uint64 {
	switch s.size {
	case 3:
		return 16 // a miner each
	case 4:
		return 4 // 256 each
	}
	return 1
}

// slicesWanted doubles the places that are needed.
func slicesWanted(r DownstreamRoom, claimed uint64) uint64 {
	if claimed == 0 || r.Slots == 0 {
		return 1
	}
	each := max(r.Slots/claimed, 1)
	need := 2 * (r.Used + uint64(r.Waiting))
	if need <= r.Slots {
		return 1
	}
	return (need - r.Slots + each - 1) / each
}

// fewSlices are not left for later halves.
const fewSlices = 16

// moreRoom claims up to n slices in the sessions that have most left, never
// much more than half of what is left, and reports whether it got any. first: there
// are none yet.
func (d *dispatcher) moreRoom(ctx context.Context, sessions []*session, n uint64, first bool) (done bool) {
	sessions = slices.Clone(sessions)
	slices.SortStableFunc(sessions, func(a, b *session) int {
		return cmp.Compare(b.space.leftDownstream(), a.space.leftDownstream())
	})
	for _, s := range sessions {
		left := s.space.leftDownstream()
		switch {
		case n == 0 || left == 0:
			return done
		case len(s.space.downstream) > 0 && d.g.cfg.OnSlice == nil:
			continue // nobody would hear of it
		case s.space.size == 2 && !d.wider() && (first || d.roster.Len() > 0):
			continue // all of it, and the last: the workers on the bus would have none
		}
		take := min(n, max((left+1)/2, fewSlices))
		if d.claimRoom(ctx, s.space, take) {
			n, done = n-take, true
		}
	}
	return done
}

// claimRoom claims slices of a session and reports whether it got any.
func (d *dispatcher) claimRoom(ctx context.Context, s *space, n uint64) bool {
	if d.g.cfg.OnSlice == nil {
		n = 1
	}
	err := s.claimDownstream(ctx, d.kv, n)
	if err != nil && !errors.Is(err, errSpaceUsedUp) {
		d.log.Warn("no search space for downstream miners yet", "error", err)
	}
	return err == nil
}

// wider reports whether a further connection may be opened.
func (d *dispatcher) wider() bool {
	return d.g.cfg.Another != nil && d.connections < d.g.cfg.MaxConnections
}

// settleTime is how long a connection may take to bring its session and the
// first job until people hear that there is no search space.
const settleTime = 10 * time.Second

// further asks for one more connection; the one asked for before must have
// brought its session. Where none can be had, or the one before takes too long,
// it returns what to do. While there is no work at all it is not space that is
// missing, and the alert for that says so.
func (d *dispatcher) further() (remedy string) {
	g := d.g
	g.mu.Lock()
	working := 0
	for _, l := range g.links {
		for _, s := range g.sessions[l] {
			if s.usable() {
				working++
				break
			}
		}
	}
	settled := working == len(g.links)
	g.mu.Unlock()
	switch {
	case working == 0:
		d.unsettled = time.Time{}
		return ""
	case !settled:
		// The last connection that may be opened is waited for, too: what it
		// brings may be enough.
		now := g.cfg.Now()
		if d.unsettled.IsZero() {
			d.unsettled = now
		}
		if now.Sub(d.unsettled) < settleTime {
			return ""
		}
		return "A connection to the upstream brings no session: see how many it allows of the account, or start another gateway."
	}
	d.unsettled = time.Time{}
	if !d.wider() {
		return spaceRemedy
	}
	up, err := g.cfg.Another(d.connections + 1)
	if err != nil {
		return events.ClipText("A further connection could not be made: " + err.Error() + ".")
	}
	d.connections++
	g.log.Info("search space used up: one more connection", "connections", d.connections)
	d.connect(up)
	return ""
}
