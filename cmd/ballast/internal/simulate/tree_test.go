// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// TestStoriesHaveTrees counts what the power trees of some hundred seeds have.
func TestStoriesHaveTrees(t *testing.T) {
	const seeds = 300
	has := map[string]int{}
	for seed := range uint64(seeds) {
		s := NewStory(seed)
		if len(s.Changes) > 0 {
			has["changes of limits"]++
		}
		if len(s.Config.Nodes) == 0 {
			has["no tree"]++
			continue
		}
		depth, metered := map[string]int{}, map[string]bool{}
		for _, m := range s.Config.Meters {
			metered[m.Node] = true
		}
		if !metered[""] {
			has["no meter at the point of connection"]++
		}
		for _, n := range inOrder(s.Config.Nodes) {
			depth[n.Node] = depth[n.Parent] + 1
			for what, so := range map[string]bool{
				"five levels": depth[n.Node] == mostDepth, "2n": n.Redundancy == events.Redundancy2N, "n+1": n.Redundancy == events.RedundancyN1,
				"cooling limits": n.CoolingLimitWatts > 0, "factors": n.ContinuousFactorPPM < 1_000_000, "reserves": n.Reserve != nil,
				"ramp limits": n.RampWattsPerSecond > 0, "nodes without meters": !metered[n.Node], "listed agents": len(n.Agents) > 0,
				"unmetered load": !metered[n.Node] && n.AINameplateWatts > 0,
			} {
				if so {
					has[what]++
				}
			}
		}
	}
	for _, what := range []string{"no tree", "changes of limits", "no meter at the point of connection", "five levels", "2n", "n+1", "cooling limits", "factors",
		"reserves", "ramp limits", "nodes without meters", "listed agents", "unmetered load"} {
		if has[what] < seeds/20 {
			t.Errorf("%s: %d times in %d seeds", what, has[what], seeds)
		}
	}
}

// TestShrinkCutsTheTree: what is left of a tree is what the failure needs.
func TestShrinkCutsTheTree(t *testing.T) {
	broken := nodes(func(n *events.NodeConfig) { n.CoolingLimitWatts = 0 })
	for seed := uint64(0); seed < mutantSeeds; seed++ {
		st := NewStory(seed)
		r, err := play(st, broken, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Violation == nil || r.Violation.Rule != RuleLimit && r.Violation.Rule != RuleHeadroom || len(st.Config.Nodes) < 4 {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		small := shrink(ctx, st, broken)
		if n := len(small.Config.Nodes); n != 1 || small.Config.Nodes[0].CoolingLimitWatts == 0 || len(small.Config.Meters) > 2 || len(small.Agents) != 1 {
			t.Errorf("seed %d: %d nodes, %d meters and %d agents are left: %+v", seed, n, len(small.Config.Meters), len(small.Agents), small.Config.Nodes)
		}
		return
	}
	t.Fatal("no seed notices that cooling limits are ignored")
}

// TestNothingIsWrongWhereNothingIs: without faults settlement books what the
// floor drew, at sites with a tree as at those without, and nobody is told that
// machines or meters are at fault.
func TestNothingIsWrongWhereNothingIs(t *testing.T) {
	for seed := range uint64(25) {
		s := NewStory(seed)
		s.Faults = nil
		w := newWorld(s, rig{}, nil)
		w.run()
		if w.violation != nil {
			t.Errorf("seed %d: %v", seed, w.violation)
		}
		for _, m := range w.bus.streams[events.StreamCommands].msgs {
			e, err := events.Decode(m.Subject, m.Header, m.Data)
			if err != nil {
				t.Fatal(err)
			}
			if a, ok := e.Data.(*events.AlertRaised); ok && a.Severity == events.SeverityCritical {
				t.Errorf("seed %d: at %s: alert %s: %s", seed, m.at, a.Alert, a.Message)
			}
		}
	}
}
