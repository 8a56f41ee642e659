// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// judge holds every decision against the journal that it was made from. It
// knows the safety rules, and of the decider only the commands. Where the rules
// leave room it is lenient: what it finds is wrong.
type judge struct {
	w     *world
	cfg   *events.SiteConfig
	clock decider.StepClock
	calm  int64 // elapsed without the steps of discontinuities, ns
	now   int64
	gen   int
	epoch uint64

	tickAt  int64
	tickGen int
	nodes   []*judged // each behind the one that feeds it
	byNode  map[string]*judged
	homes   map[string]*judged // of agents that the configuration lists
	meters  map[string]*belief
	agents  map[string]*heard
	order   []*heard
	ceiling []*limit
	// climbing are the units escalated at present, stepped is the second of the
	// last tick that was looked at for them.
	climbing []*climbing
	stepped  int64
	// cut are the outlets that are commanded off, wanted those that an operator
	// asked to be switched on.
	cut, wanted map[string]bool
}

// belief is the newest good reading of a meter.
type belief struct {
	cfg     *events.MeterConfig
	any     bool
	watts   int64
	at      int64
	sampled int64
	gen     int
	// The value and counter reported last, how often and since when.
	last, counter, since int64
	same                 int
}

// heard is what the journal says of an agent.
type heard struct {
	name    string
	boot    string
	counter uint64
	at      int64
	gen     int
	units   map[string]*permitted
	list    []*permitted
}

// permitted is what a unit may draw by the commands so far.
type permitted struct {
	id       string
	caps     events.Capabilities
	node     *judged
	watts    int64
	off      int64 // elapsed time at which it was last switched off, −1
	restart  int64 // elapsed time before which it may not start again
	failsafe bool
}

// limit from a signal.
type limit struct {
	source, id string
	kind       events.SignalKind
	watts      int64
	node       string
	from       int64 // calm time from which on it holds in full
	until      int64 // calm time, 0 for open
}

func newJudge(w *world) *judge {
	return &judge{w: w, byNode: map[string]*judged{"": {id: events.RootNode}}, meters: make(map[string]*belief), agents: make(map[string]*heard), tickGen: -1,
		cut: make(map[string]bool), wanted: make(map[string]bool)}
}

// fold takes one event and what was decided, and says what is wrong with it.
func (j *judge) fold(st *decider.Step) (string, Rule) {
	e := st.Event
	step, jumped := j.clock.Advance(e.Arrived)
	if e.Epoch != j.epoch {
		jumped = jumped || j.epoch != 0
		j.epoch = e.Epoch
	}
	j.now = j.clock.ElapsedNanos
	if jumped {
		j.gen++
	} else {
		j.calm += int64(step)
	}
	switch p := e.Data.(type) {
	case *events.SiteConfig:
		j.configure(p)
	case *events.MeterReading:
		j.read(e, p)
	case *events.WorkerStatus:
		j.hear(e.Source, p)
	case *events.ClockTick:
		if skew := e.Arrived.Sub(time.Unix(p.Second, 0)); skew <= events.MaxStep && skew >= -events.MaxStep {
			j.tickAt, j.tickGen = j.now, j.gen
			j.miss()
		}
	case *events.GridSignal:
		j.signal(e, p)
	case *events.OutletRequested:
		if !p.Off && e.Source == events.OperatorSource {
			j.wanted[string([]byte(p.Outlet))] = true
		}
	}
	if what := j.outlets(st); what != "" {
		return what, RuleEscalation
	}
	for i := range st.Outputs {
		if what, rule := j.output(e, &st.Outputs[i]); what != "" {
			return what, rule
		}
	}
	if what := j.exceeded(); what != "" {
		return what, RuleHeadroom
	}
	if what := j.ladder(st); what != "" {
		return what, RuleEscalation
	}
	return "", ""
}

const milli = int64(time.Millisecond)

func (j *judge) read(e *events.Event, r *events.MeterReading) {
	b := j.meters[e.Source]
	if b == nil || r.Quality != events.QualityGood || r.PowerWatts < b.cfg.MinWatts || r.PowerWatts > b.cfg.MaxWatts {
		return
	}
	sampled := r.SampledAt.UnixNano()
	age := e.Arrived.UnixNano() - sampled
	if stale := b.cfg.StaleMilliseconds * milli; age > stale || age < -stale {
		return
	}
	if b.any && sampled <= b.sampled && b.sampled-e.Arrived.UnixNano() <= b.cfg.StaleMilliseconds*milli {
		return
	}
	if b.stuck(r, j.now) {
		return
	}
	b.any, b.watts, b.sampled, b.gen = true, r.PowerWatts, sampled, j.gen
	b.at = j.now - max(age, 0)
}

// stuck reports whether the meter has said the same for its stuck time, its
// counter included.
func (b *belief) stuck(r *events.MeterReading, now int64) bool {
	counter := int64(0)
	if r.EnergyMilliwattHours != nil {
		counter = *r.EnergyMilliwattHours
	}
	if b.same == 0 || r.PowerWatts != b.last || counter != b.counter {
		b.last, b.counter, b.since, b.same = r.PowerWatts, counter, now, 0
	}
	b.same++
	off := b.cfg.Measures == events.MeasuresMining && r.PowerWatts == 0
	return b.cfg.StuckMilliseconds > 0 && !off && b.same >= 10 && now-b.since >= b.cfg.StuckMilliseconds*milli
}

func (j *judge) hear(name string, s *events.WorkerStatus) {
	a := j.agents[name]
	if a == nil {
		if !s.Announce || s.Leaving {
			return
		}
		a = &heard{name: name, units: make(map[string]*permitted)}
		j.agents[name] = a
		j.order = append(j.order, a)
	}
	switch {
	case a.boot != s.BootID:
		a.boot = string([]byte(s.BootID))
		for _, u := range a.list {
			j.drop(a, u, false)
		}
	case s.Counter <= a.counter:
		return
	}
	for i := range s.Units {
		st := &s.Units[i]
		u := a.units[st.Unit]
		if u == nil {
			if st.Capabilities == nil {
				continue
			}
			u = &permitted{id: string([]byte(st.Unit)), caps: *st.Capabilities, off: -1}
			u.caps.Node, u.caps.LevelsWatts = string([]byte(u.caps.Node)), append([]int64(nil), u.caps.LevelsWatts...)
			u.node = j.homeOf(name, &u.caps)
			a.units[string([]byte(st.Unit))] = u
			a.list = append(a.list, u)
		}
		down := st.State == events.PermitFailsafe
		if down && !u.failsafe {
			j.drop(a, u, true)
		}
		u.failsafe = down
	}
	a.counter, a.at, a.gen = s.Counter, j.now, j.gen
}

// answerGrace is how long a command and the status that answers it may travel.
const answerGrace = 5 * time.Second

// miss ends the permits of agents that have been silent for longer than their
// leases and the fall of their machines take.
func (j *judge) miss() {
	if j.cfg == nil {
		return
	}
	for _, a := range j.order {
		fall := int64(0)
		for _, u := range a.list {
			fall = max(fall, u.caps.FallMilliseconds*milli)
		}
		if j.now-a.at <= j.cfg.Policy.LeaseMilliseconds*milli+fall+int64(answerGrace) {
			continue
		}
		for _, u := range a.list {
			j.drop(a, u, false)
		}
	}
}

// drop ends a permit without a command: at the end of its lease, if that was
// before.
func (j *judge) drop(a *heard, u *permitted, failsafe bool) {
	if u.watts > 0 && j.cfg != nil {
		u.off = min(j.now, a.at+j.cfg.Policy.LeaseMilliseconds*milli)
	}
	u.watts = 0
	if failsafe && j.cfg != nil {
		u.restart = j.now + j.cfg.Policy.RestartDelayMilliseconds*milli
	}
}

func (j *judge) signal(e *events.Event, g *events.GridSignal) {
	if g.Test {
		return
	}
	l := &limit{source: string([]byte(e.Source)), id: string([]byte(g.SignalID)), kind: g.Kind, node: string([]byte(g.Node)), from: j.calm}
	if l.node == "" {
		l.node = events.RootNode
	}
	switch g.Kind {
	case events.SignalRestore:
		kept := j.ceiling[:0]
		for _, o := range j.ceiling {
			if o.id != g.Cancels || o.source != e.Source && e.Source != events.OperatorSource {
				kept = append(kept, o)
			}
		}
		j.ceiling = kept
		return
	case events.SignalCurtail, events.SignalSetpoint, events.SignalImportLimit:
		l.watts = *g.PowerWatts
	case events.SignalEmergency, events.SignalStop:
	default:
		return
	}
	if g.DurationSeconds > 0 && g.Kind != events.SignalStop {
		// Counted from the folding: what of the window was over by then is
		// left to the decider.
		began, lasts := e.OriginArrived, time.Duration(g.DurationSeconds)*time.Second
		if g.StartsAt != nil {
			began = *g.StartsAt
			lasts += max(began.Sub(e.OriginArrived), 0)
			// A little later, for the clock of the journal runs in steps.
			l.from += int64(max(began.Sub(e.Arrived), 0)) + int64(events.TickPeriod)
		}
		ends := began.Add(time.Duration(g.DurationSeconds) * time.Second).Sub(e.Arrived)
		if e.OriginArrived.IsZero() || ends <= 0 || ends > lasts {
			return
		}
		// A relayed copy may come late; from when on the decider counts is its
		// own affair, up to that much.
		l.until = j.calm + int64(ends)
	}
	j.ceiling = append(j.ceiling, l)
}

func (j *judge) curtail(agent string, c *events.CommandCurtail) {
	for _, a := range j.order {
		if agent != events.BroadcastSource && a.name != agent {
			continue
		}
		if c.AllUnitsWatts != nil {
			for _, u := range a.list {
				j.lower(u, *c.AllUnitsWatts)
			}
		}
		for _, s := range c.Units {
			if u := a.units[s.Unit]; u != nil {
				j.lower(u, s.SetpointWatts)
			}
		}
	}
}

func (j *judge) lower(u *permitted, watts int64) {
	if watts >= u.watts {
		return
	}
	if u.watts = watts; watts == 0 {
		u.off = j.now
	}
}

func (j *judge) renewal(agent string, p *events.PermitRenewed) (string, Rule) {
	a := j.agents[agent]
	if a == nil || p.BootID != a.boot || p.Counter != a.counter {
		return fmt.Sprintf("a renewal to %s answers status %d of %s, which is not its newest", agent, p.Counter, p.BootID), RulePermit
	}
	if p.LeaseMilliseconds > j.cfg.Policy.LeaseMilliseconds {
		return fmt.Sprintf("a renewal to %s grants %d ms, the lease is %d ms", agent, p.LeaseMilliseconds, j.cfg.Policy.LeaseMilliseconds), RulePermit
	}
	for _, s := range p.Units {
		if u := a.units[s.Unit]; u == nil || s.SetpointWatts > u.watts {
			return fmt.Sprintf("a renewal to %s says %d W for unit %s", agent, s.SetpointWatts, s.Unit), RuleUp
		}
	}
	return "", ""
}
