// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// TestManySilentAgents: a cut cable silences a hundred agents; twenty alerts
// and one for the rest tell of it, and all are cleared when they come back.
func TestManySilentAgents(t *testing.T) {
	d := New(Config{})
	w := &world{at: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), epoch: 1}
	var out decider.Outbox
	open := make(map[string]bool)
	fold := func(source string, p events.Payload) {
		w.at = w.at.Add(time.Millisecond)
		e := w.event(source, p)
		if err := checked(d, e, &out, false); err != nil {
			t.Fatal(err)
		}
		for _, o := range out.Outputs() {
			switch a := o.Data.(type) {
			case *events.AlertRaised:
				if open[a.Alert] {
					t.Errorf("%s is raised twice", a.Alert)
				}
				open[a.Alert] = true
			case *events.AlertCleared:
				if !open[a.Alert] {
					t.Errorf("%s is cleared but not raised", a.Alert)
				}
				delete(open, a.Alert)
			}
		}
	}
	speak := func(counter uint64, announce bool) {
		for i := range 100 {
			u := events.UnitStatus{Unit: fmt.Sprint("u", i), State: events.PermitBoot, Healthy: true}
			if announce {
				u.Capabilities = &events.Capabilities{Class: "m", NameplateWatts: 1_000, MinWatts: 1_000, MillijoulesPerTerahash: 20_000}
			}
			fold(fmt.Sprint("rig-", i), &events.WorkerStatus{BootID: "b", Counter: counter, Announce: announce, Units: []events.UnitStatus{u}})
		}
	}
	ticks := func(n int) {
		for range n {
			w.at = w.at.Truncate(time.Second).Add(time.Second)
			fold("site", &events.ClockTick{Second: w.at.Unix()})
		}
	}
	fold("site", (&world{}).config())
	speak(1, true)
	ticks(20)
	silent := 0
	for a := range open {
		if strings.HasPrefix(a, alarmSilent) {
			silent++
		}
	}
	if silent != maxOpenAlerts+1 || !open[alarmSilent+"/many"] {
		t.Errorf("%d alerts about silent agents: %v", silent, open)
	}
	speak(2, false)
	ticks(2)
	for a := range open {
		if strings.HasPrefix(a, alarmSilent) {
			t.Errorf("%s stays open", a)
		}
	}
}

// TestForgetting: units and agents that nobody speaks of any more leave
// nothing behind.
func TestForgetting(t *testing.T) {
	d := New(Config{})
	w := &world{at: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), epoch: 1}
	var out decider.Outbox
	fold := func(source string, p events.Payload) {
		e := w.event(source, p)
		if err := checked(d, e, &out, false); err != nil {
			t.Fatal(err)
		}
	}
	caps := &events.Capabilities{Class: "m", NameplateWatts: 1_000, MinWatts: 1_000, FailsafeWatts: 100, MillijoulesPerTerahash: 20_000, Meter: "mine"}
	fold("site", (&world{}).config())
	fold("a", &events.WorkerStatus{BootID: "b", Counter: 1, Announce: true, Units: []events.UnitStatus{
		{Unit: "kept", Healthy: true, Capabilities: caps}, {Unit: "dropped", Healthy: true, PowerWatts: 900, Capabilities: caps}}})
	fold("gone", &events.WorkerStatus{BootID: "b", Counter: 1, Announce: true, Units: []events.UnitStatus{{Unit: "x", Healthy: true, Capabilities: caps}}})
	for n := range 4_000 {
		w.at = w.at.Truncate(time.Second).Add(time.Second)
		fold("site", &events.ClockTick{Second: w.at.Unix()})
		if n%2 == 0 {
			fold("a", &events.WorkerStatus{BootID: "b", Counter: uint64(n + 2), Units: []events.UnitStatus{{Unit: "kept", Healthy: true}}})
		}
	}
	if len(d.order) != 1 || d.order[0].id != "kept" || len(d.roster) != 1 || d.agents["gone"] != nil {
		t.Errorf("%d units and %d agents are left", len(d.order), len(d.roster))
	}
	if m := d.site.byID["mine"]; m.units != 1 {
		t.Errorf("the meter knows %d units", m.units)
	}
}

// TestRestoreRefuses other versions and garbage.
func TestRestoreRefuses(t *testing.T) {
	b, err := New(Config{}).Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := New(Config{NoReductions: true}).Restore(b); err == nil {
		t.Error("a snapshot of another configuration is taken")
	}
	if err := New(Config{}).Restore([]byte("{")); err == nil {
		t.Error("garbage is taken")
	}
	if New(Config{}).Identity().ConfigHash == New(Config{NoReductions: true}).Identity().ConfigHash {
		t.Error("the unsafe switch does not show in the identity")
	}
}
