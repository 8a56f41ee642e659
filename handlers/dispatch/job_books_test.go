// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

// TestJobMetersThatSeeTheSame: two meters of one group, or one above the other,
// do not add up to the draw of a job: less would be kept free for it than it
// may want.
func TestJobMetersThatSeeTheSame(t *testing.T) {
	for name, tt := range map[string]struct {
		group  string
		node   string
		meters []string
		gap    int64
	}{
		"one":       {meters: []string{"ai"}, gap: 6_000_000},
		"one group": {group: "ai", meters: []string{"ai", "twin"}, gap: 10_000_000},
		"nested":    {node: "row", meters: []string{"ai", "twin"}, gap: 10_000_000},
		"apart":     {meters: []string{"ai", "twin"}, gap: 2_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStranger(t)
			c := (&world{}).config()
			c.LimitWatts, c.Reserve.Jobs = 40_000_000, true
			c.Nodes = []events.NodeConfig{{Node: "row", LimitWatts: 40_000_000, ContinuousFactorPPM: 1_000_000}}
			c.Meters[0].Group = tt.group
			twin := c.Meters[0]
			twin.Meter, twin.Node = "twin", tt.node
			c.Meters = append(c.Meters, twin)
			s.fold("site", c)
			for _, id := range []string{"ai", "twin"} {
				s.fold(id, &events.MeterReading{PowerWatts: 4_000_000, Quality: events.QualityGood, SampledAt: s.w.at})
			}
			s.fold("scheduler", &events.AIJob{JobID: "j", State: events.JobRunning, PeakWatts: 10_000_000, Meters: tt.meters})
			if j := s.d.jobs.list[0]; j.gap != tt.gap {
				t.Errorf("%d W are kept free for the job, not %d", j.gap, tt.gap)
			}
		})
	}
}

// TestCrowdTakesNothing: a job beyond what one site holds leaves the meters of
// those that are known, and no alert that nobody could clear.
func TestCrowdTakesNothing(t *testing.T) {
	s := newStranger(t)
	c := (&world{}).config()
	c.Reserve.Jobs = true
	s.fold("site", c)
	s.fold("scheduler", &events.AIJob{JobID: "first", State: events.JobRunning, PeakWatts: 1_000, Meters: []string{"ai"}})
	for i := range MaxJobs - 1 {
		e := s.w.event("scheduler", &events.AIJob{JobID: fmt.Sprint("j", i), State: events.JobRunning, PeakWatts: 1})
		s.out.Begin(e)
		s.d.Fold(e, &s.out)
	}
	s.fold("scheduler", &events.AIJob{JobID: "late", State: events.JobRunning, PeakWatts: 1_000, Meters: []string{"ai"}})
	s.fold("scheduler", &events.AIJob{JobID: "lost", State: events.JobRunning, PeakWatts: 1_000, Meters: []string{"nobody"}})
	if s.d.jobs.crowd != 2_000 {
		t.Errorf("%d W are kept free for the crowd", s.d.jobs.crowd)
	}
	if m := s.d.site.byID["ai"]; m.job == nil || m.job.ID != "first" {
		t.Error("a job that is not known one by one has taken a meter")
	}
	if n := s.d.alarms.Jobs.Open; n != 1 {
		t.Errorf("%d alerts about jobs are open, not that of the crowd alone", n)
	}
}

// TestLongerSpanForgetsNoRise: a slower unit that joins makes the span longer in
// which rises are learned. Until those are known the reserve is no lower than
// what was learned before.
func TestLongerSpanForgetsNoRise(t *testing.T) {
	r := rise{End: -1}
	r.reset(8*second, 900_000)
	now := int64(0)
	push := func(spans int64) {
		for end := now + spans*r.Span; now < end; now += second / 2 {
			r.push(now, 1_000_000+now/second%7*500_000)
		}
	}
	push(60)
	learned := r.Watts
	if !r.learned() || learned < 2_000_000 {
		t.Fatalf("%d W learned", learned)
	}
	r.reset(600*second, 900_000)
	if r.learned() || r.Watts < learned {
		t.Fatalf("%d W were learned, %d are left", learned, r.Watts)
	}
	before := r.hash()
	for end := now + 300*second; now < end; now += second / 2 {
		r.push(now, 1_000_000)
	}
	if r.Watts < learned || r.hash() == before {
		t.Fatalf("%d W were learned, %d are left", learned, r.Watts)
	}
	for range 200 {
		for end := now + r.Span; now < end; now += 10 * second {
			r.push(now, 1_000_000)
		}
	}
	if !r.learned() || r.Watts != 0 {
		t.Errorf("%d W are kept of what no longer rises", r.Watts)
	}
}

// TestMissingDrawCountsAbove: draw that should have ended at a node is weighed at
// every node above it in the same fold.
func TestMissingDrawCountsAbove(t *testing.T) {
	s := newStranger(t)
	c := (&world{}).config()
	c.Nodes = []events.NodeConfig{{Node: "row", LimitWatts: 9_000_000, ContinuousFactorPPM: 1_000_000}}
	c.Meters[2].Node = "row"
	s.fold("site", c)
	row := s.d.site.nodeByID["row"]
	row.watch = &witness{node: row, missing: 700_000}
	s.d.weigh(row)
	if s.d.shed(); row.stray != 700_000 || s.d.root.strayBelow != 700_000 || s.d.root.stray != 700_000 {
		t.Errorf("stray is %d W at the node, %d W above it", row.stray, s.d.root.stray)
	}
	// A configuration without the node leaves nothing of it to be looked at.
	s.d.shed()
	was := s.d.nodes[1]
	s.fold("site", (&world{}).config())
	was.missing = 1
	if s.d.weigh(was); was.dirty || len(s.d.dirty) != 0 {
		t.Error("a node of the old tree is looked at")
	}
}
