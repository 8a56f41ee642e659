// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/stratum"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// request is what a reply answers, besides shares.
type request int

const (
	askConfigure request = iota + 1
	askSubscribe
	askAuthorize
	askOther // the reply makes no difference
)

// opening is how far the session has come. It belongs to the holder of turn.
type opening struct {
	began        time.Time
	heard        time.Time // when the last message came
	configured   bool      // answered, or not asked
	subscribed   bool
	subscribedAt time.Time
	authorized   bool
	asked        int // how often mining.authorize was refused so far
	opened       bool
	openedAt     time.Time
	reauthorised time.Time // when the pool took us for a second time
	asking       bool      // mining.authorize is outstanding
	askedAt      time.Time
	taken        time.Time // when the newest share that the pool took was written
}

// open writes the opening requests in one go.
func (s *session) open(now time.Time) {
	s.began = now
	cfg := &s.c.cfg
	s.configured = true
	if !s.e.terse && !cfg.NoVersionRolling {
		s.configured = false
		s.ask(askConfigure, func(b []byte, id uint64) []byte {
			return (&stratum.Configure{VersionRolling: true, Mask: cfg.VersionMask, MinBitCount: 2, MinimumDifficulty: cfg.MinimumDifficulty}).Append(b, id)
		})
	}
	s.ask(askSubscribe, stratum.Subscribe{UserAgent: cfg.UserAgent}.Append)
	s.authorize()
	if s.e.terse {
		return
	}
	if cfg.SuggestedDifficulty != "" {
		s.suggest()
	}
	s.ask(askOther, stratum.AppendExtranonceSubscribe)
}

func (s *session) authorize() {
	s.asking, s.askedAt = true, time.Now()
	s.ask(askAuthorize, stratum.Authorize{User: s.e.user, Password: s.e.pass}.Append)
}

// suggest a difficulty: what we want, or what we have, where all that matters
// is to say something.
func (s *session) suggest() {
	d := s.c.wished(s.difficulty)
	s.ask(askOther, func(b []byte, id uint64) []byte { return stratum.AppendSuggestDifficulty(b, id, d) })
}

// wished is the difficulty to suggest; have is the one in force, empty if none.
func (c *Client) wished(have string) string { return cmp.Or(c.cfg.SuggestedDifficulty, have, "1024") }

// answered handles the reply to a request of ours. turn is held.
func (s *session) answered(what request, m *stratum.Message, now time.Time) {
	refusal := m.Failure()
	switch what {
	case askConfigure:
		s.configured = true
		if refusal == nil {
			r, err := stratum.ParseConfigureResult(m.Result)
			if err != nil {
				s.complain(fmt.Errorf("pool %s: %w; going on without version rolling", s.e.address(), err))
			} else if r.VersionRolling {
				s.setMask(r.Mask, now)
			}
		}
	case askSubscribe:
		if refusal != nil {
			s.refuse(fmt.Errorf("pool %s refused the subscription: %w", s.e.address(), refusal))
			return
		}
		r, err := stratum.ParseSubscribeResult(m.Result)
		if err != nil {
			s.fail(fmt.Errorf("pool %s: %w", s.e.address(), err))
			return
		}
		if !s.subscribed { // a second reply to one request cannot come
			s.subscribed, s.subscribedAt = true, now
		}
		if s.extranonce.Extranonce2Bytes == 0 { // else set_extranonce overtook it
			s.extranonce = r.Extranonce
		}
	case askAuthorize:
		s.asking = false
		switch {
		case refusal == nil && s.authorized:
			s.reauthorised = now
		case refusal == nil:
			s.authorized = true
		case s.asked == 0:
			s.asked++
			s.authorize()
		default:
			s.bar("refused worker %s: %w; check the account and its password", s.e.user, refusal)
			return
		}
	}
	s.openWhenReady(now)
}

// openWhenReady opens the session once it is subscribed and the other replies
// are there, or have taken too long.
func (s *session) openWhenReady(now time.Time) {
	if s.opened || !s.subscribed {
		return
	}
	if (!s.configured || !s.authorized) && now.Sub(s.subscribedAt) < s.c.cfg.Timing.Grace {
		return
	}
	s.opened, s.openedAt = true, now
	s.c.log.Info("session with the pool open", "pool", s.c.cfg.Pool, "session", s.id, "address", s.e.address(), "version_mask", fmt.Sprintf("%08x", s.mask))
	s.sink.Opened(upstream.Session{ID: s.id, Address: s.e.address(), Primary: s.e.index == 0 && !s.e.redirected, VersionMask: s.mask})
	s.release()
}

// unauthorised: a share was refused with code 24. We ask once more to be
// authorised; if a share written after that is refused too, the session ends
// and the pool is left alone. A pool that took shares meanwhile, and for a
// while, has forgotten us once more: it is asked again.
func (s *session) unauthorised(written time.Time, v upstream.Verdict) {
	again := s.reauthorised.IsZero() || s.taken.After(s.reauthorised) && written.Sub(s.reauthorised) >= s.c.cfg.Timing.Settled
	switch {
	case s.asking && written.Before(s.askedAt.Add(s.c.cfg.Timing.Reply)):
		// the answer may still come
	case s.asking:
		s.bar("refuses shares of worker %s and does not answer mining.authorize: %s", s.e.user, v.Detail)
	case again:
		s.authorized = true // whatever it was, the reply to come is a second one
		s.asked = 1
		s.authorize()
	case written.After(s.reauthorised):
		s.bar("refuses shares of worker %s: %s", s.e.user, v.Detail)
	}
}

// reasonOf maps the pool's code.
func reasonOf(code int) events.RejectReason {
	switch code {
	case stratum.CodeStale:
		return events.RejectStale
	case stratum.CodeDuplicate:
		return events.RejectDuplicate
	case stratum.CodeLowDifficulty:
		return events.RejectLow
	default:
		return events.RejectInvalid
	}
}
