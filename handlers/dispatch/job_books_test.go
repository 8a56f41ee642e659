// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"strings"
	"testing"
	"time"

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

// rows is a site with two rows, each with an AI meter, one of them with a PDU
// that has its own.
func rows(t *testing.T) *stranger {
	s := newStranger(t)
	c := (&world{}).config()
	c.LimitWatts, c.Reserve = 60_000_000, events.ReserveConfig{Jobs: true, JobLearnSeconds: 600}
	node := func(id, parent string) events.NodeConfig {
		return events.NodeConfig{Node: id, Parent: parent, LimitWatts: 40_000_000, ContinuousFactorPPM: 1_000_000, Reserve: &c.Reserve}
	}
	c.Nodes = []events.NodeConfig{node("row-1", ""), node("pdu", "row-1"), node("row-2", "")}
	ai := c.Meters[0]
	c.Meters = nil
	for _, m := range [][3]string{{"m1", "row-1"}, {"m1-twin", "row-1"}, {"mp", "pdu"}, {"m2", "row-2"}} {
		ai.Meter, ai.Node, ai.Group = m[0], m[1], ""
		if m[1] == "row-1" {
			ai.Group = "both"
		}
		c.Meters = append(c.Meters, ai)
	}
	s.fold("site", c)
	return s
}

// second lets a second pass in which the meters read what is given, kW.
func (s *stranger) second(m1, mp, m2 int64) {
	s.Helper()
	s.tick()
	for _, r := range []struct {
		id string
		kw int64
	}{{"m1", m1}, {"m1-twin", m1}, {"mp", mp}, {"m2", m2}} {
		s.fold(r.id, &events.MeterReading{PowerWatts: r.kw * 1_000, Quality: events.QualityGood, SampledAt: s.w.at})
	}
}

func (s *stranger) booked(node string) int64 { return s.d.site.nodeByID[node].load.Terms.JobsWatts }

// TestJobsThatSeeEachOther: two jobs whose meters see the same load count as
// jobs without meters, whoever spoke first or last, until one of them is over.
func TestJobsThatSeeEachOther(t *testing.T) {
	for name, meters := range map[string][2]string{"same": {"m1", "m1"}, "group": {"m1", "m1-twin"}, "above": {"m1", "mp"}, "beneath": {"mp", "m1"}} {
		t.Run(name, func(t *testing.T) {
			s := rows(t)
			s.second(8_000, 4_000, 0)
			alerts := []string{}
			say := func(i int) {
				s.fold("slurm", &events.AIJob{JobID: fmt.Sprint("j", i), State: events.JobRunning, PeakWatts: 10_000_000, Meters: meters[i : i+1]})
				for _, o := range s.out.Outputs() {
					if a, ok := o.Data.(*events.AlertRaised); ok {
						alerts = append(alerts, a.Alert+" "+a.Message)
					}
				}
			}
			say(0)
			alone := s.booked("site")
			for i := range 6 {
				say((i + 1) % 2)
				if got := s.booked("site"); got != 20_000_000 {
					t.Fatalf("%d W are kept free, not the peak of both", got)
				}
			}
			if len(alerts) != 2 {
				t.Errorf("alerts %q", alerts)
			}
			for _, a := range alerts {
				if !strings.Contains(a, "slurm/j0") || !strings.Contains(a, "slurm/j1") {
					t.Errorf("the alert %q does not name both", a)
				}
			}
			s.fold("slurm", &events.AIJob{JobID: "j1", State: events.JobEnded})
			for range 20 {
				s.second(8_000, 4_000, 0)
			}
			if got := s.booked("site"); got != alone || s.d.alarms.Jobs.Open != 0 {
				t.Errorf("%d W are kept free and %d alerts open when one of them is over", got, s.d.alarms.Jobs.Open)
			}
		})
	}
}

// TestJobThatMoves: that a job is said to be at another node frees nothing where
// it was, until the meters there show it.
func TestJobThatMoves(t *testing.T) {
	s := rows(t)
	s.second(6_000, 0, 1_000)
	move := func(to, meter string) {
		s.fold("slurm", &events.AIJob{JobID: "j", State: events.JobRunning, PeakWatts: 10_000_000, Node: to, Meters: []string{meter}})
	}
	expect := func(row1, row2 int64) {
		t.Helper()
		if a, b := s.booked("row-1"), s.booked("row-2"); a != row1 || b != row2 {
			t.Fatalf("%d W and %d W are kept free, not %d W and %d W", a, b, row1, row2)
		}
	}
	move("row-1", "m1")
	expect(4_000_000, 0)
	move("row-2", "m2")
	expect(4_000_000, 9_000_000)
	for range 60 {
		s.second(6_000, 0, 1_000)
	}
	expect(4_000_000, 9_000_000)
	move("row-1", "m1") // back, and there again
	expect(4_000_000, 9_000_000)
	move("row-2", "m2")
	expect(4_000_000, 9_000_000)
	for range 30 {
		s.second(0, 0, 6_000)
	}
	expect(0, 4_000_000)
	if n := len(s.d.jobs.list); n != 1 {
		t.Errorf("%d jobs are known", n)
	}
	// Deeper beneath the same node nothing is left behind.
	move("row-1", "mp")
	for range 30 {
		s.second(0, 0, 0)
	}
	move("pdu", "mp")
	if n := len(s.d.jobs.list); n != 1 {
		t.Errorf("%d jobs are known", n)
	}
}

// TestDipIsNoStop: a job that is said to have ended and goes on frees nothing in
// a dip, nor when it never drew what was declared.
func TestDipIsNoStop(t *testing.T) {
	s := rows(t)
	for range 5 {
		s.second(4_000, 0, 0)
	}
	s.fold("slurm", &events.AIJob{JobID: "j", State: events.JobRunning, PeakWatts: 10_000_000, Node: "row-1", Meters: []string{"m1"}})
	for range 5 {
		s.second(4_000, 0, 0)
	}
	s.fold("slurm", &events.AIJob{JobID: "j", State: events.JobEnded})
	for i := range 60 {
		kw := int64(4_000)
		if i%10 < 3 {
			kw = 500
		}
		s.second(kw, 0, 0)
		if got := s.booked("row-1"); got != 10_000_000-kw*1_000 {
			t.Fatalf("second %d: %d W are kept free", i, got)
		}
	}
	for range 20 {
		s.second(500, 0, 0)
	}
	if got := s.booked("row-1"); got != 0 || len(s.d.jobs.list) != 0 {
		t.Errorf("%d W are kept free for a job that is over", got)
	}
}

// TestCrowdOutlivesConfiguration: what jobs beyond those known one by one may
// want stays booked in the next configuration, and in a snapshot, until one
// heeds no jobs.
func TestCrowdOutlivesConfiguration(t *testing.T) {
	s := rows(t)
	c := s.d.site.raw
	for i := range MaxJobs + 1 {
		e := s.w.event("scheduler", &events.AIJob{JobID: fmt.Sprint("j", i), State: events.JobRunning, PeakWatts: 1_000})
		s.out.Begin(e)
		s.d.Fold(e, &s.out)
	}
	s.fold("site", &c)
	if got := s.booked("site"); got != (MaxJobs+1)*1_000 || !s.d.jobs.crowded {
		t.Errorf("%d W are kept free", got)
	}
	c.Reserve.Jobs = false
	s.fold("site", &c)
	c.Reserve.Jobs = true
	s.fold("site", &c)
	if got := s.booked("site"); got != MaxJobs*1_000 || s.d.jobs.crowded {
		t.Errorf("%d W are kept free without the crowd", got)
	}
}

// TestOperatorCorrectsFastClock: a scheduler whose clock is ahead does not keep
// the operator from speaking for its job; nor does the operator's own.
func TestOperatorCorrectsFastClock(t *testing.T) {
	s := rows(t)
	s.second(0, 0, 0)
	say := func(source string, ahead time.Duration, peak int64) {
		t.Helper()
		e := s.w.event(source, &events.AIJob{JobID: "j", State: events.JobRunning, PeakWatts: peak, Node: "row-1"})
		if e.Time = s.w.at.Add(ahead); source == events.OperatorSource {
			e.Data.(*events.AIJob).Scheduler = "slurm"
		}
		if err := checked(s.d, e, &s.out, true); err != nil {
			t.Fatal(err)
		}
		if got := s.booked("row-1"); got != peak {
			t.Errorf("%d W are kept free, not %d W as %s said", got, peak, source)
		}
	}
	say("slurm", 100*24*time.Hour, 1_000_000)
	say(events.OperatorSource, 0, 2_000_000)
	say("slurm", time.Second, 3_000_000)
	say(events.OperatorSource, 100*24*time.Hour, 4_000_000)
	say("slurm", time.Second, 5_000_000)
}
