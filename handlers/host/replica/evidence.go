// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"

	"github.com/ballast-energy/ballast/handlers/decider"
)

// Journal is what is asked of the journal as it is now.
type Journal interface {
	// Last is the sequence of its newest message.
	Last() uint64
	// Message at a sequence; ok is false when it is gone.
	Message(sequence uint64) (m decider.Raw, ok bool, err error)
}

// Finding is what comes of holding something stored against the journal. The
// zero value says that they belong together.
type Finding struct {
	// Foreign: it is of another journal, or of a part of this one that is known
	// to be lost. It must not be used, and nothing follows from it for others.
	Foreign bool
	// Cut: it rests on a message that this journal had once. An epoch must be
	// opened behind After, and everything built anew.
	Cut bool
	// After is the newest message that is known to be as old as what was found.
	After uint64
	// Reason for people; empty when they belong together.
	Reason string
}

// Belongs tells whether a snapshot was taken of this journal, with these
// openings known. An error is the journal's.
func Belongs(head *decider.Header, known []decider.Opening, j Journal) (Finding, error) {
	e := epochsOf(known)
	if e.At(head.Sequence) != head.Epoch {
		return Finding{Foreign: true, Reason: fmt.Sprintf("sequence %d belongs to epoch %d now, it was taken in %d", head.Sequence, e.At(head.Sequence), head.Epoch)}, nil
	}
	if last := j.Last(); head.Sequence > last {
		return Finding{Cut: true, After: last, Reason: fmt.Sprintf("journal ends at %d, a snapshot was taken at %d", last, head.Sequence)}, nil
	}
	m, ok, err := j.Message(head.Sequence)
	switch {
	case err != nil:
		return Finding{}, err
	case !ok:
		return Finding{Foreign: true, Reason: fmt.Sprintf("message %d of the journal is gone", head.Sequence)}, nil
	case !head.Follows(&m, known):
		return Finding{Cut: true, After: j.Last(), Reason: fmt.Sprintf("journal message %d is not the one a snapshot was taken at", head.Sequence)}, nil
	}
	return Finding{}, nil
}

// RestsOn tells whether the newest of the stored outputs (see Outputs.Said) has
// its cause in this journal: one whose cause is not there proves that the journal
// lost its end. Finding.Foreign is never set. An error is the journal's.
func RestsOn(said []Said, known []decider.Opening, j Journal) (Finding, error) {
	if len(said) == 0 {
		return Finding{}, nil
	}
	top := said[len(said)-1]
	if e := epochsOf(known); e.At(top.Sequence) != top.Epoch {
		return Finding{}, nil // an epoch was opened since: the loss is known
	}
	if last := j.Last(); top.Sequence > last {
		return cutBehind(said, j, fmt.Sprintf("journal ends at %d, a decision rests on %d", last, top.Sequence))
	}
	m, ok, err := j.Message(top.Sequence)
	if err != nil {
		return Finding{}, err
	}
	if ok && m.Arrived.UnixNano() != top.Arrived {
		return cutBehind(said, j, fmt.Sprintf("journal message %d is not the one a decision rests on", top.Sequence))
	}
	return Finding{}, nil
}

// cutBehind finds how far the journal is what it was. Outputs carry the arrival
// of their cause: the newest one whose cause is still there marks it.
func cutBehind(said []Said, j Journal, reason string) (Finding, error) {
	f := Finding{Cut: true, After: j.Last(), Reason: reason}
	for i := len(said) - 1; i >= 0; i-- {
		if said[i].Sequence > f.After {
			continue
		}
		m, ok, err := j.Message(said[i].Sequence)
		if err != nil {
			return Finding{}, err
		}
		if ok && m.Arrived.UnixNano() == said[i].Arrived {
			f.After = m.Sequence
			break
		}
	}
	return f, nil
}

func epochsOf(known []decider.Opening) *decider.Epochs {
	var e decider.Epochs
	for _, o := range known {
		e.Add(o)
	}
	return &e
}
