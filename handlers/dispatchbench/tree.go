// SPDX-License-Identifier: Apache-2.0

package dispatchbench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
)

// Targets for a power tree of 2,000 nodes with 10,000 units.
const (
	// TargetTree events per second on one core, decoded.
	TargetTree = 500_000
	// TargetDecision for one reading, at the 99th percentile, plus what is
	// linear in the units that change.
	TargetDecision = 200 * time.Microsecond
)

// The shape of the tree: feeds, UPS, PDUs and racks, each level fed by the one
// before, all of them measured; and what the AI load of a rack may be.
const (
	feeds    = 4
	upses    = 32
	pdus     = 200
	aiLow    = 18_000 // W of a rack
	aiHigh   = 42_000
	rackCap  = 52_000
	minRacks = pdus
)

// rack is a leaf of the tree, with its AI load, and the sums above it.
type treeNode struct {
	config events.NodeConfig
	up     int
	rack   bool
	ai     int64
	trend  int64
}

type forest struct {
	*maker
	nodes []treeNode // parents before children
	next  int        // meter to be read
}

// NewTreeJournal makes the journal of a site with a power tree of that many
// nodes and workers: every second one tick, one reading of every node's AI
// meter, and a status of every second worker. It is for FoldDecoded and
// Decisions; Raw is empty.
func NewTreeJournal(workers, nodes, seconds int) (*Journal, error) {
	return newTreeJournal(workers, nodes, seconds, false)
}

// NewLevelsJournal is NewTreeJournal with machines that sleep, run at reduced
// power or at full power, each with an efficiency of its own: three entries of
// the merit order per unit.
func NewLevelsJournal(workers, nodes, seconds int) (*Journal, error) {
	return newTreeJournal(workers, nodes, seconds, true)
}

func newTreeJournal(workers, nodes, seconds int, levels bool) (*Journal, error) {
	if least := feeds + upses + pdus + minRacks; workers < 1 || workers > dispatch.MaxAgents || nodes < least || nodes > dispatch.MaxNodes || seconds < 1 || seconds > 600 {
		return nil, fmt.Errorf("bench journal: 1 to %d workers, %d to %d nodes and 1 to 600 seconds, not %d, %d and %d",
			dispatch.MaxAgents, least, dispatch.MaxNodes, workers, nodes, seconds)
	}
	f := &forest{maker: &maker{j: &Journal{Workers: workers, Seconds: seconds}, d: dispatch.New(dispatch.Config{}), decoded: true,
		at: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), byID: make(map[string]*worker, workers), seed: 1}}
	f.plant(nodes)
	racks := feeds + upses + pdus
	f.capabilities = func(w *worker) *events.Capabilities {
		var i int
		_, _ = fmt.Sscanf(w.id, "rig-%d", &i)
		c := &events.Capabilities{Class: "s21", NameplateWatts: full, LevelsWatts: []int64{full}, MinWatts: full,
			MillijoulesPerTerahash: w.efficacy, FallMilliseconds: 5_000, BootMilliseconds: 60_000,
			Node: f.nodes[racks+i%(nodes-racks)].config.Node}
		if levels {
			c.LevelsWatts, c.MinWatts = nil, full*2/3
			c.Levels = []events.PowerLevel{{Name: "sleep", Watts: full / 60, BootMilliseconds: 8_000},
				{Name: "eco", Watts: full * 2 / 3, MillijoulesPerTerahash: w.efficacy * 86 / 100},
				{Name: "full", Watts: full, MillijoulesPerTerahash: w.efficacy}}
		}
		return c
	}
	if err := f.add(events.SiteSource, f.config()); err != nil {
		return nil, err
	}
	for i := range workers {
		w := &worker{id: fmt.Sprintf("rig-%d", i), state: events.PermitBoot, efficacy: int64(15_000 + 50*(i*7919%301))}
		f.workers, f.byID[w.id] = append(f.workers, w), w
		if err := f.say(w, true); err != nil {
			return nil, err
		}
	}
	speaker := 0
	for range seconds {
		start := f.maker.at.Truncate(time.Second).Add(time.Second)
		f.maker.at = start
		if err := f.add(events.SiteSource, &events.ClockTick{Second: start.Unix()}); err != nil {
			return nil, err
		}
		f.swing()
		steps := max(nodes, (workers+1)/2)
		for i := range steps {
			f.maker.at = start.Add(time.Duration(i+1) * time.Second / time.Duration(steps+2))
			if i*nodes/steps != (i+1)*nodes/steps {
				if err := f.readNext(); err != nil {
					return nil, err
				}
			}
			if i < (workers+1)/2 {
				if err := f.say(f.workers[speaker%workers], false); err != nil {
					return nil, err
				}
				speaker++
			}
		}
	}
	f.j.Hash = f.d.StateHash()
	return f.j, nil
}

// plant lays out the tree. Every level above the racks can carry somewhat less
// than what stands beneath it, so that each binds now and then.
func (f *forest) plant(n int) {
	level := func(name string, count int, from, of int, rack bool) {
		for i := range count {
			t := treeNode{up: -1, rack: rack, config: events.NodeConfig{Node: fmt.Sprint(name, "-", i), ContinuousFactorPPM: 1_000_000}}
			if of > 0 {
				t.up = from + i%of
				t.config.Parent = f.nodes[t.up].config.Node
			}
			if rack {
				t.ai, t.config.AINameplateWatts = aiLow+int64(i%7)*3_000, 0
				t.config.LimitWatts = rackCap
				for k := t.up; k >= 0; k = f.nodes[k].up {
					f.nodes[k].config.LimitWatts += rackCap * 93 / 100
				}
			}
			f.nodes = append(f.nodes, t)
		}
	}
	level("feed", feeds, 0, 0, false)
	level("ups", upses, 0, feeds, false)
	level("pdu", pdus, feeds, upses, false)
	level("rack", n-len(f.nodes), feeds+upses, pdus, true)
	for i := range f.nodes[:feeds+upses] {
		f.nodes[i].config.LimitWatts = f.nodes[i].config.LimitWatts / 100 * 97
	}
}

func (f *forest) config() *events.SiteConfig {
	c := f.maker.config()
	c.LimitWatts, c.AINameplateWatts, c.HouseWatts = 0, 0, 0
	c.Reserve = events.ReserveConfig{FloorWatts: 200_000, EnvelopeSeconds: 60}
	c.Meters = nil
	c.Policy.RampWattsPerSecond, c.Policy.RampBurstWatts, c.Policy.MinOffMilliseconds, c.Policy.RestartDelayMilliseconds = 5_000_000, 20_000_000, 5_000, 0
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.up < 0 {
			c.LimitWatts += n.config.LimitWatts / 100 * 98
		}
		c.Nodes = append(c.Nodes, n.config)
		c.Meters = append(c.Meters, events.MeterConfig{Meter: "m-" + n.config.Node, Node: n.config.Node, Measures: events.MeasuresAI,
			PeriodMilliseconds: 1_000, StaleMilliseconds: 5_000, MaxWatts: 1_000_000_000})
	}
	return c
}

// swing moves the AI load of all racks, those of one feed together.
func (f *forest) swing() {
	for i := range f.nodes[:feeds] {
		n := &f.nodes[i]
		if n.trend == 0 || f.below(8) == 0 {
			n.trend = f.below(3_001) - 1_500
		}
	}
	for i := range f.nodes {
		if n := &f.nodes[i]; !n.rack {
			n.ai = 0
		}
	}
	for i := range f.nodes {
		n := &f.nodes[i]
		if !n.rack {
			continue
		}
		top := n.up
		for f.nodes[top].up >= 0 {
			top = f.nodes[top].up
		}
		n.ai = min(max(n.ai+f.nodes[top].trend+f.below(2_401)-1_200, aiLow), aiHigh)
		for k := n.up; k >= 0; k = f.nodes[k].up {
			f.nodes[k].ai += n.ai
		}
	}
}

func (f *forest) readNext() error {
	n := &f.nodes[f.next%len(f.nodes)]
	f.next++
	return f.add("m-"+n.config.Node, &events.MeterReading{SampledAt: f.maker.at, Quality: events.QualityGood, PowerWatts: n.ai})
}

// RunTree folds a tree's journal runs times and measures the decision for one
// reading. It ends early with the context's error.
func RunTree(ctx context.Context, j *Journal, runs int) (Result, Decided, error) {
	r := Result{Name: "fold of decoded events, tree", Target: TargetTree, Events: len(j.Events), Outputs: j.Outputs}
	for range max(runs, 1) {
		if err := ctx.Err(); err != nil {
			return r, Decided{}, err
		}
		start := time.Now()
		if err := FoldDecoded(j); err != nil {
			return r, Decided{}, err
		}
		r.Runs = append(r.Runs, float64(len(j.Events))/time.Since(start).Seconds())
	}
	sorted := slices.Sorted(slices.Values(r.Runs))
	r.Rate = sorted[len(sorted)/2]
	d, err := Decisions(j)
	return r, d, err
}

// Decision is what one meter reading cost.
type Decision struct {
	Took    time.Duration
	Changed int64 // units
}

// Decided tells how long the decisions for meter readings took.
type Decided struct {
	// Readings folded; P50, P99 and Worst of them.
	Readings        int
	P50, P99, Worst Decision
	// Largest is the reading that changed most units.
	Largest Decision
	// TickP50 and TickWorst of the ticks, which are linear in units and nodes.
	TickP50, TickWorst time.Duration
}

// String is one line for people.
func (d Decided) String() string {
	return fmt.Sprintf("one reading: p50 %v, p99 %v (%.2f × the target of %v), worst %v with %d units changed; %d units changed in %v, of %d readings; ticks p50 %v, worst %v",
		d.P50.Took, d.P99.Took, float64(d.P99.Took)/float64(TargetDecision), TargetDecision, d.Worst.Took, d.Worst.Changed,
		d.Largest.Changed, d.Largest.Took, d.Readings, d.TickP50, d.TickWorst)
}

// Decisions folds the decoded events and measures, for every meter reading, the
// time from the event to its outputs, state hash included.
func Decisions(j *Journal) (Decided, error) {
	d := dispatch.New(dispatch.Config{})
	var out decider.Outbox
	var all []Decision
	var ticks []time.Duration
	outputs, hash := 0, uint64(0)
	for i := range j.Events {
		e := &j.Events[i]
		_, reading := e.Data.(*events.MeterReading)
		start := time.Now()
		out.Begin(e)
		d.Fold(e, &out)
		hash = d.StateHash()
		took := time.Since(start)
		outputs += len(out.Outputs())
		if _, tick := e.Data.(*events.ClockTick); tick {
			ticks = append(ticks, took)
		}
		if !reading {
			continue
		}
		x := Decision{Took: took}
		for _, o := range out.Outputs() {
			if w, ok := o.Data.(*events.DispatchDecided); ok {
				x.Changed = w.UnitsLowered + w.UnitsRaised
			}
		}
		all = append(all, x)
	}
	if len(all) == 0 || len(ticks) == 0 {
		return Decided{}, fmt.Errorf("bench journal: no readings or no ticks in %d events", len(j.Events))
	}
	s := Decided{Readings: len(all), Largest: slices.MaxFunc(all, func(a, b Decision) int { return int(a.Changed - b.Changed) })}
	slices.SortFunc(all, func(a, b Decision) int { return int(a.Took - b.Took) })
	s.P50, s.P99, s.Worst = all[len(all)/2], all[len(all)*99/100], all[len(all)-1]
	slices.Sort(ticks)
	s.TickP50, s.TickWorst = ticks[len(ticks)/2], ticks[len(ticks)-1]
	return s, j.same(outputs, hash)
}

// Trip folds the decoded events and then a reading that shows the first feed of
// the tree full of AI load: how long the one decision took, and how many units
// it lowered.
func Trip(j *Journal) (Decision, error) {
	d := dispatch.New(dispatch.Config{})
	var out decider.Outbox
	var limit int64
	last := time.Time{}
	for i := range j.Events {
		e := &j.Events[i]
		if c, ok := e.Data.(*events.SiteConfig); ok && len(c.Nodes) > 0 {
			limit = c.Nodes[0].LimitWatts
		}
		out.Begin(e)
		d.Fold(e, &out)
		last = e.Arrived
	}
	e := events.New(site, "m-feed-0", &events.MeterReading{PowerWatts: limit, Quality: events.QualityGood, SampledAt: last.Add(time.Millisecond)})
	e.Stream, e.Sequence, e.Epoch, e.Arrived = events.StreamJournal, uint64(len(j.Events)+1), 1, last.Add(time.Millisecond)
	e.ID = events.DefaultID(events.StreamJournal, e.Epoch, e.Sequence)
	start := time.Now()
	out.Begin(e)
	d.Fold(e, &out)
	d.StateHash()
	x := Decision{Took: time.Since(start)}
	for _, o := range out.Outputs() {
		if w, ok := o.Data.(*events.DispatchDecided); ok {
			x.Changed = w.UnitsLowered
		}
	}
	if x.Changed == 0 {
		return x, fmt.Errorf("bench journal: a full feed lowers nothing")
	}
	return x, nil
}
