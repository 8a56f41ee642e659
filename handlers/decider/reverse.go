// SPDX-License-Identifier: Apache-2.0

package decider

import (
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// Reverser is a Decider whose outputs are booked for ever. When the journal
// loses its end, the outputs of lost causes stand for something that never
// happened as far as the journal knows; hosts then publish their reversals.
type Reverser interface {
	// Reverse returns the event that undoes booked, one of this decider's
	// stored outputs; ok is false for an output that needs no undoing. It
	// reads no state and may be called from any goroutine.
	Reverse(booked *events.Event) (p events.Payload, ok bool)
}

// CanReverse reports whether the decider is a Reverser.
func (r *Runner) CanReverse() bool {
	_, ok := r.d.(Reverser)
	return ok
}

// Reverse asks the decider for the reversal of one of its stored outputs. It
// may be called from any goroutine.
func (r *Runner) Reverse(booked *events.Event) (events.Payload, bool) {
	d, ok := r.d.(Reverser)
	if !ok {
		return nil, false
	}
	return d.Reverse(booked)
}

// ReversalID is the message id of the reversal of the output id: the same at
// every replica, and never that of an output.
func ReversalID(id string) string {
	parts := strings.SplitN(id, "/", 3)
	if len(parts) < 3 {
		return id + "/lost"
	}
	return parts[0] + "/" + parts[1] + lostPart + parts[2]
}

// lostPart of the id of a reversal.
const lostPart = "/lost/"

// IsReversalID reports whether id was made by ReversalID.
func IsReversalID(id string) bool { return strings.Contains(id, lostPart) }
