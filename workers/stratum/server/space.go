// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
)

// ErrSlice is wrapped by [Server.WidenSession] for a slice that cannot be added.
var ErrSlice = errors.New("the slice does not fit the session's others")

// What is left of the extranonce to a miner.
const (
	// leastMinerBytes: fewer, and a machine searches its space in no time.
	leastMinerBytes = 2
	// usualMinerBytes is left where there is room; firmware counts in 4 bytes.
	usualMinerBytes = 4
	// mostMinerBytes is what every firmware takes.
	mostMinerBytes = 8
	// mostSlotBytes is enough for every connection there will ever be; what is
	// beyond it is filled with zeros.
	mostSlotBytes = 4
)

// space is the part of an upstream session's extranonce that is divided among
// connections: extranonce1 of the session, one of the owner's slices of
// extranonce2, a slot per connection within it, and the miner's rest. Its
// slices and slots are guarded by the server's lock; what is above them does
// not change.
type space struct {
	session     string
	extranonce1 []byte
	// size of the upstream's extranonce2, of the slot within it, and of what
	// is left to the miner: size = length of a slice + slotBytes + minerBytes.
	size, slotBytes, minerBytes int
	// perSlice is how many slots a slice has: number n is in slice n / perSlice.
	perSlice uint64

	// slices of the owner, all of one length.
	slices   [][]byte
	capacity uint64

	// conns that hold a slot.
	conns map[*conn]struct{}
	// used slots; fresh is how many have ever been given out, from start on in
	// every slice.
	used, fresh, start uint64
	// freed slots, oldest first, and those that were left before any work was
	// done in them.
	freed  []freedSlot
	unused []uint64
	// newest work, nil before the first.
	newest *work
	// live is the serial of the oldest work that is not void.
	live uint32
	// closed: the session is over, or goes on with another extranonce.
	closed atomic.Bool
}

// freedSlot was left by a connection. It is given out again only when all work
// of that time is void: two machines that count alike would find the same.
type freedSlot struct {
	number uint64
	// after is the serial of the newest work at that time.
	after uint32
}

// slot is a connection's own part of a space.
type slot struct {
	space  *space
	number uint64
	// bytes of the slot: the slice, and slotBytes of the number, big-endian.
	bytes []byte
	// worked: a job was issued in it. Guarded by the connection's lock.
	worked bool
}

// newSpace divides size bytes of extranonce2 behind the slice. A session whose
// extranonce2 is too small has a capacity of 0.
func newSpace(session string, extranonce1, slice []byte, size int) *space {
	s := &space{
		session: session, extranonce1: bytes.Clone(extranonce1), size: size,
		slices: [][]byte{bytes.Clone(slice)}, conns: make(map[*conn]struct{}),
	}
	room := size - len(slice)
	switch {
	case room < leastMinerBytes:
		return s
	case room <= 4:
		s.minerBytes = leastMinerBytes
	case room <= usualMinerBytes+mostSlotBytes:
		s.minerBytes = min(room-2, usualMinerBytes)
	default:
		s.minerBytes = min(room-mostSlotBytes, mostMinerBytes)
	}
	s.slotBytes = room - s.minerBytes
	s.perSlice = 1 << (8 * min(s.slotBytes, mostSlotBytes))
	s.capacity = s.perSlice
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	s.start = binary.LittleEndian.Uint64(random[:]) % s.perSlice
	return s
}

// WidenSession adds another slice of a session's extranonce2, as long as its
// first, to what is for miners: places for more of them. Who waits for one is
// given it. The session must have work.
func (s *Server) WidenSession(session string, slice []byte) error {
	s.control.Lock()
	defer s.control.Unlock()
	s.mu.Lock()
	err := errors.New("it has no work")
	if sp := s.sessions[session]; sp != nil {
		err = sp.widen(slice)
	}
	waiting := s.queue()
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("stratum server: session %s: %w", session, err)
	}
	for _, c := range waiting {
		c.rehome()
	}
	return nil
}

// widen adds a slice.
func (s *space) widen(slice []byte) error {
	for _, have := range s.slices {
		if len(have) != len(slice) || bytes.Equal(have, slice) {
			return fmt.Errorf("%w: %x after %x", ErrSlice, slice, have)
		}
	}
	s.slices = append(s.slices, bytes.Clone(slice))
	s.capacity += s.perSlice
	return nil
}

// same reports whether work of that extranonce belongs to the space.
func (s *space) same(extranonce1 []byte, size int) bool {
	return s.size == size && bytes.Equal(s.extranonce1, extranonce1)
}

// free counts the slots that nobody holds.
func (s *space) free() uint64 { return s.capacity - s.used }

// take gives out a slot, or nil when none is to be had: all are held, or those
// that were left may still have work in flight.
func (s *space) take() *slot {
	var number uint64
	switch {
	case s.closed.Load() || s.used == s.capacity:
		return nil
	case len(s.unused) > 0:
		number = s.unused[len(s.unused)-1]
		s.unused = s.unused[:len(s.unused)-1]
	case len(s.freed) > 0 && s.freed[0].after < s.live:
		number = s.freed[0].number
		s.freed = s.freed[1:]
	case s.fresh < s.capacity:
		// Last, or the list of slots freed would grow as long as miners come
		// and go.
		number = s.fresh/s.perSlice*s.perSlice + (s.start+s.fresh)%s.perSlice
		s.fresh++
	default:
		return nil
	}
	s.used++
	slice := s.slices[number/s.perSlice]
	var wide [8]byte
	binary.BigEndian.PutUint64(wide[:], number%s.perSlice)
	b := make([]byte, len(slice)+s.slotBytes)
	copy(b, slice)
	n := min(s.slotBytes, len(wide))
	copy(b[len(b)-n:], wide[len(wide)-n:])
	return &slot{space: s, number: number, bytes: b}
}

// giveBack frees a slot, in which work was done or not.
func (s *space) giveBack(l *slot, worked bool) {
	s.used--
	if !worked {
		// Clients that come and go without a login use nothing up.
		s.unused = append(s.unused, l.number)
		return
	}
	after := uint32(0)
	if s.newest != nil {
		after = s.newest.serial
	}
	s.freed = append(s.freed, freedSlot{number: l.number, after: after})
}

// prefix is the extranonce1 that the miner is told.
func (l *slot) prefix() []byte {
	b := make([]byte, 0, len(l.space.extranonce1)+len(l.bytes))
	b = append(b, l.space.extranonce1...)
	return append(b, l.bytes...)
}
