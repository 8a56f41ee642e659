// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/ballast-energy/ballast/events/internal/pull"
)

const (
	// pullBatch messages are asked for at a time, and asked for again when
	// half of them are in.
	pullBatch = 1024
	// runLength is the most messages that one call of next returns.
	runLength = 256
	// cursorIdle is when the server forgets a reader that asks for nothing.
	cursorIdle = 30 * time.Second
	// silentTicks of the heartbeat without a sign of the server mean that it
	// has forgotten the request.
	silentTicks = int(pull.Silence / pull.Heartbeat)
	// apiWait bounds one request to the JetStream API.
	apiWait = 5 * time.Second
	// finiteRetry is how long a read that does not follow waits for a bus
	// that is away.
	finiteRetry = 30 * time.Second
)

// cursor reads one stream in order with its own pull loop on an ephemeral
// consumer. The consumer is expendable: after anything unexpected (silence, a
// reconnect, a missing delivery) a new one starts behind the last message
// returned, provided that message is still the one that was read.
type cursor struct {
	b    *Bus
	p    plan
	loop *pull.Loop
	name string // of the consumer; empty: none
	dseq uint64 // deliveries seen of this consumer

	seq     uint64 // last message returned or skipped
	arrived int64  // its arrival, Unix nanoseconds
	created time.Time
	stop    uint64 // last sequence of a read that does not follow
	done    bool
	run     []Raw
	ticker  *time.Ticker
	back    chan nats.Status // the connection is back
}

func (b *Bus) newCursor(ctx context.Context, p plan) (*cursor, error) {
	c := &cursor{b: b, p: p, run: make([]Raw, 0, runLength)}
	info, err := c.info(ctx)
	if err != nil {
		return nil, err
	}
	c.created = info.Created
	if p.from > info.State.LastSeq+1 {
		return nil, fmt.Errorf("read %s from %d, which ends at %d: %w", p.stream, p.from, info.State.LastSeq, ErrJournalBroken)
	}
	switch {
	case p.newOnly:
		c.seq = info.State.LastSeq
	case p.from > 0:
		c.seq = p.from - 1
	}
	if !p.follow {
		c.stop = info.State.LastSeq
		if info.State.Msgs == 0 || c.stop <= c.seq {
			c.done = true
			return c, nil
		}
	}
	c.ticker = time.NewTicker(pull.Heartbeat)
	c.back = b.nc.StatusChanged(nats.CONNECTED)
	if err := c.attach(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *cursor) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	s, err := c.b.js.Stream(ctx, c.p.stream)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", c.p.stream, err)
	}
	return s.CachedInfo(), nil
}

// attach starts a consumer behind c.seq.
func (c *cursor) attach(ctx context.Context) error {
	cfg := jetstream.ConsumerConfig{
		Name:              "reader-" + nuid.Next(),
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverAllPolicy,
		FilterSubjects:    c.p.filters,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: cursorIdle,
	}
	switch {
	case c.seq > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, c.seq+1
	case !c.p.since.IsZero():
		since := c.p.since
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	tctx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	con, err := c.b.js.CreateConsumer(tctx, c.p.stream, cfg)
	if err != nil {
		return fmt.Errorf("read %s: %w", c.p.stream, err)
	}
	c.name = cfg.Name
	if !c.p.follow && con.CachedInfo().NumPending == 0 {
		c.done = true
		return nil
	}
	c.dseq = 0
	if c.loop, err = pull.New(c.b.nc, pull.API(c.b.js), c.p.stream, c.name, 2*pullBatch); err != nil {
		return fmt.Errorf("read %s: %w", c.p.stream, err)
	}
	return c.loop.Ask(pullBatch)
}

// detach drops the consumer and all that is still in flight from it.
func (c *cursor) detach() {
	if c.loop != nil {
		c.loop.Stop()
		c.loop = nil
	}
	// Viewers may not delete consumers; theirs are forgotten after cursorIdle.
	if c.name != "" && c.b.identity.Role != RoleViewer {
		// Nobody waits for the answer; if it never arrives the server
		// forgets the consumer by itself after cursorIdle.
		_ = c.b.nc.PublishRequest(pull.API(c.b.js)+"CONSUMER.DELETE."+c.p.stream+"."+c.name, c.b.nc.NewInbox(), nil)
	}
	c.name = ""
}

func (c *cursor) close() {
	c.detach()
	if c.ticker != nil {
		c.ticker.Stop()
		c.b.nc.RemoveStatusListener(c.back)
	}
}

// next returns the messages that are there, waiting for the first. An empty
// run is the end of the read.
func (c *cursor) next(ctx context.Context) ([]Raw, error) {
	c.run = c.run[:0]
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for !c.done {
		var m *nats.Msg
		var ch <-chan *nats.Msg // nil without a consumer
		if c.loop != nil {
			ch = c.loop.C()
		}
		select {
		case m = <-ch:
		default:
			if len(c.run) > 0 {
				return c.run, nil
			}
			var err error
			if m, err = c.wait(ctx, ch); err != nil {
				return nil, err
			}
		}
		ok := m != nil
		if ok {
			var err error
			if ok, err = c.take(m); err != nil {
				return nil, err
			}
		}
		if !ok {
			// Hand out what is complete before starting anew.
			c.detach()
			if len(c.run) > 0 {
				return c.run, nil
			}
			if err := c.resume(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if len(c.run) == runLength {
			return c.run, nil
		}
	}
	return c.run, nil
}

// wait blocks for the next message; nil means that the consumer must be
// replaced.
func (c *cursor) wait(ctx context.Context, ch <-chan *nats.Msg) (*nats.Msg, error) {
	if ch == nil {
		return nil, ctx.Err()
	}
	// In a flood the next message is there after a moment; that is cheaper
	// than to be woken for it.
	runtime.Gosched()
	select {
	case m := <-ch:
		return m, nil
	default:
	}
	for range silentTicks + 1 {
		select {
		case m := <-ch:
			return m, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.back:
			return nil, nil // what was asked for before is forgotten
		case <-c.ticker.C:
		}
	}
	return nil, nil
}

// take handles one delivery: a stored message goes to the run, a status is
// obeyed. False means that the consumer must be replaced.
func (c *cursor) take(m *nats.Msg) (bool, error) {
	pl, verdict := c.loop.Take(m)
	switch verdict {
	case pull.Lost:
		return false, nil
	case pull.Idle:
		return c.idle(m), nil
	case pull.Ended:
		return c.ask(), nil
	}
	if pl.Delivery != c.dseq+1 {
		return false, nil // one was lost on the way
	}
	if pl.Sequence <= c.seq {
		return false, fmt.Errorf("read %s: %d came after %d: %w", c.p.stream, pl.Sequence, c.seq, ErrJournalBroken)
	}
	c.dseq++
	if c.stop > 0 && pl.Sequence > c.stop || !c.p.until.IsZero() && pl.Arrived >= c.p.until.UnixNano() {
		c.done = true
		return true, nil
	}
	c.seq, c.arrived = pl.Sequence, pl.Arrived
	c.run = append(c.run, Raw{
		Stream: c.p.stream, Sequence: pl.Sequence, Arrived: time.Unix(0, pl.Arrived).UTC(), Pending: pl.Pending,
		Subject: m.Subject, Header: m.Header, Data: m.Data,
	})
	if c.stop > 0 && (pl.Sequence == c.stop || pl.Pending == 0) {
		c.done = true
		return true, nil
	}
	return c.ask(), nil
}

// ask keeps at least half a batch owed.
func (c *cursor) ask() bool {
	return c.loop.Owed() > pullBatch/2 || c.loop.Ask(pullBatch) == nil
}

// idle handles a heartbeat.
func (c *cursor) idle(m *nats.Msg) bool {
	if pull.Delivered(m) > c.dseq {
		return false // deliveries were lost
	}
	if !c.p.follow {
		// A read that ends waits for something that was purged meanwhile.
		return false
	}
	// The clock ends what no later message would.
	if !c.p.until.IsZero() && time.Now().After(c.p.until.Add(2*pull.Silence)) {
		c.done = true
	}
	return true
}

// resume replaces the consumer, however long the bus is away (a read that does
// not follow gives up after finiteRetry).
func (c *cursor) resume(ctx context.Context) error {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
	if !c.p.follow {
		bo.MaxElapsedTime = finiteRetry
	}
	return backoff.Retry(func() error {
		c.detach()
		if c.b.nc.IsClosed() {
			return backoff.Permanent(fmt.Errorf("read %s after %d: %w", c.p.stream, c.seq, nats.ErrConnectionClosed))
		}
		// What is asked of a server that goes down is never answered: ask the
		// next one as soon as it is there.
		actx, cancel := context.WithCancel(ctx)
		defer cancel()
		for len(c.back) > 0 {
			<-c.back // old news
		}
		go func() {
			select {
			case <-c.back:
				cancel()
			case <-actx.Done():
			}
		}()
		if err := c.same(actx); err != nil {
			return err
		}
		return c.attach(actx)
	}, backoff.WithContext(bo, ctx))
}

// same checks that the stream is the one read so far.
func (c *cursor) same(ctx context.Context) error {
	info, err := c.info(ctx)
	if err != nil {
		return err
	}
	broken := func(why string) error {
		return backoff.Permanent(fmt.Errorf("read %s after %d: %s: %w", c.p.stream, c.seq, why, ErrJournalBroken))
	}
	if !info.Created.Equal(c.created) {
		return broken("it was recreated")
	}
	if info.State.LastSeq < c.seq {
		return broken(fmt.Sprintf("it ends at %d", info.State.LastSeq))
	}
	if c.arrived == 0 || c.seq < info.State.FirstSeq {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	s, err := c.b.js.Stream(ctx, c.p.stream)
	if err != nil {
		return err
	}
	m, err := s.GetMsg(ctx, c.seq)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil // deleted since
	case err != nil:
		return err
	case m.Time.UnixNano() != c.arrived:
		return broken("another message has this sequence now")
	}
	return nil
}
