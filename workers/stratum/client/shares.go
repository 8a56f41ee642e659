// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/stratum"
	"github.com/ballast-energy/ballast/workers/upstream"
)

const (
	maxQueued  = 1 << 16  // shares that wait to be written
	maxControl = 64 << 10 // bytes of other messages that do
	batchBytes = 16 << 10 // of shares in one write: what a block candidate waits behind
)

// pending is a share without its verdict.
type pending struct {
	id      uint64
	share   upstream.Submission
	poolID  string
	done    func(upstream.Verdict)
	written time.Time
	offset  int // of its line in the write
}

// traffic is what goes out and what waits for its reply. It is guarded by mu.
type traffic struct {
	book        book
	rolling     bool // version rolling was agreed: submits have a sixth param
	lastID      uint64
	words       []byte // requests and replies other than shares
	spoke       bool
	blocks      []*pending // to be written first
	shares      []*pending
	outstanding map[uint64]*pending // written, or being written
	control     map[uint64]request
}

// idle reports that nothing of ours waits for anything. mu is held.
func (s *session) idle() bool {
	return len(s.blocks) == 0 && len(s.shares) == 0 && len(s.outstanding) == 0
}

// sent reports whether anything was.
func (s *session) sent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spoke
}

// ask writes a request.
func (s *session) ask(what request, line func(b []byte, id uint64) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	s.control[s.lastID] = what
	s.words = line(s.words, s.lastID)
	s.ready.Signal()
}

// say writes a reply to the pool. turn is held.
func (s *session) say(line []byte) {
	s.mu.Lock()
	full := len(s.words)+len(line) > maxControl
	if !full {
		s.words = append(s.words, line...)
		s.ready.Signal()
	}
	s.mu.Unlock()
	if full {
		s.fail(fmt.Errorf("pool %s asks without end and reads no answers", s.e.address()))
	}
}

// submit queues a share, or answers it at once when it is not to be written.
func (s *session) submit(share upstream.Submission, done func(upstream.Verdict)) {
	reason, why := s.enqueue(share, done)
	if why != "" {
		done(upstream.Verdict{State: upstream.Rejected, Reason: reason, Detail: "not written: " + why, Answered: time.Now()})
	}
}

func (s *session) enqueue(share upstream.Submission, done func(upstream.Verdict)) (reason events.RejectReason, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.leaving.IsZero() && !share.Block {
		return events.RejectStale, "the session of its job is closing"
	}
	if share.Job == nil {
		return events.RejectInvalid, "the share names no job"
	}
	w := s.book.byID[share.Job.ID]
	switch {
	case w == nil:
		return events.RejectStale, "its job is too old to be known"
	case len(share.Extranonce2) != w.job.Extranonce2Bytes:
		return events.RejectInvalid, fmt.Sprintf("extranonce2 of %d bytes; its job wants %d", len(share.Extranonce2), w.job.Extranonce2Bytes)
	case (share.Version^w.job.Version)&^w.job.VersionMask != 0:
		return events.RejectInvalid, fmt.Sprintf("version %08x differs from the job's %08x outside its mask %08x", share.Version, w.job.Version, w.job.VersionMask)
	case len(s.shares)+len(s.blocks) >= maxQueued && !share.Block:
		return events.RejectStale, "too many shares wait for the pool to read"
	}
	if _, twice := w.seen[share.Hash]; twice {
		return events.RejectDuplicate, "it was submitted before"
	}
	w.seen[share.Hash] = struct{}{}
	s.lastID++
	p := &pending{id: s.lastID, share: share, poolID: w.poolID, done: done}
	if share.Block {
		s.blocks = append(s.blocks, p)
	} else {
		s.shares = append(s.shares, p)
	}
	s.ready.Signal()
	return "", ""
}

// write sends what is queued until the session closes.
func (s *session) write() {
	var line []byte
	var batch []*pending
	for {
		line, batch = s.nextWrite(line[:0], batch[:0])
		if len(line) == 0 {
			return
		}
		// An error to set the deadline shows in the write.
		_ = s.conn.SetWriteDeadline(time.Now().Add(s.c.cfg.Timing.Reply))
		n, err := s.conn.Write(line)
		if err == nil {
			continue
		}
		if s.e.secure {
			n = len(line) // what is inside a record cannot be told
		}
		s.unwritten(batch, n)
		s.fail(fmt.Errorf("pool %s: write: %w", s.e.address(), err))
		return
	}
}

// nextWrite waits for something to write: block candidates alone, or the rest.
// Its shares count as written from here on. An empty line is the end.
func (s *session) nextWrite(line []byte, batch []*pending) ([]byte, []*pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.closed && len(s.words) == 0 && len(s.blocks) == 0 && len(s.shares) == 0 {
		s.ready.Wait()
	}
	if s.closed {
		return line, batch
	}
	s.spoke = true
	now := time.Now()
	queue := &s.blocks
	if len(s.blocks) == 0 {
		queue = &s.shares
		line = append(line, s.words...)
		s.words = s.words[:0]
	}
	taken := 0
	for _, p := range *queue {
		if len(line) >= batchBytes {
			break
		}
		taken++
		p.offset, p.written = len(line), now
		sh := &p.share
		line = stratum.AppendSubmit(line, p.id, s.e.user, p.poolID, sh.Extranonce2, sh.NTime, sh.Nonce, s.rolling, sh.Version&sh.Job.VersionMask)
		s.outstanding[p.id] = p
		batch = append(batch, p)
	}
	if *queue = (*queue)[taken:]; len(*queue) == 0 {
		*queue = nil
	}
	return line, batch
}

// unwritten settles the shares of a failed write of which not a byte went out.
func (s *session) unwritten(batch []*pending, n int) {
	s.mu.Lock()
	var never []*pending
	for _, p := range batch {
		if p.offset >= n && s.outstanding[p.id] == p {
			delete(s.outstanding, p.id)
			never = append(never, p)
		}
	}
	s.mu.Unlock()
	s.neverWritten(never)
}

func (s *session) neverWritten(ps []*pending) {
	for _, p := range ps {
		p.done(upstream.Verdict{
			State: upstream.Rejected, Reason: events.RejectStale, Detail: "not written: the connection to the pool ended", Answered: time.Now(),
		})
	}
}

// reply of the pool to something. turn is held.
func (s *session) reply(m *stratum.Message, now time.Time) {
	id, ok := m.Number()
	if !ok {
		if e := m.Failure(); m.Error != nil && e != nil {
			s.complain(fmt.Errorf("pool %s reports an error with nothing of ours: %w", s.e.address(), e))
		}
		return
	}
	s.mu.Lock()
	p := s.outstanding[id]
	delete(s.outstanding, id)
	what := s.control[id]
	delete(s.control, id)
	last := !s.leaving.IsZero() && s.idle()
	s.mu.Unlock()
	if p != nil {
		s.judged(p, m, now)
	} else if what != 0 {
		s.answered(what, m, now)
	}
	if last {
		s.leave(nil, ending{}) // it was what we waited for
	}
}

// judged hands on the pool's verdict.
func (s *session) judged(p *pending, m *stratum.Message, now time.Time) {
	v := upstream.Verdict{State: upstream.Accepted, Written: p.written, Answered: now}
	refusal := m.Failure()
	if refusal != nil {
		v.State, v.Reason, v.Detail = upstream.Rejected, reasonOf(refusal.Meaning()), refusal.Error()
		if v.Detail == "" {
			v.Detail = "refused without a reason"
		}
	}
	p.done(v)
	if refusal == nil {
		s.taken = p.written
		return
	}
	switch refusal.Meaning() {
	case stratum.CodeUnauthorized:
		s.unauthorised(p.written, v)
	case stratum.CodeNotSubscribed:
		s.fail(fmt.Errorf("pool %s no longer knows the session: %w", s.e.address(), refusal))
	}
}

// expire settles the shares that have waited too long. turn is held.
func (s *session) expire(now time.Time) {
	var late []*pending
	dead := false
	s.mu.Lock()
	for id, p := range s.outstanding {
		if now.Sub(p.written) > s.c.cfg.Timing.Reply {
			delete(s.outstanding, id)
			late = append(late, p)
			dead = dead || s.heard.Before(p.written)
		}
	}
	s.mu.Unlock()
	for _, p := range late {
		p.done(upstream.Verdict{
			State: upstream.Unknown, Detail: fmt.Sprintf("the pool did not answer within %s", s.c.cfg.Timing.Reply), Written: p.written, Answered: now,
		})
	}
	if dead {
		s.fail(fmt.Errorf("pool %s says nothing any more: no answer to a share within %s", s.e.address(), s.c.cfg.Timing.Reply))
	}
}

// settle gives every share that is left its verdict. Nobody writes or reads any
// more, and nothing is taken.
func (s *session) settle() {
	s.mu.Lock()
	s.closed = true
	queued := append(s.blocks, s.shares...)
	left := s.outstanding
	s.blocks, s.shares, s.outstanding = nil, nil, map[uint64]*pending{}
	s.mu.Unlock()
	s.neverWritten(queued)
	for _, p := range left {
		p.done(upstream.Verdict{
			State: upstream.Unknown, Detail: "the connection to the pool ended between write and reply", Written: p.written, Answered: time.Now(),
		})
	}
}
