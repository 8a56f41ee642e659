// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ballast-energy/ballast/workers/stratum"
)

const (
	// linger is how long a client has to hear last words and close, and
	// lingerBytes what it may say in that time.
	linger      = 2 * time.Second
	lingerBytes = 256 << 10
)

// maxID is the longest id of a request that is echoed, bytes.
const maxID = 128

// worker is a name authorised on a connection.
type worker struct{ name, unit string }

// conn is a miner's connection. One goroutine reads it; whoever has something
// to say writes through the outbox.
type conn struct {
	server  *Server
	id      uint64
	tcp     net.Conn
	stream  net.Conn // the same, or TLS over it
	secure  *tls.Config
	address netip.Addr
	group   netip.Prefix
	out     outbox
	why     atomic.Int32 // cause of the end, the first one counts

	// Of the reading goroutine alone.
	rate      bucket
	malformed int
	refused   int // logins
	submit    stratum.Submit

	mu      sync.Mutex
	agent   string
	workers []worker
	// slot held, and the one before it whose work may still be in flight.
	slot, previous *slot
	// held subscription, while there is no work for it.
	held waiting
	// until is when the time is over that it has for its next message.
	until time.Time
	// subscribed and authorised, ready; gone: closed or about to be.
	subscribed, ready, gone bool
	// rolling was agreed with the mask agreed; told is what the miner heard
	// last.
	rolling      bool
	agreed, told uint32
	// movable: it understands mining.set_extranonce.
	movable bool
	// least exponent that the miner wants.
	least int
	// current difficulty, and the one wanted from the next job on, if any.
	current, want *level
	past          [pastLevels]issuedLevel
	levels        int
	// since the last change of the difficulty, jobs issued.
	since int
	// first and last position issued, newest work and how often renewed.
	first, last uint64
	newest      *work
	renewals    uint16
	measure     vardiff
	guard       guard
	unanswered  int
}

func newConn(s *Server, id uint64, nc net.Conn, address netip.Addr, group netip.Prefix, secure *tls.Config) *conn {
	c := &conn{
		server: s, id: id, tcp: nc, stream: nc, secure: secure, address: address, group: group,
		least: math.MinInt32, current: s.set.start,
	}
	if t, ok := nc.(*net.TCPConn); ok {
		// Where these fail the system's own sizes hold.
		_ = t.SetReadBuffer(s.set.Limits.SocketBytes)
		_ = t.SetWriteBuffer(s.set.Limits.SocketBytes)
	}
	c.out.wire = wire{
		Conn: nc, raw: rawOf(nc), limit: s.set.Limits.QueuedBytes, timeout: s.set.Limits.Write, wg: &s.wg,
		failed: c.abort, finished: c.halfClose,
	}
	c.out.to = &c.out.wire
	if secure != nil {
		t := tls.Server(&c.out.wire, secure)
		c.stream, c.out.to = t, t
	}
	return c
}

// abort closes the connection at once. It may be called from anywhere.
func (c *conn) abort(why cause) {
	c.why.CompareAndSwap(int32(causeNone), int32(why))
	c.close()
}

// close may come a second time; the error says only that.
func (c *conn) close() { _ = c.tcp.Close() }

// halfClose ends the stream of the server's words. What the client has still
// under way is read for a while, for closing on unread bytes resets the
// connection, and the last words may then be lost.
func (c *conn) halfClose() {
	t, ok := c.tcp.(*net.TCPConn)
	if !ok || t.CloseWrite() != nil {
		c.close()
	}
}

// leave closes the connection after last words. The lock is held.
func (c *conn) leave(why cause, words []byte) {
	c.gone = true
	c.why.CompareAndSwap(int32(causeNone), int32(why))
	c.out.finish(words)
	if c.tcp.SetReadDeadline(time.Now().Add(linger)) != nil {
		c.close()
	}
}

// dismiss is leave for who does not hold the lock.
func (c *conn) dismiss(why cause, words []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave(why, words)
}

// serve reads the connection until it ends.
func (c *conn) serve(ctx context.Context) {
	defer c.end()
	limits := &c.server.set.Limits
	opening := time.Now().Add(limits.Opening)
	c.mu.Lock()
	c.until = opening
	c.mu.Unlock()
	if t, ok := c.stream.(*tls.Conn); ok {
		err := c.tcp.SetReadDeadline(opening)
		if err == nil {
			err = t.Handshake() // the end of the server closes the connection
		}
		if err != nil {
			c.why.CompareAndSwap(int32(causeNone), int32(causeHandshake))
			return
		}
	}
	r := stratum.NewReader(c.stream, limits.LineBytes)
	var m stratum.Message
	for {
		until, ok := c.nextDeadline()
		if !ok {
			c.lingerOn()
			return
		}
		err := r.Next(&m)
		if isTimeout(err) && !c.overdue() {
			continue
		}
		if err == nil && len(m.ID) > maxID {
			err = fmt.Errorf("%w: an id of %d bytes", stratum.ErrMalformed, len(m.ID))
		}
		if err != nil && !c.tolerable(err) {
			if stratum.Recoverable(err) {
				c.lingerOn()
			}
			return
		}
		c.server.count.messages.Add(1)
		if !c.rate.take(c.server.set.Now(), limits.MessagesPerSecond, limits.Burst) {
			c.abort(causeFlood)
			return
		}
		if err == nil {
			c.handle(ctx, until, &m)
		}
	}
}

// nextDeadline sets by when the next message has to be there: that of the
// opening or of the wait for work, or a new one once the client is at work. It
// is false when the connection is to end.
func (c *conn) nextDeadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return c.until, false
	}
	if c.ready && !c.held.active {
		// Seldom, for it costs more than to read a share.
		now, idle := time.Now(), c.server.set.Limits.Idle
		longest := now.Add(idle + idle/8)
		if c.until.After(now.Add(idle)) && !c.until.After(longest) {
			return c.until, true
		}
		c.until = longest
	}
	return c.until, c.tcp.SetReadDeadline(c.until) == nil
}

// lingerOn reads and drops what comes until the client closes, the time of
// leave is over or it has sent too much.
func (c *conn) lingerOn() { _, _ = io.CopyN(io.Discard, c.tcp, lingerBytes) }

// tolerable reports whether the connection can go on after an error of
// reading, and says why when it cannot.
func (c *conn) tolerable(err error) bool {
	why := causeRead
	switch {
	case errors.Is(err, stratum.ErrLineTooLong):
		c.dismiss(causeTooLong, stratum.AppendError(nil, nil, stratum.CodeParse, err.Error()))
		return false
	case errors.Is(err, stratum.ErrMalformed):
		c.server.count.malformed.Add(1)
		words := stratum.AppendError(nil, nil, stratum.CodeParse, err.Error())
		if c.malformed++; c.malformed > c.server.set.Limits.Malformed {
			c.dismiss(causeMalformed, words)
			return false
		}
		c.out.send(words)
		return true
	case isTimeout(err):
		c.mu.Lock()
		why = causeOpening
		if c.ready {
			why = causeIdle
		}
		c.mu.Unlock()
	case errors.Is(err, io.EOF):
		why = causePeer
	}
	c.why.CompareAndSwap(int32(causeNone), int32(why))
	return false
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// end gives back what the connection held.
func (c *conn) end() {
	c.out.close()
	c.close()
	s := c.server
	c.mu.Lock()
	c.gone = true
	slot, previous, ready, workers := c.slot, c.previous, c.ready, len(c.workers)
	c.slot, c.previous, c.newest = nil, nil, nil
	c.waited(nil)
	c.mu.Unlock()
	s.vacate(c, slot)
	s.vacate(c, previous)
	s.leave(c)
	if ready {
		s.count.ready.Add(-1)
	}
	why := cause(c.why.Load())
	s.count.ended[why].Add(1)
	s.set.Logger.Debug("stratum server: connection ended", "connection", c.id, "address", c.address.String(), "cause", causeNames[why], "workers", workers)
}

// handle acts on one message. until is when the client's time is over.
func (c *conn) handle(ctx context.Context, until time.Time, m *stratum.Message) {
	if m.Kind() == stratum.Reply {
		return // nothing was asked
	}
	switch m.Method {
	case stratum.MethodSubmit:
		c.share(m)
	case stratum.MethodConfigure:
		c.configure(m)
	case stratum.MethodSubscribe:
		c.subscribe(m)
	case stratum.MethodAuthorize:
		c.authorise(ctx, until, m)
	case stratum.MethodSuggestDifficulty:
		c.suggest(m)
	case stratum.MethodExtranonceSubscribe:
		c.mu.Lock()
		c.movable = true
		c.mu.Unlock()
		c.replyResult(m.ID, "true")
	case stratum.MethodPing:
		c.replyResult(m.ID, `"pong"`)
	case stratum.MethodPong:
		c.replyResult(m.ID, "true")
	default:
		c.server.count.unknown.Add(1)
		c.replyError(m.ID, stratum.CodeOther, "Not supported")
	}
}

// replyResult answers a request; a notification has no answer.
func (c *conn) replyResult(id []byte, result string) {
	if id != nil {
		c.out.send(stratum.AppendResult(nil, id, result))
	}
}

func (c *conn) replyError(id []byte, code int, words string) {
	if id != nil {
		c.out.send(stratum.AppendError(nil, id, code, words))
	}
}
