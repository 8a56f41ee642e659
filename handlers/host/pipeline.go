// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

const (
	// maxOutstanding batches are sent and not confirmed. The server spends
	// milliseconds on every atomic batch whatever its size (it stages each in
	// files of its own), so what waits meanwhile goes out together.
	maxOutstanding = 2
	// maxAhead messages may be put on the wire before a reduction to keep the
	// order of the stream; if more wait, it overtakes them.
	maxAhead = 256
	// politeFor a replica that came second leaves unhurried causes to the one
	// that came first, each for politeness.
	politeFor  = 3 * time.Second
	politeness = 100 * time.Millisecond
	// tailPause lets the tail of the output streams tell which causes of a
	// refused group are stored before the others are sent one by one.
	tailPause = 30 * time.Millisecond
	// maxBacklog causes may wait to be stored before the fold stops reading.
	// Then renewals stop too, and power falls with the leases.
	maxBacklog = 4096
	// confirmWait is how long a stream may take to answer.
	confirmWait = 5 * time.Second
	// sweepEvery the answers are looked after.
	sweepEvery = time.Second
)

// errStale ends a session whose unconfirmed outputs have waited so long that
// the server may have forgotten their ids: the next session looks first.
var errStale = errors.New("outputs waited longer than half the duplicate window: looking before repeating them")

// wire is what went out as one atomic batch: the batches of one or more
// causes, all for one stream.
type wire struct {
	outs   []*replica.Outgoing
	msgs   int
	sentAt time.Time
}

// pipeline brings the outputs of causes into the streams, in order. While some
// are under way the next ones gather and go out together; a reduction waits for
// nothing and takes with it what waits before it. A replica that finds another
// one faster lets it go ahead. It is safe for concurrent use.
type pipeline struct {
	nc   *nats.Conn
	log  *slog.Logger
	now  func() time.Time
	half time.Duration // of the duplicate window
	// fail ends the session that the pipeline belongs to.
	fail func(error)
	m    *seatMetrics

	inbox string
	sub   *nats.Subscription

	mu       sync.Mutex
	closed   bool
	queue    replica.Queue
	room     chan struct{}
	pending  map[uint64]*wire
	token    uint64
	blocked  bool      // waiting before going back
	second   time.Time // when another replica was first the last time
	retry    *backoff.ExponentialBackOff
	timer    *time.Timer // ends blocked
	later    *time.Timer // pumps again; nil when none is set
	sweeping bool
	// confirmed is called with the lock held whenever the queue shrank.
	confirmed func()
}

func newPipeline(nc *nats.Conn, log *slog.Logger, now func() time.Time, half time.Duration, fail func(error), m *seatMetrics) (*pipeline, error) {
	p := &pipeline{
		nc: nc, log: log, now: now, half: half, fail: fail, m: m,
		inbox: nc.NewInbox(), pending: make(map[uint64]*wire), room: make(chan struct{}, 1),
		confirmed: func() {},
		retry: backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond),
			backoff.WithMaxInterval(250*time.Millisecond), backoff.WithMaxElapsedTime(0)),
	}
	var err error
	if p.sub, err = nc.Subscribe(p.inbox+".*", p.answer); err != nil {
		return nil, fmt.Errorf("subscribe to confirmations: %w", err)
	}
	return p, nil
}

// close forgets everything; answers still on their way are ignored.
func (p *pipeline) close() {
	_ = p.sub.Unsubscribe() // fails only when the connection is gone
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.later != nil {
		p.later.Stop()
	}
	p.queue, p.pending = replica.Queue{}, nil
}

// submit takes the outputs of the next cause. A reduction is on the wire when
// submit returns; anything else may wait its turn. submit blocks only while
// maxBacklog causes are unconfirmed.
func (p *pipeline) submit(ctx context.Context, c *replica.Cause) error {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return context.Cause(ctx)
		}
		if len(p.queue.Causes()) < maxBacklog || c.Urgent {
			break
		}
		p.mu.Unlock()
		select {
		case <-p.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer p.mu.Unlock()
	p.queue.Add(c)
	p.m.backlog.Set(float64(len(p.queue.Causes())))
	if !c.Urgent {
		p.pump()
		return nil
	}
	if p.waiting() <= maxAhead {
		p.flush()
		return nil
	}
	for _, o := range c.Batches {
		if !p.send(&wire{outs: []*replica.Outgoing{o}, msgs: len(o.Messages)}) {
			break
		}
	}
	return nil
}

// waiting counts the messages not sent yet, up to a little above maxAhead.
func (p *pipeline) waiting() int {
	n := 0
	causes := p.queue.Causes()
	for i := len(causes) - 1; i >= 0 && n <= maxAhead; i-- {
		// What urges counts for nothing: it must go in any case.
		for _, o := range causes[i].Batches {
			if o.State == replica.Waiting && !causes[i].Urgent {
				n += len(o.Messages)
			}
		}
	}
	return n
}

// pump sends what waits, in order and in groups, while there is room.
func (p *pipeline) pump() {
	if p.blocked || p.closed || len(p.pending) >= maxOutstanding {
		return
	}
	now := p.now()
	polite := now.Sub(p.second) < politeFor
	for _, stream := range outputStreams {
		w := &wire{}
		for _, c := range p.queue.Causes() {
			if wait := politeness - now.Sub(c.At); polite && wait > 0 && !c.Urgent {
				p.pumpAfter(wait)
				break
			}
			if !p.gather(&w, stream, c, func() bool { return p.hasRoom(stream) }) {
				break
			}
		}
		if p.blocked || p.closed {
			return
		}
		if len(w.outs) > 0 && p.hasRoom(stream) && !p.send(w) {
			return
		}
	}
}

// hasRoom reports whether another batch may be sent to a stream: one at a time.
// Of a group that is refused because some of it is known (to a replica, or to
// the process that this one replaces) the rest is sent again, and a group that
// the server gives up because too many come at once is not even answered: the
// next one must not be stored before it.
func (p *pipeline) hasRoom(stream string) bool {
	if len(p.pending) >= maxOutstanding {
		return false
	}
	for _, w := range p.pending {
		if w.outs[0].Stream == stream {
			return false
		}
	}
	return true
}

// flush sends all that waits at once, whatever is under way.
func (p *pipeline) flush() {
	for _, stream := range outputStreams {
		w := &wire{}
		for _, c := range p.queue.Causes() {
			if !p.gather(&w, stream, c, func() bool { return true }) {
				return
			}
		}
		if len(w.outs) > 0 && !p.send(w) {
			return
		}
	}
}

// gather adds what waits of a cause for a stream to the group, sending the
// group when it is full. False means that nothing more can be sent now.
func (p *pipeline) gather(w **wire, stream string, c *replica.Cause, room func() bool) bool {
	for _, o := range c.Batches {
		if o.State != replica.Waiting || o.Stream != stream {
			continue
		}
		full := (*w).msgs+len(o.Messages) > events.MaxBatch
		if len((*w).outs) > 0 && (full || o.Alone) {
			if !room() || !p.send(*w) {
				return false
			}
			*w = &wire{}
		}
		(*w).outs, (*w).msgs = append((*w).outs, o), (*w).msgs+len(o.Messages)
		if o.Alone {
			if !room() || !p.send(*w) {
				return false
			}
			*w = &wire{}
		}
	}
	return true
}

// pumpAfter looks again after a while.
func (p *pipeline) pumpAfter(d time.Duration) {
	if p.later != nil {
		return
	}
	p.later = time.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.later = nil
		p.pump()
	})
}

// send puts a group on the wire. It reports false when nothing more can be
// sent now.
func (p *pipeline) send(w *wire) bool {
	now := p.now()
	for _, o := range w.outs {
		if elapsed(o.Cause.At, now) > p.half {
			p.fail(errStale)
			return false
		}
		o.State = replica.Sent
	}
	p.token++
	w.sentAt = now
	p.pending[p.token] = w
	if err := p.write(w, p.token); err != nil {
		p.goBack(fmt.Errorf("%s: %w", w, err))
		return false
	}
	p.m.batches.Inc()
	if !p.sweeping {
		p.sweeping = true
		time.AfterFunc(sweepEvery, p.sweep)
	}
	return true
}

// String names the causes of a group, for the log.
func (w *wire) String() string {
	first, last := w.outs[0], w.outs[len(w.outs)-1]
	return fmt.Sprintf("causes %d/%d to %d/%d into %s", first.Cause.Epoch, first.Cause.Sequence, last.Cause.Epoch, last.Cause.Sequence, first.Stream)
}

func (p *pipeline) write(w *wire, token uint64) error {
	msgs := make([]*nats.Msg, 0, w.msgs)
	for _, o := range w.outs {
		msgs = append(msgs, o.Messages...)
	}
	last := msgs[len(msgs)-1]
	id := ""
	if len(msgs) > 1 {
		id = nuid.Next()
	}
	for i, m := range msgs {
		m.Reply = ""
		delete(m.Header, events.HeaderBatchCommit)
		if id == "" {
			delete(m.Header, events.HeaderBatchID)
			delete(m.Header, events.HeaderBatchSeq)
			continue
		}
		m.Header[events.HeaderBatchID] = []string{id}
		m.Header[events.HeaderBatchSeq] = []string{strconv.Itoa(i + 1)}
	}
	if id != "" {
		last.Header[events.HeaderBatchCommit] = []string{"1"}
	}
	last.Reply = p.inbox + "." + strconv.FormatUint(token, 36)
	for _, m := range msgs {
		if err := p.nc.PublishMsg(m); err != nil {
			return err
		}
	}
	return nil
}

// settle drops confirmed causes from the head of the queue.
func (p *pipeline) settle() {
	if p.queue.Settle() == 0 {
		return
	}
	p.m.backlog.Set(float64(len(p.queue.Causes())))
	select {
	case p.room <- struct{}{}:
	default:
	}
	p.confirmed()
}

// goBack makes everything unconfirmed wait and be sent again from the first.
func (p *pipeline) goBack(err error) {
	p.m.goBacks.Inc()
	clear(p.pending)
	for _, o := range p.queue.GoBack() {
		p.finish(o, replica.Answer{Stream: o.Stream, Duplicate: true})
	}
	p.settle()
	if p.blocked || p.closed {
		return
	}
	wait := p.retry.NextBackOff()
	p.log.Warn("outputs were not stored, going back to the first unconfirmed", "error", err, "unconfirmed", len(p.queue.Causes()), "again_in", wait)
	p.blocked = true
	p.timer = time.AfterFunc(wait, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.blocked = false
		p.pump()
	})
}

// sweep looks after answers that do not come.
func (p *pipeline) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	now := p.now()
	for _, w := range p.pending {
		if elapsed(w.sentAt, now) > confirmWait {
			p.goBack(fmt.Errorf("%s: no answer within %s", w, confirmWait))
			break
		}
	}
	if p.sweeping = len(p.queue.Causes()) > 0; p.sweeping {
		time.AfterFunc(sweepEvery, p.sweep)
	}
}

// unconfirmed is the sequence of the first cause not stored yet; ok is false
// when there is none.
func (p *pipeline) unconfirmed() (sequence uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.Unconfirmed()
}
