// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// UnknownSite is where letters go whose subject names no possible site.
const UnknownSite = "unknown"

// Original is a message that a letter is about.
type Original struct {
	// Stream, Sequence and Arrived are its place.
	Stream   string
	Sequence uint64
	Arrived  time.Time
	// Subject and Data as received, and the ID of its event where it has one.
	Subject string
	Data    []byte
	ID      string
}

// Writer writes the letters of one consumer.
type Writer struct {
	b        *bus.Bus
	consumer string
	most     int // bytes of payload kept
}

// NewWriter returns a writer for consumer, [a-z0-9-]{1,64}: the source token of
// its letters.
func NewWriter(b *bus.Bus, consumer string) (*Writer, error) {
	if err := events.CheckToken("consumer", consumer); err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	// In JSON the payload is base64; leave room for the rest and the headers.
	room := (b.Conn().MaxPayload() - 8<<10) * 3 / 4
	return &Writer{b: b, consumer: consumer, most: int(min(events.MaxDeadPayload, max(room, 512)))}, nil
}

// ID of the letter about the message at (stream, sequence). JOURNAL may hand a
// sequence out twice, after a power failure; the arrival tells the two apart.
func (w *Writer) ID(stream string, sequence uint64, arrived time.Time) string {
	id := w.consumer + "/" + stream + "/" + strconv.FormatUint(sequence, 10)
	if stream == events.StreamJournal {
		id += "@" + strconv.FormatInt(arrived.UnixNano(), 10)
	}
	return id
}

// Letter is the dead letter about o, not yet put.
func (w *Writer) Letter(o *Original, reason events.DeadReason, why error, attempts int64) *events.Event {
	site := UnknownSite
	if a, err := events.ParseSubject(o.Subject); err == nil {
		site = a.Site
	}
	data, truncated := o.Data, false
	if len(data) > w.most {
		data, truncated = data[:w.most], true
	}
	if data == nil {
		data = []byte{} // an empty payload is "" on the wire, not null
	}
	e := events.New(site, w.consumer, &events.DeadLetter{
		Subject: clipSubject(o.Subject), Stream: o.Stream, Sequence: o.Sequence, Consumer: w.consumer,
		Reason: reason, Detail: events.ClipText(why.Error()), Attempts: attempts,
		Payload: data, Truncated: truncated,
	}).WithID(w.ID(o.Stream, o.Sequence, o.Arrived))
	if isPlain(o.ID) {
		e.Causation, e.Correlation = o.ID, o.ID
	}
	return e
}

// clipSubject makes a letter possible about any subject the server lets pass.
func clipSubject(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if r := []rune(s); len(r) > 1024 {
		s = string(r[:1024])
	}
	return s
}

// isPlain reports whether an id may go into headers of ours.
func isPlain(id string) bool {
	if id == "" || len(id) > 256 {
		return false
	}
	for i := 0; i < len(id); i++ {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

// Put stores letters and returns when all are stored.
func (w *Writer) Put(ctx context.Context, letters ...*events.Event) error {
	if err := w.b.Publish(ctx, letters...); err != nil {
		return fmt.Errorf("dead letters of %s: %w", w.consumer, err)
	}
	return nil
}

// Known lists the ids of this consumer's letters that were stored at or after
// since.
func (w *Writer) Known(ctx context.Context, since time.Time) (map[string]bool, error) {
	known := make(map[string]bool)
	r := events.ReadRequest{Stream: events.StreamDeadLetter, Source: w.consumer, Since: since}
	for m, err := range w.b.RawEvents(ctx, r) {
		if err != nil {
			if errors.Is(err, context.Canceled) {
				return nil, err
			}
			return nil, fmt.Errorf("dead letters of %s: %w", w.consumer, err)
		}
		known[m.Header.Get(events.HeaderMsgID)] = true
	}
	return known, nil
}
