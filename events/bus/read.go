// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// ErrJournalBroken ends a read whose stream is not the one that the reader has
// read so far: it was recreated, its end was cut off (a power failure), or
// sequences were handed out a second time. What was folded from it must be
// rebuilt.
var ErrJournalBroken = errors.New("the stream is not the one read so far: it was cut or recreated; rebuild from a snapshot or the start")

// BadMessage is a stored message that is no event of the contract. It unwraps
// to the *events.DecodeError with the reason.
type BadMessage struct {
	// Raw is the message; its Header and Data may be kept.
	Raw Raw
	// Err is the reason.
	Err *events.DecodeError
}

// Error implements error.
func (e *BadMessage) Error() string {
	return fmt.Sprintf("%s/%d: %v", e.Raw.Stream, e.Raw.Sequence, e.Err)
}

// Unwrap returns the *events.DecodeError.
func (e *BadMessage) Unwrap() error { return e.Err }

// Raw is a stored message, undecoded. Header and Data belong to whoever reads
// them and may be kept; the struct itself is reused by the iterators that
// yield it, so copy it to keep it.
type Raw struct {
	// Stream, Sequence and Arrived are where and when it was stored (UTC).
	Stream   string
	Sequence uint64
	Arrived  time.Time
	// Pending messages of the read behind this one when it was delivered.
	Pending uint64
	// Subject, Header (nil when there is none) and Data as published.
	Subject string
	Header  nats.Header
	Data    []byte
}

// Decode turns the message into an event with its place filled in. A message
// of stream REPLAY decodes into the event that was imported, with the place
// and epoch it had where it was exported. A failure is a *BadMessage.
func (r *Raw) Decode(d *events.Decoder) (*events.Event, error) {
	subject := r.Subject
	imported := r.Stream == events.StreamReplay
	if imported {
		if s := r.Header.Get(events.HeaderImportSubject); s != "" {
			subject = s
		}
	}
	e, err := d.Decode(subject, r.Header, r.Data)
	if err != nil {
		var de *events.DecodeError
		if !errors.As(err, &de) {
			de = &events.DecodeError{Reason: events.DeadUnreadable, Subject: subject, Err: err}
		}
		return nil, &BadMessage{Raw: *r, Err: de}
	}
	e.Stream, e.Sequence, e.Arrived = r.Stream, r.Sequence, r.Arrived
	if imported {
		if err := importedPlace(r.Header, &e.Meta); err != nil {
			return nil, &BadMessage{Raw: *r, Err: &events.DecodeError{Reason: events.DeadInvalid, Subject: subject, Err: err}}
		}
	}
	return e, nil
}

// Events implements events.Log on every stream of the bus: ordered, gap-free
// and without repetition, also across reconnects and restarts of the server.
// The events are the caller's.
//
// A message that is no event is yielded as nil with a *BadMessage (which
// unwraps to *events.DecodeError), and reading goes on. ErrJournalBroken and
// every other error end the sequence. When r.Follow is set, the read outlives
// any outage of the bus and ends with ctx, without an error.
//
// Reads of JOURNAL fill in Epoch, from the relayed journal.opened of the
// event's site; 0 means that none precedes it. Relayed types of JOURNAL are
// read by setting r.Stream to JOURNAL (events.InJournal).
func (b *Bus) Events(ctx context.Context, r events.ReadRequest) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		p, err := b.plan(r)
		if err != nil {
			yield(nil, err)
			return
		}
		if p.stream == events.StreamJournal && !p.wants(events.TypeJournalOpened) {
			// Of every source, in the place of those of one.
			one := p.subjects(events.TypeJournalOpened, r.Site, r.Source)
			p.filters = slices.DeleteFunc(p.filters, func(f string) bool { return slices.Contains(one, f) })
			p.filters = append(p.filters, p.subjects(events.TypeJournalOpened, r.Site, "")...)
		}
		var dec events.Decoder
		var ep epochs
		for batch, err := range b.batches(ctx, p) {
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range batch {
				e, err := batch[i].Decode(&dec)
				if err != nil {
					if !yield(nil, err) {
						return
					}
					continue
				}
				if p.stream == events.StreamJournal {
					if err := ep.stamp(ctx, b, r.Site, e); err != nil {
						yield(nil, err)
						return
					}
				}
				if p.check && !p.matches(e) {
					continue
				}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// RawEvents is Events without decoding: for relays, chain hashes, exports. The
// *Raw is valid until the next turn of the loop; copy it to keep it.
func (b *Bus) RawEvents(ctx context.Context, r events.ReadRequest) iter.Seq2[*Raw, error] {
	return func(yield func(*Raw, error) bool) {
		for batch, err := range b.RawBatches(ctx, r) {
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range batch {
				if !yield(&batch[i], nil) {
					return
				}
			}
		}
	}
}

// RawBatches is RawEvents in runs: every slice holds what had already arrived,
// at least one message and at most 256, so that a fold pays for waiting once
// per run. The slice is reused by the next turn of the loop.
func (b *Bus) RawBatches(ctx context.Context, r events.ReadRequest) iter.Seq2[[]Raw, error] {
	return func(yield func([]Raw, error) bool) {
		p, err := b.plan(r)
		if err != nil {
			yield(nil, err)
			return
		}
		if p.stream == events.StreamReplay && (r.Site != "" || r.Source != "" || len(r.Types) > 0) {
			yield(nil, errors.New("read REPLAY: raw reads of imported messages take no filter"))
			return
		}
		for batch, err := range b.batches(ctx, p) {
			if !yield(batch, err) || err != nil {
				return
			}
		}
	}
}

// batches runs a cursor over the plan.
func (b *Bus) batches(ctx context.Context, p plan) iter.Seq2[[]Raw, error] {
	return func(yield func([]Raw, error) bool) {
		c, err := b.newCursor(ctx, p)
		if err != nil {
			if ctx.Err() != nil && p.follow {
				return
			}
			yield(nil, err)
			return
		}
		defer c.close()
		for {
			batch, err := c.next(ctx)
			if err != nil {
				if ctx.Err() != nil && p.follow {
					return
				}
				yield(nil, err)
				return
			}
			if len(batch) == 0 {
				return
			}
			if !yield(batch, nil) {
				return
			}
		}
	}
}
