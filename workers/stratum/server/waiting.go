// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/workers/stratum"
)

// noWork is what a client hears for whom there was no work in time.
const noWork = "No work at present"

// waiting is the state of a connection whose mining.subscribe has not been
// answered yet, for want of work or of a slot. It costs nothing but what the
// connection has anyway: its reading goroutine goes on, with the end of its
// patience as the deadline, and answers to what it reads meanwhile stay in the
// outbox behind the one that is held.
type waiting struct {
	active bool
	// id of the request.
	id []byte
}

// wait holds the answer to a subscription, unless too many wait. Both the
// connection's lock and the server's are held.
func (c *conn) wait(id []byte) bool {
	s := c.server
	if s.waiting >= s.set.Limits.Waiting {
		return false
	}
	s.waiting++
	s.homeless[c] = struct{}{}
	c.held = waiting{active: true, id: slices.Clone(id)}
	c.until = time.Now().Add(s.set.Limits.Wait)
	c.out.hold()
	return true
}

// waited ends the wait: reply is what the client hears of its subscription,
// and then come the answers that stand behind it. The lock is held.
func (c *conn) waited(reply []byte) {
	if !c.held.active {
		return
	}
	if c.held.id == nil {
		reply = nil
	}
	c.held = waiting{}
	c.server.mu.Lock()
	c.server.waiting--
	c.server.mu.Unlock()
	c.out.release(reply)
}

// overdue looks at a connection whose time is over. It is false when that is
// so no longer: it was given work, and new time, meanwhile.
func (c *conn) overdue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return true
	}
	if time.Now().Before(c.until) {
		return false
	}
	if c.held.active {
		c.waited(stratum.AppendError(nil, c.held.id, stratum.CodeOther, noWork))
		c.leave(causeNoWork, nil)
		return false // the end of the stream is waited for as ever
	}
	return true
}

// strand leaves a connection its work, whose session was lost while there is
// no other: see Config.Outage.
func (c *conn) strand() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || c.slot == nil || !c.slot.space.closed.Load() {
		return
	}
	c.unseat()
	s := c.server
	s.mu.Lock()
	s.homeless[c] = struct{}{}
	s.mu.Unlock()
}

// unseat takes the slot from a connection whose space has closed; what was
// found in it is still judged. The lock is held.
func (c *conn) unseat() {
	s := c.server
	s.vacate(c, c.previous)
	s.mu.Lock()
	delete(c.slot.space.conns, c)
	s.mu.Unlock()
	c.previous, c.slot = c.slot, nil
}

// rehome gives a connection that waits for work, or whose space has closed, a
// place in another one.
func (c *conn) rehome() {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.server
	if c.gone || c.slot != nil && !c.slot.space.closed.Load() {
		return
	}
	if !c.held.active && !c.movable {
		c.leave(causeMoved, stratum.Reconnect{}.Append(nil))
		return
	}
	if c.slot != nil {
		c.unseat()
	}
	s.mu.Lock()
	c.slot = s.place(c)
	var newest *work
	if c.slot == nil {
		s.homeless[c] = struct{}{}
	} else {
		delete(s.homeless, c)
		newest = c.slot.space.newest
	}
	s.mu.Unlock()
	if newest == nil {
		return
	}
	if c.held.active {
		c.settle()
		return
	}
	c.out.send(c.slot.extranonce().Append(nil))
	c.issue(newest, true)
}

// settle tells a client that waited where its place is, and gives it work if
// it is authorised. The lock is held.
func (c *conn) settle() {
	limits := &c.server.set.Limits
	c.until = time.Now().Add(limits.Opening)
	if len(c.workers) > 0 {
		c.until = time.Now().Add(limits.Idle)
	}
	c.subscribed = true
	c.waited(c.subscription(c.held.id))
	if c.tcp.SetReadDeadline(c.until) != nil {
		c.close()
		return
	}
	if c.ready {
		c.server.mu.Lock()
		newest := c.slot.space.newest
		c.server.mu.Unlock()
		c.issue(newest, true)
		return
	}
	c.start()
}

// lose marks the work of a session that was lost.
func (w *work) lose() { w.lost.Store(true) }

// voidLost voids work that was left to miners while there was no other, once
// there is, or the outage has lasted too long.
func (s *Server) voidLost(now time.Time) {
	for _, w := range *s.jobs.Load() {
		if w.lost.Load() {
			w.void(now)
		}
	}
}

// watchOutage ends the connections that have lost their session when there is
// none for too long, until ctx ends.
func (s *Server) watchOutage(ctx context.Context) {
	over := time.NewTimer(s.set.Outage)
	defer over.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.lost:
			over.Reset(s.set.Outage)
		case <-over.C:
			s.endOutage()
		}
	}
}

// endOutage sends those away whose work is over, so that they look elsewhere.
func (s *Server) endOutage() {
	s.control.Lock()
	defer s.control.Unlock()
	if !s.outage {
		return
	}
	s.outage = false
	s.voidLost(s.set.Now())
	s.mu.Lock()
	conns := s.queue()
	s.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		if !c.gone && c.slot == nil && !c.held.active {
			c.leave(causeNoWork, stratum.AppendShowMessage(nil, noWork))
		}
		c.mu.Unlock()
	}
}

// queue is who waits for a place, first come first. The server's lock is held.
func (s *Server) queue() []*conn {
	all := make([]*conn, 0, len(s.homeless))
	for c := range s.homeless {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *conn) int { return int(int64(a.id - b.id)) })
	return all
}
