// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/permit"
)

// unplugged is a bus that nothing is said on.
type unplugged struct{}

func (unplugged) Conn() *nats.Conn { return nil }
func (unplugged) Prefix() string   { return events.DefaultPrefix }

// single is a driver of one unit.
type single struct{}

func (single) Units() []Unit {
	return []Unit{{ID: "rig", Capabilities: events.Capabilities{Class: "test", NameplateWatts: 3000, MinWatts: 100, MillijoulesPerTerahash: 17000}}}
}
func (single) Drive([]Order)                   {}
func (single) Measure(int, *events.UnitStatus) {}

// Timers stand still while a machine sleeps: whoever waited for the end of a
// lease by one would find it over too late. A living lease is looked at sooner.
func TestALivingLeaseIsLookedAtBeforeItsEnd(t *testing.T) {
	now := Monotonic()
	a, err := New(Config{Site: "tx1", Agent: "rig", Clock: func() permit.Instant { return now }}, unplugged{}, single{})
	if err != nil {
		t.Fatal(err)
	}
	a.statusAt, a.announceAt = now.Add(time.Hour), now.Add(time.Hour)
	if d := a.untilNext(); d != time.Hour {
		t.Errorf("without a lease the next look is in %s", d)
	}
	const lease = 12 * time.Second
	out := a.panel.Ramp(now, time.Now(), true, &events.CommandRamp{
		Decider: "dispatch", Key: events.OrderKey{Epoch: 1, Sequence: 1}, Agent: "rig", BootID: a.boot, Counter: a.panel.Send(now, []int{0}),
		LeaseMilliseconds: lease.Milliseconds(), Units: []events.UnitSetpoint{{Unit: "rig", SetpointWatts: 3000}},
		Reason: events.ReasonAvailable, IssuedAt: time.Now().UTC(), ValidUntil: time.Now().Add(time.Minute).UTC(),
	})
	if len(out.Changed) != 1 {
		t.Fatalf("%+v", out)
	}
	if d := a.untilNext(); d > leaseLook || leaseLook > lease/10 {
		t.Errorf("a lease of %s is looked at after %s", lease, d)
	}
}
