// SPDX-License-Identifier: Apache-2.0

package permit

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

func key(seq uint64, ordinal ...uint32) events.OrderKey {
	k := events.OrderKey{Epoch: 1, Sequence: seq}
	if len(ordinal) > 0 {
		k.Ordinal = ordinal[0]
	}
	return k
}

const (
	full     = 3500
	failsafe = 100
)

// step is one input to a machine at a second, and what must hold afterwards.
type step struct {
	at      int // seconds
	do      func(m *Machine, now Instant) Effect
	watts   int64
	state   events.PermitState
	refused Refusal
}

func second(n int) Instant { return Instant(n) * Instant(time.Second) }

func curtail(k events.OrderKey, watts int64, decider ...string) func(*Machine, Instant) Effect {
	return func(m *Machine, now Instant) Effect { return m.Curtail(now, who(decider), k, watts, Cause{}) }
}

func who(decider []string) string {
	if len(decider) > 0 {
		return decider[0]
	}
	return "dispatch"
}

// ramp with a lease that ends at second until, answering status counter.
func ramp(k events.OrderKey, watts int64, until int, counter uint64, decider ...string) func(*Machine, Instant) Effect {
	return func(m *Machine, now Instant) Effect {
		return m.Ramp(now, Grant{Decider: who(decider), Key: k, Watts: watts, Counter: counter, Expires: second(until), Stored: true, InTime: true})
	}
}

func bent(k events.OrderKey, bend func(*Grant)) func(*Machine, Instant) Effect {
	return func(m *Machine, now Instant) Effect {
		g := Grant{Decider: "dispatch", Key: k, Watts: full, Counter: 1, Expires: now.Add(10 * time.Second), Stored: true, InTime: true}
		bend(&g)
		return m.Ramp(now, g)
	}
}

func renew(k events.OrderKey, watts int64, until int, decider ...string) func(*Machine, Instant) Effect {
	return func(m *Machine, now Instant) Effect {
		return m.Renew(now, Grant{Decider: who(decider), Key: k, Watts: watts, Expires: second(until)})
	}
}

func tick(m *Machine, now Instant) Effect { return m.Tick(now) }

func told(counter uint64) func(*Machine, Instant) Effect {
	return func(m *Machine, _ Instant) Effect { m.Told(counter); return Effect{} }
}

func limit(watts int64) func(*Machine, Instant) Effect {
	return func(m *Machine, now Instant) Effect { return m.Limit(now, watts) }
}

func unlimit(m *Machine, now Instant) Effect { return m.Unlimit(now) }

func TestMachineRules(t *testing.T) {
	const (
		boot, limited, running = events.PermitBoot, events.PermitLimited, events.PermitRunning
		fail, local            = events.PermitFailsafe, events.PermitLocal
	)
	tests := map[string][]step{
		"starts at failsafe": {
			{0, tick, failsafe, boot, Obeyed},
		},
		"a ramp with a lease raises, its end lowers": {
			{0, ramp(key(1), 2000, 10, 1), 2000, limited, Obeyed},
			{1, ramp(key(2), full, 10, 1), full, running, Obeyed},
			{9, tick, full, running, Obeyed},
			{10, tick, failsafe, fail, Obeyed},
		},
		"a ramp above full power is full power": {
			{0, ramp(key(1), 99999, 10, 1), full, running, Obeyed},
		},
		"a ramp to nothing is a permit for nothing": {
			{0, ramp(key(1), 0, 10, 1), 0, limited, Obeyed},
		},
		"no raise: not stored, late, or without lease": {
			{0, bent(key(1), func(g *Grant) { g.Stored = false }), failsafe, boot, RefusedWire},
			{0, bent(key(1), func(g *Grant) { g.InTime = false }), failsafe, boot, RefusedExpired},
			{0, bent(key(2), func(g *Grant) { g.Expires = 0 }), failsafe, boot, RefusedNoLease},
			{5, bent(key(3), func(g *Grant) { g.Expires = second(5) }), failsafe, boot, RefusedNoLease},
			{5, bent(key(4), func(*Grant) {}), full, running, Obeyed},
		},
		"a ramp heard on the wire does not spoil its stored copy": {
			{0, bent(key(7), func(g *Grant) { g.Stored = false }), failsafe, boot, RefusedWire},
			{0, ramp(key(7), full, 10, 1), full, running, Obeyed},
		},
		"a refused raise outranks older raises, not older reductions": {
			{0, bent(key(9), func(g *Grant) { g.Expires = 0; g.Watts = 500 }), failsafe, boot, RefusedNoLease},
			{0, ramp(key(8), full, 10, 1), failsafe, boot, RefusedOld},
			{0, curtail(key(7), 60), 60, boot, Obeyed},
		},
		"a ramp that lowers needs no lease": {
			{0, ramp(key(1), full, 10, 1), full, running, Obeyed},
			{1, bent(key(2), func(g *Grant) { g.Expires, g.InTime, g.Watts = 0, false, 700 }), 700, limited, RefusedExpired},
		},
		"curtail at once, an old one after a newer ramp not": {
			{0, ramp(key(10), full, 20, 1), full, running, Obeyed},
			{1, curtail(key(12), 1000), 1000, limited, Obeyed},
			{2, ramp(key(14), full, 20, 1), full, running, Obeyed},
			{3, curtail(key(12), 1000), full, running, RefusedOld},
			{3, curtail(key(13), 0), full, running, RefusedOld},
			{4, curtail(key(15), 0), 0, limited, Obeyed},
			{5, curtail(key(15), 0), 0, limited, RefusedCopy},
			{6, ramp(key(14), full, 20, 1), 0, limited, RefusedOld},
		},
		"curtail never raises": {
			{0, curtail(key(1), full), failsafe, boot, Obeyed},
			{0, ramp(key(2), 500, 10, 1), 500, limited, Obeyed},
			{1, curtail(key(3), 900), 500, limited, Obeyed},
		},
		"curtail reaches below failsafe and stays there": {
			{0, curtail(key(1), 0), 0, boot, Obeyed},
			{1, ramp(key(2), full, 10, 1), full, running, Obeyed},
			{2, curtail(key(3), 40), 40, limited, Obeyed},
			{10, tick, 40, fail, Obeyed},
		},
		"negative watts are none": {
			{0, ramp(key(1), full, 10, 1), full, running, Obeyed},
			{0, curtail(key(2), -5), 0, limited, Obeyed},
		},
		"ordinals order within a cause, epochs before sequences": {
			{0, ramp(key(5, 3), 1000, 10, 1), 1000, limited, Obeyed},
			{0, curtail(key(5, 2), 0), 1000, limited, RefusedOld},
			{0, curtail(key(5, 4), 500), 500, limited, Obeyed},
			{0, ramp(events.OrderKey{Epoch: 2, Sequence: 1}, full, 10, 1), full, running, Obeyed},
			{0, curtail(key(99), 0), full, running, RefusedOld},
		},
		"a renewal prolongs and lowers, never raises": {
			{0, ramp(key(1), 2000, 10, 1), 2000, limited, Obeyed},
			{5, renew(key(2), full, 15), 2000, limited, Obeyed},
			{12, tick, 2000, limited, Obeyed},
			{13, renew(key(3), 700, 20), 700, limited, Obeyed},
			{14, renew(key(4), full, 21), 700, limited, Obeyed},
			{21, tick, failsafe, fail, Obeyed},
		},
		"a renewal gives no lease to who has none": {
			{0, renew(key(1), full, 10), failsafe, boot, Obeyed},
			{1, ramp(key(2), full, 3, 1), full, running, Obeyed},
			{3, renew(key(3), full, 13), failsafe, fail, Obeyed},
			{4, renew(key(4), full, 14), failsafe, fail, Obeyed},
		},
		"an old renewal changes nothing": {
			{0, ramp(key(10), full, 5, 1), full, running, Obeyed},
			{1, renew(key(9), 0, 50), full, running, RefusedOld},
			{5, tick, failsafe, fail, Obeyed},
		},
		"a renewal older than a renewal changes nothing": {
			{0, ramp(key(10), full, 5, 1), full, running, Obeyed},
			{1, renew(key(20), full, 6), full, running, Obeyed},
			{1, renew(key(15), 0, 50), full, running, RefusedOld},
			{6, tick, failsafe, fail, Obeyed},
		},
		"a shorter renewal does not shorten": {
			{0, ramp(key(1), full, 10, 1), full, running, Obeyed},
			{1, renew(key(2), full, 5), full, running, Obeyed},
			{9, tick, full, running, Obeyed},
		},
		"the renewal of a ramp's own cause says nothing against it": {
			{0, renew(key(5, 1), 0, 10), 0, boot, Obeyed},
			{0, ramp(key(5, 0), full, 10, 1), full, running, Obeyed},
			{0, renew(key(5, 1), 0, 12), full, running, Obeyed},
			{11, tick, full, running, Obeyed},
		},
		"a ramp overtaken by a renewal goes up to what that said": {
			{0, ramp(key(1), 500, 10, 1), 500, limited, Obeyed},
			{1, renew(key(6), 1500, 10), 500, limited, Obeyed},
			{2, ramp(key(5), full, 10, 1), 1500, limited, Obeyed},
			{3, ramp(key(7), full, 10, 1), full, running, Obeyed},
		},
		"a curtail overtaken by a renewal is obeyed": {
			{0, ramp(key(1), full, 10, 1), full, running, Obeyed},
			{1, renew(key(6), full, 10), full, running, Obeyed},
			{2, curtail(key(5), 0), 0, limited, Obeyed},
		},
		"failsafe is left only by a ramp that knows of it": {
			{0, ramp(key(1), full, 5, 1), full, running, Obeyed},
			{5, tick, failsafe, fail, Obeyed},
			{6, ramp(key(2), full, 16, 3), failsafe, fail, RefusedFailsafe}, // not yet said
			{6, told(4), failsafe, fail, Obeyed},
			{6, told(7), failsafe, fail, Obeyed}, // the first one counts
			{7, ramp(key(3), full, 16, 3), failsafe, fail, RefusedFailsafe},
			{8, ramp(key(4), full, 16, 4), full, running, Obeyed},
			{16, tick, failsafe, fail, Obeyed},
			{17, ramp(key(5), full, 27, 9), failsafe, fail, RefusedFailsafe}, // said again first
			{17, told(10), failsafe, fail, Obeyed},
			{18, ramp(key(6), full, 28, 10), full, running, Obeyed},
		},
		"the local limit is kept apart": {
			{0, limit(900), failsafe, boot, Obeyed},
			{0, ramp(key(1), full, 10, 1), 900, local, Obeyed},
			{1, curtail(key(2), 400), 400, local, Obeyed},
			{2, ramp(key(3), full, 10, 1), 900, local, Obeyed},
			{3, unlimit, full, running, Obeyed},
			{4, limit(0), 0, local, Obeyed},
			{10, unlimit, failsafe, fail, Obeyed},
		},
		"of two deciders the lower rules": {
			{0, ramp(key(1), full, 10, 1), full, running, Obeyed},
			{0, curtail(key(1), 1000, "other"), 1000, limited, Obeyed},
			{1, ramp(key(2), full, 10, 1), 1000, limited, Obeyed},
			{2, ramp(key(2), 2000, 9, 1, "other"), 2000, limited, Obeyed},
			{9, tick, failsafe, fail, Obeyed}, // the other's lease
			{9, told(2), failsafe, fail, Obeyed},
			{9, ramp(key(3), full, 19, 2), failsafe, fail, Obeyed},
			{9, ramp(key(3), full, 19, 2, "other"), full, running, Obeyed},
		},
		"a renewal cannot come before its time": {
			{5, ramp(key(1), full, 6, 1), full, running, Obeyed},
			{6, renew(key(2), full, 16), failsafe, fail, Obeyed}, // the lease ended first
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			m := NewMachine(full, failsafe)
			for i, s := range steps {
				before := m.Setpoint()
				e := s.do(&m, second(s.at))
				if m.Setpoint() != s.watts || m.State() != s.state || e.Refused != s.refused {
					t.Fatalf("step %d at %d s: %d W %s %s, want %d W %s %s", i, s.at, m.Setpoint(), m.State(), e.Refused, s.watts, s.state, s.refused)
				}
				if e.Changed != (before != m.Setpoint()) {
					t.Fatalf("step %d: changed %v from %d to %d W", i, e.Changed, before, m.Setpoint())
				}
			}
		})
	}
}

func TestMachineTellsWhatItApplied(t *testing.T) {
	m := NewMachine(full, 0)
	if _, ok := m.Applied(); ok {
		t.Fatal("applied something at start")
	}
	if e := m.Ramp(0, Grant{Decider: "d", Key: key(1), Watts: full, Counter: 1, Expires: 10, Stored: true, InTime: true}); !e.Telling {
		t.Fatal("a ramp obeyed is no news")
	}
	if e := m.Curtail(1, "d", key(2), full, Cause{}); !e.Telling || e.Changed {
		t.Fatal("a curtail that changes nothing must still be told, so that its sender sees it applied")
	}
	if e := m.Renew(2, Grant{Decider: "d", Key: key(3), Watts: full, Expires: 12}); e.Telling {
		t.Fatal("a renewal is no news")
	}
	if k, ok := m.Applied(); !ok || k != key(2) {
		t.Fatalf("applied %v", k)
	}
	if e := m.Tick(12); !e.Telling || !e.Changed {
		t.Fatal("failsafe is no news")
	}
}

func TestNinthDeciderCanOnlyLower(t *testing.T) {
	m := NewMachine(full, 0)
	for i := range MaxDeciders {
		m.Ramp(0, Grant{Decider: string(rune('a' + i)), Key: key(1), Watts: full, Counter: 1, Expires: 10, Stored: true, InTime: true})
	}
	if m.Setpoint() != full {
		t.Fatalf("%d W", m.Setpoint())
	}
	g := Grant{Decider: "z", Key: key(1), Watts: full, Counter: 1, Expires: 10, Stored: true, InTime: true}
	if e := m.Ramp(1, g); e.Refused != RefusedDecider {
		t.Fatal(e.Refused)
	}
	if m.Curtail(1, "z", key(1), 50, Cause{}); m.Setpoint() != 50 {
		t.Fatalf("%d W after a ninth decider's curtail", m.Setpoint())
	}
	if m.Ramp(1, g); m.Setpoint() != 50 {
		t.Fatalf("%d W", m.Setpoint())
	}
}

func TestLedgerForgets(t *testing.T) {
	l := NewLedger(10 * time.Second)
	if _, ok := l.Sent(0); ok || l.Last() != 0 {
		t.Fatal("knows a status before the first")
	}
	for i := range 1000 {
		if got := l.Send(second(i)); got != uint64(i+1) {
			t.Fatalf("counter %d, want %d", got, i+1)
		}
	}
	for counter, want := range map[uint64]bool{1: false, 989: false, 990: true, 1000: true, 1001: false} {
		at, ok := l.Sent(counter)
		if ok != want || ok && at != second(int(counter-1)) {
			t.Errorf("counter %d: %v %v", counter, at, ok)
		}
	}
	if n := len(l.sent); n > 200 {
		t.Errorf("keeps %d instants", n)
	}
	// A clock that steps back must not give longer leases.
	c := l.Send(second(5))
	if at, _ := l.Sent(c); at < second(999) {
		t.Errorf("instant went back to %d", at)
	}
}

// TestMachineHoldsLevels: what lies between two levels of the unit is rounded
// down to the lower one, whoever set it; what was permitted is not forgotten.
func TestMachineHoldsLevels(t *testing.T) {
	m := NewMachine(3500, 100)
	m.Hold([]int64{60, 2400, 3500})
	look := func(watts int64, state events.PermitState) {
		t.Helper()
		if m.Setpoint() != watts || m.State() != state {
			t.Errorf("%d W, %s; want %d W, %s", m.Setpoint(), m.State(), watts, state)
		}
	}
	look(100, events.PermitBoot) // the failsafe setpoint needs to be no level
	m.Ramp(0, Grant{Decider: "d", Key: key(1), Watts: 3499, Counter: 1, Expires: 10, Stored: true, InTime: true})
	look(2400, events.PermitLimited)
	m.Curtail(1, "d", key(2), 2399, Cause{})
	look(100, events.PermitLimited)
	m.Curtail(1, "d", key(3), 99, Cause{})
	look(60, events.PermitLimited)
	m.Curtail(1, "d", key(4), 59, Cause{})
	look(0, events.PermitLimited)
	m.Ramp(2, Grant{Decider: "d", Key: key(5), Watts: 3500, Counter: 1, Expires: 10, Stored: true, InTime: true})
	look(3500, events.PermitRunning)
	m.Limit(3, 3000)
	look(2400, events.PermitLocal)
	m.Unlimit(3)
	look(3500, events.PermitRunning)
	m.Tick(10)
	look(100, events.PermitFailsafe)
}
