// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/workers/stratum"
)

// watchPrimary tries the first endpoint while another one serves, and ends the
// session once that one would take us.
func (s *session) watchPrimary(ctx context.Context) {
	primary := s.c.endpoints[0]
	for {
		wait(ctx, s.c.cfg.Timing.Probe)
		if ctx.Err() != nil {
			return
		}
		if time.Now().Before(primary.restUntil) {
			continue // it refuses our account
		}
		err := s.c.probe(ctx, primary)
		if err == nil {
			s.leave(fmt.Errorf("pool %s is back and preferred", primary.address()), ending{primary: true})
			return
		}
		s.c.log.Info("the first pool is not back yet", "pool", s.c.cfg.Pool, "error", err)
	}
}

// probe opens a session and closes it at once: nil when the pool let us in and
// has work. One that lets us in while its own node is away would else be gone
// to every few minutes, and the pool that serves be left for it. The difficulty
// is suggested as some pools send no work before they are spoken to once more.
func (c *Client) probe(ctx context.Context, e *endpoint) error {
	conn, err := c.dial(ctx, e)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	stop := context.AfterFunc(ctx, func() { hangUp(conn) })
	defer stop()
	fail := func(err error) error { return fmt.Errorf("pool %s: probe: %w", e.address(), err) }
	if err := conn.SetDeadline(time.Now().Add(c.cfg.Timing.Reply)); err != nil {
		return fail(err)
	}
	const subscribe, authorize, suggest = 1, 2, 3
	hello := stratum.Subscribe{UserAgent: c.cfg.UserAgent}.Append(nil, subscribe)
	hello = stratum.Authorize{User: e.user, Password: e.pass}.Append(hello, authorize)
	hello = stratum.AppendSuggestDifficulty(hello, suggest, c.wished(""))
	if _, err := conn.Write(hello); err != nil {
		return fail(err)
	}
	r := stratum.NewReader(conn, 0)
	var m stratum.Message
	for subscribed, authorized, work := false, false, false; !subscribed || !authorized || !work; {
		if err := r.Next(&m); err != nil {
			return fail(err)
		}
		if m.Method == stratum.MethodNotify {
			_, err := stratum.ParseNotify(m.Params)
			work = work || err == nil
			continue
		}
		id, ok := m.Number()
		if m.Kind() != stratum.Reply || !ok || id == suggest {
			continue
		}
		if refusal := m.Failure(); refusal != nil {
			return fail(refusal)
		}
		switch id {
		case subscribe:
			if _, err := stratum.ParseSubscribeResult(m.Result); err != nil {
				return fail(err)
			}
			subscribed = true
		case authorize:
			authorized = true
		}
	}
	return nil
}
