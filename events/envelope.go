// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Payload is the typed body of an event. Implementations are pointers to the
// structs of this package.
type Payload interface {
	// EventType names the payload; it never depends on the value.
	EventType() Type
	// Validate reports the first thing that makes the payload meaningless:
	// a range, a missing field, an impossible combination. The error names
	// the JSON field.
	Validate() error
}

// Meta is the envelope of an event: CloudEvents attributes and, once read from
// a stream, its position there.
type Meta struct {
	// ID is unique per fact: the same fact published twice has the same id.
	// Empty before publishing means: the bus makes one.
	ID string
	// Type of the payload.
	Type Type
	// Site the event belongs to, [a-z0-9-]{1,64}.
	Site string
	// Source is who speaks: a meter, an issuer, an agent, a gateway;
	// [a-z0-9-]{1,64}.
	Source string
	// Time is when the fact happened, by the publisher's clock (ce-time).
	// Zero when the publisher did not say.
	Time time.Time
	// Causation is the ID of the event that caused this one, or empty.
	Causation string
	// Correlation is the ID of the first event of the chain, or empty.
	Correlation string

	// Dedup asks the server to refuse a second message with the same ID
	// within the stream's duplicate window. It costs the server 9 µs, so
	// readings and statuses go without.
	Dedup bool

	// Stream, Sequence and Arrived are the place and time at which the server
	// stored the event; zero on events not read from a stream.
	Stream   string
	Sequence uint64
	Arrived  time.Time
	// Epoch is the journal epoch in force at that position, where the reader
	// tracks it (journal readers do).
	Epoch uint64
	// OriginStream and OriginSequence are where a relayed fact was stored
	// first; zero otherwise.
	OriginStream   string
	OriginSequence uint64
	// OriginArrived is when a relayed fact reached its first stream; zero
	// otherwise.
	OriginArrived time.Time
}

// Event is one fact: an envelope around a payload. Data is never nil on an
// event that a reader of this package returned.
type Event struct {
	Meta
	Data Payload
}

// New returns an event about site, said by source, now undated: the bus stamps
// Time when it is zero.
func New(site, source string, data Payload) *Event {
	return &Event{Meta: Meta{Type: data.EventType(), Site: site, Source: source}, Data: data}
}

// CausedBy records that e follows from cause and returns e.
func (e *Event) CausedBy(cause *Event) *Event {
	e.Causation = cause.ID
	e.Correlation = cause.Correlation
	if e.Correlation == "" {
		e.Correlation = cause.ID
	}
	return e
}

// WithID sets the id, asks for server-side deduplication by it, and returns e.
func (e *Event) WithID(id string) *Event {
	e.ID, e.Dedup = id, true
	return e
}

// At sets the time of the fact and returns e.
func (e *Event) At(t time.Time) *Event {
	e.Time = t
	return e
}

// Of is an event whose payload type is known at compile time; Read yields it.
type Of[T any] struct {
	Meta
	Data T
}

// PayloadOf constrains a type parameter to the structs of this package.
type PayloadOf[T any] interface {
	*T
	Payload
}
