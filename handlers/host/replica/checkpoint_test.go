// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"testing"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

func TestCadence(t *testing.T) {
	c := replica.Cadence{Checkpoint: 50, Snapshot: 120}.Joined()
	if c.Snapshot != 150 {
		t.Errorf("a snapshot every %d: not where a checkpoint vouches for it", c.Snapshot)
	}
	for folded, want := range map[uint64][2]bool{49: {false, false}, 50: {true, false}, 120: {false, false}, 150: {true, true}, 300: {true, true}} {
		if c.CheckpointDue(folded) != want[0] || c.SnapshotDue(folded) != want[1] {
			t.Errorf("after %d events: checkpoint %t, snapshot %t", folded, c.CheckpointDue(folded), c.SnapshotDue(folded))
		}
	}
}

func TestWhatToDoAtACheckpoint(t *testing.T) {
	mine := &events.DeciderCheckpoint{Sequence: 9, StateHash: "a", ChainHash: "b", Folded: 8}
	same, other, chain, count := *mine, *mine, *mine, *mine
	other.StateHash, chain.ChainHash, count.Folded = "x", "x", 7
	for name, c := range map[string]struct {
		first            *events.DeciderCheckpoint
		activated, muted bool
		distant          uint64
		want             replica.Verdict
	}{
		"it is the first":                        {nil, true, false, 0, replica.Offer},
		"nobody asked it":                        {nil, false, false, 0, replica.Vouched},
		"muted, nothing to compare with":         {nil, true, true, 0, replica.Nothing},
		"muted and silent":                       {nil, false, true, 0, replica.Nothing},
		"the first one agrees":                   {&same, true, false, 0, replica.Vouched},
		"the first one has another state":        {&other, true, false, 0, replica.Differs},
		"the first one has another journal":      {&chain, true, false, 0, replica.Differs},
		"the first one has folded less":          {&count, false, false, 0, replica.Differs},
		"muted and still different":              {&other, true, true, 5, replica.Differs},
		"muted, agrees before it differed":       {&same, true, true, 10, replica.Vouched},
		"muted, agrees again where it differed":  {&same, true, true, 9, replica.Recovered},
		"muted, agrees again and is not speaker": {&same, false, true, 5, replica.Recovered},
	} {
		if got := replica.Weigh(mine, c.first, c.activated, c.muted, c.distant); got != c.want {
			t.Errorf("%s: verdict %d, want %d", name, got, c.want)
		}
	}
}

// What two replicas write at one place is one message, or two copies of it would
// be kept.
func TestCheckpointsOfReplicasAreOneMessage(t *testing.T) {
	c := &events.DeciderCheckpoint{Decider: me.Name, Version: me.Version, ConfigHash: me.ConfigHash, Sequence: 9, StateHash: "0123456789abcdef", Folded: 9,
		ChainHash: decider.Digest{}.String()}
	e := cause(9)
	e.ID = "reading"
	m, err := replica.CheckpointMessage(events.DefaultPrefix, site, e, c)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Header.Get(events.HeaderMsgID); got != decider.CheckpointID(site, c) {
		t.Errorf("id %s", got)
	}
	if again, err := replica.CheckpointMessage(events.DefaultPrefix, site, e, c); err != nil || string(again.Data) != string(m.Data) || again.Subject != m.Subject {
		t.Errorf("another message: %v", err)
	}
}

func TestSnapshotsWait(t *testing.T) {
	at := func(n uint64) *replica.Snapshot {
		return &replica.Snapshot{At: replica.Place{Epoch: 1, Sequence: n}, Approved: true}
	}
	var l replica.Snapshots
	if l.Due(0, false) != nil {
		t.Error("a snapshot of nothing")
	}
	a, b, c, d := at(10), at(20), at(30), at(40)
	c.Approved = false
	for _, s := range []*replica.Snapshot{a, b, nil, c, d} {
		l.Keep(s)
	}
	if got := l.Due(10, true); got != nil {
		t.Errorf("stored at %d with its own cause unconfirmed", got.At.Sequence)
	}
	if got := l.Due(21, true); got != b {
		t.Errorf("due: %+v, want the newest before what is unconfirmed", got)
	}
	if got := l.Due(21, true); got != nil {
		t.Errorf("due again: %+v", got)
	}
	d.Dropped = true
	if got := l.Due(0, false); got != nil {
		t.Errorf("due: %+v, but one is not approved and one is another's", got)
	}
	c.Approved = true
	if got := l.Due(0, false); got != c {
		t.Errorf("due: %+v, want the approved one", got)
	}
	p := replica.Place{Epoch: 1, Sequence: 10}
	for o, want := range map[replica.Place]bool{{Epoch: 1, Sequence: 10}: false, {Epoch: 1, Sequence: 9}: true, {Epoch: 0, Sequence: 11}: true, {Epoch: 2, Sequence: 1}: false} {
		if p.After(o) != want {
			t.Errorf("%+v after %+v: %t", p, o, p.After(o))
		}
	}
}
