// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ballast-energy/ballast/workers/upstream"
)

// rest of a fan-out on a single processor, between portions: long enough that
// the runtime looks at the network.
const rest = 100 * time.Microsecond

// ErrNoSpace is wrapped when the extranonce2 of a session leaves nothing to
// divide: miners need two bytes of it.
var ErrNoSpace = errors.New("the extranonce2 is too small to be divided among miners")

// ErrSessionOpen is wrapped by [Server.OpenSession] for a session that has work
// already.
var ErrSessionOpen = errors.New("the session is open")

// OpenSession tells which part of a session's extranonce2 is for miners: that
// which begins with slice. It is called before the session's first job, and
// only where the owner keeps other slices for himself; without it, and with an
// empty slice, all of it is for miners.
func (s *Server) OpenSession(session string, slice []byte) error {
	s.control.Lock()
	defer s.control.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sessions[session]; ok {
		return fmt.Errorf("stratum server: session %s: %w", session, ErrSessionOpen)
	}
	s.slices[session] = slices.Clone(slice)
	return nil
}

// SetJob hands a job out to the connections of its session, which it opens when
// it is not; connections without a session are given a place in it. It returns
// when every connection has been written to that could be without waiting. An
// error, which wraps ErrJob, leaves everything as it was. The job must not be
// changed afterwards. Jobs are handed out one after the other.
//
// When the session's extranonce is not that of its jobs before, connections
// that asked to hear of such changes are told, others are closed to come back.
func (s *Server) SetJob(j *upstream.Job) error {
	s.control.Lock()
	defer s.control.Unlock()
	now := s.set.Now()
	s.mu.Lock()
	before := s.sessions[j.Session]
	slice := s.slices[j.Session]
	s.mu.Unlock()
	sp := before
	if sp == nil || !sp.same(j.Extranonce1, j.Extranonce2Bytes) {
		if sp = newSpace(j.Session, j.Extranonce1, slice, j.Extranonce2Bytes); sp.capacity == 0 {
			return fmt.Errorf("%w: session %s: %d bytes of extranonce2, %d of them the owner's: %w", ErrJob, j.Session, j.Extranonce2Bytes, len(slice), ErrNoSpace)
		}
	}
	w, err := newWork(s.serial+1, j, sp, s.set, now)
	if err != nil {
		return err
	}
	s.serial++
	s.outage = false
	jobs := maps.Clone(*s.jobs.Load())
	live := w.serial
	for serial, old := range jobs {
		if old.lost.Load() || old.job.Session == j.Session && (j.Clean || old.stale(now, s.set.JobLifetime)) {
			old.void(now)
		}
		if old.forgotten(now, s.set.JobLifetime) {
			delete(jobs, serial)
		} else if old.space == sp && old.voided.Load() == 0 {
			live = min(live, serial)
		}
	}
	jobs[w.serial] = w
	s.jobs.Store(&jobs)

	s.mu.Lock()
	s.sessions[j.Session] = sp
	sp.newest, sp.live = w, live
	conns := slices.Collect(maps.Keys(sp.conns))
	lost := s.queue()
	if before != nil && before != sp {
		before.closed.Store(true)
		lost = slices.AppendSeq(lost, maps.Keys(before.conns))
	}
	s.mu.Unlock()

	s.fanOut(conns, w)
	took := s.set.Now().Sub(now)
	s.count.jobs.Add(1)
	s.count.fanOut.Add(uint64(len(conns)))
	s.count.fanOutNanos.Store(int64(took))
	for _, c := range lost {
		c.rehome()
	}
	return nil
}

// fanOut writes a job to connections. It leaves a processor to the shares, whose
// answers must not wait behind thousands of writes: the runtime looks for what
// has arrived only when one has nothing to do. Where there is only one, it rests
// now and then for that reason.
func (s *Server) fanOut(conns []*conn, w *work) {
	const portion, spell = 64, 256
	processors := runtime.GOMAXPROCS(0)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(max(processors-1, 1), (len(conns)+portion-1)/portion) {
		wg.Go(func() {
			for {
				from := int(next.Add(portion)) - portion
				if from >= len(conns) {
					return
				}
				for _, c := range conns[from:min(from+portion, len(conns))] {
					c.hand(w)
				}
				if processors == 1 && from%spell == spell-portion {
					time.Sleep(rest)
				}
			}
		})
	}
	wg.Wait()
}

// CloseSession ends a session. Where another one has work, its own is void at
// once: connections that asked to hear of changes of their extranonce move
// there, others are closed with the advice to come back. Where none has, they
// all keep their work until one does, or [Config.Outage] is over, and their
// shares go to the sink. Blocks found in the session's work are handed to the
// sink for some time yet. A session that is unknown is no error.
func (s *Server) CloseSession(session string) {
	s.control.Lock()
	defer s.control.Unlock()
	now := s.set.Now()
	s.mu.Lock()
	delete(s.slices, session)
	sp := s.sessions[session]
	delete(s.sessions, session)
	last := len(s.sessions) == 0
	if sp == nil {
		s.mu.Unlock()
		return
	}
	sp.closed.Store(true)
	conns := slices.Collect(maps.Keys(sp.conns))
	s.mu.Unlock()
	for _, w := range *s.jobs.Load() {
		switch {
		case w.job.Session != session:
		case last:
			w.lose()
		default:
			w.void(now)
		}
	}
	if !last {
		for _, c := range conns {
			c.rehome()
		}
		return
	}
	for _, c := range conns {
		c.strand()
	}
	s.outage = true
	poke(s.lost)
}

// place finds a slot for a connection in the session that has most left; nil
// when there is none. The server's lock is held.
func (s *Server) place(c *conn) *slot {
	open := make([]*space, 0, len(s.sessions))
	for _, sp := range s.sessions {
		if sp.newest != nil {
			open = append(open, sp)
		}
	}
	slices.SortFunc(open, func(a, b *space) int {
		switch {
		case a.free() > b.free():
			return -1
		case a.free() < b.free():
			return 1
		}
		return int(int64(b.newest.serial) - int64(a.newest.serial))
	})
	for _, sp := range open {
		l := sp.take()
		if sp.takeable() == 0 {
			s.tight()
		}
		if l != nil {
			sp.conns[c] = struct{}{}
			return l
		}
	}
	s.count.full.Add(1)
	return nil
}

// vacate frees a slot. The connection has gone or its lock is held.
func (s *Server) vacate(c *conn, l *slot) {
	if l == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(l.space.conns, c)
	l.space.giveBack(l, l.worked)
}

// mask that newest work lets miners roll, and whether there is any work.
func (s *Server) newestMask() (uint32, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var newest *work
	for _, sp := range s.sessions {
		if sp.newest != nil && (newest == nil || sp.newest.serial > newest.serial) {
			newest = sp.newest
		}
	}
	if newest == nil {
		return 0, false
	}
	return newest.mask, true
}
