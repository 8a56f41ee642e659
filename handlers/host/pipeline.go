// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

const (
	// maxOutstanding batches are sent and not confirmed; the server allows 50
	// open ones per stream, shared by everybody.
	maxOutstanding = 16
	// maxBacklog causes may wait to be stored before the fold stops reading.
	// Then renewals stop too, and power falls with the leases.
	maxBacklog = 4096
	// confirmWait is how long a stream may take to answer.
	confirmWait = 5 * time.Second
	// sweepEvery the answers are looked after.
	sweepEvery = time.Second

	// codeBatchDuplicate is the server's "batch contains a known id".
	codeBatchDuplicate = 10201
)

// errStale ends a session whose unconfirmed outputs have waited so long that
// the server may have forgotten their ids: the next session looks first.
var errStale = errors.New("outputs waited longer than half the duplicate window: looking before repeating them")

// cause is everything one journal message gave, on its way into the streams.
type cause struct {
	epoch, sequence uint64
	urgent          bool // holds a reduction
	batches         []*outgoing
	open            int // batches not stored yet
	at              time.Time
}

type outgoing struct {
	cause *cause
	decider.Batch
	state  sendState
	token  uint64
	sentAt time.Time
	// answered is called once with the place of the last message; nil for
	// most.
	answered func(stored)
}

type sendState uint8

const (
	queued sendState = iota
	sent
	done
)

// stored is a positive answer of a stream.
type stored struct {
	// Stream and Sequence of the (last) message, of the first copy when
	// Duplicate; Sequence is 0 for a batch refused as known.
	Stream    string
	Sequence  uint64
	Duplicate bool
}

// pipeline brings the outputs of causes into the streams: confirmed in order,
// several under way at a time, reductions past all others. It is safe for
// concurrent use.
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

	mu          sync.Mutex
	closed      bool
	queue       []*cause // unconfirmed, in order
	room        chan struct{}
	pending     map[uint64]*outgoing
	token       uint64
	outstanding int
	blocked     bool // waiting before going back
	retry       *backoff.ExponentialBackOff
	timer       *time.Timer
	sweeping    bool
	// confirmed is called with the lock held whenever the queue shrank.
	confirmed func()
}

func newPipeline(nc *nats.Conn, log *slog.Logger, now func() time.Time, half time.Duration, fail func(error), m *seatMetrics) (*pipeline, error) {
	p := &pipeline{
		nc: nc, log: log, now: now, half: half, fail: fail, m: m,
		inbox: nc.NewInbox(), pending: make(map[uint64]*outgoing), room: make(chan struct{}, 1),
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
	p.queue, p.pending = nil, nil
}

// submit takes the outputs of the next cause. A reduction is on the wire when
// submit returns; anything else waits its turn. submit blocks only while
// maxBacklog causes are unconfirmed.
func (p *pipeline) submit(ctx context.Context, c *cause) error {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return context.Cause(ctx)
		}
		if len(p.queue) < maxBacklog || c.urgent {
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
	c.at = p.now()
	c.open = len(c.batches)
	p.queue = append(p.queue, c)
	p.m.backlog.Set(float64(len(p.queue)))
	if c.urgent {
		for _, o := range c.batches {
			if !p.send(o) {
				break
			}
		}
	} else {
		p.pump()
	}
	return nil
}

// pump sends what waits, in order, while there is room.
func (p *pipeline) pump() {
	if p.blocked || p.closed {
		return
	}
	for _, c := range p.queue {
		for _, o := range c.batches {
			if o.state != queued {
				continue
			}
			if p.outstanding >= maxOutstanding {
				return
			}
			if !p.send(o) {
				return
			}
		}
	}
}

// send puts one batch on the wire. It reports false when nothing more can be
// sent now.
func (p *pipeline) send(o *outgoing) bool {
	now := p.now()
	if elapsed(o.cause.at, now) > p.half {
		p.fail(errStale)
		return false
	}
	p.token++
	o.token, o.state, o.sentAt = p.token, sent, now
	p.pending[o.token] = o
	p.outstanding++
	if err := p.write(o); err != nil {
		p.goBack(fmt.Errorf("cause %d/%d: %w", o.cause.epoch, o.cause.sequence, err))
		return false
	}
	p.m.batches.Inc()
	if !p.sweeping {
		p.sweeping = true
		time.AfterFunc(sweepEvery, p.sweep)
	}
	return true
}

func (p *pipeline) write(o *outgoing) error {
	msgs := o.Messages
	last := msgs[len(msgs)-1]
	if len(msgs) > 1 {
		id := nuid.Next()
		for i, m := range msgs {
			m.Header[events.HeaderBatchID] = []string{id}
			m.Header[events.HeaderBatchSeq] = []string{strconv.Itoa(i + 1)}
		}
		last.Header[events.HeaderBatchCommit] = []string{"1"}
	}
	last.Reply = p.inbox + "." + strconv.FormatUint(o.token, 36)
	for _, m := range msgs {
		if err := p.nc.PublishMsg(m); err != nil {
			return err
		}
	}
	return nil
}

// answer takes the answer of a stream to the last message of a batch.
func (p *pipeline) answer(m *nats.Msg) {
	token, err := strconv.ParseUint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 36, 64)
	if err != nil {
		return
	}
	at, err := readAnswer(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	o, ok := p.pending[token]
	if !ok || p.closed {
		return
	}
	if err == nil && at.Stream != "" && at.Stream != o.Stream {
		err = fmt.Errorf("stored in %s instead of %s: the stream's subjects are not as declared", at.Stream, o.Stream)
	}
	if err != nil {
		p.goBack(fmt.Errorf("cause %d/%d into %s: %w", o.cause.epoch, o.cause.sequence, o.Stream, err))
		return
	}
	delete(p.pending, token)
	p.outstanding--
	o.state = done
	o.cause.open--
	p.m.confirm.Observe(p.now().Sub(o.cause.at).Seconds())
	if at.Duplicate {
		p.m.duplicates.Inc()
	}
	if o.answered != nil {
		o.answered(at)
	}
	p.retry.Reset()
	p.settle()
	p.pump()
}

// settle drops confirmed causes from the head of the queue.
func (p *pipeline) settle() {
	n := 0
	for n < len(p.queue) && p.queue[n].open == 0 {
		n++
	}
	if n == 0 {
		return
	}
	clear(p.queue[:n])
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil // lets go of the array
	}
	p.m.backlog.Set(float64(len(p.queue)))
	select {
	case p.room <- struct{}{}:
	default:
	}
	p.confirmed()
}

// goBack makes everything unconfirmed wait and be sent again from the first.
// What was stored meanwhile comes back as a duplicate.
func (p *pipeline) goBack(err error) {
	p.m.goBacks.Inc()
	clear(p.pending)
	p.outstanding = 0
	for _, c := range p.queue {
		for _, o := range c.batches {
			if o.state == sent {
				o.state = queued
			}
		}
	}
	if p.blocked || p.closed {
		return
	}
	wait := p.retry.NextBackOff()
	p.log.Warn("outputs were not stored, going back to the first unconfirmed", "error", err, "unconfirmed", len(p.queue), "again_in", wait)
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
	for _, o := range p.pending {
		if elapsed(o.sentAt, now) > confirmWait {
			p.goBack(fmt.Errorf("cause %d/%d: no answer from %s within %s", o.cause.epoch, o.cause.sequence, o.Stream, confirmWait))
			break
		}
	}
	if p.sweeping = len(p.queue) > 0; p.sweeping {
		time.AfterFunc(sweepEvery, p.sweep)
	}
}

// unconfirmed is the sequence of the first cause not stored yet; ok is false
// when there is none.
func (p *pipeline) unconfirmed() (sequence uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return 0, false
	}
	return p.queue[0].sequence, true
}

// readAnswer reads a publish acknowledgement. A batch refused because an id in
// it is known is stored: replicas cut equal batches, so all of it is known.
func readAnswer(m *nats.Msg) (stored, error) {
	if len(m.Data) == 0 {
		return stored{}, fmt.Errorf("no stream takes it (status %s): was the bus declared?", m.Header.Get("Status"))
	}
	var r struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Stream    string `json:"stream"`
		Sequence  uint64 `json:"seq"`
		Duplicate bool   `json:"duplicate"`
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return stored{}, fmt.Errorf("answer is no JSON: %w", err)
	}
	switch {
	case r.Error == nil:
		return stored{Stream: r.Stream, Sequence: r.Sequence, Duplicate: r.Duplicate}, nil
	case r.Error.Code == codeBatchDuplicate:
		return stored{Stream: r.Stream, Duplicate: true}, nil
	}
	return stored{}, fmt.Errorf("refused: %s (%d)", r.Error.Description, r.Error.Code)
}
