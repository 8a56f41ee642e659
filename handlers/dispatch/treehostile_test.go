// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// TestTreesThatCannotBeGiveNoPower: whatever tree a configuration describes that
// readers of events would refuse, the decider takes it for none: no unit has a
// place, somebody is told why, and the next good one puts all right.
func TestTreesThatCannotBeGiveNoPower(t *testing.T) {
	node := func(id, parent string) events.NodeConfig {
		return events.NodeConfig{Node: id, Parent: parent, LimitWatts: 1_000_000, ContinuousFactorPPM: 1_000_000}
	}
	many := make([]events.NodeConfig, MaxNodes+1)
	for i := range many {
		many[i] = node(fmt.Sprint("n", i), "")
	}
	deep := make([]events.NodeConfig, MaxNodeDepth+1)
	for i := range deep {
		if deep[i] = node(fmt.Sprint("d", i), ""); i > 0 {
			deep[i].Parent = fmt.Sprint("d", i-1)
		}
	}
	twice := []events.NodeConfig{node("a", ""), node("b", "")}
	twice[0].Agents, twice[1].Agents = []string{"rig"}, []string{"rig"}
	for name, nodes := range map[string][]events.NodeConfig{
		"too many": many, "too deep": deep, "agent twice": twice,
		"circle":         {node("rack", "a"), node("a", "b"), node("b", "a")},
		"fed by itself":  {node("rack", "rack")},
		"unknown parent": {node("rack", "nobody")},
		"id twice":       {node("rack", ""), node("rack", "")},
		"no id":          {node("", "")},
		"the root":       {node("site", "")},
		"meter nowhere":  {node("other", "")},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStranger(t)
			good := (&world{}).config()
			good.Policy.Economics = false
			good.Meters = good.Meters[:1]
			good.Nodes = []events.NodeConfig{node("rack", "")}
			n := uint64(0)
			run := func(seconds int) int64 {
				for range seconds {
					n++
					s.fold("ai", &events.MeterReading{PowerWatts: 1_000_000 + int64(n), SampledAt: s.w.at, Quality: events.QualityGood})
					u := events.UnitStatus{Unit: "rig", Healthy: true, State: events.PermitLimited}
					if n == 1 {
						u.Capabilities = &events.Capabilities{Class: "m", NameplateWatts: 3_000, LevelsWatts: []int64{3_000}, MillijoulesPerTerahash: 1, Node: "rack"}
					}
					if x := s.d.agents["rig"]; x != nil {
						u.SetpointWatts, u.PowerWatts, u.Applied = x.units[0].set, x.units[0].set, &x.units[0].key
					}
					s.fold("rig", &events.WorkerStatus{BootID: "b", Counter: n, Announce: n == 1, Units: []events.UnitStatus{u}})
					s.tick()
				}
				return s.d.agents["rig"].units[0].set
			}
			s.fold("site", good)
			if w := run(5); w != 3_000 {
				t.Fatalf("%d W in a good tree", w)
			}
			bad := *good
			bad.Nodes = nodes
			if name == "meter nowhere" {
				bad.Meters = append([]events.MeterConfig{}, good.Meters...)
				bad.Meters[0].Node = "rack"
			}
			s.fold("site", &bad)
			if w := run(5); w != 0 || s.d.site.broken == "" || !s.d.brokenAlert {
				t.Errorf("%d W in a tree that cannot be (%q)", w, s.d.site.broken)
			}
			s.fold("site", good)
			if w := run(20); w != 3_000 || s.d.brokenAlert {
				t.Errorf("%d W after it was put right", w)
			}
		})
	}
}

// TestRedundancyNobodyKnows leaves nothing usable.
func TestRedundancyNobodyKnows(t *testing.T) {
	root := newNode(events.RootNode)
	c := events.NodeConfig{Node: "a", LimitWatts: 1_000, ContinuousFactorPPM: 1_000_000, Redundancy: "3n"}
	if l := limitsOf(&c, root); l.usable != 0 {
		t.Errorf("%d W usable", l.usable)
	}
	c.Redundancy, c.Paths = events.RedundancyN1, -5
	if l := limitsOf(&c, root); l.usable != 0 {
		t.Errorf("%d W usable with %d paths", l.usable, c.Paths)
	}
}

// TestManySilentMeters: alerts about them are bounded, come in the order of the
// configuration, and end when the meters are heard.
func TestManySilentMeters(t *testing.T) {
	s := newStranger(t)
	c := (&world{}).config()
	for i := range 100 {
		c.Nodes = append(c.Nodes, events.NodeConfig{Node: fmt.Sprint("n", i), LimitWatts: 1_000_000, ContinuousFactorPPM: 1_000_000})
		c.Meters = append(c.Meters, events.MeterConfig{Meter: fmt.Sprint("m", i), Node: fmt.Sprint("n", i), Measures: events.MeasuresAI,
			PeriodMilliseconds: 1_000, StaleMilliseconds: 5_000, MaxWatts: 1_000_000})
	}
	c.Meters = c.Meters[3:]
	open, shared := map[string]bool{}, false
	note := func() {
		for _, o := range s.out.Outputs() {
			switch a := o.Data.(type) {
			case *events.AlertRaised:
				if open[a.Alert] {
					t.Errorf("%s is raised twice", a.Alert)
				}
				open[a.Alert] = true
				shared = shared || a.Alert == "meter-stale/many"
			case *events.AlertCleared:
				if !open[a.Alert] {
					t.Errorf("%s is cleared but not raised", a.Alert)
				}
				delete(open, a.Alert)
			}
		}
	}
	s.fold("site", c)
	note()
	for range 10 {
		s.tick()
		note()
	}
	if len(open) != maxOpenAlerts+1 || !shared {
		t.Fatalf("%d alerts are open", len(open))
	}
	for i := range maxOpenAlerts {
		if !open[fmt.Sprint("meter-stale/m", i)] {
			t.Errorf("meter %d is not named", i)
		}
	}
	for second := range 3 {
		for i := range 100 {
			s.fold(fmt.Sprint("m", i), &events.MeterReading{PowerWatts: 1_000 + int64(second), SampledAt: s.w.at.Add(-time.Millisecond), Quality: events.QualityGood})
			note()
		}
		s.tick()
		note()
	}
	for a := range open {
		if strings.HasPrefix(a, alarmMeter) {
			t.Errorf("%s is still open", a)
		}
	}
}
