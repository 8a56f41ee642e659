// SPDX-License-Identifier: Apache-2.0

package decider

import (
	"errors"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// Batch is what one stream stores of the outputs of one cause: all of it or
// nothing. A cause with more than events.MaxBatch outputs for a stream has
// several, cut at fixed ordinals so that every replica cuts alike.
type Batch struct {
	// Stream that stores it.
	Stream string
	// First is the key of the first message; batches are known by it.
	First events.OrderKey
	// Messages in the order of their ordinals.
	Messages []*nats.Msg
}

// Batches writes the outputs of a step as they go out: the stored ones in
// batches, the others in sends. An output that is no valid event is left out
// and reported; the others are complete all the same, at every replica alike.
func (r *Runner) Batches(s *Step) (batches []Batch, sends []*nats.Msg, err error) {
	var bad []error
	for i := range s.Outputs {
		o := &s.Outputs[i]
		m, err := r.Message(s, o)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		if !o.Stored {
			sends = append(sends, m)
			continue
		}
		info, _ := events.Info(o.Data.EventType())
		at := len(batches) - 1
		for at >= 0 && batches[at].Stream != info.Stream {
			at--
		}
		if at < 0 || len(batches[at].Messages) == events.MaxBatch {
			at = len(batches)
			batches = append(batches, Batch{
				Stream: info.Stream,
				First:  events.OrderKey{Epoch: s.Event.Epoch, Sequence: s.Event.Sequence, Ordinal: o.Ordinal},
			})
		}
		batches[at].Messages = append(batches[at].Messages, m)
	}
	return batches, sends, errors.Join(bad...)
}

// Reduces reports whether an output of the step lowers power: what carries it
// waits for nothing.
func (s *Step) Reduces() bool {
	for i := range s.Outputs {
		if _, ok := s.Outputs[i].Data.(*events.CommandCurtail); ok {
			return true
		}
	}
	return false
}
