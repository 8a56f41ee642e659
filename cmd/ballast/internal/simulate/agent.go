// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/permit"
)

// Times of an agent.
const (
	announceEvery = 30 * time.Second
	announceAgain = time.Second
	// newsAfter something happened a status tells of it.
	newsAfter = 10 * time.Millisecond
)

// panel is the permit machines of one agent; *permit.Panel is one. Tests put
// broken ones in its place.
type panel interface {
	Setpoint(i int) int64
	Next() (permit.Instant, bool)
	Send(now permit.Instant, units []int) uint64
	Describe(now permit.Instant, i int, s *events.UnitStatus)
	Curtail(now permit.Instant, c *events.CommandCurtail) permit.Outcome
	Ramp(now permit.Instant, wall time.Time, stored bool, r *events.CommandRamp) permit.Outcome
	Renew(now permit.Instant, r *events.PermitRenewed) permit.Outcome
	Tick(now permit.Instant) permit.Outcome
}

// agent is a worker's process: the real permit machines, and around them what
// workers/agent does on a bus.
type agent struct {
	w        *world
	spec     *Agent
	link     *link
	up       bool
	boots    int // also tells tasks of an earlier life
	offset   time.Duration
	panel    panel
	units    []*unit
	everyone []int
	news     map[int]bool
	telling  bool
	unacked  bool
	round    uint64 // of announcing
	sent     map[uint64]time.Duration
	watching permit.Instant
	decoder  events.Decoder
}

func (a *agent) boot() string { return a.spec.Name + "-boot-" + itoa(uint64(a.boots)) }

func (a *agent) instant() permit.Instant { return permit.Instant(a.w.now) }

// start begins a life: every unit at its failsafe setpoint.
func (a *agent) start() {
	a.boots++
	a.up = true
	specs := make([]permit.Spec, len(a.units))
	for i, u := range a.units {
		specs[i] = permit.Spec{Unit: u.id, FullWatts: u.caps.NameplateWatts, FailsafeWatts: u.caps.FailsafeWatts, Levels: u.caps.Setpoints()}
	}
	p, err := permit.NewPanel(permit.Config{Agent: a.spec.Name, Boot: a.boot(), MaxLease: a.w.rig.maxLease}, specs)
	if err != nil {
		panic(err) // the story was checked
	}
	a.panel = p
	if a.w.rig.panel != nil {
		a.panel = a.w.rig.panel(p, a.boot())
	}
	a.sent = make(map[uint64]time.Duration)
	a.news, a.telling, a.unacked, a.watching = make(map[int]bool), false, false, 0
	for i, u := range a.units {
		u.lease = lease{excused: a.w.now}
		a.w.plant.obey(u, func() { u.orphan = false })
		a.w.plant.drive(u, a.panel.Setpoint(i))
	}
	life := a.boots
	a.announce(life)
	a.beat(life)
}

// crash ends the process. Its machines stop with it, or hash on.
func (a *agent) crash(orphan bool) {
	a.up = false
	if orphan {
		a.w.effects[AgentOrphaned]++
	} else {
		a.w.effects[AgentStopped]++
	}
	for _, u := range a.units {
		if orphan {
			a.w.plant.setRogue(u, func() { u.orphan = true })
		} else {
			u.lease.excused = a.w.now
			a.w.plant.drive(u, 0)
		}
	}
}

func (a *agent) beat(life int) {
	if !a.up || a.boots != life {
		return
	}
	a.w.after(events.StatusPeriod, func() { a.beat(life) })
	a.status(a.everyone, false)
}

// announce says everything, and again until it is acknowledged.
func (a *agent) announce(life int) {
	if !a.up || a.boots != life {
		return
	}
	a.unacked = true
	a.round++
	round := a.round
	a.status(a.everyone, true)
	a.w.after(announceAgain, func() {
		switch {
		case !a.up || a.round != round:
		case a.unacked:
			a.announce(life)
		default:
			a.w.after(announceEvery, func() {
				if a.round == round {
					a.announce(life)
				}
			})
		}
	})
}

func (a *agent) status(units []int, announce bool) {
	now := a.instant()
	s := &events.WorkerStatus{BootID: a.boot(), Announce: announce, Units: make([]events.UnitStatus, len(units))}
	for n, i := range units {
		u, st := a.units[i], &s.Units[n]
		st.PowerWatts = u.draw
		if u.ignores {
			st.PowerWatts = u.level(u.order)
		}
		st.Healthy, st.Modelled, st.Hashes = !u.dark, true, "0"
		a.panel.Describe(now, i, st)
		if announce {
			st.Capabilities = u.caps
		}
	}
	s.Counter = a.panel.Send(now, units)
	a.sent[s.Counter] = a.w.now
	for _, i := range units {
		a.units[i].lease.told(a.w.now, s.Counter)
	}
	e := events.New(siteName, a.spec.Name, s).At(a.w.wall(a.offset))
	e.ID = a.boot() + "-" + itoa(s.Counter)
	msg := a.w.encode(e)
	life := a.boots
	a.link.carry(toBus, func() {
		if !a.w.bus.up {
			return
		}
		a.w.bus.store(events.StreamJournal, msg)
		if announce {
			a.link.carry(fromBus, func() {
				if a.boots == life {
					a.unacked = false
				}
			})
		}
	})
}

// hear folds one message from the bus.
func (a *agent) hear(m *nats.Msg, storedCopy bool) {
	if !a.up {
		return
	}
	e, err := a.decoder.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return
	}
	now := a.instant()
	before := make([]int64, len(a.units))
	for i := range before {
		before[i] = a.panel.Setpoint(i)
	}
	var out permit.Outcome
	spread := newsAfter
	switch p := e.Data.(type) {
	case *events.CommandCurtail:
		a.w.oracle.curtailed(a, p)
		out = a.panel.Curtail(now, p)
		if p.AllUnitsWatts != nil {
			spread += 20 * time.Millisecond
		}
	case *events.CommandRamp:
		a.w.oracle.ramped(a, p, storedCopy)
		out = a.panel.Ramp(now, a.w.wall(a.offset), storedCopy, p)
	case *events.PermitRenewed:
		a.w.oracle.renewed(a, p)
		out = a.panel.Renew(now, p)
	}
	a.obey(out, spread)
	a.w.oracle.obeyed(a, e.Data, before)
}

// obey drives the units that changed, tells the news, and watches the leases.
func (a *agent) obey(out permit.Outcome, spread time.Duration) {
	for _, i := range out.Changed {
		a.w.plant.drive(a.units[i], a.panel.Setpoint(i))
	}
	for _, i := range out.Telling {
		a.news[i] = true
	}
	life := a.boots
	if len(a.news) > 0 && !a.telling {
		a.telling = true
		a.w.after(spread, func() { a.tell(life) })
	}
	if end, live := a.panel.Next(); live && end != a.watching {
		a.watching = end
		a.w.at(time.Duration(end), func() { a.expire(life) })
	}
}

func (a *agent) tell(life int) {
	if !a.up || a.boots != life {
		return
	}
	a.telling = false
	var units []int
	for i := range a.units {
		if a.news[i] {
			units = append(units, i)
		}
	}
	clear(a.news)
	if len(units) > 0 {
		a.status(units, false)
	}
}

func (a *agent) expire(life int) {
	if !a.up || a.boots != life {
		return
	}
	a.watching = 0
	a.obey(a.panel.Tick(a.instant()), newsAfter)
	a.w.oracle.expired(a)
}
