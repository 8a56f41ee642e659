// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

const site = "tx1"

var me = decider.Identity{Name: "toy", Version: "1.0", ConfigHash: "00000000000000aa"}

func key(sequence uint64) events.OrderKey {
	return events.OrderKey{Epoch: 1, Sequence: sequence, Ordinal: 1}
}

func cause(sequence uint64) *events.Event {
	e := events.New(site, "meter", &events.ClockTick{})
	e.Epoch, e.Sequence = 1, sequence
	return e
}

// output is a stored output of a decider for a cause.
func output(name string, of, sequence uint64) *decider.Raw {
	return &decider.Raw{
		Subject: "ballast." + site + ".command.curtail.agent", Sequence: sequence,
		Header: nats.Header{
			events.HeaderMsgID:  {decider.MessageID(site, name, key(of))},
			events.HeaderCETime: {time.Unix(int64(of), 0).UTC().Format(time.RFC3339Nano)},
		},
	}
}

func TestOnlyWhatIsNotStoredIsSaid(t *testing.T) {
	o := replica.NewOutputs(site, me, map[string]uint64{events.StreamCommands: 10})
	if o.Next(events.StreamCommands) != 11 || o.Next(events.StreamRevenue) != 1 {
		t.Fatalf("the look begins at %d and %d", o.Next(events.StreamCommands), o.Next(events.StreamRevenue))
	}
	o.Take(events.StreamCommands, output(me.Name, 7, 11))
	o.Take(events.StreamCommands, output("another", 8, 12))
	o.Take(events.StreamCommands, output(me.Name, 5, 13))
	o.Take(events.StreamCommands, output(me.Name, 5, 14)) // a second copy
	if o.Holds(key(5)) {
		t.Error("a look counts before it ended")
	}
	o.Looked()
	if said := o.Said(); len(said) != 2 || said[0].OrderKey != key(5) || said[1].OrderKey != key(7) || said[1].Arrived != 7e9 {
		t.Errorf("said: %+v", said)
	}
	for n, want := range map[uint64]int{5: 0, 6: 1, 7: 0, 8: 1} {
		fresh := *o
		c := cause(n)
		if got := fresh.Unsaid(c, []decider.Batch{{Stream: events.StreamCommands, First: key(n)}}); len(got) != want {
			t.Errorf("cause %d: %d batches to say, want %d", n, len(got), want)
		}
	}
	if o.Next(events.StreamCommands) != 15 {
		t.Errorf("the next look begins at %d", o.Next(events.StreamCommands))
	}
	if a := o.Start(3); a.Journal != 3 || a.Outputs[events.StreamCommands] != 10 || a.Outputs[events.StreamRevenue] != 0 {
		t.Errorf("start: %+v", a)
	}
	o.Skip(replica.Anchor{Outputs: map[string]uint64{events.StreamCommands: 9, events.StreamRevenue: 4}})
	if o.Next(events.StreamCommands) != 15 || o.Next(events.StreamRevenue) != 5 {
		t.Errorf("after a skip the look begins at %d and %d", o.Next(events.StreamCommands), o.Next(events.StreamRevenue))
	}
}

func TestWhatIsKnownOfEarlierCausesIsForgotten(t *testing.T) {
	o := replica.NewOutputs(site, me, nil)
	for i := range uint64(10_000) {
		o.Take(events.StreamCommands, output(me.Name, i+1, i+1))
	}
	o.Looked()
	o.Unsaid(cause(9_000), nil)
	if n := len(o.Said()); n != 1000 {
		t.Errorf("%d are known, want those of the 1,000 causes to come", n)
	}
	if o.Holds(key(9_000)) || !o.Holds(key(9_001)) {
		t.Error("the wrong ones were forgotten")
	}
}

func TestWhenToLook(t *testing.T) {
	const half = time.Minute
	for name, c := range map[string]struct {
		turned, age, sinceLook time.Duration
		want                   bool
	}{
		"all is fresh":                          {time.Second, time.Second, time.Hour, false},
		"the cause is old":                      {time.Second, half + 1, half + 1, true},
		"the cause is old, but not the look":    {time.Second, time.Hour, half, false},
		"half a window is not more than it":     {half, half, time.Hour, false},
		"it stood still":                        {half + 1, 0, 0, true},
		"the clock of the server was set ahead": {time.Second, -time.Hour, time.Hour, false},
	} {
		v := replica.Vigil{Half: half}
		v.Turned(c.turned)
		v.Turned(time.Second) // a pause is not forgotten by going on
		if got := v.MustLook(c.age, c.sinceLook); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
		v.Looked()
		if v.MustLook(0, 0) {
			t.Errorf("%s: again after a look", name)
		}
	}
	if replica.Elapsed(time.Hour, 0) != time.Hour || replica.Elapsed(0, time.Hour) != time.Hour {
		t.Error("a clock that stands still hides that time passed")
	}
	if !replica.MaySend(replica.SendHorizon) || replica.MaySend(replica.SendHorizon+1) {
		t.Error("the horizon of renewals")
	}
}

func TestAnchors(t *testing.T) {
	var l replica.Anchors
	if _, ok := l.Before(1); ok {
		t.Error("an anchor of nothing")
	}
	note := func(n uint64) {
		l.Note(replica.Anchor{Journal: n, Outputs: map[string]uint64{events.StreamCommands: n * 10}})
	}
	for i := range uint64(1000) {
		note(i)
		note(i) // the journal stands still
	}
	a, ok := l.Before(1)
	if !ok || a.Journal != 0 {
		t.Fatalf("the first one is gone: %+v, %t", a, ok)
	}
	if a, _ := l.Before(5000); a.Journal != 999 || a.Outputs[events.StreamCommands] != 9990 {
		t.Errorf("the newest is %+v", a)
	}
	if _, ok := l.Before(999); ok {
		t.Error("older ones are not forgotten")
	}
}
