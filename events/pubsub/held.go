// SPDX-License-Identifier: Apache-2.0

package pubsub

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events/internal/pull"
)

// held is a message that the server waits for an answer to. It is the context
// of the Watermill message, too: one allocation, and a channel only if somebody
// asks for Done.
type held struct {
	parent context.Context // values only
	msg    *nats.Msg
	place  pull.Place
	stream string
	tries  uint64 // in place, besides those the server counts
	m      *message.Message

	mu    sync.Mutex
	done  chan struct{}
	ended bool
	after []*func()

	// Position among the messages held; guarded by the registry.
	prev, next *held
	alive      time.Time // when the server last heard of it
}

var _ context.Context = (*held)(nil)

// message makes the Watermill message of this delivery.
func (h *held) message() *message.Message {
	h.m = Decode(h.msg)
	h.m.SetContext(h)
	return h.m
}

func (h *held) attempt() uint64 { return h.place.Tries + h.tries }

func (h *held) delivery() Delivery {
	return Delivery{
		Subject: h.msg.Subject, Header: h.msg.Header, Stream: h.stream, Sequence: h.place.Sequence,
		Arrived: time.Unix(0, h.place.Arrived).UTC(), Attempt: h.attempt(), Pending: h.place.Pending,
	}
}

// Deadline implements context.Context: there is none.
func (h *held) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context: it is closed when the message is answered,
// or its subscription is gone.
func (h *held) Done() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done == nil {
		h.done = make(chan struct{})
		if h.ended {
			close(h.done)
		}
	}
	return h.done
}

// Err implements context.Context.
func (h *held) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return context.Canceled
	}
	return nil
}

// Value implements context.Context.
func (h *held) Value(key any) any {
	if _, ok := key.(deliveryKey); ok {
		return h
	}
	return h.parent.Value(key)
}

// AfterFunc lets package context derive contexts without a goroutine each.
func (h *held) AfterFunc(f func()) (stop func() bool) {
	p := &f
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		go f()
		return func() bool { return false }
	}
	h.after = append(h.after, p)
	return func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		i := slices.Index(h.after, p)
		if i < 0 {
			return false
		}
		h.after = slices.Delete(h.after, i, i+1)
		return true
	}
}

// end cancels the context.
func (h *held) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return
	}
	h.ended = true
	if h.done != nil {
		close(h.done)
	}
	for _, f := range h.after {
		go (*f)()
	}
	h.after = nil
}

// registry lists the messages held, the longest silent first.
type registry struct {
	mu         sync.Mutex
	head, tail *held
	n          int
}

func (r *registry) add(h *held, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.push(h, now)
}

func (r *registry) push(h *held, now time.Time) {
	h.alive, h.prev, h.next = now, r.tail, nil
	if r.tail == nil {
		r.head = h
	} else {
		r.tail.next = h
	}
	r.tail = h
	r.n++
}

// remove takes h out and returns how many are left.
func (r *registry) remove(h *held) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pull(h)
	return r.n
}

func (r *registry) pull(h *held) {
	if h.prev == nil {
		r.head = h.next
	} else {
		h.prev.next = h.next
	}
	if h.next == nil {
		r.tail = h.prev
	} else {
		h.next.prev = h.prev
	}
	h.prev, h.next = nil, nil
	r.n--
}

// swap puts b, the next try, in the place of a.
func (r *registry) swap(a, b *held, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pull(a)
	r.push(b, now)
}

func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// silent returns the reply subjects of messages of which the server has heard
// nothing for age, and counts them as heard of now.
func (r *registry) silent(now time.Time, age time.Duration) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var replies []string
	for r.head != nil && now.Sub(r.head.alive) >= age {
		h := r.head
		replies = append(replies, h.msg.Reply)
		r.pull(h)
		r.push(h, now)
		if len(replies) == r.n {
			break
		}
	}
	return replies
}
