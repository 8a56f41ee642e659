// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// checkpoint as stored, with its sequence in COMMANDS.
type checkpoint struct {
	*events.DeciderCheckpoint
	sequence uint64
}

// checkpoint takes one as it was stored.
func (t *track) checkpoint(c *events.DeciderCheckpoint, sequence uint64) {
	at := place{c.Epoch, c.Sequence}
	switch {
	case at.sequence > t.r.Sequence():
		if _, known := t.checks[at]; !known && len(t.checks) < maxAhead {
			t.checks[at] = checkpoint{c, sequence}
		}
	case at.sequence <= t.rep.Snapshot:
	default:
		if mine, ok := t.own[at]; ok {
			t.weigh(&mine, c)
		}
	}
}

// check compares the checkpoint stored of a place, and notes the state where
// one may still come. It reports whether one agreed, and where that is stored.
func (t *track) check(at place) (sequence uint64, agreed bool) {
	c, stored := t.checks[at]
	folded := t.r.Counts().Folded
	if !stored && folded%ownEvery != 0 {
		return 0, false
	}
	mine := *t.r.Checkpoint()
	if stored {
		delete(t.checks, at)
		return c.sequence, t.weigh(&mine, c.DeciderCheckpoint)
	}
	if len(t.ownRing) == maxOwn {
		delete(t.own, t.ownRing[0])
		t.ownRing = t.ownRing[1:]
	}
	t.ownRing = append(t.ownRing, at)
	t.own[at] = mine
	return 0, false
}

func (t *track) weigh(mine, stored *events.DeciderCheckpoint) bool {
	t.rep.Checkpoints++
	at := place{stored.Epoch, stored.Sequence}
	same := *mine == *stored
	t.judged = append(t.judged, judgement{at, same})
	if same {
		return true
	}
	what := fmt.Sprintf("checkpoint: state %s, folded %d; stored state %s, folded %d", mine.StateHash, mine.Folded, stored.StateHash, stored.Folded)
	chain := mine.StateHash == stored.StateHash && mine.Folded == stored.Folded
	if chain {
		what = "checkpoint: the same state from another journal (chain hash)"
	}
	t.rep.Differing.add(t.o.Findings, Finding{Key: at.key(), Stream: events.StreamCommands, What: what, checkpoint: true, chain: chain})
	return false
}

// around are the newest agreeing checkpoint up to a place and the first behind
// or at it, agreeing or not; nil where there is none.
func (t *track) around(at place) (before, after *judgement) {
	slices.SortFunc(t.judged, func(a, b judgement) int { return a.at.compare(b.at) })
	for i := range t.judged {
		j := &t.judged[i]
		if j.at.compare(at) < 0 {
			if j.same {
				before = j
			}
			continue
		}
		return before, j
	}
	return before, nil
}

// keep marks the replay now and then, as long as nothing was found, and gives
// the auditor a snapshot for later where a stored checkpoint agreed.
func (t *track) keep(checked uint64, agreed bool) error {
	folded := t.r.Counts().Folded
	if t.rep.found() {
		return nil
	}
	record := t.o.Record != nil && agreed && folded-t.recorded >= t.o.RecordEvery
	due := folded-t.marked >= markEvery
	if !record && !due {
		return nil
	}
	positions := t.readUpTo()
	if record {
		// Whoever looks for the checkpoint again begins at it.
		positions[events.StreamCommands] = min(positions[events.StreamCommands], checked-1)
	}
	data, err := t.r.Snapshot(positions)
	if err != nil {
		return err
	}
	if due {
		if len(t.marks) == maxMarks {
			t.marks = append(t.marks[:0], t.marks[1:]...)
		}
		t.marks, t.marked = append(t.marks, mark{t.r.Sequence(), data}), folded
	}
	if record {
		t.recorded = folded
		t.rep.Recorded++
		return t.o.Record(data)
	}
	return nil
}

// readUpTo are positions of the output streams behind which everything stands
// that the causes to come gave: a replay from here need not read before them.
func (t *track) readUpTo() map[string]uint64 {
	out := make(map[string]uint64, len(t.positions))
	for _, stream := range []string{events.StreamCommands, events.StreamRevenue} {
		out[stream] = max(t.positions[stream], t.begin[stream])
	}
	for _, entries := range t.ahead {
		for _, e := range entries {
			out[e.stream] = min(out[e.stream], e.sequence-1)
		}
	}
	return out
}
