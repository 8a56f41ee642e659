// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"math/bits"
	"strconv"
	"time"

	"github.com/ballast-energy/ballast/workers/stratum"
)

// refusedLogins after which a client that none succeeded is closed.
const refusedLogins = 3

// configure answers mining.configure (BIP 310).
func (c *conn) configure(m *stratum.Message) {
	asked, err := stratum.ParseConfigure(m.Params)
	if err != nil {
		c.replyError(m.ID, stratum.CodeOther, err.Error())
		return
	}
	var granted stratum.ConfigureResult
	c.mu.Lock()
	if asked.VersionRolling {
		mask := asked.Mask & c.server.set.VersionMask
		offer := mask
		if now, ok := c.server.newestMask(); ok {
			offer &= now
		}
		if offer != 0 && bits.OnesCount32(offer) >= asked.MinBitCount {
			granted.VersionRolling, granted.Mask = true, offer
			c.rolling, c.agreed, c.told = true, mask, offer
		}
	}
	if asked.SubscribeExtranonce {
		c.movable, granted.SubscribeExtranonce = true, true
	}
	if asked.MinimumDifficulty != "" {
		granted.MinimumDifficulty = true
	}
	c.mu.Unlock()
	if m.ID != nil {
		c.out.send(granted.Append(nil, m.ID, asked))
	}
	if asked.MinimumDifficulty != "" {
		c.wish(asked.MinimumDifficulty)
	}
}

// extranonce that the miner is told.
func (l *slot) extranonce() stratum.Extranonce {
	return stratum.Extranonce{Extranonce1: l.prefix(), Extranonce2Bytes: l.space.minerBytes}
}

// subscribe answers mining.subscribe with a slot of a session's extranonce.
func (c *conn) subscribe(m *stratum.Message) {
	asked, err := stratum.ParseSubscribe(m.Params)
	if err != nil {
		c.replyError(m.ID, stratum.CodeOther, err.Error())
		return
	}
	c.enter(m, asked)
	c.begin()
}

func (c *conn) enter(m *stratum.Message, asked stratum.Subscribe) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return
	}
	if asked.UserAgent != "" {
		c.agent = asked.UserAgent
	}
	if c.held.active {
		c.replyError(m.ID, stratum.CodeOther, "The subscription before waits for work")
		return
	}
	if c.slot == nil {
		// Without a slot it cannot be told an extranonce.
		c.server.mu.Lock()
		c.slot = c.server.place(c)
		waits := false
		if c.slot != nil {
			delete(c.server.homeless, c)
		} else {
			waits = c.wait(m.ID)
		}
		c.server.mu.Unlock()
		if c.slot == nil {
			if !waits {
				c.leave(causeNoWork, stratum.AppendError(nil, m.ID, stratum.CodeOther, noWork))
			}
			return
		}
	}
	c.subscribed = true
	if m.ID != nil {
		c.out.send(c.subscription(m.ID))
	}
}

// subscription is the answer to mining.subscribe. The lock is held.
func (c *conn) subscription(id []byte) []byte {
	return stratum.SubscribeResult{Session: strconv.FormatUint(c.id, 16), Extranonce: c.slot.extranonce()}.Append(nil, id)
}

// authorise answers mining.authorize.
func (c *conn) authorise(ctx context.Context, until time.Time, m *stratum.Message) {
	asked, err := stratum.ParseAuthorize(m.Params)
	if err != nil {
		c.replyError(m.ID, stratum.CodeOther, err.Error())
		return
	}
	c.mu.Lock()
	agent := c.agent
	c.mu.Unlock()
	ctx, cancel := context.WithDeadline(ctx, until)
	unit, err := c.server.set.Authoriser.Authorise(ctx, Login{
		User: asked.User, Password: asked.Password, Agent: agent, Address: c.address, TLS: c.secure != nil,
	})
	cancel()
	if err == nil {
		err = checkUnit(unit)
	}
	if err != nil {
		c.server.count.loginsRefused.Add(1)
		c.server.set.Logger.Info("stratum server: login refused", "connection", c.id, "address", c.address.String(), "error", err)
		c.refuseLogin(m.ID)
		return
	}
	if !c.enlist(asked.User, unit) {
		c.replyError(m.ID, stratum.CodeOther, "Too many workers on one connection")
		return
	}
	c.server.count.logins.Add(1)
	c.replyResult(m.ID, "true")
	if d, ok := wishedDifficulty(asked.Password); ok {
		c.wish(d)
	}
	c.begin()
}

// refuseLogin tells a client that it is not authorised, and closes it when it
// keeps trying without any success.
func (c *conn) refuseLogin(id []byte) {
	c.refused++
	words := stratum.AppendError(nil, id, stratum.CodeUnauthorized, "Unauthorized worker")
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.workers) == 0 && c.refused >= refusedLogins {
		c.leave(causeUnauthorised, words)
		return
	}
	c.out.send(words)
}

// enlist adds a worker to the connection, or changes the unit of its name.
func (c *conn) enlist(name, unit string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.workers {
		if c.workers[i].name == name {
			c.workers[i].unit = unit
			return true
		}
	}
	if len(c.workers) >= c.server.set.Limits.Workers {
		return false
	}
	c.workers = append(c.workers, worker{name: name, unit: unit})
	return true
}

// suggest answers mining.suggest_difficulty.
func (c *conn) suggest(m *stratum.Message) {
	d, err := stratum.ParseDifficulty(m.Params)
	if err != nil {
		c.replyError(m.ID, stratum.CodeOther, err.Error())
		return
	}
	c.replyResult(m.ID, "true")
	c.wish(d)
}

// wish starts the connection at the difficulty that the miner asks for, which
// is also the lowest it will be given. What makes no sense is ignored.
func (c *conn) wish(text string) {
	d := difficultyOf(text)
	if d == nil {
		return
	}
	l := levelAtLeast(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.least, c.want = l.exponent, l
	if c.newest == nil {
		return // the first job brings it
	}
	if c.bounds(c.newest).clamp(l.exponent) == c.current.exponent {
		c.want = nil
		return
	}
	c.measure.reset(c.server.set.Now())
	c.renew(false)
}

// begin hands out the first job once the client is subscribed and authorised.
func (c *conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.start()
}

// start is begin with the lock held.
func (c *conn) start() {
	if c.gone || c.ready || !c.subscribed || len(c.workers) == 0 {
		return
	}
	c.ready = true
	c.server.count.ready.Add(1)
	if c.slot == nil {
		return // its session has just ended: it waits for another
	}
	c.server.mu.Lock()
	newest := c.slot.space.newest
	c.server.mu.Unlock()
	c.issue(newest, true)
}
