// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/workers/stratum"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// defaultDifficulty of a pool that names none.
const defaultDifficulty = "1"

// longestWait that client.reconnect may ask for.
const longestWait = 10 * time.Minute

// flow is what the pool said that holds for jobs to come. It belongs to the
// holder of turn.
type flow struct {
	difficulty string // empty until the pool has named one
	broken     bool   // it named one that is none, and no good one yet
	extranonce stratum.Extranonce
	mask       uint32

	held       *offer // newest job that cannot be issued yet
	last       *offer // newest job that was
	issued     int
	lastNotify time.Time // that could be used: others leave us with old work
	nudged     bool      // mining.suggest_difficulty was sent for want of a job
	clockOff   bool      // and it was told, unless that was done too often
	bad        int
	talk       int // texts of the pool for people, and words about its clock

	redirect   *endpoint
	redirectAt time.Time
}

// handle one message. turn is held.
func (s *session) handle(m *stratum.Message, now time.Time) {
	switch m.Kind() {
	case stratum.Reply:
		s.reply(m, now)
	case stratum.Request:
		s.requested(m, now)
	default:
		s.notified(m, now)
	}
}

// requested answers a request of the pool's. What is usually a notification
// may come with an id, too.
func (s *session) requested(m *stratum.Message, now time.Time) {
	switch m.Method {
	case stratum.MethodPing:
		s.say(stratum.AppendResult(nil, m.ID, `"pong"`))
	case stratum.MethodGetVersion:
		s.say(stratum.AppendResult(nil, m.ID, stratum.Quote(s.c.cfg.UserAgent)))
	case stratum.MethodNotify, stratum.MethodSetDifficulty, stratum.MethodSetExtranonce, stratum.MethodSetVersionMask,
		stratum.MethodReconnect, stratum.MethodShowMessage:
		s.say(stratum.AppendTrue(nil, m.ID))
		s.notified(m, now)
	default:
		s.say(stratum.AppendError(nil, m.ID, stratum.CodeOther, "Not supported"))
	}
}

func (s *session) notified(m *stratum.Message, now time.Time) {
	var err error
	switch m.Method {
	case stratum.MethodNotify:
		err = s.job(m.Params, now)
	case stratum.MethodSetDifficulty:
		err = s.setDifficulty(m.Params)
	case stratum.MethodSetExtranonce:
		x, bad := stratum.ParseSetExtranonce(m.Params)
		if bad != nil {
			// Jobs to come are built on it, so there is no going on.
			s.fail(fmt.Errorf("pool %s: %w", s.e.address(), bad))
			return
		}
		s.extranonce = x
	case stratum.MethodSetVersionMask:
		var mask uint32
		if mask, err = stratum.ParseSetVersionMask(m.Params); err == nil {
			s.setMask(mask, now)
		}
	case stratum.MethodReconnect:
		err = s.reconnect(m.Params, now)
	case stratum.MethodShowMessage:
		if s.mayLog() {
			s.c.log.Info("message of the pool", "pool", s.c.cfg.Pool, "text", stratum.ParseShowMessage(m.Params))
		}
	}
	if err != nil {
		s.complain(fmt.Errorf("pool %s: %w", s.e.address(), err))
	}
}

func (s *session) setDifficulty(params []byte) error {
	d, err := stratum.ParseDifficulty(params)
	if err != nil {
		s.broken = s.difficulty == ""
		if s.broken {
			return fmt.Errorf("%w; no work is taken until it sends one that is", err)
		}
		return fmt.Errorf("%w; %s stays in force", err, s.difficulty)
	}
	first := s.difficulty == ""
	s.difficulty, s.broken = d, false
	if first && s.last != nil {
		// The jobs so far were taken for difficulty 1 for want of a better
		// number.
		again := *s.last
		again.difficulty = d
		s.again(again)
	}
	s.release()
	return nil
}

// setMask agrees on the bits that may be rolled, at once: the newest job is
// issued again with them.
func (s *session) setMask(mask uint32, now time.Time) {
	if s.c.cfg.NoVersionRolling {
		return
	}
	mask &= s.c.cfg.VersionMask
	s.mu.Lock()
	s.rolling = true
	s.mu.Unlock()
	if mask == s.mask {
		return
	}
	s.mask = mask
	if s.last != nil {
		s.again(*s.last)
	}
}

// again issues a job once more, under other conditions. The one before stays
// valid as it was.
func (s *session) again(o offer) {
	notify := *o.notify
	notify.Clean = false
	o.notify = &notify
	if err := s.issue(o); err != nil {
		s.complain(fmt.Errorf("pool %s: %w", s.e.address(), err))
	}
}

// mayLog reports whether one more thing that the pool may repeat as often as it
// likes is passed on to people. turn is held.
func (s *session) mayLog() bool {
	const most = 100
	if s.talk++; s.talk == most {
		s.c.log.Warn("the pool has much to say: nothing more of it in this session", "pool", s.c.cfg.Pool)
	}
	return s.talk < most
}

// job of the pool.
func (s *session) job(params []byte, now time.Time) error {
	n, err := stratum.ParseNotify(params)
	if err != nil {
		return err
	}
	o := offer{notify: n, difficulty: s.difficulty, extranonce: s.extranonce, received: now}
	if !s.opened || s.broken {
		if s.held != nil && s.held.notify.Clean {
			n.Clean = true // the one that it replaces was never issued
		}
		s.held, s.lastNotify = &o, now
		return nil
	}
	if err := s.issue(o); err != nil {
		return err
	}
	s.lastNotify = now
	return nil
}

// release issues the job held, if it can be now.
func (s *session) release() {
	if s.held == nil || !s.opened || s.broken {
		return
	}
	o := *s.held
	s.held = nil
	if o.extranonce.Extranonce2Bytes == 0 { // it came before the reply to subscribe
		o.extranonce = s.extranonce
	}
	if o.difficulty == "" {
		o.difficulty = s.difficulty
	}
	if err := s.issue(o); err != nil {
		s.complain(fmt.Errorf("pool %s: %w", s.e.address(), err))
	}
}

// issue hands a job down.
func (s *session) issue(o offer) error {
	o.mask = s.mask
	if o.difficulty == "" {
		o.difficulty = defaultDifficulty
	}
	w, err := newWork(o, s.id, upstream.Terms{Scheme: s.c.cfg.Scheme, FeePPM: s.c.cfg.FeePPM, Basis: s.c.cfg.Basis})
	if err != nil {
		return err
	}
	switch err := clockError(w.job.NTime, o.received); {
	case err == nil:
		s.clockOff = false
	case !s.clockOff:
		s.clockOff = true
		if s.mayLog() {
			s.c.log.Warn("clock", "pool", s.c.cfg.Pool, "error", err)
			s.sink.Trouble(fmt.Errorf("pool %s: %w", s.e.address(), err))
		}
	}
	s.last = &o
	s.issued++
	s.mu.Lock()
	s.book.add(w)
	s.mu.Unlock()
	s.sink.Job(w.job)
	return nil
}

// reconnect as the pool orders, if it may.
func (s *session) reconnect(params []byte, now time.Time) error {
	r, err := stratum.ParseReconnect(params)
	if err != nil {
		return err
	}
	to := s.c.redirect(s.e, r.Host, r.Port)
	if to == nil {
		return fmt.Errorf("it orders us to %q, which is neither a host of the configuration, nor of the same domain, nor allowed by its reconnect hosts: refused, the session stays", stratum.Clip(r.Host))
	}
	s.redirect = to
	s.redirectAt = now.Add(min(time.Duration(r.Wait)*time.Second, longestWait))
	if r.Wait == 0 {
		s.redirectAt = now
	}
	return nil
}
