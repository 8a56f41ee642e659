// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// maxLength of a story.
const maxLength = 24 * time.Hour

// Check says what is wrong with a story, all of it at once.
func (s *Story) Check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Length <= 0 || s.Length > maxLength {
		bad("a length of %s: more than 0s and at most %s", s.Length, maxLength)
	}
	if len(s.Hosts) == 0 {
		bad("no host: nobody decides")
	}
	if err := s.Config.Validate(); err != nil {
		bad("config: %w", err)
	}
	known := map[string]bool{TheBus: true, Everything: true}
	name := func(what, id string) {
		if err := events.CheckToken(what, id); err != nil {
			errs = append(errs, err)
		}
		if known[id] {
			bad("%s %q: there is one of that name already", what, id)
		}
		known[id] = true
	}
	for _, h := range s.Hosts {
		name("host", h.Name)
	}
	var units []string
	for _, a := range s.Agents {
		name("worker", a.Name)
		if a.Caps.Node != "" && a.Caps.Node != events.RootNode && !s.hasNode(a.Caps.Node) {
			bad("worker %s hangs at %q, which is no node", a.Name, a.Caps.Node)
		}
		if a.Units < 1 || a.Units > 500 {
			bad("worker %s has %d units: 1 to 500", a.Name, a.Units)
			continue
		}
		for n := range a.Units {
			units = append(units, fmt.Sprintf("%s-%d", a.Name, n+1))
		}
	}
	var meters []string
	for i := range s.Config.Meters {
		name("meter", s.Config.Meters[i].Meter)
		meters = append(meters, s.Config.Meters[i].Meter)
	}
	for i := range s.Config.Outlets {
		if c := s.Config.Outlets[i].Controller; !known[c] || !s.controls(c) {
			name("controller", c)
		}
	}
	for i := range s.Switches {
		if o := &s.Switches[i]; !s.hasOutlet(o.Outlet) {
			bad("%s: there is no such outlet", o)
		}
	}
	s.checkNodes(bad)
	for i := range s.Signals {
		if err := s.Signals[i].Grid.Validate(); err != nil {
			bad("signal at %s: %w", s.Signals[i].At, err)
		}
	}
	for i := range s.Jobs {
		j := &s.Jobs[i]
		if err := j.Says.Validate(); err != nil {
			bad("job at %s: %w", j.At, err)
		}
		if j.In > 0 && j.Says.State != events.JobAnnounced && j.Says.State != events.JobPaused {
			bad("job at %s: only an announced or a paused job starts in a while", j.At)
		}
	}
	for i := range s.Faults {
		f := &s.Faults[i]
		if f.Until < f.At {
			bad("%s: it ends before it begins", f)
		}
		ok := known[f.Who]
		switch f.Kind {
		case FaultIgnores:
			ok = slices.Contains(units, f.Who)
		case FaultSilent, FaultFrozen, FaultNaN, FaultNegative, FaultThousand, FaultTimes, FaultSkewed:
			ok = slices.Contains(meters, f.Who)
		case FaultIdle, FaultUnable:
			ok = s.controls(f.Who)
		case FaultOrphan:
			ok = slices.ContainsFunc(s.Agents, func(a Agent) bool { return a.Name == f.Who })
		case FaultActivate:
			ok = slices.ContainsFunc(s.Hosts, func(h Host) bool { return h.Name == f.Who })
		case FaultLoses, FaultRepeats, FaultDelays, FaultMixes, FaultCutOff, FaultHeldUp:
			ok = ok && f.Who != TheBus && f.Who != Everything
		case FaultCrash:
			ok = ok && f.Who != Everything && !slices.Contains(meters, f.Who) && !s.controls(f.Who)
		case FaultClock:
			ok = ok && !slices.Contains(meters, f.Who) && !s.controls(f.Who)
		}
		if !ok {
			bad("%s: there is no such %q to which that can happen", f, f.Who)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("story: %w", err)
	}
	return nil
}

func (s *Story) hasOutlet(id string) bool {
	return slices.ContainsFunc(s.Config.Outlets, func(o events.OutletConfig) bool { return o.Outlet == id })
}

func (s *Story) hasNode(id string) bool {
	return slices.ContainsFunc(s.Config.Nodes, func(n events.NodeConfig) bool { return n.Node == id })
}

// checkNodes checks what happens at nodes.
func (s *Story) checkNodes(bad func(format string, args ...any)) {
	at := func(node string, format string, args ...any) {
		if node != "" && !s.hasNode(node) {
			bad("%s: there is no node %q", fmt.Sprintf(format, args...), node)
		}
	}
	for _, l := range s.Load {
		at(l.Node, "ai load at %s", l.At)
	}
	for i := range s.Signals {
		at(s.Signals[i].Grid.Node, "signal at %s", s.Signals[i].At)
	}
	for i := range s.Jobs {
		at(s.Jobs[i].Says.Node, "job at %s", s.Jobs[i].At)
	}
	for _, h := range s.House {
		at(h.Node, "house load")
	}
	for i := range s.Changes {
		c := &s.Changes[i]
		at(c.Node, "%s", c)
		cfg := s.Config
		cfg.Nodes = slices.Clone(cfg.Nodes)
		c.apply(&cfg)
		if err := cfg.Validate(); err != nil {
			bad("%s: %w", c, err)
		}
		if c.Node == "" && c.What != LimitRating {
			bad("%s: the point of connection has a limit only", c)
		}
	}
}
