// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// State of an output on its way into its stream.
type State uint8

// States.
const (
	// Waiting to be sent, for the first time or again.
	Waiting State = iota
	// Sent and not answered.
	Sent
	// Stored, by this replica or by another one.
	Stored
)

// Answer is a positive answer of a stream.
type Answer struct {
	// Stream and Sequence of the (last) message, of the first copy when
	// Duplicate; Sequence is 0 for a batch refused as known.
	Stream    string
	Sequence  uint64
	Duplicate bool
}

// Outgoing is one batch of a cause.
type Outgoing struct {
	decider.Batch
	// Cause it is of, and its State; a Queue sets them.
	Cause *Cause
	State State
	// Alone: it was part of a group that the stream refused because some of it
	// is known, and goes by itself.
	Alone bool
	// Seen in its stream while it was under way.
	Seen bool
	// Answered is called once, when it is stored; nil for most.
	Answered func(Answer)
}

// Cause is everything one journal message gave, on its way into the streams.
type Cause struct {
	Place
	// Urgent: it holds a reduction, which waits for nothing.
	Urgent bool
	// At is when it was last certain that nothing of it was stored by another
	// replica too long ago for the server to know.
	At      time.Time
	Batches []*Outgoing
	open    int // batches not stored yet
}

// Queue has what is not confirmed, in order of the causes. Outputs may be stored
// out of order, but a cause is confirmed only when all before it are. The zero
// value is empty.
type Queue struct {
	causes []*Cause
	byKey  map[events.OrderKey]*Outgoing // not stored, by First
}

// Add takes the batches of the next cause; all of them wait.
func (q *Queue) Add(c *Cause) {
	c.open = len(c.Batches)
	q.causes = append(q.causes, c)
	if q.byKey == nil {
		q.byKey = make(map[events.OrderKey]*Outgoing)
	}
	for _, o := range c.Batches {
		o.Cause, o.State = c, Waiting
		if o.First != (events.OrderKey{}) {
			q.byKey[o.First] = o
		}
	}
}

// Causes that are not confirmed, in order. Valid until the next call of Add or
// Settle, and not to be changed.
func (q *Queue) Causes() []*Cause { return q.causes }

// Find is the batch that begins with an output and is not stored, nil if there
// is none.
func (q *Queue) Find(k events.OrderKey) *Outgoing { return q.byKey[k] }

// Again makes what was refused for the sake of others in its group wait to be
// sent by itself.
func (q *Queue) Again(o *Outgoing) { o.State, o.Alone = Waiting, true }

// Store notes that a batch is in its stream and tells it the answer. It reports
// false if that was known.
func (q *Queue) Store(o *Outgoing, a Answer) bool {
	if o.State == Stored {
		return false
	}
	o.State = Stored
	o.Cause.open--
	delete(q.byKey, o.First)
	if o.Answered != nil {
		o.Answered(a)
	}
	return true
}

// Settle drops the causes at the head that are confirmed and says how many.
func (q *Queue) Settle() int {
	n := 0
	for n < len(q.causes) && q.causes[n].open == 0 {
		n++
	}
	clear(q.causes[:n])
	if q.causes = q.causes[n:]; len(q.causes) == 0 {
		q.causes = nil // lets go of the array
	}
	return n
}

// GoBack makes all that is under way wait again, from the first: an answer is
// missing, and nothing may be stored before what it was for. What was stored all
// the same comes back as a duplicate. Those that were seen in their stream are
// returned instead: they are to be stored.
func (q *Queue) GoBack() (seen []*Outgoing) {
	for _, c := range q.causes {
		for _, o := range c.Batches {
			switch {
			case o.State != Sent:
			case o.Seen:
				seen = append(seen, o)
			default:
				o.State = Waiting
			}
		}
	}
	return seen
}

// Unconfirmed is the sequence of the first cause not confirmed; ok is false when
// there is none.
func (q *Queue) Unconfirmed() (sequence uint64, ok bool) {
	if len(q.causes) == 0 {
		return 0, false
	}
	return q.causes[0].Sequence, true
}
