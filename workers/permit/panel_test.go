// SPDX-License-Identifier: Apache-2.0

package permit

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

func newPanel(t testing.TB, n int) *Panel {
	t.Helper()
	specs := make([]Spec, n)
	for i := range specs {
		specs[i] = Spec{Unit: fmt.Sprintf("u%d", i), FullWatts: full, FailsafeWatts: failsafe}
	}
	p, err := NewPanel(Config{Agent: "rig", Boot: "boot", MaxLease: 15 * time.Second}, specs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var midnight = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func setpoints(watts int64, units ...string) []events.UnitSetpoint {
	out := make([]events.UnitSetpoint, len(units))
	for i, u := range units {
		out[i] = events.UnitSetpoint{Unit: u, SetpointWatts: watts}
	}
	return out
}

func panelRamp(k events.OrderKey, counter uint64, watts int64, units ...string) *events.CommandRamp {
	return &events.CommandRamp{
		Decider: "dispatch", Key: k, Agent: "rig", BootID: "boot", Counter: counter, LeaseMilliseconds: 12000,
		Units: setpoints(watts, units...), ValidUntil: midnight.Add(5 * time.Second),
	}
}

func TestPanelCountsLeasesFromTheStatus(t *testing.T) {
	p := newPanel(t, 2)
	counter := p.Send(second(100), []int{0, 1})
	// The ramp takes ten of its twelve seconds to arrive.
	out := p.Ramp(second(110), midnight, true, panelRamp(key(1), counter, full, "u0", "u1"))
	if !slices.Equal(out.Changed, []int{0, 1}) || !slices.Equal(out.Telling, []int{0, 1}) {
		t.Fatalf("%+v", out)
	}
	if next, live := p.Next(); !live || next != second(112) {
		t.Fatalf("next %d %v", next, live)
	}
	if out := p.Tick(second(112) - 1); len(out.Changed) != 0 {
		t.Fatal("fell before the end of its lease")
	}
	if out := p.Tick(second(112)); len(out.Changed) != 2 || p.Setpoint(0) != failsafe {
		t.Fatal("did not fall with its lease")
	}
}

func TestPanelRefuses(t *testing.T) {
	tests := map[string]func(*events.CommandRamp){
		"another boot":       func(r *events.CommandRamp) { r.BootID = "older" },
		"another agent":      func(r *events.CommandRamp) { r.Agent = "rig-2" },
		"a counter to come":  func(r *events.CommandRamp) { r.Counter++ },
		"no counter":         func(r *events.CommandRamp) { r.Counter = 0 },
		"no lease":           func(r *events.CommandRamp) { r.LeaseMilliseconds = 0 },
		"too late":           func(r *events.CommandRamp) { r.ValidUntil = midnight.Add(-1) },
		"a unit not here":    func(r *events.CommandRamp) { r.Units[0].Unit = "u9" },
		"a forgotten status": func(r *events.CommandRamp) { r.Counter = 1 },
	}
	for name, bend := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPanel(t, 1)
			p.Send(0, []int{0})
			counter := p.Send(second(100), []int{0})
			r := panelRamp(key(1), counter, full, "u0")
			bend(r)
			if p.Ramp(second(100), midnight, true, r); p.Setpoint(0) != failsafe {
				t.Fatalf("%d W", p.Setpoint(0))
			}
			if p.Ramp(second(100), midnight, true, panelRamp(key(2), counter, full, "u0")); p.Setpoint(0) != full {
				t.Fatalf("a good ramp afterwards: %d W", p.Setpoint(0))
			}
		})
	}
}

func TestPanelBoundsLeases(t *testing.T) {
	p := newPanel(t, 1)
	r := panelRamp(key(1), p.Send(0, nil), full, "u0")
	r.LeaseMilliseconds = 3_600_000
	p.Ramp(0, midnight, true, r)
	if p.Tick(second(15)); p.Setpoint(0) != failsafe {
		t.Fatal("a lease beyond the longest one was honoured")
	}
}

func TestPanelOldReplicaCannotKeepALeaseAlive(t *testing.T) {
	p := newPanel(t, 1)
	counter := p.Send(0, []int{0})
	p.Ramp(0, midnight, true, panelRamp(key(1), counter, full, "u0"))
	// The replica goes on renewing, with ever newer keys, but the newest
	// status it has folded is the first.
	for n := 1; n < 20; n++ {
		p.Send(second(n), []int{0})
		p.Renew(second(n), &events.PermitRenewed{
			Decider: "dispatch", Key: key(uint64(10 * n)), BootID: "boot", Counter: counter, LeaseMilliseconds: 12000,
			Units: setpoints(full, "u0"),
		})
		p.Tick(second(n))
		if powered := p.Setpoint(0) > failsafe; powered != (n < 12) {
			t.Fatalf("%d s: %d W", n, p.Setpoint(0))
		}
	}
}

func TestPanelBroadcast(t *testing.T) {
	p := newPanel(t, 3)
	p.Ramp(0, midnight, true, panelRamp(key(1), p.Send(0, nil), full, "u0", "u1", "u2"))
	zero := int64(0)
	out := p.Curtail(1, &events.CommandCurtail{Decider: "dispatch", Key: key(2), AllUnitsWatts: &zero})
	if len(out.Changed) != 3 || p.Setpoint(2) != 0 {
		t.Fatalf("%+v", out)
	}
	if out := p.Curtail(1, &events.CommandCurtail{Decider: "dispatch", Key: key(2), AllUnitsWatts: &zero}); len(out.Telling) != 0 || out.Refused[RefusedCopy] != 3 {
		t.Fatalf("a copy: %+v", out)
	}
	if out := p.Curtail(1, &events.CommandCurtail{Decider: "dispatch", Key: key(3), Agent: "rig-2", AllUnitsWatts: &zero}); !out.Foreign {
		t.Fatalf("another's: %+v", out)
	}
}

func TestPanelDescribes(t *testing.T) {
	p := newPanel(t, 1)
	p.Ramp(second(1), midnight, true, panelRamp(key(7), p.Send(0, nil), 2000, "u0"))
	p.Limit(second(1), 0, 900)
	var s events.UnitStatus
	p.Describe(second(2), 0, &s)
	if s.Unit != "u0" || s.State != events.PermitLocal || s.SetpointWatts != 900 || s.LeaseMilliseconds != 10000 ||
		s.Applied == nil || *s.Applied != key(7) || s.LocalLimitWatts == nil || *s.LocalLimitWatts != 900 {
		t.Fatalf("%+v", s)
	}
}

func TestPanelNeedsDistinctUnits(t *testing.T) {
	if _, err := NewPanel(Config{Agent: "a"}, []Spec{{Unit: "x"}, {Unit: "x"}}); err == nil {
		t.Fatal("two units of one id")
	}
	if _, err := NewPanel(Config{Agent: "a", MaxLease: -1}, nil); err == nil {
		t.Fatal("negative lease")
	}
}

func BenchmarkPanel(b *testing.B) {
	for _, n := range []int{1, 1000, 10000} {
		p := newPanel(b, n)
		units := make([]string, n)
		for i := range units {
			units[i] = p.Unit(i)
		}
		seq := uint64(0)
		perUnit := func(b *testing.B) {
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/unit")
		}
		b.Run(fmt.Sprintf("broadcast/%d", n), func(b *testing.B) {
			zero := int64(0)
			c := &events.CommandCurtail{Decider: "dispatch", AllUnitsWatts: &zero}
			for b.Loop() {
				seq++
				c.Key = key(seq)
				p.Curtail(0, c)
			}
			perUnit(b)
		})
		b.Run(fmt.Sprintf("renewal/%d", n), func(b *testing.B) {
			r := &events.PermitRenewed{Decider: "dispatch", BootID: "boot", Counter: p.Send(0, nil), LeaseMilliseconds: 12000, Units: setpoints(0, units...)}
			for b.Loop() {
				seq++
				r.Key = key(seq)
				p.Renew(0, r)
			}
			perUnit(b)
		})
	}
}
