// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// slack is what the tests allow a busy machine on top of a lease, besides the
// time for which their own process, where the agents are, was late.
const slack = 2 * time.Second

// The bus dies: every machine is off when its lease ends. It comes back on the
// same directory and port: nothing draws power before a command that was
// decided after that.
func TestFaultBusKilled(t *testing.T) {
	const lease = 6 * time.Second
	s := newFaultSite(t, faultOptions{lease: lease})
	s.role("dispatcher", "a")
	s.role("dispatcher", "b")
	s.running(s.calm(600_000))
	m, _ := s.machines("fleet-1", 50)
	until(t, patience, "all machines run", func() bool { return m.permitted() == 50*3500 })
	_, before := s.journalState()

	clock := s.ownClock()
	s.server.kill()
	killed := time.Now()
	until(t, patience, "no machine draws power", func() bool { return m.permitted() == 0 && m.Watts() == 0 })
	down := map[int]time.Time{}
	for _, o := range m.since(killed) {
		if o.watts > 0 {
			t.Errorf("machine %d was set to %d W %v after the bus had died", o.unit, o.watts, o.at.Sub(killed))
		}
		down[o.unit] = o.at
	}
	for unit := range 50 {
		at, ok := down[unit]
		if late := clock.within(killed, at); !ok || at.After(killed.Add(lease+slack+late)) {
			t.Errorf("machine %d was set to its failsafe %v after the bus had died; its lease was %v, and this process was late by %v", unit, at.Sub(killed), lease, late)
		}
	}
	t.Logf("last machine off %v after the bus died; this process was late by %v", time.Since(killed), clock.within(killed, time.Now()))

	back := time.Now()
	s.startBus()
	until(t, patience, "the machines run again", func() bool { return m.permitted() == 50*3500 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// The first ramp of each unit in the new epoch.
	first := map[string]time.Time{}
	for e, err := range events.Read[events.CommandRamp](ctx, s.b, events.AtSite(faultSiteID), events.Since(back)) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Data.Key.Epoch <= before {
			t.Errorf("%s was decided in epoch %d, before the bus died", e.ID, e.Data.Key.Epoch)
			continue
		}
		for _, u := range e.Data.Units {
			if _, ok := first[u.Unit]; !ok {
				first[u.Unit] = e.Arrived
			}
		}
	}
	units := m.Units()
	for _, o := range m.since(killed) {
		if o.watts == 0 {
			continue
		}
		if at, ok := first[units[o.unit].ID]; !ok || o.at.Before(at) {
			t.Errorf("machine %d was set to %d W at %s; its first fresh ramp arrived at %s", o.unit, o.watts, o.at, at)
		}
	}
	s.quiet(3 * time.Second)
	s.whole()
	for _, r := range s.verify(2 * time.Second) {
		if !r.Clean() {
			t.Errorf("%s", r)
		}
	}
}

// All dispatchers die while the bus lives on, and somebody repeats all they
// ever said: renewals and ramps as they went over the wire, as a replica does
// that folds an old journal or was cut off. None of it keeps power on.
func TestFaultOldPermitsKeepNothingOn(t *testing.T) {
	const lease = 5 * time.Second
	s := newFaultSite(t, faultOptions{lease: lease})
	d := s.role("dispatcher", "a")
	s.running(s.calm(600_000))
	b := s.connect("old-replica")
	var mu sync.Mutex
	var said []*nats.Msg
	for _, subject := range []string{
		events.Subject(b.Prefix(), faultSiteID, events.TypePermitRenewed, "*"),
		events.StoredSubject(b.Prefix(), faultSiteID, events.TypeCommandRamp, "*"),
		events.Subject(b.Prefix(), faultSiteID, events.TypeCommandRamp, "*"),
	} {
		if _, err := b.Conn().Subscribe(subject, func(m *nats.Msg) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, m)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	m, _ := s.machines("fleet-1", 20)
	until(t, patience, "all machines run", func() bool { return m.permitted() == 20*3500 })
	// Until the first renewals have come, and have kept it so.
	until(t, patience, "renewals on the wire", func() bool {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, msg := range said {
			if a, err := events.ParseSubject(msg.Subject); err == nil && a.Type == events.TypePermitRenewed {
				n++
			}
		}
		return n >= 3
	})
	clock := s.ownClock()
	d.kill()
	died := time.Now()
	mu.Lock()
	old := slices.Clone(said)
	mu.Unlock()
	t.Logf("%d old renewals and ramps are repeated", len(old))

	deadline := time.After(patience)
	for off := false; !off; {
		for _, msg := range old {
			// Neither the reply nor the headers of the server belong to it.
			c := &nats.Msg{Subject: msg.Subject, Header: nats.Header{}, Data: msg.Data}
			for k, v := range msg.Header {
				if len(k) < 5 || k[:5] != "Nats-" {
					c.Header[k] = v
				}
			}
			if err := b.Conn().PublishMsg(c); err != nil {
				t.Fatal(err)
			}
		}
		off = m.permitted() == 0
		select {
		case <-deadline:
			t.Fatalf("%d W are still permitted %v after the last dispatcher died; the lease was %v", m.permitted(), time.Since(died), lease)
		case <-time.After(50 * time.Millisecond):
		}
	}
	still := s.standstills(died.Add(-lease), time.Now())
	for _, o := range m.since(died) {
		if o.watts > 0 {
			t.Errorf("machine %d was raised to %d W by an old command", o.unit, o.watts)
		}
		// The last renewal may have been late, too.
		if late := clock.within(died, o.at) + still.within(died.Add(-lease), o.at); o.at.After(died.Add(lease + slack + late)) {
			t.Errorf("machine %d was set to its failsafe %v after the last dispatcher died; its lease was %v, and machine or bus were late by %v", o.unit, o.at.Sub(died), lease, late)
		}
	}
	// Nor does a machine rise again for it.
	calm := time.Now().Add(2 * time.Second)
	for time.Now().Before(calm) {
		for _, msg := range old {
			if err := b.Conn().Publish(msg.Subject, msg.Data); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(100 * time.Millisecond)
		if w := m.permitted(); w != 0 {
			t.Fatalf("old commands raised %d W", w)
		}
	}
}
