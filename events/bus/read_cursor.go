// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const (
	// pullBatch messages are asked for at a time, and asked for again when
	// half of them are in.
	pullBatch = 1024
	// pullBytes bounds what one request may put in flight.
	pullBytes = 16 << 20
	// pullExpiry ends an idle request; pullHeartbeat proves meanwhile that
	// the server still has it, and pullSilence without one means that it has
	// not.
	pullExpiry    = 10 * time.Second
	pullHeartbeat = 500 * time.Millisecond
	pullSilence   = 3 * pullHeartbeat
	// runLength is the most messages that one call of next returns.
	runLength = 256
	// cursorIdle is when the server forgets a reader that asks for nothing.
	cursorIdle = 2 * time.Minute
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
	b      *Bus
	p      plan
	ch     chan *nats.Msg
	sub    *nats.Subscription
	inbox  string
	name   string // of the consumer; empty: none
	pullAt string // subject that pull requests go to
	pulls  uint64
	want   int    // messages asked for and not yet in
	dseq   uint64 // deliveries seen of this consumer

	seq     uint64 // last message returned or skipped
	arrived int64  // its arrival, Unix nanoseconds
	created time.Time
	stop    uint64 // last sequence of a read that does not follow
	done    bool
	run     []Raw
	timer   *time.Timer
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
	c.timer = time.NewTimer(time.Hour)
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
	c.ch = make(chan *nats.Msg, 2*pullBatch+256)
	c.inbox = c.b.nc.NewInbox()
	if c.sub, err = c.b.nc.ChanSubscribe(c.inbox+".*", c.ch); err != nil {
		return fmt.Errorf("read %s: %w", c.p.stream, err)
	}
	c.pullAt = c.api() + "CONSUMER.MSG.NEXT." + c.p.stream + "." + c.name
	c.want, c.dseq = 0, 0
	return c.pull()
}

func (c *cursor) api() string {
	o := c.b.js.Options()
	switch {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}

var pullBody = fmt.Appendf(nil, `{"batch":%d,"max_bytes":%d,"expires":%d,"idle_heartbeat":%d}`,
	pullBatch, pullBytes, pullExpiry.Nanoseconds(), pullHeartbeat.Nanoseconds())

// pull asks for another batch.
func (c *cursor) pull() error {
	c.pulls++
	c.want += pullBatch
	return c.b.nc.PublishRequest(c.pullAt, c.inbox+"."+strconv.FormatUint(c.pulls, 36), pullBody)
}

// detach drops the consumer and all that is still in flight from it.
func (c *cursor) detach() {
	if c.sub != nil {
		_ = c.sub.Unsubscribe() // fails only when the connection is gone
		c.sub, c.ch = nil, nil
	}
	if c.name != "" {
		// Nobody waits for the answer; if it never arrives the server
		// forgets the consumer by itself after cursorIdle.
		_ = c.b.nc.PublishRequest(c.api()+"CONSUMER.DELETE."+c.p.stream+"."+c.name, c.b.nc.NewInbox(), nil)
		c.name = ""
	}
}

func (c *cursor) close() {
	c.detach()
	if c.timer != nil {
		c.timer.Stop()
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
		select {
		case m = <-c.ch:
		default:
			if len(c.run) > 0 {
				return c.run, nil
			}
			var err error
			if m, err = c.wait(ctx); err != nil {
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
func (c *cursor) wait(ctx context.Context) (*nats.Msg, error) {
	if c.ch == nil {
		return nil, ctx.Err()
	}
	c.timer.Reset(pullSilence)
	select {
	case m := <-c.ch:
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.timer.C:
		return nil, nil
	}
}

// take handles one delivery: a stored message goes to the run, a status is
// obeyed. False means that the consumer must be replaced.
func (c *cursor) take(m *nats.Msg) (bool, error) {
	pl, ok := parsePlace(m.Reply)
	if !ok {
		return c.status(m), nil
	}
	if pl.delivery != c.dseq+1 {
		return false, nil // one was lost on the way
	}
	if pl.sequence <= c.seq {
		return false, fmt.Errorf("read %s: %d came after %d: %w", c.p.stream, pl.sequence, c.seq, ErrJournalBroken)
	}
	c.dseq++
	if c.want--; c.want <= pullBatch/2 {
		if err := c.pull(); err != nil && !c.p.follow {
			return false, fmt.Errorf("read %s: %w", c.p.stream, err)
		}
	}
	if c.stop > 0 && pl.sequence > c.stop || !c.p.until.IsZero() && pl.arrived >= c.p.until.UnixNano() {
		c.done = true
		return true, nil
	}
	c.seq, c.arrived = pl.sequence, pl.arrived
	c.run = append(c.run, Raw{
		Stream: c.p.stream, Sequence: pl.sequence, Arrived: time.Unix(0, pl.arrived).UTC(), Pending: pl.pending,
		Subject: m.Subject, Header: m.Header, Data: m.Data,
	})
	if c.stop > 0 && (pl.sequence == c.stop || pl.pending == 0) {
		c.done = true
	}
	return true, nil
}

// status obeys a message of the server about a pull request.
func (c *cursor) status(m *nats.Msg) bool {
	switch m.Header.Get("Status") {
	case "100": // idle
		if s := m.Header.Get("Nats-Last-Consumer"); s != "" {
			if n, err := strconv.ParseUint(s, 10, 64); err == nil && n > c.dseq {
				return false // deliveries were lost
			}
		}
		if c.p.follow {
			// The clock ends what no later message would.
			if !c.p.until.IsZero() && time.Now().After(c.p.until.Add(2*pullSilence)) {
				c.done = true
			}
			return true
		}
		// A read that ends waits for something that was purged meanwhile.
		return false
	case "404", "408":
	case "409":
		d := m.Header.Get("Description")
		if !strings.Contains(d, "MaxBytes") && !strings.Contains(d, "Batch Completed") {
			return false // consumer gone, leader changed, server going down
		}
	default:
		return false
	}
	n, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	if err != nil {
		return false
	}
	if c.want = max(c.want-n, 0); c.want <= pullBatch/2 {
		return c.pull() == nil
	}
	return true
}

// resume replaces the consumer, however long the bus is away (a read that does
// not follow gives up after finiteRetry).
func (c *cursor) resume(ctx context.Context) error {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	if !c.p.follow {
		bo.MaxElapsedTime = finiteRetry
	}
	return backoff.Retry(func() error {
		c.detach()
		if c.b.nc.IsClosed() {
			return backoff.Permanent(fmt.Errorf("read %s after %d: %w", c.p.stream, c.seq, nats.ErrConnectionClosed))
		}
		if err := c.same(ctx); err != nil {
			return err
		}
		return c.attach(ctx)
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

// place is what the reply subject of a delivery says.
type place struct {
	sequence, delivery, pending uint64
	arrived                     int64
}

// parsePlace reads $JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<delivery>.
// <nanoseconds>.<pending>, or the longer form with domain and account before
// the stream and a token behind. It allocates nothing.
func parsePlace(reply string) (place, bool) {
	const lead = "$JS.ACK."
	if !strings.HasPrefix(reply, lead) {
		return place{}, false
	}
	dots := strings.Count(reply, ".")
	skip := 3 // stream, consumer, tries
	if dots >= 10 {
		skip += 2
	} else if dots != 8 {
		return place{}, false
	}
	rest := reply[len(lead):]
	for range skip {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return place{}, false
		}
		rest = rest[i+1:]
	}
	var n [4]uint64
	for k := range n {
		i := 0
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
			n[k] = n[k]*10 + uint64(rest[i]-'0')
			i++
		}
		if i == 0 || i > 19 || i < len(rest) && rest[i] != '.' {
			return place{}, false
		}
		if i == len(rest) {
			if k < 3 {
				return place{}, false
			}
			break
		}
		rest = rest[i+1:]
	}
	return place{sequence: n[0], delivery: n[1], arrived: int64(n[2]), pending: n[3]}, true
}
