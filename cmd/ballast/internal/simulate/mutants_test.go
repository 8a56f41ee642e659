// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/workers/permit"
)

// mutant is a safety rule broken on purpose. The rules are broken from outside:
// what goes into the real decider or permit machine, or comes out, is changed
// so that the whole behaves as if the rule were missing. So the product has no
// switch for it, and mutants outlive every rewrite of the insides.
type mutant struct {
	name string
	rig  rig
	// rules of which one must catch it; none given means any about power.
	rules []Rule
}

// editor is a dispatch decider that reads an edited journal or whose outputs
// are edited. Other deciders pass unharmed.
type editor struct {
	decider.Decider
	in  func(e *events.Event) *events.Event // nil to withhold
	add func(e *events.Event) *events.Event // folded before e, unless nil
	out func(e *events.Event, o decider.Output) (decider.Output, bool)
	box decider.Outbox
}

// Fold implements decider.Decider.
func (d *editor) Fold(e *events.Event, out *decider.Outbox) {
	if d.add != nil {
		if extra := d.add(e); extra != nil {
			d.Decider.Fold(extra, out)
		}
	}
	seen := e
	if d.in != nil {
		if seen = d.in(e); seen == nil {
			return
		}
	}
	if d.out == nil {
		d.Decider.Fold(seen, out)
		return
	}
	d.box.Begin(e)
	d.Decider.Fold(seen, &d.box)
	for _, o := range d.box.Outputs() {
		if o, keep := d.out(e, o); keep && o.Stored {
			out.Put(o.Source, o.Data)
		} else if keep {
			out.Send(o.Source, o.Data)
		}
	}
}

// reads returns a rig whose dispatch reads an edited copy of every event.
func reads(edit func() func(e *events.Event) *events.Event) rig {
	return rig{decider: func(d decider.Decider) decider.Decider { return &editor{Decider: d, in: edit()} }}
}

// says returns a rig whose dispatch has its outputs edited.
func says(edit func() func(e *events.Event, o decider.Output) (decider.Output, bool)) rig {
	return rig{decider: func(d decider.Decider) decider.Decider { return &editor{Decider: d, out: edit()} }}
}

// pure makes hosts fold from the beginning always: what an editor remembers is
// in no snapshot, and replicas would differ for that reason alone.
func pure(g rig) rig {
	g.fromBeginning = true
	return g
}

// with returns a copy of e with another payload.
func with(e *events.Event, p events.Payload) *events.Event {
	c := *e
	c.Data = p
	return &c
}

// configured edits the configuration that dispatch reads.
func configured(edit func(c *events.SiteConfig)) rig {
	return reads(func() func(*events.Event) *events.Event {
		return func(e *events.Event) *events.Event {
			p, ok := e.Data.(*events.SiteConfig)
			if !ok {
				return e
			}
			c := *p
			c.Meters = append([]events.MeterConfig(nil), p.Meters...)
			c.Nodes = append([]events.NodeConfig(nil), p.Nodes...)
			edit(&c)
			return with(e, &c)
		}
	})
}

// nodes edits every node of the power tree that dispatch reads.
func nodes(edit func(n *events.NodeConfig)) rig {
	return configured(func(c *events.SiteConfig) {
		for i := range c.Nodes {
			edit(&c.Nodes[i])
		}
	})
}

// readings edits every meter reading.
func readings(edit func(e *events.Event, r *events.MeterReading)) rig {
	return reads(func() func(*events.Event) *events.Event {
		return func(e *events.Event) *events.Event {
			p, ok := e.Data.(*events.MeterReading)
			if !ok {
				return e
			}
			r := *p
			edit(e, &r)
			return with(e, &r)
		}
	})
}

// panels returns a rig with broken permit machines.
func panels(broken func(p *permit.Panel, boot string) panel) rig { return rig{panel: broken} }

const forever = 86_400_000 // ms

func mutants() []mutant {
	return append(ladderMutants(), []mutant{
		{"no reserve is kept", configured(func(c *events.SiteConfig) { c.Reserve = events.ReserveConfig{} }), nil},
		{"half of the reserve is kept", configured(func(c *events.SiteConfig) { c.Reserve.FloorWatts /= 2 }), nil},
		{"the margin is forgotten", configured(func(c *events.SiteConfig) { c.Reserve.MarginWatts = 0 }), nil},
		{"the last value is held for ever", configured(func(c *events.SiteConfig) {
			c.Policy.DeadMilliseconds = forever
			for i := range c.Meters {
				c.Meters[i].PeriodMilliseconds, c.Meters[i].StaleMilliseconds = forever/2, forever
			}
		}), nil},
		{"a silent meter counts as nothing", configured(func(c *events.SiteConfig) {
			c.AINameplateWatts = 0
			for i := range c.Nodes {
				c.Nodes[i].AINameplateWatts = 0
			}
		}), nil},
		{"house load is forgotten", readings(func(e *events.Event, r *events.MeterReading) {
			if strings.Contains(e.Source, "house-") {
				r.PowerWatts = 0
			}
		}), nil},
		{"nodes have no reserve", nodes(func(n *events.NodeConfig) { n.Reserve = nil }), nil},
		{"nodes do not heed the continuous factor", nodes(func(n *events.NodeConfig) { n.ContinuousFactorPPM = 1_000_000 }), nil},
		{"redundancy is ignored", nodes(func(n *events.NodeConfig) { n.Redundancy, n.Paths = "", 0 }), nil},
		{"redundancy by two is taken for one of many", nodes(func(n *events.NodeConfig) {
			if n.Redundancy == events.Redundancy2N {
				n.Redundancy, n.Paths = events.RedundancyN1, 4
			}
		}), nil},
		{"cooling is ignored", nodes(func(n *events.NodeConfig) { n.CoolingLimitWatts = 0 }), nil},
		{"the ramp limits of nodes are ignored", nodes(func(n *events.NodeConfig) { n.RampWattsPerSecond, n.RampBurstWatts = 0, 0 }), []Rule{RuleUp}},
		{"the house load of nodes is ignored", nodes(func(n *events.NodeConfig) { n.HouseWatts = 0 }), nil},
		{"nodes have no limit but that of the site", nodes(func(n *events.NodeConfig) {
			n.LimitWatts, n.ContinuousFactorPPM, n.CoolingLimitWatts, n.Redundancy, n.Paths = 1<<40, 1_000_000, 0, "", 0
		}), nil},
		{"the node above is skipped", configured(func(c *events.SiteConfig) {
			up := map[string]string{}
			for i := range c.Nodes {
				up[c.Nodes[i].Node] = c.Nodes[i].Parent
			}
			for i := range c.Nodes {
				c.Nodes[i].Parent = up[c.Nodes[i].Parent]
			}
		}), nil},
		{"all nodes hang on the point of connection", nodes(func(n *events.NodeConfig) { n.Parent = "" }), nil},
		{"units hang on the point of connection", configured(func(c *events.SiteConfig) {
			for i := range c.Nodes {
				c.Nodes[i].Agents = nil
			}
			if len(c.Nodes) > 0 {
				c.Nodes[0].Agents = nil
				c.Nodes = append(c.Nodes, events.NodeConfig{Node: "all", LimitWatts: 1 << 40, ContinuousFactorPPM: 1_000_000,
					Agents: []string{"rig-1", "rig-2", "rig-3", "rig-4"}})
			}
		}), nil},
		{"the meters of nodes are not asked", configured(func(c *events.SiteConfig) {
			c.Meters = slices.DeleteFunc(c.Meters, func(m events.MeterConfig) bool { return m.Node != "" })
			for i := range c.Nodes {
				c.Nodes[i].AINameplateWatts = 0
			}
		}), nil},
		{"a raise asks the lowest meters only", configured(func(c *events.SiteConfig) {
			inner := map[string]bool{}
			for i := range c.Nodes {
				inner[c.Nodes[i].Parent] = true
			}
			for i := range c.Meters {
				if inner[c.Meters[i].Node] {
					c.Meters[i].PeriodMilliseconds = c.Meters[i].StaleMilliseconds
				}
			}
		}), []Rule{RuleUp}},
		{"changes of limits are not heard", pure(reads(func() func(*events.Event) *events.Event {
			var first *events.SiteConfig
			return func(e *events.Event) *events.Event {
				p, ok := e.Data.(*events.SiteConfig)
				if !ok {
					return e
				}
				if first == nil {
					c := *p
					c.Meters, c.Nodes = slices.Clone(p.Meters), slices.Clone(p.Nodes)
					first = &c
				}
				return with(e, first)
			}
		})), nil},
		{"the continuous factor is ignored", configured(func(c *events.SiteConfig) { c.ContinuousFactorPPM = 1_000_000 }), nil},
		{"minimum off times are ignored", configured(func(c *events.SiteConfig) { c.Policy.MinOffMilliseconds = 0 }), []Rule{RuleUp}},
		{"the restart delay is ignored", configured(func(c *events.SiteConfig) { c.Policy.RestartDelayMilliseconds = 0 }), []Rule{RuleUp}},
		{"the ramp limit is ignored", configured(func(c *events.SiteConfig) {
			c.Policy.RampWattsPerSecond, c.Policy.RampBurstWatts = 1<<40, 1<<40
		}), []Rule{RuleUp}},
		{"leases are longer than configured", configured(func(c *events.SiteConfig) { c.Policy.LeaseMilliseconds = 15_000 }), []Rule{RulePermit}},
		{"only one of two meters is read", reads(func() func(*events.Event) *events.Event {
			return func(e *events.Event) *events.Event {
				if _, ok := e.Data.(*events.MeterReading); ok && e.Source == "ai-b" {
					return nil
				}
				return e
			}
		}), nil},
		{"late data is believed", readings(func(e *events.Event, r *events.MeterReading) { r.SampledAt = e.Arrived }), nil},
		{"half of every reading is believed", readings(func(_ *events.Event, r *events.MeterReading) { r.PowerWatts /= 2 }), nil},
		{"gaps are filled with the last value", pure(rig{decider: fillGaps}), nil},
		{"a jump of the clock is smoothed away", pure(reads(smooth)), nil},
		{"emergencies are ignored", said(func(g *events.GridSignal) bool { return g.Kind != events.SignalEmergency }), nil},
		{"curtailments are ignored", said(func(g *events.GridSignal) bool { return g.Kind != events.SignalCurtail }), nil},
		{"import limits are ignored", said(func(g *events.GridSignal) bool { return g.Kind != events.SignalImportLimit }), nil},
		{"signals at nodes are taken for signals of other nodes", said(func(g *events.GridSignal) bool {
			if g.Node != "" {
				g.Node = "feed-1"
			}
			return true
		}), nil},
		{"ceilings of nodes are ignored", said(func(g *events.GridSignal) bool {
			return g.Node == "" || g.Kind != events.SignalCurtail && g.Kind != events.SignalEmergency
		}), nil},
		{"import limits of nodes are ignored", said(func(g *events.GridSignal) bool { return g.Node == "" || g.Kind != events.SignalImportLimit }), nil},
		{"windows begin twenty seconds late", said(func(g *events.GridSignal) bool {
			if g.StartsAt != nil {
				late := g.StartsAt.Add(20 * time.Second)
				g.StartsAt = &late
			}
			return true
		}), nil},
		{"AI jobs are not heard", said(func(*events.AIJob) bool { return false }), []Rule{RuleLimit}},
		{"AI jobs are heard when they start", said(func(j *events.AIJob) bool { return j.StartsAt == nil }), []Rule{RuleLimit}},
		{"half of the peak of AI jobs is kept free", said(func(j *events.AIJob) bool { j.PeakWatts /= 2; return true }), []Rule{RuleLimit}},
		{"a stop ends by itself", said(func(g *events.GridSignal) bool {
			if g.Kind == events.SignalStop {
				g.Kind, g.DurationSeconds = events.SignalEmergency, 10
			}
			return true
		}), nil},
		{"windows end at half time", said(func(g *events.GridSignal) bool { g.DurationSeconds = (g.DurationSeconds + 1) / 2; return true }), nil},
		{"a curtailment asks for twice as much", said(func(g *events.GridSignal) bool {
			if g.Kind == events.SignalCurtail {
				w := *g.PowerWatts * 2
				g.PowerWatts = &w
			}
			return true
		}), nil},
		{"a reduction is delayed by a second", pure(reads(delayed)), nil},
		{"a reduction goes half the way", says(half), nil},
		{"reductions are lost, renewals must do", says(func() func(*events.Event, decider.Output) (decider.Output, bool) {
			return func(_ *events.Event, o decider.Output) (decider.Output, bool) {
				_, curtail := o.Data.(*events.CommandCurtail)
				return o, !curtail
			}
		}), nil},
		{"a renewal says the full power", says(func() func(*events.Event, decider.Output) (decider.Output, bool) {
			return func(_ *events.Event, o decider.Output) (decider.Output, bool) {
				if p, ok := o.Data.(*events.PermitRenewed); ok {
					c := *p
					c.Units = append([]events.UnitSetpoint(nil), p.Units...)
					for i := range c.Units {
						c.Units[i].SetpointWatts = 1 << 30
					}
					o.Data = &c
				}
				return o, true
			}
		}), []Rule{RuleUp}},
		{"a ramp may be obeyed for a minute", says(func() func(*events.Event, decider.Output) (decider.Output, bool) {
			return func(_ *events.Event, o decider.Output) (decider.Output, bool) {
				if p, ok := o.Data.(*events.CommandRamp); ok {
					c := *p
					c.ValidUntil = p.ValidUntil.Add(time.Minute)
					o.Data = &c
				}
				return o, true
			}
		}), []Rule{RulePermit}},
		{"a decision depends on chance", says(func() func(*events.Event, decider.Output) (decider.Output, bool) {
			folds := 0
			return func(_ *events.Event, o decider.Output) (decider.Output, bool) {
				folds++ // not part of any snapshot
				if p, ok := o.Data.(*events.DispatchDecided); ok {
					c := *p
					c.TokensWatts = int64(folds)
					o.Data = &c
				}
				return o, true
			}
		}), []Rule{RuleReplay}},
		{"what is stored is said again", rig{unsaid: func(batches, _ []decider.Batch) []decider.Batch { return batches }}, []Rule{RuleReplay}},
		{"the lease is counted from receipt", panels(func(p *permit.Panel, _ string) panel { return &receipt{Panel: p} }), []Rule{RulePermit}},
		{"leases never end", rig{maxLease: time.Hour, panel: func(p *permit.Panel, _ string) panel { return &endless{p} }}, []Rule{RulePermit}},
		{"nobody looks when a lease ends", panels(func(p *permit.Panel, _ string) panel { return &sleepy{p} }), []Rule{RulePermit}},
		{"a unit boots at full power", panels(func(p *permit.Panel, _ string) panel { return &eager{Panel: p} }), []Rule{RulePermit}},
		{"a renewal raises", panels(func(p *permit.Panel, _ string) panel { return &raising{p} }), []Rule{RuleUp, RulePermit}},
		{"a renewal revives an ended lease", panels(func(p *permit.Panel, boot string) panel { return &reviving{p, boot} }), []Rule{RuleUp, RulePermit}},
		{"older commands are obeyed after newer ones", panels(func(p *permit.Panel, _ string) panel { return &forgetful{Panel: p} }), nil},
		{"a ramp is obeyed after its time", panels(func(p *permit.Panel, _ string) panel { return &timeless{p} }), []Rule{RuleUp, RulePermit}},
		{"a ramp for an earlier boot is obeyed", panels(func(p *permit.Panel, boot string) panel { return &anyBoot{p, boot} }), []Rule{RuleUp, RulePermit}},
		{"a reduction waits for the next renewal", panels(func(p *permit.Panel, _ string) panel { return &waiting{Panel: p} }), []Rule{RuleDown}},
	}...)
}

// said edits facts of one type, or drops them.
func said[T any, P interface {
	*T
	events.Payload
}](edit func(p P) bool) rig {
	return reads(func() func(*events.Event) *events.Event {
		return func(e *events.Event) *events.Event {
			p, ok := e.Data.(P)
			if !ok {
				return e
			}
			c := *p
			if !edit(&c) {
				return nil
			}
			return with(e, P(&c))
		}
	})
}

// fillGaps passes the last reading of a meter off as new at every tick: a silent
// one is never missed.
func fillGaps(d decider.Decider) decider.Decider {
	var last *events.MeterReading
	return &editor{Decider: d, add: func(e *events.Event) *events.Event {
		if p, ok := e.Data.(*events.MeterReading); ok && e.Source == "ai-a" {
			own := *p
			last = &own
		}
		if _, ok := e.Data.(*events.ClockTick); !ok || last == nil {
			return nil
		}
		r := *last
		r.SampledAt = e.Arrived
		c := with(e, &r)
		c.Source = "ai-a"
		return c
	}}
}

// smooth lets time pass evenly whatever the clock does.
func smooth() func(*events.Event) *events.Event {
	var was, shown time.Time
	return func(e *events.Event) *events.Event {
		if !was.IsZero() {
			step := e.Arrived.Sub(was)
			if step < 0 || step > time.Second {
				step = time.Second
			}
			shown = shown.Add(step)
		} else {
			shown = e.Arrived
		}
		was = e.Arrived
		c := *e
		c.Arrived = shown
		switch p := e.Data.(type) {
		case *events.MeterReading:
			r := *p
			r.SampledAt = shown
			c.Data = &r
		case *events.ClockTick:
			c.Data = &events.ClockTick{Second: shown.Unix()}
		}
		return &c
	}
}

// delayed shows every rise of the AI load with the next reading only.
func delayed() func(*events.Event) *events.Event {
	last := map[string]int64{}
	return func(e *events.Event) *events.Event {
		p, ok := e.Data.(*events.MeterReading)
		if !ok {
			return e
		}
		r := *p
		if was, have := last[e.Source]; have && r.PowerWatts > was {
			r.PowerWatts = was
		}
		last[e.Source] = p.PowerWatts
		return with(e, &r)
	}
}

// half lets every reduction of single units go half as far as decided.
func half() func(*events.Event, decider.Output) (decider.Output, bool) {
	return func(_ *events.Event, o decider.Output) (decider.Output, bool) {
		if p, ok := o.Data.(*events.CommandCurtail); ok && p.AllUnitsWatts == nil {
			c := *p
			c.Units = append([]events.UnitSetpoint(nil), p.Units...)
			if len(c.Units) > 1 {
				c.Units = c.Units[:(len(c.Units)+1)/2]
			} else {
				c.Units[0].SetpointWatts += 1000
			}
			o.Data = &c
		}
		return o, true
	}
}

// mutantSeeds is how many seeds a mutant may survive.
const mutantSeeds = 1000

func TestEveryMutantIsCaught(t *testing.T) {
	if racing || testing.Short() {
		t.Skip("thousands of runs: see the tests without the race detector")
	}
	all := mutants()
	if len(all) < 20 {
		t.Fatalf("%d mutants, at least 20", len(all))
	}
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(mutantSeeds) {
				r, err := play(NewStory(seed), m.rig, nil)
				if err != nil {
					t.Fatal(err)
				}
				if r.Violation == nil {
					continue
				}
				rules := m.rules
				if rules == nil {
					rules = []Rule{RulePermit, RuleLimit, RuleDown, RuleUp, RuleHeadroom}
				}
				if !slices.Contains(rules, r.Violation.Rule) {
					continue // not for its own sake
				}
				t.Logf("caught by seed %d: %v", seed, r.Violation)
				return
			}
			t.Fatalf("%d seeds do not notice it", mutantSeeds)
		})
	}
}
