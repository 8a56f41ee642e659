// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/ballast-energy/ballast/events"
)

// allStreams in the order of the documentation.
var allStreams = []string{
	events.StreamInputs, events.StreamJournal, events.StreamCommands, events.StreamJobs,
	events.StreamShares, events.StreamRevenue, events.StreamDeadLetter, events.StreamReplay,
}

// PublishError says which messages of a call were not stored. errors.Is and
// errors.As see through it to the reasons.
type PublishError struct {
	// Total messages of the call, of which Stored are known to be stored.
	Total, Stored int
	// Failed messages, in order.
	Failed []FailedMessage
}

// FailedMessage is one message that is not known to be stored.
type FailedMessage struct {
	// Index in the call, from 0; Subject and ID for people.
	Index   int
	Subject string
	ID      string
	// Err is the reason; it is ErrOutcomeUnknown when the message may be
	// stored nevertheless.
	Err error
}

// Error names up to three of the failed messages.
func (e *PublishError) Error() string {
	var b strings.Builder
	unknown := 0
	for _, f := range e.Failed {
		if errors.Is(f.Err, ErrOutcomeUnknown) {
			unknown++
		}
	}
	fmt.Fprintf(&b, "publish: %d of %d stored", e.Stored, e.Total)
	if unknown > 0 {
		fmt.Fprintf(&b, ", %d unknown (publish them again with the same id)", unknown)
	}
	for i, f := range e.Failed {
		if i == 3 {
			fmt.Fprintf(&b, "; and %d more", len(e.Failed)-i)
			break
		}
		fmt.Fprintf(&b, "; #%d %s", f.Index, f.Subject)
		if f.ID != "" {
			fmt.Fprintf(&b, " (%s)", f.ID)
		}
		fmt.Fprintf(&b, ": %v", f.Err)
	}
	return b.String()
}

// Unwrap returns the reasons.
func (e *PublishError) Unwrap() []error {
	errs := make([]error, len(e.Failed))
	for i, f := range e.Failed {
		errs[i] = f.Err
	}
	return errs
}

// Publish sends events to the streams that store their types and returns when
// every one of them is stored: all are sent first, then their
// acknowledgements awaited, so a call with many events costs about one round
// trip. Events of a type that no stream stores (permit.renewed) are sent
// without acknowledgement.
//
// It sets Time where it is zero and ID where it is empty. Everything is
// checked before anything is sent: an invalid or too large event refuses the
// call whole. After any later failure the error is a *PublishError that says
// what is stored. When ctx ends, what is unacknowledged counts as unknown.
func (b *Bus) Publish(ctx context.Context, evs ...*events.Event) error {
	msgs, err := b.encodeAll(evs)
	if err != nil {
		return err
	}
	stored := msgs[:0:len(msgs)]
	for i, m := range msgs {
		if info, ok := events.Info(evs[i].Data.EventType()); ok && info.Stream == "" {
			if err := b.nc.PublishMsg(m); err != nil {
				return fmt.Errorf("publish %s: %w; the events before it of types without a stream were sent, no other", m.Subject, sendError(err))
			}
			continue
		}
		stored = append(stored, m)
	}
	if len(stored) == 0 {
		return nil
	}
	_, err = b.PublishMsgs(ctx, stored...)
	return err
}

// PublishAsync sends one event and returns the future of its acknowledgement;
// it waits only for a place in the window of unacknowledged messages, as long
// as ctx lives. Time and ID are set as by Publish. The type must have a
// stream.
func (b *Bus) PublishAsync(ctx context.Context, e *events.Event) (*Ack, error) {
	m, err := b.encode(e)
	if err != nil {
		return nil, err
	}
	if err := b.checkSize(m); err != nil {
		return nil, err
	}
	return b.PublishMsgAsync(ctx, m)
}

// PublishCore sends events without storing them anywhere by acknowledgement:
// subscribers present hear them, and the call returns when they are handed to
// the connection. A stream that takes the subject may still store them, but
// nobody says so.
func (b *Bus) PublishCore(evs ...*events.Event) error {
	msgs, err := b.encodeAll(evs)
	if err != nil {
		return err
	}
	for i, m := range msgs {
		if err := b.nc.PublishMsg(m); err != nil {
			return fmt.Errorf("publish %s: %w; %d of %d events were sent", m.Subject, sendError(err), i, len(msgs))
		}
	}
	return nil
}

// PublishMsgAsync is PublishAsync for a message already encoded (a relayed or
// imported one). The message is the bus's until the acknowledgement is in.
func (b *Bus) PublishMsgAsync(ctx context.Context, m *nats.Msg) (*Ack, error) {
	if err := b.acks.start(b.nc); err != nil {
		return nil, err
	}
	if err := b.acks.acquire(ctx); err != nil {
		return nil, fmt.Errorf("publish %s: %w", m.Subject, err)
	}
	a := &Ack{msg: m, group: newAckGroup(1), slot: true}
	b.acks.send(a)
	return a, nil
}

// PublishMsgs sends encoded messages in order and returns when all are stored,
// with the place of each. On failure the error is a *PublishError and the
// places of failed messages are zero.
func (b *Bus) PublishMsgs(ctx context.Context, msgs ...*nats.Msg) ([]Stored, error) {
	if len(msgs) == 0 {
		return nil, nil
	}
	if err := b.acks.start(b.nc); err != nil {
		return nil, err
	}
	acks := make([]Ack, len(msgs))
	// One more than messages: the group must not end while it is filled.
	g := newAckGroup(len(msgs) + 1)
	sent := 0
	var stop error
	for i, m := range msgs {
		if stop = b.acks.acquire(ctx); stop != nil {
			break
		}
		acks[i] = Ack{msg: m, group: g, slot: true}
		b.acks.send(&acks[i])
		sent++
	}
	g.add(int64(sent - len(msgs) - 1))
	if stop == nil {
		select {
		case <-g.done:
		case <-ctx.Done():
			stop = ctx.Err()
		}
	}
	if stop != nil {
		b.settle(ctx, g, acks[:sent], stop)
	}
	out := make([]Stored, len(msgs))
	fail := &PublishError{Total: len(msgs)}
	for i := range acks {
		switch a := &acks[i]; {
		case i >= sent:
			fail.Failed = append(fail.Failed, failed(i, msgs[i], fmt.Errorf("not sent: %w", stop)))
		case a.err != nil:
			fail.Failed = append(fail.Failed, failed(i, msgs[i], a.err))
		default:
			out[i] = a.stored
			fail.Stored++
		}
	}
	if len(fail.Failed) > 0 {
		return out, fail
	}
	return out, nil
}

// settle ends a group whose caller does not go on: with the context it is
// given up at once, otherwise what was sent is still awaited.
func (b *Bus) settle(ctx context.Context, g *ackGroup, acks []Ack, why error) {
	if ctx.Err() == nil {
		select {
		case <-g.done:
			return
		case <-ctx.Done():
			why = ctx.Err()
		}
	}
	b.acks.abandon(acks, fmt.Errorf("%w: %w", ErrOutcomeUnknown, why))
}

func failed(i int, m *nats.Msg, err error) FailedMessage {
	id := m.Header.Get(events.HeaderCEID)
	if id == "" {
		id = m.Header.Get(events.HeaderMsgID)
	}
	return FailedMessage{Index: i, Subject: m.Subject, ID: id, Err: err}
}

// encode stamps e and turns it into a message.
func (b *Bus) encode(e *events.Event) (*nats.Msg, error) {
	if e == nil || e.Data == nil {
		return nil, errors.New("publish: event without a payload")
	}
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	if e.ID == "" {
		e.ID = nuid.Next()
	}
	return events.Encode(b.prefix, e)
}

// encodeAll encodes and checks all events; the first that cannot be sent
// refuses all.
func (b *Bus) encodeAll(evs []*events.Event) ([]*nats.Msg, error) {
	msgs := make([]*nats.Msg, len(evs))
	for i, e := range evs {
		m, err := b.encode(e)
		if err == nil {
			err = b.checkSize(m)
		}
		if err != nil {
			return nil, fmt.Errorf("event #%d of %d refused, none was sent: %w", i, len(evs), err)
		}
		msgs[i] = m
	}
	return msgs, nil
}

// checkSize refuses what the server would cut the connection for.
func (b *Bus) checkSize(m *nats.Msg) error {
	limit := b.nc.MaxPayload()
	if size := int64(m.Size()); limit > 0 && size > limit {
		return fmt.Errorf("publish %s: %w: %d bytes with headers, the limit is %d (max_payload)", m.Subject, ErrTooLarge, size, limit)
	}
	return nil
}
