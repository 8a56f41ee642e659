// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/ballast-energy/ballast/events"
)

// Error codes of the server's atomic batch publishing (ADR-50).
const (
	codeBatchDuplicate   jetstream.ErrorCode = 10201
	codeBatchTooMany     jetstream.ErrorCode = 10210
	codeBatchIncomplete  jetstream.ErrorCode = 10176
	headerExpectStream                       = "Nats-Expected-Last-Sequence"
	headerExpectSubject                      = "Nats-Expected-Last-Subject-Sequence-Subject"
	batchRetryFor                            = 5 * time.Second
	batchRetryFirstPause                     = 2 * time.Millisecond
)

// ErrBatchTooLong: more events than one atomic batch may hold.
var ErrBatchTooLong = fmt.Errorf("more than %d events in one batch", events.MaxBatch)

// Expect is what must be true of a stream for a batch to be stored. The zero
// value expects nothing.
type Expect struct {
	// LastSequence of the whole stream, when not nil.
	LastSequence *uint64
	// Subject, when not empty, is a subject or wildcard whose newest message
	// must have the sequence SubjectSequence; 0 means that there is none.
	Subject         string
	SubjectSequence uint64
}

func (x Expect) none() bool { return x.LastSequence == nil && x.Subject == "" }

// BatchResult says where a batch was stored.
type BatchResult struct {
	// Stored has one entry per event, in order.
	Stored []Stored
	// New events stored by this call, and Duplicates that were known.
	New, Duplicates int
	// Atomic: stored all at once. False when the batch was sent message by
	// message, for a stream without atomic batches or after a duplicate.
	Atomic bool
}

// PublishBatch stores events in one stream, all or none, in order and without
// any other message between them. At most events.MaxBatch events, all of types
// that stream stores.
//
// A server refuses a batch whole when it knows the id of one of its events
// already. The events are then sent again one by one, and each that is known
// counts as stored: afterwards all are stored, once. Every event needs an id
// of its own with Dedup for that (Event.WithID).
//
// JOURNAL takes no atomic batches (it is persisted asynchronously): there the
// events are published in order, one by one, and BatchResult.Atomic is false.
//
// On an error nothing is stored, unless it is ErrOutcomeUnknown (publish the
// same batch again) or a *PublishError (of the events sent one by one).
func (b *Bus) PublishBatch(ctx context.Context, stream string, evs ...*events.Event) (BatchResult, error) {
	return b.PublishBatchIf(ctx, stream, Expect{}, evs...)
}

// PublishBatchIf is PublishBatch under a condition: compare and set. When the
// condition fails the error is ErrConflict and nothing is stored. A batch that
// holds a known id is not taken apart here; it fails, and nothing is stored.
// A single event is published under the condition on any stream; several on
// JOURNAL are refused.
func (b *Bus) PublishBatchIf(ctx context.Context, stream string, x Expect, evs ...*events.Event) (BatchResult, error) {
	if len(evs) == 0 {
		return BatchResult{Atomic: true}, nil
	}
	if len(evs) > events.MaxBatch {
		return BatchResult{}, fmt.Errorf("batch of %d for %s refused, nothing is stored: %w; split it", len(evs), stream, ErrBatchTooLong)
	}
	for i, e := range evs {
		if e == nil || e.Data == nil {
			return BatchResult{}, fmt.Errorf("batch for %s refused, nothing is stored: event #%d has no payload", stream, i)
		}
		if info, _ := events.Info(e.Data.EventType()); info.Stream != stream {
			return BatchResult{}, fmt.Errorf("batch for %s refused, nothing is stored: event #%d is a %s, which belongs to %q", stream, i, e.Data.EventType(), info.Stream)
		}
	}
	msgs, err := b.encodeAll(evs)
	if err != nil {
		return BatchResult{}, err
	}
	return b.PublishMsgBatch(ctx, stream, x, msgs)
}

// PublishMsgBatch is PublishBatchIf for messages already encoded. The messages
// are the bus's until it returns.
func (b *Bus) PublishMsgBatch(ctx context.Context, stream string, x Expect, msgs []*nats.Msg) (BatchResult, error) {
	if len(msgs) > events.MaxBatch {
		return BatchResult{}, fmt.Errorf("batch of %d for %s refused, nothing is stored: %w; split it", len(msgs), stream, ErrBatchTooLong)
	}
	if len(msgs) == 1 || stream == events.StreamJournal {
		if len(msgs) > 1 && !x.none() {
			return BatchResult{}, fmt.Errorf("batch for %s refused, nothing is stored: the stream takes no conditional batches", stream)
		}
		if len(msgs) == 1 {
			x.put(msgs[0])
		}
		return b.oneByOne(ctx, msgs)
	}
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(batchRetryFirstPause),
		backoff.WithMaxInterval(250*time.Millisecond), backoff.WithMaxElapsedTime(batchRetryFor))
	res, err := backoff.RetryWithData(func() (BatchResult, error) {
		res, err := b.atomicBatch(ctx, stream, x, msgs)
		// Too many batches are open: only this error goes away by itself.
		if err != nil && !isCode(err, codeBatchTooMany) {
			err = backoff.Permanent(err)
		}
		return res, err
	}, backoff.WithContext(bo, ctx))
	if !isCode(err, codeBatchDuplicate) {
		return res, err
	}
	if !x.none() {
		return BatchResult{}, fmt.Errorf("batch for %s refused, nothing is stored: an id in it is known: %w", stream, err)
	}
	for i, m := range msgs {
		if len(m.Header[events.HeaderMsgID]) == 0 {
			return BatchResult{}, fmt.Errorf("batch for %s refused, nothing is stored: an id in it is known, and event #%d has none to be sent alone with (use WithID): %w", stream, i, err)
		}
	}
	for _, m := range msgs {
		delete(m.Header, events.HeaderBatchID)
		delete(m.Header, events.HeaderBatchSeq)
		delete(m.Header, events.HeaderBatchCommit)
		m.Reply = ""
	}
	return b.oneByOne(ctx, msgs)
}

func isCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}

// put writes the condition into the first message.
func (x Expect) put(m *nats.Msg) {
	if x.none() {
		return
	}
	if m.Header == nil {
		m.Header = make(nats.Header, 3)
	}
	if x.LastSequence != nil {
		m.Header[headerExpectStream] = []string{strconv.FormatUint(*x.LastSequence, 10)}
	}
	if x.Subject != "" {
		m.Header[events.HeaderExpectLast] = []string{strconv.FormatUint(x.SubjectSequence, 10)}
		m.Header[headerExpectSubject] = []string{x.Subject}
	}
}

// oneByOne publishes in order and sums up.
func (b *Bus) oneByOne(ctx context.Context, msgs []*nats.Msg) (BatchResult, error) {
	stored, err := b.PublishMsgs(ctx, msgs...)
	r := BatchResult{Stored: stored, Atomic: len(msgs) == 1}
	for _, s := range stored {
		switch {
		case s.Duplicate:
			r.Duplicates++
		case s.Stream != "":
			r.New++
		}
	}
	return r, err
}

// atomicBatch sends one batch. Nothing waits for the answer to the first
// message, so live subscribers hear the events while the stream still collects
// them. The server answers the first (with the reason, if it takes no batch)
// and the last.
func (b *Bus) atomicBatch(ctx context.Context, stream string, x Expect, msgs []*nats.Msg) (BatchResult, error) {
	if err := b.acks.start(b.nc); err != nil {
		return BatchResult{}, err
	}
	id := nuid.Next()
	last := len(msgs) - 1
	for i, m := range msgs {
		if m.Header == nil {
			m.Header = make(nats.Header, 3)
		}
		m.Header[events.HeaderBatchID] = []string{id}
		m.Header[events.HeaderBatchSeq] = []string{strconv.Itoa(i + 1)}
		delete(m.Header, events.HeaderBatchCommit)
	}
	msgs[last].Header[events.HeaderBatchCommit] = []string{"1"}
	x.put(msgs[0])
	acks := make([]Ack, 2)
	g := newAckGroup(2)
	acks[0] = Ack{msg: msgs[0], group: g, tries: noStreamTries}
	acks[1] = Ack{msg: msgs[last], group: g, tries: noStreamTries}
	b.acks.send(&acks[0])
	for i, m := range msgs[1:last] {
		m.Reply = ""
		if err := b.nc.PublishMsg(m); err != nil {
			b.acks.abandon(acks[:1], err)
			return BatchResult{}, fmt.Errorf("batch for %s broke off at event #%d, nothing is stored: %w", stream, i+1, sendError(err))
		}
	}
	b.acks.send(&acks[1])
	select {
	case <-g.done:
	case <-ctx.Done():
		b.acks.abandon(acks, fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err()))
	}
	first, commit := &acks[0], &acks[1]
	switch {
	case commit.err == nil && commit.stored.Stream == stream:
		end := commit.stored.Sequence
		r := BatchResult{Stored: make([]Stored, len(msgs)), New: len(msgs), Atomic: true}
		for i := range r.Stored {
			r.Stored[i] = Stored{Stream: stream, Sequence: end - uint64(last-i)}
		}
		return r, nil
	case commit.err == nil:
		return BatchResult{}, fmt.Errorf("batch for %s was stored in %s: the subjects belong there", stream, commit.stored.Stream)
	case first.err != nil && !errors.Is(first.err, ErrOutcomeUnknown) && isCode(commit.err, codeBatchIncomplete):
		// The first answer has the reason, the second only its consequence.
		return BatchResult{}, fmt.Errorf("batch for %s refused, nothing is stored: %w", stream, first.err)
	case errors.Is(commit.err, ErrOutcomeUnknown):
		return BatchResult{}, fmt.Errorf("batch for %s: all of it or nothing is stored: %w", stream, commit.err)
	}
	return BatchResult{}, fmt.Errorf("batch for %s refused, nothing is stored: %w", stream, commit.err)
}
