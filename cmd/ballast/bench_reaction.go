// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/latency"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/events/bus"
)

// The large site of the reaction benchmark.
const (
	reactionUnits   = 10_000
	reactionAgents  = 10
	reactionNodes   = 2_000
	reactionLowered = 3_000
)

// reactionStep is one line of the table: a percentile to be held.
type reactionStep struct {
	name string
	latency.Percentiles
	target time.Duration // of the 99th percentile; 0 for none
}

func (s *reactionStep) met() bool { return s.target == 0 || s.P99 <= s.target }

// benchReaction measures what the whole way from an input to machines takes on
// a large site.
func (a *app) benchReaction(ctx context.Context, f *benchFlags, p *printer) error {
	p.title(fmt.Sprintf("reaction: %d permit machines behind %d agents; %s, %d readings/s", reactionUnits, reactionAgents, f.durability, f.readings))
	threads := -1
	if f.hashing {
		threads = 0
	}
	run := latency.Config{Units: reactionUnits, Agents: reactionAgents, Emergency: true, Rounds: f.rounds, ReadingsPerSecond: f.readings,
		HashThreads: threads, Durability: bus.Durability(f.durability), Deciders: roles.Deciders(false), Logger: a.logger()}
	bar := a.steps("emergencies", int64(f.rounds))
	e, err := latency.Run(ctx, run, func(done, _ int) { _ = bar.Set(done) })
	_ = bar.Clear()
	if err != nil {
		return err
	}
	err = printReaction(p, "emergency signal published → all stopped", e, []reactionStep{
		{"published → stored", e.Stored, 0}, {"published → decided", e.Decided, 0}, {"published → received", e.Received, 0},
		{"published → last stopped", e.Stopped, 60 * time.Millisecond},
	})
	if err != nil {
		return err
	}
	bar = a.steps("feeder trips", int64(f.rounds))
	t, err := latency.RunTrip(ctx, latency.TripConfig{Units: reactionUnits, Agents: reactionAgents, Nodes: reactionNodes, Lowered: reactionLowered,
		Rounds: f.rounds, ReadingsPerSecond: f.readings, HashThreads: threads, Run: run}, func(done, _ int) { _ = bar.Set(done) })
	_ = bar.Clear()
	if err != nil {
		return err
	}
	return printReaction(p, fmt.Sprintf("one reading lowers %d units in a tree of %d nodes", t.Lowered, t.Nodes), t, []reactionStep{
		{"published → last curtail received", t.Received, 100 * time.Millisecond}, {"published → last stopped", t.Stopped, 100 * time.Millisecond},
		{"published → last curtail stored", t.Stored, 300 * time.Millisecond},
	})
}

func printReaction(p *printer, name string, result any, steps []reactionStep) error {
	if p.json {
		met := true
		for i := range steps {
			met = met && steps[i].met()
		}
		return p.value(map[string]any{"bench": "reaction", "case": name, "met": met, "result": result})
	}
	p.linef("  %-40s %12s %12s %12s %12s", name, "p50", "p99", "max", "p99 target")
	for i := range steps {
		s := &steps[i]
		target := ""
		if s.target > 0 {
			target = s.target.String()
		}
		p.linef("    %-38s %12s %12s %12s %12s%s", s.name, roundMillis(s.P50), roundMillis(s.P99), roundMillis(s.Max), target, missed(s.met()))
	}
	return nil
}
