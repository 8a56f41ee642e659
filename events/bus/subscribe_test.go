// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

func curtail(agent string, sequence uint64) *events.Event {
	c := &events.CommandCurtail{Decider: "dispatch", Key: events.OrderKey{Epoch: 1, Sequence: sequence}, Agent: agent,
		Units: []events.UnitSetpoint{{Unit: "u1"}}, Reason: events.ReasonHeadroom}
	source := agent
	if agent == "" {
		var zero int64
		c.AllUnitsWatts, c.Units, source = &zero, nil, events.BroadcastSource
	}
	c.IssuedAt = reading(0).Data.(*events.MeterReading).SampledAt
	c.ValidUntil = c.IssuedAt.Add(events.DefaultLease)
	return events.New("tx1", source, c)
}

func TestSubscribeHearsInOrder(t *testing.T) {
	b := newRig(t)
	ctx, cancel := context.WithCancel(deadline(t))
	defer cancel()
	wire, stored := make(chan uint64, 1000), make(chan uint64, 1000)
	bad := make(chan error, 10)
	hear := func(ch chan uint64) func(*events.Event) {
		return func(e *events.Event) { ch <- e.Data.(*events.CommandCurtail).Key.Sequence }
	}
	f := Filter{Types: []events.Type{events.TypeCommandCurtail}, Site: "tx1", Source: "rig-1",
		OnBad: func(_ *nats.Msg, err error) { bad <- err }}
	s1, err := b.Subscribe(ctx, f, hear(wire))
	if err != nil {
		t.Fatal(err)
	}
	f.Stored = true
	s2, err := b.Subscribe(ctx, f, hear(stored))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.nc.Publish("ballast.tx1.command.curtail.rig-1", []byte("{")); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(200) {
		b.publish(t, curtail("rig-1", i), curtail("rig-2", i))
	}
	for i := range uint64(200) {
		if got := <-wire; got != i {
			t.Fatalf("wire: %d, want %d", got, i)
		}
		if got := <-stored; got != i {
			t.Fatalf("stored: %d, want %d", got, i)
		}
	}
	<-bad
	<-bad
	if s1.Bad() != 1 || s2.Bad() != 1 {
		t.Fatalf("bad: %d and %d", s1.Bad(), s2.Bad())
	}
	cancel()
	<-s1.Done()
	<-s2.Done()
}

func TestSubscribeHearsBroadcasts(t *testing.T) {
	b, ctx := newRig(t), deadline(t)
	got := make(chan string, 10)
	for _, f := range []Filter{
		{Types: []events.Type{events.TypeCommandCurtail}, Site: "tx1", Source: events.BroadcastSource},
		{Types: []events.Type{events.TypeCommandCurtail}, Site: "tx1"},
		{Site: "tx1", Stored: true},
	} {
		s, err := b.Subscribe(ctx, f, func(e *events.Event) { got <- e.Source })
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
	}
	b.publish(t, curtail("", 1))
	for range 3 {
		if s := <-got; s != events.BroadcastSource {
			t.Fatal(s)
		}
	}
	for _, f := range []Filter{
		{Types: []events.Type{"no.such"}}, {Site: "a.b"}, {Source: "*"},
		{Types: []events.Type{events.TypeMeterReading}, Stored: true},
	} {
		if _, err := b.Subscribe(ctx, f, func(*events.Event) {}); err == nil {
			t.Errorf("%+v accepted", f)
		}
	}
}
