// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"sync"
	"sync/atomic"
)

// hitsWaiting is the number of undelivered hits from which on threads pause.
// A flood like that comes of a target that is far too easy, or of a receiver
// that hangs; hashing on would only fill memory.
const hitsWaiting = 4096

// delivery takes hits from the threads to the caller's function, losing none.
type delivery struct {
	waiting atomic.Int64 // pushed and not yet handed over
	ended   chan struct{}

	mu     sync.Mutex
	some   sync.Cond
	queue  []Hit
	closed bool
}

// start begins to hand hits to onHit. room is called when there is room again
// after full.
func (d *delivery) start(threads int, onHit func(Hit), room func()) {
	d.some.L = &d.mu
	d.ended = make(chan struct{})
	go func() {
		defer close(d.ended)
		d.deliver(onHit, room)
	}()
}

// full reports whether threads should pause before they find more.
func (d *delivery) full() bool { return d.waiting.Load() >= hitsWaiting }

// push puts hits into the queue. It never waits for the receiver.
func (d *delivery) push(hits []Hit) {
	d.mu.Lock()
	d.queue = append(d.queue, hits...)
	d.waiting.Add(int64(len(hits)))
	d.mu.Unlock()
	d.some.Signal()
}

// deliver hands over hits until the queue is closed and empty.
func (d *delivery) deliver(onHit func(Hit), room func()) {
	var batch []Hit
	for {
		d.mu.Lock()
		for len(d.queue) == 0 && !d.closed {
			d.some.Wait()
		}
		// The two slices change places, so that in the long run neither grows.
		batch, d.queue = d.queue, batch[:0]
		d.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for i := range batch {
			onHit(batch[i])
			batch[i].Tag = nil // the caller's; not to be kept alive here
			if d.waiting.Add(-1) == hitsWaiting-1 {
				room()
			}
		}
	}
}

// close returns when every hit has been handed over. Nothing may be pushed
// any more.
func (d *delivery) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.some.Signal()
	<-d.ended
}
