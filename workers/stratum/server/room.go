// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"sort"
	"time"
)

// How often the owner of the sessions hears that there is no room.
const (
	// fullRepeat is the pause between two calls of Config.OnFull while nothing
	// changes.
	fullRepeat = 10 * time.Second
	// fullLook is the pause between two looks while there is no room, and so
	// the shortest between two calls.
	fullLook = time.Second
)

// Room says how much space the open sessions have for miners.
type Room struct {
	// Full: a connection waits for a slot, or the next one would have to. It is
	// false while no session has work at all: an upstream that is down is no
	// lack of room.
	Full bool
	// Sessions that are open and have work, the Slots that they were divided
	// into, and Used ones. Slots that were left, but whose work may still be in
	// flight, count as used.
	Sessions    int
	Slots, Used uint64
	// Waiting connections have no slot.
	Waiting int
}

// Room of the sessions at present.
func (s *Server) Room() Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := Room{Waiting: len(s.homeless)}
	for _, sp := range s.sessions {
		if sp.newest == nil {
			continue
		}
		r.Sessions++
		r.Slots += sp.capacity
		r.Used += sp.capacity - sp.takeable()
	}
	r.Full = r.Sessions > 0 && (r.Used == r.Slots || r.Waiting > 0)
	return r
}

// takeable counts the slots that take would give out now.
func (s *space) takeable() uint64 {
	if s.closed.Load() {
		return 0
	}
	// The oldest stand first.
	free := sort.Search(len(s.freed), func(i int) bool { return s.freed[i].after >= s.live })
	return s.capacity - s.fresh + uint64(len(s.unused)+free)
}

// tight says that there may be no room left.
func (s *Server) tight() { poke(s.tightened) }

// poke wakes whoever waits on a channel of capacity 1.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// tellRoom calls Config.OnFull as that says, until ctx ends.
func (s *Server) tellRoom(ctx context.Context) {
	if s.set.OnFull == nil {
		return
	}
	look := time.NewTimer(0)
	defer look.Stop()
	told, last, slots := false, time.Time{}, uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		case <-s.tightened:
			if told {
				continue // the next look sees it
			}
		}
		r := s.Room()
		// What was added may be full, too, by the next look.
		if r.Full != told || r.Full && (r.Slots != slots || time.Since(last) >= fullRepeat) {
			s.set.OnFull(r)
			told, last, slots = r.Full, time.Now(), r.Slots
		}
		if told {
			look.Reset(fullLook)
		}
	}
}
