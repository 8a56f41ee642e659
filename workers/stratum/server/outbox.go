// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// outbox writes to a connection without ever making its callers wait. What the
// system does not take at once waits here, and a goroutine that lives only as
// long writes it. So an idle connection costs no second goroutine, and a
// client that does not read delays nobody else.
type outbox struct {
	conn net.Conn // with TLS where there is
	// raw for a write that does not wait; nil where that cannot be had.
	raw syscall.RawConn
	// limit of bytes waiting, and of the time of one write.
	limit   int
	timeout time.Duration
	// wg counts the goroutine.
	wg *sync.WaitGroup
	// failed is called, at most once and possibly with the lock held, when
	// nothing can be written any more; it closes the connection.
	failed func(cause)
	// finished closes the connection once the last words are out.
	finished func()

	mu      sync.Mutex
	waiting []byte
	// held: an answer is outstanding, and what comes after it collects behind.
	held   bool
	behind []byte
	// busy: the goroutine is writing.
	busy bool
	// closed: nothing more is taken. last: nor after what is waiting.
	closed, last bool
}

// send queues b, which it does not keep.
func (o *outbox) send(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put(b, false)
}

// finish queues last words and closes the connection after them.
func (o *outbox) finish(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.put(b, true)
}

// hold keeps back what is sent from now on, until release.
func (o *outbox) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = true
}

// release writes b, and what was kept back behind it.
func (o *outbox) release(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	behind := o.behind
	o.held, o.behind = false, nil
	o.put(append(b, behind...), false)
}

func (o *outbox) put(b []byte, last bool) {
	if o.closed || o.last {
		return
	}
	if o.held {
		o.behind = append(o.behind, b...)
		if !last {
			if len(o.behind) > o.limit {
				o.fail(causeFlood) // it asks and asks while its first question waits
			}
			return
		}
		b, o.behind, o.held = o.behind, nil, false
	}
	o.last = last
	if !o.busy && len(b) > 0 && o.raw != nil {
		n, err := writeNow(o.raw, b)
		if err != nil {
			o.fail(causeWrite)
			return
		}
		b = b[n:]
	}
	switch {
	case len(b) == 0 && !o.busy:
		if last {
			o.closed = true
			o.finished()
		}
	case len(o.waiting) > o.limit:
		o.fail(causeSlow)
	default:
		o.waiting = append(o.waiting, b...)
		if !o.busy {
			o.busy = true
			o.wg.Add(1)
			go o.drain()
		}
	}
}

// fail gives up; the lock is held.
func (o *outbox) fail(c cause) {
	o.closed, o.waiting, o.behind = true, nil, nil
	o.failed(c)
}

// drain writes what is waiting until nothing is.
func (o *outbox) drain() {
	defer o.wg.Done()
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && len(o.waiting) > 0 {
		b := o.waiting
		o.waiting = nil
		o.mu.Unlock()
		err := o.conn.SetWriteDeadline(time.Now().Add(o.timeout))
		if err == nil {
			_, err = o.conn.Write(b)
		}
		if err == nil {
			err = o.conn.SetWriteDeadline(time.Time{}) // it would hold for writes that do not wait too
		}
		o.mu.Lock()
		if err != nil && !o.closed {
			if isTimeout(err) {
				o.fail(causeSlow)
			} else {
				o.fail(causeWrite)
			}
		}
	}
	o.busy = false
	if o.last && !o.closed {
		o.closed = true
		o.finished()
	}
}

// close takes nothing more.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed, o.waiting, o.behind = true, nil, nil
}
