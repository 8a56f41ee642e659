// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"slices"
	"testing"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// causeOf so many batches, at a sequence.
func causeOf(sequence uint64, batches int) *replica.Cause {
	c := &replica.Cause{Place: replica.Place{Epoch: 1, Sequence: sequence}}
	for i := range batches {
		k := key(sequence)
		k.Ordinal += uint32(i)
		c.Batches = append(c.Batches, &replica.Outgoing{Batch: decider.Batch{Stream: events.StreamCommands, First: k}})
	}
	return c
}

func unconfirmed(t *testing.T, q *replica.Queue, want uint64) {
	t.Helper()
	got, ok := q.Unconfirmed()
	if got != want || ok != (want > 0) {
		t.Errorf("unconfirmed from %d (%t), want %d", got, ok, want)
	}
}

func TestCausesAreConfirmedInOrder(t *testing.T) {
	var q replica.Queue
	unconfirmed(t, &q, 0)
	if q.Settle() != 0 || q.GoBack() != nil || q.Find(key(1)) != nil {
		t.Error("there is something in an empty queue")
	}
	a, b, c := causeOf(1, 2), causeOf(2, 1), causeOf(4, 1)
	for _, x := range []*replica.Cause{a, b, c} {
		q.Add(x)
	}
	if q.Find(key(2)) != b.Batches[0] || b.Batches[0].Cause != b {
		t.Error("a batch is not found by its first output")
	}
	var answers []replica.Answer
	b.Batches[0].Answered = func(a replica.Answer) { answers = append(answers, a) }
	said := replica.Answer{Stream: events.StreamCommands, Sequence: 9}
	if !q.Store(b.Batches[0], said) || q.Store(b.Batches[0], replica.Answer{Duplicate: true}) {
		t.Error("what is stored twice is not told apart")
	}
	if !slices.Equal(answers, []replica.Answer{said}) {
		t.Errorf("answers %+v, want the first", answers)
	}
	if q.Find(key(2)) != nil {
		t.Error("what is stored is still looked for")
	}
	// What comes before it is not confirmed.
	if q.Settle() != 0 {
		t.Error("confirmed out of order")
	}
	unconfirmed(t, &q, 1)
	q.Store(a.Batches[0], said)
	if q.Settle() != 0 {
		t.Error("confirmed with half of it stored")
	}
	q.Store(a.Batches[1], said)
	if n := q.Settle(); n != 2 || len(q.Causes()) != 1 {
		t.Errorf("%d confirmed, %d left", n, len(q.Causes()))
	}
	unconfirmed(t, &q, 4)
	q.Store(c.Batches[0], said)
	if q.Settle() != 1 || len(q.Causes()) != 0 {
		t.Error("the last one is not confirmed")
	}
	unconfirmed(t, &q, 0)
}

func TestGoingBack(t *testing.T) {
	var q replica.Queue
	c := causeOf(1, 4)
	q.Add(c)
	stored, seen, lost, waiting := c.Batches[0], c.Batches[1], c.Batches[2], c.Batches[3]
	for _, o := range []*replica.Outgoing{stored, seen, lost} {
		o.State = replica.Sent
	}
	q.Store(stored, replica.Answer{})
	seen.Seen = true
	if got := q.GoBack(); !slices.Equal(got, []*replica.Outgoing{seen}) {
		t.Errorf("seen in their stream: %+v", got)
	}
	for name, s := range map[string]struct{ have, want replica.State }{
		"stored":    {stored.State, replica.Stored},
		"seen":      {seen.State, replica.Sent},
		"lost":      {lost.State, replica.Waiting},
		"not asked": {waiting.State, replica.Waiting},
	} {
		if s.have != s.want {
			t.Errorf("%s: state %d, want %d", name, s.have, s.want)
		}
	}
	lost.State = replica.Sent
	q.Again(lost)
	if lost.State != replica.Waiting || !lost.Alone {
		t.Errorf("what is to go by itself: %+v", lost)
	}
}
