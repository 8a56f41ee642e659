// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/audit"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// decisions are the stored outputs of dispatch, by cause.
type decisions map[[2]uint64][]stored

// stored is one output: its id, its type and where it stands.
type stored struct {
	id       string
	key      events.OrderKey
	sequence uint64
	arrived  time.Time
	event    *events.Event
}

// whole reads COMMANDS and fails the test unless every message is there once
// and every cause with commands has all of them, numbered from 0, and with
// them the decision that explains them. Ramps that only repeat what an agent
// missed, on a busy machine, need none.
func (s *faultSite) whole() decisions {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	all := decisions{}
	ids := map[string]uint64{}
	for e, err := range s.b.Events(ctx, events.ReadRequest{Stream: events.StreamCommands, Site: faultSiteID}) {
		var bad *events.DecodeError
		if errors.As(err, &bad) {
			s.t.Errorf("COMMANDS holds what is no event: %v", err)
			continue
		}
		if err != nil {
			s.t.Fatal(err)
		}
		first, twice := ids[e.ID]
		if twice && s.storedTwice[e.ID] {
			continue
		}
		if twice {
			s.t.Errorf("%s is stored twice: COMMANDS/%d and COMMANDS/%d", e.ID, first, e.Sequence)
		}
		ids[e.ID] = e.Sequence
		_, name, key, ok := decider.ParseMessageID(e.ID)
		if ok && name == "dispatch" {
			at := [2]uint64{key.Epoch, key.Sequence}
			all[at] = append(all[at], stored{e.ID, key, e.Sequence, e.Arrived, e})
		}
	}
	told := map[string]setpoint{}
	for _, at := range slices.SortedFunc(maps.Keys(all), func(x, y [2]uint64) int { return slices.Compare(x[:], y[:]) }) {
		outs := all[at]
		var raised int64
		var why *events.DispatchDecided
		commands, repeats := 0, 0
		for i, o := range outs {
			if int(o.key.Ordinal) != i {
				s.t.Errorf("cause %d/%d: output %d is %s: a half decision", at[0], at[1], i, o.id)
			}
			switch p := o.event.Data.(type) {
			case *events.CommandCurtail:
				commands++
				if p.AllUnitsWatts != nil {
					for unit, was := range told {
						told[unit] = setpoint{at[0], min(was.watts, *p.AllUnitsWatts)}
					}
				}
				tell(told, at[0], p.Agent, p.Units)
			case *events.CommandRamp:
				commands++
				raised += int64(len(p.Units))
				if tell(told, at[0], p.Agent, p.Units) {
					repeats++
				}
			case *events.DispatchDecided:
				why = p
			}
		}
		switch {
		case commands > repeats && why == nil:
			s.t.Errorf("cause %d/%d: %d commands of which %d repeat what got lost, and no dispatch.decided: %s", at[0], at[1], commands, repeats, outs[0].id)
		case why != nil && why.UnitsRaised > raised:
			s.t.Errorf("cause %d/%d: the decision raises %d units, the commands %d", at[0], at[1], why.UnitsRaised, raised)
		}
	}
	return all
}

// setpoint of a unit, and the epoch in which it was told so.
type setpoint struct {
	epoch uint64
	watts int64
}

// tell notes setpoints and reports whether they are what the units had been
// told already. What a unit is told first in an epoch may be a repetition of
// what was told before it, as far as the journal knows of that.
func tell(told map[string]setpoint, epoch uint64, agentID string, units []events.UnitSetpoint) (repeated bool) {
	repeated = true
	for _, u := range units {
		name := agentID + "/" + u.Unit
		if was, known := told[name]; !known || was.epoch == epoch && was.watts != u.SetpointWatts {
			repeated = false
		}
		told[name] = setpoint{epoch, u.SetpointWatts}
	}
	return repeated
}

// verify folds the journal undisturbed and compares it with what was stored.
// Outputs of which nothing is stored are waited for: on a busy machine they may
// be on their way for longer than the grace.
func (s *faultSite) verify(grace time.Duration) map[string]*audit.Report {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		out := s.verifyNow(grace)
		missing := uint64(0)
		for _, r := range out {
			missing += r.Missing.Count
		}
		if missing == 0 || time.Now().After(deadline) {
			return out
		}
		s.t.Logf("%d outputs are not stored yet: waiting for them", missing)
		s.quiet(time.Second)
	}
}

func (s *faultSite) verifyNow(grace time.Duration) map[string]*audit.Report {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	reports, err := audit.Verify(ctx, audit.Live(s.b, faultSiteID), audit.Options{Grace: grace}, roles.Deciders(false)...)
	if err != nil {
		s.t.Fatalf("verify: %v", err)
	}
	out := map[string]*audit.Report{}
	for _, r := range reports {
		out[r.Identity.Name] = r
	}
	return out
}

// identical fails the test unless what every decider said is what an
// undisturbed fold of the journal says: nothing twice, nothing missing. What was
// decided on after the fold began is not compared.
func (s *faultSite) identical(grace time.Duration) {
	s.t.Helper()
	reports := s.verify(grace)
	s.forgiveCopies()
	for name, r := range reports {
		forgiven := min(r.Copies, s.copiesOf[name])
		r.Copies, r.Stored = r.Copies-forgiven, r.Stored-forgiven
		if !r.Clean() || len(r.Lost) > 0 || r.Equal+r.Behind != r.Stored {
			s.t.Errorf("%s:\n%s", name, r)
			continue
		}
		s.t.Logf("%s: %d messages, %d outputs, all equal", name, r.Messages, r.Equal)
	}
}
