// SPDX-License-Identifier: Apache-2.0

package permit

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// A unit says why it draws less than it could: whoever set the setpoint that is
// in force, and nobody at full power.
func TestCauseOfTheSetpointInForce(t *testing.T) {
	var (
		none      = Cause{}
		boot      = Cause{Reason: events.ReasonBoot}
		lease     = Cause{Reason: events.ReasonLease}
		local     = Cause{Reason: events.ReasonLocal}
		available = Cause{Reason: events.ReasonAvailable}
		headroom  = Cause{Reason: events.ReasonHeadroom}
		economics = Cause{Reason: events.ReasonEconomics}
		signal    = Cause{events.ReasonGridCurtail, "sig-1"}
		emergency = Cause{events.ReasonEmergency, "sig-2"}
	)
	type do = func(*Machine, Instant) Effect
	cut := func(k events.OrderKey, watts int64, why Cause, decider ...string) do {
		return func(m *Machine, now Instant) Effect { return m.Curtail(now, who(decider), k, watts, why) }
	}
	up := func(k events.OrderKey, watts int64, why Cause, decider ...string) do {
		return bent(k, func(g *Grant) { g.Watts, g.Cause, g.Decider, g.Counter = watts, why, who(decider), 9 })
	}
	type turn struct {
		at    int
		do    do
		watts int64
		cause Cause
	}
	tests := map[string][]turn{
		"nobody gave it a permit": {
			{0, tick, failsafe, boot},
			{1, cut(key(1), 0, emergency), 0, emergency}, // below what it may draw anyhow
		},
		"a reduction to the failsafe takes nothing from who has no permit": {
			{0, cut(key(1), failsafe, emergency), failsafe, boot},
		},
		"full power, part of it, and down": {
			{0, up(key(1), full, available), full, none},
			{1, cut(key(2), 2000, headroom), 2000, headroom},
			{2, cut(key(3), 0, signal), 0, signal},
			{3, up(key(4), 2500, available), 2500, available},
			{4, up(key(5), 3000, headroom), 3000, headroom},
			{5, up(key(6), full, available), full, none},
		},
		"what is off by hand is nobody else's, as long as the hand holds it": {
			{0, up(key(1), full, available), full, none},
			{1, limit(0), 0, local},
			{2, cut(key(2), 0, signal), 0, local},
			{3, unlimit, 0, signal},
			{4, limit(0), 0, signal},
			{5, up(key(3), full, available), 0, local},
			{6, unlimit, full, none},
		},
		"of two deciders the first that took it keeps it": {
			{0, up(key(1), full, available, "a"), full, none},
			{1, up(key(1), full, available, "b"), full, none},
			{2, cut(key(2), 0, headroom, "b"), 0, headroom},
			{3, cut(key(3), 0, signal, "a"), 0, headroom},
			{4, up(key(4), full, available, "b"), 0, signal},
			{5, up(key(5), full, available, "a"), full, none},
		},
		"what takes nothing away changes nothing": {
			{0, up(key(1), full, available), full, none},
			{1, cut(key(2), 0, economics), 0, economics},
			{2, cut(key(3), 0, emergency), 0, economics},
			{3, cut(key(4), 500, signal), 0, economics},
		},
		"the lease ran out": {
			{0, up(key(1), full, available), full, none},
			{11, tick, failsafe, lease},
			{12, cut(key(2), 0, headroom), 0, headroom},
		},
		"a lease that takes nothing leaves the cause": {
			{0, up(key(1), full, available), full, none},
			{1, cut(key(2), 0, signal), 0, signal},
			{20, tick, 0, signal},
		},
		"a person on site": {
			{0, up(key(1), full, available), full, none},
			{1, limit(1000), 1000, local},
			{2, cut(key(2), 500, signal), 500, signal},
			{3, unlimit, 500, signal},
		},
		"the lowest of several rules": {
			{0, up(key(1), full, available), full, none},
			{1, up(key(1), 2000, headroom, "other"), 2000, headroom},
			{2, cut(key(2), 1000, signal), 1000, signal},
			{3, cut(key(2), 800, economics, "other"), 800, economics},
		},
		"a renewal lowers without a reason, the reduction of its cause brings it": {
			{0, up(key(1), full, available), full, none},
			{1, renew(key(2), 700, 9), 700, none},
			{2, cut(key(2, 1), 700, signal), 700, signal},
		},
		"a late reduction that is overtaken says nothing": {
			{0, up(key(3), 1500, headroom), 1500, headroom},
			{1, cut(key(2), 0, signal), 1500, headroom},
		},
	}
	for name, turns := range tests {
		t.Run(name, func(t *testing.T) {
			m := NewMachine(full, failsafe)
			for i, s := range turns {
				s.do(&m, second(s.at))
				if m.Setpoint() != s.watts || m.Cause() != s.cause {
					t.Fatalf("turn %d: %d W because %+v, want %d W because %+v", i, m.Setpoint(), m.Cause(), s.watts, s.cause)
				}
			}
		})
	}
}

// The cause travels from the message to the status, and a unit at full power
// that is not well names itself.
func TestPanelTellsTheCause(t *testing.T) {
	p, err := NewPanel(Config{Agent: "rig", Boot: "b"}, []Spec{{Unit: "u-1", FullWatts: full}, {Unit: "u-2", FullWatts: full}})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC)
	say := func(i int, healthy bool) (events.Reason, string) {
		s := events.UnitStatus{Healthy: healthy, Reason: "left over", SignalID: "left over"}
		p.Describe(1, i, &s)
		return s.Reason, s.SignalID
	}
	if r, s := say(0, false); r != events.ReasonBoot || s != "" {
		t.Errorf("at boot %q %q", r, s)
	}
	c := p.Send(1, []int{0, 1})
	p.Ramp(1, at, true, &events.CommandRamp{Decider: "dispatch", Key: key(1), Agent: "rig", BootID: "b", Counter: c, LeaseMilliseconds: 10_000,
		Units: []events.UnitSetpoint{{Unit: "u-1", SetpointWatts: full}, {Unit: "u-2", SetpointWatts: 2000}}, Reason: events.ReasonGridSetpoint, SignalID: "base", ValidUntil: at})
	if r, s := say(0, true); r != "" || s != "" {
		t.Errorf("at full power %q %q", r, s)
	}
	if r, s := say(0, false); r != events.ReasonWorker || s != "" {
		t.Errorf("unwell at full power %q %q", r, s)
	}
	if r, s := say(1, false); r != events.ReasonGridSetpoint || s != "base" {
		t.Errorf("held by a ramp %q %q", r, s)
	}
	zero := int64(0)
	p.Curtail(2, &events.CommandCurtail{Decider: "dispatch", Key: key(2), AllUnitsWatts: &zero, Reason: events.ReasonEmergency, SignalID: "e"})
	for i := range 2 {
		if r, s := say(i, true); r != events.ReasonEmergency || s != "e" {
			t.Errorf("unit %d after the broadcast: %q %q", i, r, s)
		}
	}
}
