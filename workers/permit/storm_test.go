// SPDX-License-Identifier: Apache-2.0

package permit

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// A storm is a panel in a bad network: messages are made in order, and
// delivered late, twice, out of order or never. The oracle keeps its own,
// simpler account of what may be drawn.
type storm struct {
	t      testing.TB
	in     source
	p      *Panel
	now    Instant
	seq    uint64
	sent   []Instant // by counter − 1
	sentBy []any     // every message made so far
	log    []string  // states after every input
	oracle [units]oracle
}

const units = 3

// oracle knows, of one unit, what the rules say without the machine's detail.
type oracle struct {
	alive   Instant // no delivered grant reaches beyond this
	local   int64
	newest  events.OrderKey // newest command delivered
	ceiling int64           // lowest curtail delivered at or after the newest ramp delivered
}

// source of choices: seeded or fuzzed.
type source interface{ choose(n int) int }

type seeded struct{ *rand.Rand }

func (s seeded) choose(n int) int { return s.IntN(n) }

type fuzzed struct{ data []byte }

func (f *fuzzed) choose(n int) int {
	if len(f.data) == 0 {
		return 0
	}
	b := f.data[0]
	f.data = f.data[1:]
	return int(b) % n
}

func newStorm(t testing.TB, in source) *storm {
	specs := make([]Spec, units)
	for i := range specs {
		specs[i] = Spec{Unit: fmt.Sprint("u", i), FullWatts: full, FailsafeWatts: failsafe}
	}
	p, err := NewPanel(Config{Agent: "rig", Boot: "boot", MaxLease: 15 * time.Second}, specs)
	if err != nil {
		t.Fatal(err)
	}
	s := &storm{t: t, in: in, p: p}
	for i := range s.oracle {
		s.oracle[i].local, s.oracle[i].ceiling = unlimited, unlimited
	}
	return s
}

func (s *storm) wall() time.Time { return midnight.Add(time.Duration(s.now)) }

func (s *storm) watts() int64 {
	return []int64{0, 50, failsafe, 900, 2000, full, full + 1}[s.in.choose(7)]
}

func (s *storm) somebody() []string {
	var out []string
	for i := range units {
		if s.in.choose(3) > 0 {
			out = append(out, fmt.Sprint("u", i))
		}
	}
	return out
}

// counter of a status: mostly the newest, sometimes an old one or nonsense.
func (s *storm) counter() uint64 {
	switch n := len(s.sent); s.in.choose(6) {
	case 0:
		return uint64(s.in.choose(n + 3))
	case 1:
		return uint64(max(n-3, 0))
	default:
		return uint64(n)
	}
}

func (s *storm) boot() string {
	if s.in.choose(12) == 0 {
		return "another"
	}
	return "boot"
}

// message makes a new one, in the order of its key.
func (s *storm) message() any {
	s.seq += uint64(s.in.choose(3)) // sometimes the same cause twice
	k := events.OrderKey{Epoch: 1 + s.seq/40, Sequence: s.seq, Ordinal: uint32(len(s.sentBy))}
	switch s.in.choose(5) {
	case 0:
		c := &events.CommandCurtail{Decider: "dispatch", Key: k, Units: setpoints(s.watts(), s.somebody()...)}
		if s.in.choose(4) == 0 {
			w := s.watts()
			c.Units, c.AllUnitsWatts = nil, &w
		}
		return c
	case 1, 2:
		return &events.PermitRenewed{
			Decider: "dispatch", Key: k, BootID: s.boot(), Counter: s.counter(), LeaseMilliseconds: 12000,
			Units: setpoints(s.watts(), "u0", "u1", "u2"),
		}
	default:
		return &events.CommandRamp{
			Decider: "dispatch", Key: k, Agent: "rig", BootID: s.boot(), Counter: s.counter(), LeaseMilliseconds: 12000,
			Units: setpoints(s.watts(), s.somebody()...), ValidUntil: s.wall().Add(time.Duration(s.in.choose(8)) * time.Second),
		}
	}
}

// step does one random thing and checks every rule.
func (s *storm) step() {
	var before [units]int64
	for i := range before {
		before[i] = s.p.Setpoint(i)
	}
	mayRaise := map[int]bool{}
	var what string
	switch s.in.choose(10) {
	case 0: // time passes, nobody ticks
		s.now += Instant(s.in.choose(4000)) * Instant(time.Millisecond)
		return
	case 1:
		s.now += Instant(s.in.choose(4000)) * Instant(time.Millisecond)
		s.p.Tick(s.now)
		what = "tick"
	case 2:
		all := []int{0, 1, 2}
		s.sent = append(s.sent, s.now)
		if got := s.p.Send(s.now, all); got != uint64(len(s.sent)) {
			s.t.Fatalf("counter %d, want %d", got, len(s.sent))
		}
		what = "status"
	case 3:
		i := s.in.choose(units)
		if s.in.choose(2) == 0 {
			s.oracle[i].local = s.watts()
			s.p.Limit(s.now, i, s.oracle[i].local)
		} else {
			s.oracle[i].local = unlimited
			s.p.Unlimit(s.now, i)
		}
		mayRaise[i] = true // by a person, up to what is permitted
		what = "local"
	case 4, 5, 6:
		m := s.message()
		s.sentBy = append(s.sentBy, m)
		if s.in.choose(3) == 0 {
			return // lost, for now
		}
		what = s.deliver(m, true, mayRaise)
	default:
		if len(s.sentBy) == 0 {
			return
		}
		// Anything said before may come again, at any time.
		what = s.deliver(s.sentBy[s.in.choose(len(s.sentBy))], s.in.choose(4) > 0, mayRaise)
	}
	s.p.Tick(s.now)
	for i := range units {
		o, watts := &s.oracle[i], s.p.Setpoint(i)
		if watts > before[i] && !mayRaise[i] {
			s.t.Fatalf("%s raised unit %d from %d to %d W", what, i, before[i], watts)
		}
		if watts > failsafe && s.now >= o.alive {
			s.t.Fatalf("%s: unit %d draws %d W at %d without a live lease (the last ended at %d)", what, i, watts, s.now, o.alive)
		}
		if watts > o.local || watts > o.ceiling {
			s.t.Fatalf("%s: unit %d draws %d W above its limits: local %d, curtailed %d", what, i, watts, o.local, o.ceiling)
		}
		if watts < 0 || watts > full {
			s.t.Fatalf("%s: unit %d draws %d W", what, i, watts)
		}
		s.log = append(s.log, fmt.Sprint(what, i, watts, s.p.Machine(i).State()))
	}
}

// deliver hands a message to the panel and books it with the oracles.
func (s *storm) deliver(m any, stored bool, mayRaise map[int]bool) string {
	lease := func(boot string, counter uint64) Instant {
		if boot != "boot" || counter == 0 || counter > uint64(len(s.sent)) {
			return 0
		}
		return s.sent[counter-1].Add(12 * time.Second)
	}
	each := func(list []events.UnitSetpoint, f func(o *oracle, i int, watts int64)) {
		for _, u := range list {
			i := int(u.Unit[1] - '0')
			f(&s.oracle[i], i, u.SetpointWatts)
		}
	}
	switch m := m.(type) {
	case *events.CommandCurtail:
		list := m.Units
		if m.AllUnitsWatts != nil {
			list = setpoints(*m.AllUnitsWatts, "u0", "u1", "u2")
		}
		each(list, func(o *oracle, _ int, watts int64) {
			if m.Key.Compare(o.newest) > 0 {
				o.newest, o.ceiling = m.Key, min(o.ceiling, watts)
			}
		})
		s.p.Curtail(s.now, m)
		return "curtail"
	case *events.PermitRenewed:
		end := lease(m.BootID, m.Counter)
		each(m.Units, func(o *oracle, _ int, _ int64) {
			if s.now < o.alive { // no lease, nothing to prolong
				o.alive = max(o.alive, end)
			}
		})
		s.p.Renew(s.now, m)
		return "renewal"
	case *events.CommandRamp:
		end := lease(m.BootID, m.Counter)
		good := stored && end > s.now && !s.wall().After(m.ValidUntil)
		each(m.Units, func(o *oracle, i int, watts int64) {
			if !good || m.Key.Compare(o.newest) <= 0 {
				return
			}
			o.newest, o.ceiling = m.Key, watts
			o.alive = max(o.alive, end)
			mayRaise[i] = true
		})
		s.p.Ramp(s.now, s.wall(), stored, m)
		return "ramp"
	}
	panic("no such message")
}

func TestStorm(t *testing.T) {
	runs := 3000
	if testing.Short() {
		runs = 300
	}
	powered := 0
	for seed := range runs {
		s := newStorm(t, seeded{rand.New(rand.NewPCG(uint64(seed), 1))})
		for range 300 {
			s.step()
			if s.p.Setpoint(0) > failsafe {
				powered++
			}
		}
	}
	if powered < runs {
		t.Fatalf("only %d steps with power: the storm proves nothing", powered)
	}
}

func TestStormReplaysTheSame(t *testing.T) {
	run := func() []string {
		s := newStorm(t, seeded{rand.New(rand.NewPCG(7, 7))})
		for range 2000 {
			s.step()
		}
		return s.log
	}
	if first, second := run(), run(); !reflect.DeepEqual(first, second) {
		t.Fatal("the same inputs gave other states")
	}
}

func FuzzStorm(f *testing.F) {
	f.Add([]byte{2, 4, 0, 0, 3, 1, 2, 4, 3, 5, 1, 1, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &fuzzed{data: data}
		s := newStorm(t, in)
		for len(in.data) > 0 {
			s.step()
		}
	})
}
