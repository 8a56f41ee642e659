// SPDX-License-Identifier: Apache-2.0

// Package decidertest has a decider for tests of whatever runs deciders: small
// enough to foretell its outputs, with every kind of output a real one has.
//
// # Concurrency
//
// As package decider says: one goroutine per decider.
package decidertest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Name of the toy.
const Name = "toy"

// Toy adds up what meters read and
//
//   - ramps one agent after a reading of an even number of watts, with a
//     decision; power_watts mod 5 says how many units more;
//   - curtails it after a reading below 1,000 W;
//   - settles energy after every reading divisible by 7;
//   - renews after every tick, without storing.
//
// A grid signal is counted, whatever it says.
type Toy struct {
	version string
	s       state
	// Broken, when not 0, spoils the state at that many events: a replica
	// whose memory is bad.
	Broken uint64
	// Wide is how many agents a ramp goes to; 0 means 1.
	Wide int
}

type state struct {
	Events  uint64 `json:"events"`
	Watts   int64  `json:"watts"`
	Signals int64  `json:"signals"`
}

// New returns a toy of that version.
func New(version string) *Toy { return &Toy{version: version} }

// Identity implements decider.Decider.
func (t *Toy) Identity() decider.Identity {
	return decider.Identity{Name: Name, Version: t.version, ConfigHash: "00000000000000aa"}
}

// Fold implements decider.Decider.
func (t *Toy) Fold(e *events.Event, out *decider.Outbox) {
	t.s.Events++
	if t.s.Events == t.Broken {
		t.s.Watts++
	}
	switch p := e.Data.(type) {
	case *events.GridSignal:
		t.s.Signals++
		t.decided(e, out)
	case *events.ClockTick:
		out.Send("agent", &events.PermitRenewed{
			Decider: Name, Key: out.Key(), BootID: "boot", Counter: 1, LeaseMilliseconds: 12000, Units: t.units(1),
		})
	case *events.MeterReading:
		t.s.Watts += p.PowerWatts
		switch {
		case p.PowerWatts < 1000:
			out.Put("agent", &events.CommandCurtail{
				Decider: Name, Key: out.Key(), Agent: "agent", Units: t.units(1), Reason: events.ReasonHeadroom,
				IssuedAt: e.Arrived, ValidUntil: e.Arrived.Add(time.Minute),
			})
			t.decided(e, out)
		case p.PowerWatts%2 == 0:
			for i := range max(t.Wide, 1) {
				out.Put(fmt.Sprintf("agent-%d", i), &events.CommandRamp{
					Decider: Name, Key: out.Key(), Agent: fmt.Sprintf("agent-%d", i), BootID: "boot", Counter: 1, LeaseMilliseconds: 12000,
					Units: t.units(1 + int(p.PowerWatts%5)), Reason: events.ReasonAvailable,
					IssuedAt: e.Arrived, ValidUntil: e.Arrived.Add(time.Minute),
				})
			}
			t.decided(e, out)
		}
		if p.PowerWatts%7 == 0 {
			out.Put(events.SiteSource, &events.EnergySettled{
				IntervalStart: time.Unix(0, 0).UTC(), IntervalEnd: time.Unix(300, 0).UTC(),
				ContractedMilliwattHours: p.PowerWatts, UnusedMilliwattHours: p.PowerWatts, Key: out.Key(),
			})
		}
	}
}

func (t *Toy) units(n int) []events.UnitSetpoint {
	u := make([]events.UnitSetpoint, n)
	for i := range u {
		u[i] = events.UnitSetpoint{Unit: fmt.Sprintf("unit-%d", i), SetpointWatts: t.s.Watts % 1_000_000}
	}
	return u
}

func (t *Toy) decided(e *events.Event, out *decider.Outbox) {
	out.Put(events.SiteSource, &events.DispatchDecided{
		Key: out.Key(), CauseID: e.ID, CauseType: e.Type, Version: t.version, ConfigHash: t.Identity().ConfigHash,
		Binding: events.ReasonAvailable, AIWatts: t.s.Watts % 1_000_000, UnitsKnown: t.s.Signals,
	})
}

// StateHash implements decider.Decider.
func (t *Toy) StateHash() uint64 {
	h := fnv.New64a()
	b := binary.BigEndian.AppendUint64(nil, t.s.Events)
	b = binary.BigEndian.AppendUint64(b, uint64(t.s.Watts))
	h.Write(binary.BigEndian.AppendUint64(b, uint64(t.s.Signals)))
	return h.Sum64()
}

// Snapshot implements decider.Decider.
func (t *Toy) Snapshot() ([]byte, error) { return json.Marshal(&t.s) }

// Restore implements decider.Decider.
func (t *Toy) Restore(b []byte) error { return json.Unmarshal(b, &t.s) }
