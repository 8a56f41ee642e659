// SPDX-License-Identifier: Apache-2.0

package pubsub

import (
	"sync"
	"time"
)

// sweepEvery is how often the collector looks at messages behind one that is
// not answered.
const sweepEvery = 2 * time.Millisecond

// inPlace delivers a message of a lane until it is answered for good.
func (x *subscription) inPlace(h *held) {
	for {
		select {
		case <-x.stopping:
			x.giveBack(h)
			return
		default:
		}
		m := h.message()
		select {
		case x.out <- m:
		case <-x.stopping:
			x.giveBack(h)
			return
		}
		select {
		case <-m.Acked():
			x.ack(h)
			return
		case <-m.Nacked():
		case <-x.kill:
			// Still being handled: the server delivers it again after
			// AckWait.
			x.release(h)
			return
		}
		delay, again := x.s.cfg.Retry(h.attempt())
		if !again {
			x.term(h)
			return
		}
		x.counts.nack.Inc()
		next := &held{parent: h.parent, msg: h.msg, place: h.place, stream: h.stream, tries: h.tries + 1}
		x.held.swap(h, next, time.Now())
		h.end()
		h = next
		if delay > 0 {
			t := time.NewTimer(delay)
			select {
			case <-t.C:
			case <-x.stopping:
				t.Stop()
			}
		}
	}
}

// collect passes on the answers in Unordered mode. It waits for the oldest
// message, which is answered first as a rule; while that one is slow it looks
// at all others every sweepEvery.
func (x *subscription) collect(flight <-chan *held) {
	var confirming sync.WaitGroup
	defer confirming.Wait()
	// settle reports whether h is answered.
	settle := func(h *held) bool {
		select {
		case <-h.m.Acked():
			if x.s.cfg.DoubleAck {
				confirming.Go(func() { x.ack(h) })
			} else {
				x.ack(h)
			}
		case <-h.m.Nacked():
			if delay, again := x.s.cfg.Retry(h.attempt()); again {
				x.nakAfter(h, delay)
			} else {
				x.term(h)
			}
		default:
			return false
		}
		return true
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var open []*held
	first := 0 // open[:first] is settled
	for {
		if first == len(open) {
			open, first = open[:0], 0
			if flight == nil {
				return
			}
			h, ok := <-flight
			if !ok {
				return
			}
			open = append(open, h)
		}
		head := open[first]
		if settle(head) {
			open[first] = nil
			first++
			continue
		}
		timer.Reset(sweepEvery)
		select {
		case <-head.m.Acked():
		case <-head.m.Nacked():
		case h, ok := <-flight:
			if !ok {
				flight = nil
				break
			}
			if first > 0 && len(open) == cap(open) {
				// Make room at the front instead of growing.
				n := copy(open, open[first:])
				clear(open[n:])
				open, first = open[:n], 0
			}
			open = append(open, h)
		case <-timer.C:
			kept := open[:0]
			for _, h := range open[first:] {
				if !settle(h) {
					kept = append(kept, h)
				}
			}
			clear(open[len(kept):])
			open, first = kept, 0
		case <-x.kill:
			for _, h := range open[first:] {
				x.release(h)
			}
			if flight != nil {
				for h := range flight {
					x.release(h)
				}
			}
			return
		}
	}
}
