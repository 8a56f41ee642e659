// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// wire is a TCP connection whose Write never waits: what the system does not
// take at once waits here, and a goroutine that lives only as long writes it.
// So an idle connection costs no second goroutine, and a client that does not
// read delays nobody else. TLS stands on top of it and has that, too.
type wire struct {
	net.Conn
	// raw for a write that does not wait; nil where that cannot be had.
	raw syscall.RawConn
	// limit of bytes waiting, and of the time of one write.
	limit   int
	timeout time.Duration
	// wg counts the goroutine.
	wg *sync.WaitGroup
	// failed is called, at most once and possibly with locks held, when nothing
	// can be written any more; it closes the connection.
	failed func(cause)
	// finished closes the connection once the last words are out.
	finished func()

	mu      sync.Mutex
	waiting []byte
	// busy: the goroutine is writing.
	busy bool
	// closed: nothing more is taken. last: nor after what is waiting.
	closed, last bool
}

// Write queues b, which it does not keep. An error says that the connection has
// ended.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.put(b); w.closed {
		return 0, net.ErrClosed
	}
	return len(b), nil
}

func (w *wire) put(b []byte) {
	if w.closed || w.last || len(b) == 0 {
		return
	}
	if !w.busy && w.raw != nil {
		n, err := writeNow(w.raw, b)
		if err != nil {
			w.fail(causeWrite)
			return
		}
		b = b[n:]
	}
	switch {
	case len(b) == 0:
	case len(w.waiting) > w.limit:
		w.fail(causeSlow)
	default:
		w.waiting = append(w.waiting, b...)
		if !w.busy {
			w.busy = true
			w.wg.Add(1)
			go w.drain()
		}
	}
}

// finish takes nothing more, and closes the connection once all is written.
func (w *wire) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.last {
		return
	}
	if w.last = true; !w.busy {
		w.closed = true
		w.finished()
	}
}

// fail gives up; the lock is held.
func (w *wire) fail(c cause) {
	w.closed, w.waiting = true, nil
	w.failed(c)
}

// abandon is fail for who does not hold the lock.
func (w *wire) abandon(c cause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.fail(c)
	}
}

// drain writes what is waiting until nothing is.
func (w *wire) drain() {
	defer w.wg.Done()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.closed && len(w.waiting) > 0 {
		b := w.waiting
		w.waiting = nil
		w.mu.Unlock()
		err := w.SetWriteDeadline(time.Now().Add(w.timeout))
		if err == nil {
			_, err = w.Conn.Write(b)
		}
		if err == nil {
			err = w.SetWriteDeadline(time.Time{}) // it would hold for writes that do not wait too
		}
		w.mu.Lock()
		if err != nil && !w.closed {
			if isTimeout(err) {
				w.fail(causeSlow)
			} else {
				w.fail(causeWrite)
			}
		}
	}
	w.busy = false
	if w.last && !w.closed {
		w.closed = true
		w.finished()
	}
}

// drop takes nothing more and forgets what is waiting.
func (w *wire) drop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed, w.waiting = true, nil
}
