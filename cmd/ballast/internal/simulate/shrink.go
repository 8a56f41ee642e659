// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"slices"
	"time"
)

// Shrink makes a failing story shorter: fewer faults, signals, jobs, changes,
// steps of the load, units, agents, hosts, nodes and meters, shorter faults, an
// earlier end. What it returns breaks the same rule, and nothing more can be taken
// from it by one of these steps. It returns the story as it is when it breaks
// none. With the end of ctx it returns the shortest story found so far.
func Shrink(ctx context.Context, st *Story) *Story { return shrink(ctx, st, rig{}) }

func shrink(ctx context.Context, st *Story, g rig) *Story {
	r, err := play(st, g, nil)
	if err != nil || r.Violation == nil {
		return st
	}
	s := &shrinker{ctx: ctx, rig: g, rule: r.Violation.Rule, best: st.clone()}
	s.end(r.Violation.At)
	for again := true; again && ctx.Err() == nil; {
		again = false
		for _, pass := range []func() bool{s.dropFaults, s.dropSignals, s.dropJobs, s.dropChanges, s.dropLoad, s.dropAgents, s.dropUnits, s.dropHosts,
			s.dropNodes, s.dropMeters, s.dropOutlets, s.plain, s.shorten, s.round} {
			again = pass() || again
		}
	}
	s.best.Faults = slices.Clip(s.best.Faults)
	return s.best
}

type shrinker struct {
	ctx  context.Context
	rig  rig
	rule Rule
	best *Story
}

// clone copies what shrinking changes.
func (s *Story) clone() *Story {
	c := *s
	c.Hosts, c.Agents, c.Load = slices.Clone(s.Hosts), slices.Clone(s.Agents), slices.Clone(s.Load)
	c.Signals, c.Faults = slices.Clone(s.Signals), slices.Clone(s.Faults)
	c.Jobs, c.Switches = slices.Clone(s.Jobs), slices.Clone(s.Switches)
	c.House, c.Changes = slices.Clone(s.House), slices.Clone(s.Changes)
	c.Config.Nodes, c.Config.Meters, c.Config.Outlets = slices.Clone(s.Config.Nodes), slices.Clone(s.Config.Meters), slices.Clone(s.Config.Outlets)
	return &c
}

// try keeps a changed story if it still breaks the rule.
func (s *shrinker) try(change func(c *Story)) bool {
	if s.ctx.Err() != nil {
		return false
	}
	c := s.best.clone()
	change(c)
	if !c.honest() {
		return false
	}
	r, err := play(c, s.rig, nil)
	if err != nil || r.Violation == nil || r.Violation.Rule != s.rule {
		return false
	}
	s.best = c
	s.end(r.Violation.At)
	return true
}

// end cuts the story off behind the violation, where that keeps it.
func (s *shrinker) end(at time.Duration) {
	length := at.Truncate(time.Second) + 2*time.Second
	if length >= s.best.Length {
		return
	}
	c := s.best.clone()
	c.Length = length
	c.Faults = slices.DeleteFunc(c.Faults, func(f Fault) bool { return f.At > length })
	c.Signals = slices.DeleteFunc(c.Signals, func(g Signal) bool { return g.At > length })
	c.Jobs = slices.DeleteFunc(c.Jobs, func(j Job) bool { return j.At > length })
	c.Switches = slices.DeleteFunc(c.Switches, func(o Switch) bool { return o.At > length })
	c.Load = slices.DeleteFunc(c.Load, func(l Step) bool { return l.At > length })
	c.Changes = slices.DeleteFunc(c.Changes, func(g Change) bool { return g.At > length })
	if r, err := play(c, s.rig, nil); err == nil && r.Violation != nil && r.Violation.Rule == s.rule {
		s.best = c
	}
}

// each tries to leave out every element of a list, the last one first.
func (s *shrinker) each(n func() int, drop func(c *Story, i int)) (any bool) {
	for i := n() - 1; i >= 0; i-- {
		if i < n() && s.try(func(c *Story) { drop(c, i) }) {
			any = true
		}
	}
	return any
}

func (s *shrinker) dropFaults() bool {
	if len(s.best.Faults) > 1 && s.try(func(c *Story) { c.Faults = nil }) {
		return true
	}
	return s.each(func() int { return len(s.best.Faults) }, func(c *Story, i int) { c.Faults = slices.Delete(c.Faults, i, i+1) })
}

func (s *shrinker) dropSignals() bool {
	return s.each(func() int { return len(s.best.Signals) }, func(c *Story, i int) { c.Signals = slices.Delete(c.Signals, i, i+1) })
}

func (s *shrinker) dropJobs() bool {
	return s.each(func() int { return len(s.best.Jobs) }, func(c *Story, i int) { c.Jobs = slices.Delete(c.Jobs, i, i+1) })
}

func (s *shrinker) dropLoad() bool {
	return s.each(func() int { return len(s.best.Load) }, func(c *Story, i int) { c.Load = slices.Delete(c.Load, i, i+1) })
}

func (s *shrinker) dropAgents() bool {
	return s.each(func() int { return len(s.best.Agents) }, func(c *Story, i int) { c.Agents = slices.Delete(c.Agents, i, i+1) })
}

func (s *shrinker) dropUnits() bool {
	return s.each(func() int { return len(s.best.Agents) }, func(c *Story, i int) {
		c.Agents[i].Units = max(c.Agents[i].Units/2, 1)
		if c.Agents[i].Units == s.best.Agents[i].Units {
			c.Length = 0 // nothing gained: not a story
		}
	})
}

func (s *shrinker) dropHosts() bool {
	return s.each(func() int { return len(s.best.Hosts) - 1 }, func(c *Story, i int) { c.Hosts = slices.Delete(c.Hosts, i+1, i+2) })
}

// shorten halves the time of every fault.
func (s *shrinker) shorten() bool {
	return s.each(func() int { return len(s.best.Faults) }, func(c *Story, i int) {
		f := &c.Faults[i]
		half := ((f.Until - f.At) / 2).Truncate(100 * time.Millisecond)
		if half < 100*time.Millisecond {
			c.Length = 0
		}
		f.Until = f.At + half
	})
}

// round moves what happens to whole seconds, for the reader.
func (s *shrinker) round() (any bool) {
	for i := range s.best.Faults {
		f := s.best.Faults[i]
		if f.At%time.Second == 0 && f.Until%time.Second == 0 {
			continue
		}
		if s.try(func(c *Story) {
			c.Faults[i].At, c.Faults[i].Until = f.At.Truncate(time.Second), f.Until.Truncate(time.Second)
		}) {
			any = true
		}
	}
	for i := range s.best.Load {
		if l := s.best.Load[i]; l.At%time.Second != 0 && s.try(func(c *Story) { c.Load[i].At = l.At.Truncate(time.Second) }) {
			any = true
		}
	}
	return any
}
