// SPDX-License-Identifier: Apache-2.0

package simulate

import "time"

// plan puts a fault on the agenda.
func (w *world) plan(f *Fault) {
	w.at(f.At, func() {
		w.note("fault: %s", f)
		w.injected++
		w.oracle.faultUntil = max(w.oracle.faultUntil, f.Until+faultEcho)
		switch c := w.controller(f.Who); {
		case c != nil:
			c.troubled = max(c.troubled, f.Until+faultEcho)
		case f.Kind != FaultIgnores:
			w.oracle.unclear = max(w.oracle.unclear, f.Until+faultEcho)
		}
		w.inject(f)
	})
	w.at(f.Until, func() {
		w.note("over: %s", f)
		w.end(f)
	})
}

// inject begins a fault.
func (w *world) inject(f *Fault) {
	switch f.Kind {
	case FaultLoses, FaultRepeats, FaultDelays, FaultMixes, FaultCutOff, FaultHeldUp:
		l := w.linkOf(f.Who)
		switch f.Kind {
		case FaultLoses:
			l.lose = f.Thousandths
		case FaultRepeats:
			l.twice = f.Thousandths
		case FaultDelays:
			l.late = f.By
		case FaultMixes:
			l.shuffle = f.By
		default:
			l.down, l.hold = true, f.Kind == FaultHeldUp
			w.effects[l.cut]++
		}
	case FaultCrash:
		w.crash(f)
	case FaultOrphan:
		if a := w.byAgent[f.Who]; a.up {
			a.crash(true)
		}
	case FaultIgnores:
		if u := w.unit(f.Who); u != nil {
			w.plant.setRogue(u, func() { u.ignores = true })
		}
	case FaultSilent, FaultFrozen, FaultNaN, FaultNegative, FaultThousand, FaultTimes:
		w.meter(f.Who).fault = f.Kind
	case FaultIdle, FaultUnable:
		w.controller(f.Who).fault = f.Kind
	case FaultSkewed:
		w.meter(f.Who).offset += f.By
	case FaultClock:
		w.effects[ClocksJumped]++
		w.setClocks(f.Who, f.By)
	case FaultActivate:
		w.effects[VersionsSwitched]++
		for _, h := range w.hosts {
			if h.spec.Name != f.Who {
				continue
			}
			for _, make := range w.deciders(h.spec.Version) {
				w.activate(make().Identity())
			}
		}
	case FaultRestart:
		w.effects[AllRestarted]++
		for _, a := range w.agents {
			if a.up {
				a.crash(false)
				a.start()
			}
		}
	}
}

// end undoes a fault.
func (w *world) end(f *Fault) {
	switch f.Kind {
	case FaultLoses:
		w.linkOf(f.Who).lose = 0
	case FaultRepeats:
		w.linkOf(f.Who).twice = 0
	case FaultDelays:
		w.linkOf(f.Who).late = 0
	case FaultMixes:
		w.linkOf(f.Who).shuffle = 0
	case FaultCutOff, FaultHeldUp:
		w.linkOf(f.Who).heal()
		w.reconnected(f.Who)
	case FaultCrash:
		w.recover(f)
	case FaultOrphan:
		if a := w.byAgent[f.Who]; !a.up {
			a.start()
		}
	case FaultIgnores:
		if u := w.unit(f.Who); u != nil {
			w.plant.obey(u, func() { u.ignores = false })
		}
	case FaultSilent, FaultFrozen, FaultNaN, FaultNegative, FaultThousand, FaultTimes:
		if m := w.meter(f.Who); m.fault == f.Kind {
			m.fault = ""
		}
	case FaultIdle, FaultUnable:
		w.controller(f.Who).fault = ""
	case FaultSkewed:
		w.meter(f.Who).offset -= f.By
	case FaultClock:
		w.setClocks(f.Who, -f.By)
	case FaultActivate:
		for _, make := range w.deciders(w.hosts[0].spec.Version) {
			w.activate(make().Identity())
		}
	}
}

func (w *world) crash(f *Fault) {
	if f.Who == TheBus {
		w.bus.up = false
		n := w.bus.cut(w.now - f.By)
		w.effects[BusStopped]++
		w.effects[JournalLost] += int64(n)
		w.note("the journal loses its last %d messages", n)
		return
	}
	if a := w.byAgent[f.Who]; a != nil {
		if a.up {
			a.crash(false)
		}
		return
	}
	for _, h := range w.hosts {
		switch {
		case h.spec.Name != f.Who:
		case f.Point == PointNow:
			w.effects[HostStopped]++
			h.stop()
		default:
			h.crash = f
		}
	}
}

// recover ends a crash.
func (w *world) recover(f *Fault) {
	if f.Who == TheBus {
		w.bus.up = true
		// The server takes an epoch for every site before anybody speaks.
		w.bus.openEpoch("server", "server started", w.bus.journal().last())
		for _, h := range w.hosts {
			w.reconnected(h.spec.Name)
		}
		for _, a := range w.agents {
			w.reconnected(a.spec.Name)
		}
		return
	}
	if a := w.byAgent[f.Who]; a != nil {
		if !a.up {
			a.start()
		}
		return
	}
	for _, h := range w.hosts {
		if h.spec.Name != f.Who {
			continue
		}
		if h.crash == f {
			h.crash = nil // its point was never reached
		}
		if !h.up {
			h.start()
		}
	}
}

// reconnected is what hosts and agents do when their connection is back.
func (w *world) reconnected(who string) {
	for _, h := range w.hosts {
		if h.spec.Name != who || !h.online() {
			continue
		}
		for _, o := range w.bus.openings() {
			h.learn(o)
		}
		h.relayAll()
		for _, s := range h.seats {
			s.wake()
		}
	}
	if a := w.byAgent[who]; a != nil && a.up {
		a.announce(a.boots)
	}
}

func (w *world) setClocks(who string, by time.Duration) {
	all := who == Everything
	if all || who == TheBus {
		w.bus.offset += by
	}
	for _, h := range w.hosts {
		if all || who == h.spec.Name {
			h.offset += by
		}
	}
	for _, a := range w.agents {
		if all || who == a.spec.Name {
			a.offset += by
		}
	}
	for _, m := range w.plant.meters {
		if all {
			m.offset += by
		}
	}
}

// linkOf a host, an agent or a meter.
func (w *world) linkOf(who string) *link {
	for _, h := range w.hosts {
		if h.spec.Name == who {
			return h.link
		}
	}
	if a := w.byAgent[who]; a != nil {
		return a.link
	}
	if c := w.controller(who); c != nil {
		return c.link
	}
	return w.meter(who).link
}

func (w *world) meter(id string) *meter {
	for _, m := range w.plant.meters {
		if m.cfg.Meter == id {
			return m
		}
	}
	return nil
}

func (w *world) unit(id string) *unit {
	for _, u := range w.plant.units {
		if u.id == id {
			return u
		}
	}
	return nil
}
