// SPDX-License-Identifier: Apache-2.0

package decider

import (
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Identity is who speaks. Two replicas with equal identities fold the same
// journal into the same state and the same outputs, byte for byte.
type Identity struct {
	// Name of the decider, the third token of its message ids: "dispatch".
	Name string `json:"decider"`
	// Version changes whenever the same journal may give other outputs.
	Version string `json:"version"`
	// ConfigHash over what the decider was built with outside the journal,
	// 16 hex digits.
	ConfigHash string `json:"config_hash"`
}

// Decider is a pure fold over the journal of one site: no clock, no random
// source, no I/O, no goroutine, no dependence on map order, no floats.
//
// A Decider is not safe for concurrent use. It never keeps the event or any
// slice in it after Fold returns: readers reuse their memory.
type Decider interface {
	// Identity never changes during the life of the value.
	Identity() Identity
	// Fold takes the next event of the journal and writes its outputs to
	// out. The event is decoded and valid, of this site, and not a relayed
	// fact already folded. e.Arrived is journal time, e.Epoch and e.Sequence
	// its place. Fold never fails: what it cannot use it ignores or counts
	// as bad data.
	Fold(e *events.Event, out *Outbox)
	// StateHash is a digest of everything that can influence later outputs,
	// cheap enough to take after every event.
	StateHash() uint64
	// Snapshot returns the state; Restore takes one back, after which both
	// deciders behave alike. Restore fails on a snapshot of another Version
	// and leaves the decider unusable.
	Snapshot() ([]byte, error)
	Restore(snapshot []byte) error
}

// Output is one event that a fold asks for.
type Output struct {
	// Source token of the subject.
	Source string
	// Data of the event.
	Data events.Payload
	// Ordinal among the stored outputs of the cause.
	Ordinal uint32
	// Stored is false for events that are only sent (permit renewals).
	Stored bool
}

// Outbox collects the outputs of one cause. The host prepares it with Begin,
// hands it to Fold and publishes what it holds; a fold only calls Key, Put
// and Send. Not safe for concurrent use.
type Outbox struct {
	site    string
	epoch   uint64
	seq     uint64
	arrived time.Time
	cause   string
	next    uint32
	outs    []Output
}

// Begin empties the outbox for the outputs of the event e.
func (o *Outbox) Begin(e *events.Event) {
	o.site, o.epoch, o.seq, o.arrived, o.cause = e.Site, e.Epoch, e.Sequence, e.Arrived, e.ID
	o.next = 0
	clear(o.outs)
	o.outs = o.outs[:0]
}

// Key is the order key that the next Put will get; Send repeats it without
// using it up.
func (o *Outbox) Key() events.OrderKey {
	return events.OrderKey{Epoch: o.epoch, Sequence: o.seq, Ordinal: o.next}
}

// Put adds an event to be stored, in the atomic batch of this cause.
func (o *Outbox) Put(source string, p events.Payload) {
	o.outs = append(o.outs, Output{Source: source, Data: p, Ordinal: o.next, Stored: true})
	o.next++
}

// Send adds an event that is published but not stored.
func (o *Outbox) Send(source string, p events.Payload) {
	o.outs = append(o.outs, Output{Source: source, Data: p, Ordinal: o.next})
}

// Outputs are what the fold asked for, in order; valid until the next Begin.
func (o *Outbox) Outputs() []Output { return o.outs }

// Empty reports whether the fold asked for nothing.
func (o *Outbox) Empty() bool { return len(o.outs) == 0 }
