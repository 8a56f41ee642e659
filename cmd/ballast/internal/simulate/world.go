// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/workers/permit"
)

// epoch of true time 0: the minutes of settlement begin with the run.
var midnight = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// itoa writes a number for an id.
func itoa(n uint64) string { return strconv.FormatUint(n, 10) }

// rig lets tests put broken rules in the place of the real ones. The zero value
// changes nothing.
type rig struct {
	// decider stands in for the dispatch decider given.
	decider func(decider.Decider) decider.Decider
	// panel stands in for the permit machines given, of a boot.
	panel func(p *permit.Panel, boot string) panel
	// maxLease of the permit machines; 0 is theirs.
	maxLease time.Duration
	// fromBeginning makes hosts ignore snapshots.
	fromBeginning bool
	// unsaid stands in for what of a cause's batches is not said yet.
	unsaid func(batches, unsaid []decider.Batch) []decider.Batch
}

// world is one run. Everything in it happens in one goroutine.
type world struct {
	agenda
	story   *Story
	rig     rig
	trace   io.Writer
	bus     *bus
	config  events.SiteConfig // in force
	hosts   []*host
	agents  []*agent
	byAgent map[string]*agent
	plant   plant
	// controllers of outlets.
	controllers []*controller
	oracle      oracle
	audit       *auditor
	signals     []signalInForce
	shares      int64
	effects     Counts
	speaking    string // the version activated last
	injected    int
	folded      int64
	minutes     []int64 // mining energy, mWh, at the end of each minute
	violation   *Violation
}

// signalInForce is a ceiling as the oracle knows it, by true time.
type signalInForce struct {
	Signal
	place *place
	// from when on it holds in full, and until when.
	from, until time.Duration
}

func newWorld(st *Story, g rig, trace io.Writer) *world {
	w := &world{story: st, rig: g, trace: trace, byAgent: make(map[string]*agent), effects: make(Counts)}
	w.audit = newAuditor(w)
	w.bus = newBus(w)
	w.config = st.Config
	w.plant = plant{w: w}
	w.oracle = oracle{w: w, cut: make(map[string]bool)}
	w.plant.grow()
	w.plant.hang()
	fall := time.Duration(0)
	for i := range st.Agents {
		spec := &st.Agents[i]
		a := &agent{w: w, spec: spec, link: newLink(w, "agent "+spec.Name, AgentPartitioned)}
		home := w.plant.homeOf(spec)
		for n := range spec.Units {
			u := &unit{id: spec.Name + "-" + strconv.Itoa(n+1), agent: a, place: home, index: n, caps: &spec.Caps}
			a.units = append(a.units, u)
			a.everyone = append(a.everyone, n)
			w.plant.units = append(w.plant.units, u)
			fall = max(fall, u.fall())
		}
		w.agents = append(w.agents, a)
		w.byAgent[spec.Name] = a
	}
	for _, h := range st.Hosts {
		w.hosts = append(w.hosts, &host{w: w, spec: h, link: newLink(w, "host "+h.Name, HostPartitioned)})
	}
	w.wire()
	w.oracle.slowest = fall
	for _, n := range w.plant.places {
		n.watch = watch{quick: roof{span: fall + quickResponse}, slow: roof{span: fall + slowResponse}, busy: roof{span: busyFor}}
		for _, m := range n.meters {
			n.slowest = max(n.slowest, millis(m.cfg.PeriodMilliseconds))
		}
		w.oracle.changed(n)
	}
	return w
}

// wall is what a clock shows that is offset from true time.
func (w *world) wall(offset time.Duration) time.Time { return midnight.Add(w.now + offset) }

// note writes a line of the trace.
func (w *world) note(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%12s  %s\n", w.now.Round(time.Microsecond), fmt.Sprintf(format, args...))
	}
}

// encode writes an event as it goes on the wire.
func (w *world) encode(e *events.Event) *nats.Msg {
	m, err := events.Encode(events.DefaultPrefix, e)
	if err != nil {
		panic(fmt.Sprintf("simulate: %v", err)) // the story was checked
	}
	return m
}

// publish stores a fact of somebody whose connection never fails.
func (w *world) publish(stream string, e *events.Event) { w.bus.store(stream, w.encode(e)) }

// run plays the story to its end or to the first violation.
func (w *world) run() {
	w.begin()
	for w.violation == nil && w.next(w.story.Length) {
		w.oracle.look()
	}
	if w.violation == nil {
		w.now = w.story.Length
		w.plant.account()
		w.audit.finish()
	}
}

// begin plans everything that the story says.
func (w *world) begin() {
	st := w.story
	w.bus.openEpoch("server", "site configured", 0)
	w.publishConfig()
	for _, make := range w.deciders(st.Hosts[0].Version) {
		w.activate(make().Identity())
	}
	for _, h := range w.hosts {
		h.start()
	}
	for i, a := range w.agents {
		w.at(time.Duration(i)*137*time.Millisecond, a.start)
		w.at(time.Duration(i)*731*time.Millisecond+5*time.Second, func() { w.gateway(a) })
	}
	for i, m := range w.plant.meters {
		w.at(time.Duration(i)*61*time.Millisecond, func() { w.plant.read(m) })
	}
	for i, s := range st.Load {
		place := w.plant.byNode[s.Node]
		foretold := st.foretold(i, place.quick.span+jobSlack, place.slow.span)
		w.at(s.At, func() { w.load(s, foretold) })
	}
	for i := range st.Jobs {
		w.at(st.Jobs[i].At, func() { w.job(&st.Jobs[i]) })
	}
	for i := range st.Changes {
		w.at(st.Changes[i].At, func() { w.change(&st.Changes[i]) })
	}
	for i := range st.Signals {
		w.at(st.Signals[i].At, func() { w.signal(&st.Signals[i]) })
	}
	for i := range st.Switches {
		w.at(st.Switches[i].At, func() { w.request(&st.Switches[i]) })
	}
	for i, c := range w.controllers {
		w.at(time.Duration(i)*83*time.Millisecond, c.repeat)
	}
	for i := range st.Faults {
		w.plan(&st.Faults[i])
	}
	w.second()
}

// publishConfig publishes the configuration in force.
func (w *world) publishConfig() {
	cfg := w.config
	w.publish(events.StreamInputs, events.New(siteName, events.OperatorSource, &cfg).At(w.wall(w.bus.offset)).
		WithID("config/"+itoa(w.bus.streams[events.StreamInputs].last()+1)))
}

// load takes a step.
func (w *world) load(s Step, foretold bool) {
	at := w.plant.byNode[s.Node]
	for i, n := range w.plant.places {
		if n == at {
			n.base = s.Watts
			w.plant.trembleAt(n, i)
		}
	}
	if foretold {
		w.oracle.foretell(at)
	}
	w.note("AI load at %s is %d W", orRoot(s.Node), s.Watts)
}

// second comes every second: the tremble of the load, and a look at leases.
func (w *world) second() {
	w.after(time.Second, w.second)
	if w.now%time.Minute == 0 {
		w.plant.account()
		w.minutes = append(w.minutes, w.plant.mined.milliwattHours)
	}
	w.plant.tremble()
	w.oracle.inspect()
	w.oracle.defied()
}

// activate makes a version speak.
func (w *world) activate(id decider.Identity) {
	w.speaking = id.Version
	w.publish(events.StreamInputs, events.New(siteName, id.Name, &events.DeciderActivated{
		Decider: id.Name, Version: id.Version, ConfigHash: id.ConfigHash, ActivatedBy: events.OperatorSource,
	}).At(w.wall(w.bus.offset)).WithID("activated/"+itoa(w.bus.streams[events.StreamInputs].last()+1)))
}

// signal publishes one and books what it asks for.
func (w *world) signal(s *Signal) {
	g := s.Grid
	w.note("%s says %s %s", s.Source, g.Kind, g.SignalID)
	if s.Notice > 0 {
		starts := w.wall(w.bus.offset + s.Notice)
		g.StartsAt = &starts
	}
	w.publish(events.StreamInputs, events.New(siteName, s.Source, &g).At(w.wall(w.bus.offset)).
		WithID("signal/"+s.Source+"/"+g.SignalID))
	switch {
	case g.Kind == events.SignalRestore:
		for i := range w.signals {
			if o := &w.signals[i]; o.Grid.SignalID == g.Cancels {
				o.until = min(o.until, w.now)
			}
		}
	case g.Kind == events.SignalPrice || g.Test:
	default:
		f := signalInForce{Signal: *s, place: w.plant.byNode[g.Node], from: w.now + s.Notice, until: 1 << 62}
		if s.Notice > 0 {
			w.at(f.from, func() { w.oracle.changed(f.place) })
		}
		if g.DurationSeconds > 0 {
			f.until = f.from + time.Duration(g.DurationSeconds)*time.Second
			w.at(f.until, func() { w.oracle.changed(f.place) })
		}
		w.signals = append(w.signals, f)
	}
	for _, n := range w.plant.places {
		w.oracle.changed(n)
	}
}

// limits are what may be drawn at n, and what mining beneath it may, by the
// signals in force.
func (w *world) limits(n *place) (usable, ceiling int64) {
	usable, ceiling = n.usable, 1<<60
	for i := range w.signals {
		s := &w.signals[i]
		if s.place != n || w.now < s.from || w.now >= s.until {
			continue
		}
		switch s.Grid.Kind {
		case events.SignalImportLimit:
			usable = min(usable, *s.Grid.PowerWatts)
		case events.SignalCurtail, events.SignalSetpoint:
			ceiling = min(ceiling, *s.Grid.PowerWatts)
		default:
			ceiling = 0
		}
	}
	return usable, ceiling
}

// stored is called when a stream took a message.
func (w *world) stored(stream string, m *stored) {
	switch stream {
	case events.StreamJournal:
		for _, h := range w.hosts {
			for _, s := range h.seats {
				s.wake()
			}
		}
	case events.StreamInputs, events.StreamShares:
		for _, h := range w.hosts {
			w.after(travelMost, func() { h.relay(stream) })
		}
	case events.StreamCommands:
		w.audit.said(m)
		w.oracle.recorded(m)
		for _, t := range [...]events.Type{events.TypeCommandRamp, events.TypeCommandOutlet} {
			if name, ok := addressee(m.Subject, t); ok {
				// The server repeats what it has stored.
				msg := &nats.Msg{Subject: events.StoredSubject(events.DefaultPrefix, siteName, t, name), Header: m.Header, Data: m.Data}
				w.deliver(name, msg, true)
			}
		}
	}
}

// heard is called when a message passes the server: whoever subscribes gets it
// before it is stored.
func (w *world) heard(m *nats.Msg) {
	if !w.bus.up {
		return
	}
	if m.Subject == events.BroadcastSubject(events.DefaultPrefix, siteName) {
		for _, a := range w.agents {
			w.deliver(a.spec.Name, m, false)
		}
		return
	}
	for _, t := range [...]events.Type{events.TypeCommandCurtail, events.TypePermitRenewed, events.TypeCommandOutlet} {
		if name, ok := addressee(m.Subject, t); ok {
			w.deliver(name, m, false)
		}
	}
}

func addressee(subject string, t events.Type) (string, bool) {
	return strings.CutPrefix(subject, events.DefaultPrefix+"."+siteName+"."+string(t)+".")
}

func (w *world) deliver(name string, m *nats.Msg, storedCopy bool) {
	if a := w.byAgent[name]; a != nil {
		a.link.carry(fromBus, func() { a.hear(m, storedCopy) })
	} else if c := w.controller(name); c != nil {
		c.link.carry(fromBus, func() { c.hear(m, storedCopy) })
	}
}

// gateway says every few seconds that shares of an agent that hashes were
// accepted.
func (w *world) gateway(a *agent) {
	w.after(7*time.Second, func() { w.gateway(a) })
	if w.now > w.story.Length-2*time.Minute || !w.bus.up {
		return // the last ones are to be booked before the end
	}
	for _, u := range a.units {
		if u.draw == 0 {
			continue
		}
		w.shares++
		id := fmt.Sprintf("%064x", w.shares)
		w.publish(events.StreamShares, events.New(siteName, "gateway", &events.ShareAccepted{
			ShareID: id, JobID: "job", Agent: a.spec.Name, Unit: u.id, Difficulty: "65536",
			Payout:   events.Payout{Pool: "pool", NBits: "17034219", RewardSats: 312_500_000, FeePPM: 10_000, Scheme: events.SchemeFPPS, Basis: events.BasisLive},
			JudgedAt: w.wall(w.bus.offset),
		}).At(w.wall(w.bus.offset)).WithID(id))
		return
	}
}
