// SPDX-License-Identifier: Apache-2.0

package events

import (
	"context"
	"iter"
	"time"
)

// ReadRequest says what to read from a stream.
type ReadRequest struct {
	// Stream to read; empty means the stream that stores Types[0] first.
	Stream string
	// Types wanted; empty means every type of the stream.
	Types []Type
	// Site wanted, and Source; empty means all.
	Site, Source string
	// FromSequence starts at that stream sequence; 0 means not given.
	FromSequence uint64
	// Since starts at the first event that arrived at or after; zero means
	// not given. Neither given: from the first event kept.
	Since time.Time
	// Until ends before the first event that arrived at or after; zero means
	// not given.
	Until time.Time
	// Follow goes on with what arrives later, until the context ends.
	Follow bool
	// NewOnly starts behind the newest event; it implies Follow.
	NewOnly bool
}

// ReadOption narrows a read.
type ReadOption func(*ReadRequest)

// Since starts at the first event that arrived at or after t.
func Since(t time.Time) ReadOption { return func(r *ReadRequest) { r.Since = t } }

// Until ends before the first event that arrived at or after t.
func Until(t time.Time) ReadOption { return func(r *ReadRequest) { r.Until = t } }

// FromSequence starts at stream sequence n.
func FromSequence(n uint64) ReadOption { return func(r *ReadRequest) { r.FromSequence = n } }

// AtSite reads events of one site only.
func AtSite(site string) ReadOption { return func(r *ReadRequest) { r.Site = site } }

// BySource reads events of one source only.
func BySource(source string) ReadOption { return func(r *ReadRequest) { r.Source = source } }

// Follow goes on with what arrives later, until the context ends.
func Follow() ReadOption { return func(r *ReadRequest) { r.Follow = true } }

// NewOnly starts behind the newest event and follows.
func NewOnly() ReadOption { return func(r *ReadRequest) { r.NewOnly, r.Follow = true, true } }

// InJournal reads the relayed copies from JOURNAL instead of the stream that
// stored the fact first.
func InJournal() ReadOption { return func(r *ReadRequest) { r.Stream = StreamJournal } }

// Log is what Read reads from; *bus.Bus implements it.
type Log interface {
	// Events yields the events of the request in stream order. A message that
	// is no event is yielded as a nil event with a *DecodeError and reading
	// goes on; any other error ends the sequence. It ends without error at
	// the newest event present when the read began, or with the context when
	// following.
	Events(ctx context.Context, r ReadRequest) iter.Seq2[*Event, error]
}

// Read yields the stored events of one type, oldest first.
func Read[T any, P PayloadOf[T]](ctx context.Context, log Log, opts ...ReadOption) iter.Seq2[Of[T], error] {
	r := ReadRequest{Types: []Type{P(new(T)).EventType()}}
	for _, o := range opts {
		o(&r)
	}
	return func(yield func(Of[T], error) bool) {
		for ev, err := range log.Events(ctx, r) {
			if err != nil {
				if !yield(Of[T]{}, err) {
					return
				}
				continue
			}
			if p, ok := ev.Data.(P); ok && !yield(Of[T]{Meta: ev.Meta, Data: *p}, nil) {
				return
			}
		}
	}
}
