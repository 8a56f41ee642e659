// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Cadence says after how many folded events, counted from the beginning of the
// journal, a replica says what state it is in and stores it. Replicas of one
// identity must agree on Checkpoint.
type Cadence struct {
	Checkpoint, Snapshot uint64
}

// Joined is the cadence with snapshots where there are checkpoints: a snapshot
// is stored only where a checkpoint vouches for it. Checkpoint must not be 0.
func (c Cadence) Joined() Cadence {
	if rest := c.Snapshot % c.Checkpoint; rest != 0 {
		c.Snapshot += c.Checkpoint - rest
	}
	return c
}

// CheckpointDue reports whether a checkpoint is due after so many events.
func (c Cadence) CheckpointDue(folded uint64) bool { return folded%c.Checkpoint == 0 }

// SnapshotDue reports whether a snapshot is due there, too.
func (c Cadence) SnapshotDue(folded uint64) bool { return folded%c.Snapshot == 0 }

// Agree reports whether two replicas have folded the same into the same.
func Agree(a, b *events.DeciderCheckpoint) bool {
	return a.StateHash == b.StateHash && a.ChainHash == b.ChainHash && a.Folded == b.Folded
}

// Verdict is what a replica does at a checkpoint.
type Verdict uint8

// Verdicts.
const (
	// Nothing: it is muted and there is nothing to compare with.
	Nothing Verdict = iota
	// Offer: publish the checkpoint. The snapshot waits for the answer.
	Offer
	// Vouched: the state is the one that was stored first, or there is nobody
	// to ask. The snapshot may be stored.
	Vouched
	// Recovered: a muted replica agrees again and beyond where it differed.
	Recovered
	// Differs: the state is not the one that was stored first.
	Differs
)

// Weigh tells what to do at a checkpoint. first is what is stored of this place,
// nil where nothing was seen; activated as Step.Speaks says; a muted replica
// differed up to the sequence distant.
func Weigh(mine, first *events.DeciderCheckpoint, activated, muted bool, distant uint64) Verdict {
	switch {
	case first != nil && !Agree(mine, first):
		return Differs
	case first != nil && muted && mine.Sequence >= distant:
		return Recovered
	case first != nil:
		return Vouched
	case muted:
		return Nothing
	case !activated:
		return Vouched
	}
	return Offer
}

// CheckpointMessage writes a checkpoint of the state after a cause: equal at all
// replicas that agree, so that one copy is kept.
func CheckpointMessage(prefix, site string, cause *events.Event, c *events.DeciderCheckpoint) (*nats.Msg, error) {
	e := events.New(site, c.Decider, c).CausedBy(cause).At(cause.Arrived).WithID(decider.CheckpointID(site, c))
	return events.Encode(prefix, e)
}

// Place in a journal.
type Place struct{ Epoch, Sequence uint64 }

// After reports whether p is behind o.
func (p Place) After(o Place) bool {
	return p.Epoch > o.Epoch || p.Epoch == o.Epoch && p.Sequence > o.Sequence
}

// Snapshot taken, on its way into the store.
type Snapshot struct {
	At   Place
	Data []byte
	// Approved: its checkpoint is the first stored, or there is nobody to ask.
	Approved bool
	// Dropped: another replica stored the checkpoint first, and stores the
	// snapshot.
	Dropped bool
}

// Snapshots wait until everything up to them is confirmed: a host that starts
// from one says nothing of before it. The zero value has none.
type Snapshots struct {
	waiting []*Snapshot
}

// Keep holds a snapshot; nil is ignored. Snapshots come in the order in which
// they were taken, and the caller may approve or drop them later.
func (l *Snapshots) Keep(s *Snapshot) {
	if s != nil {
		l.waiting = append(l.waiting, s)
	}
}

// Due takes out the newest snapshot that may be stored and drops older ones; nil
// if there is none. unconfirmed is the sequence of the first cause whose outputs
// are not all stored; open is false when there is no such cause.
func (l *Snapshots) Due(unconfirmed uint64, open bool) *Snapshot {
	var out *Snapshot
	rest := l.waiting[:0]
	for _, s := range l.waiting {
		switch {
		case s.Dropped:
		case s.Approved && (!open || s.At.Sequence < unconfirmed):
			out = s
		default:
			rest = append(rest, s)
		}
	}
	clear(l.waiting[len(rest):])
	l.waiting = rest
	return out
}
