// SPDX-License-Identifier: Apache-2.0

package server

import (
	"io"
	"sync"
)

// outbox puts what is said to a client in order. Its methods do not wait.
type outbox struct {
	wire wire
	// to is the wire, or TLS on top of it.
	to io.Writer

	mu sync.Mutex
	// held: an answer is outstanding, and what comes after it collects behind.
	held   bool
	behind []byte
	// last: nothing more is taken.
	last bool
}

// send writes b, which it does not keep.
func (o *outbox) send(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.last:
	case !o.held:
		o.write(b)
	case len(o.behind)+len(b) > o.wire.limit:
		// It asks and asks while its first question waits.
		o.last, o.behind = true, nil
		o.wire.abandon(causeFlood)
	default:
		o.behind = append(o.behind, b...)
	}
}

// write passes b on. What goes wrong with it the wire has told already.
func (o *outbox) write(b []byte) {
	if len(b) > 0 {
		_, _ = o.to.Write(b)
	}
}

// finish writes last words, and what was kept back before them, and closes the
// connection.
func (o *outbox) finish(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last {
		return
	}
	o.write(append(o.behind, b...))
	o.last, o.held, o.behind = true, false, nil
	o.wire.finish()
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
	if !o.last {
		o.write(append(b, o.behind...))
	}
	o.held, o.behind = false, nil
}

// close takes nothing more.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last, o.behind = true, nil
	o.wire.drop()
}
