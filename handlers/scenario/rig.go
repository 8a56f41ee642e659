// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
)

const (
	travel = 10 * time.Millisecond // of a command, or of the status that answers it
	batch  = 500                   // units in one status
)

// rig is an agent of the story.
type rig struct {
	id      string
	units   []*rigUnit
	byID    map[string]*rigUnit
	follows bool
	boots   int
	counter uint64
	sent    map[uint64]time.Duration
	newest  events.OrderKey
	// silent: its statuses get lost. deaf: it claims to obey and hashes on.
	silent, deaf, gone bool
	saying             bool
}

type rigUnit struct {
	id         string
	caps       events.Capabilities
	state      events.PermitState
	set, power int64
	applied    events.OrderKey
	hasApplied bool
	local      *int64
	healthy    bool
	modelled   bool
	// dark: its outlet is off.
	dark bool
	// reason and signal that it names for drawing less than it could.
	reason   events.Reason
	signal   string
	leaseEnd time.Duration
	leased   bool
	// fell is the counter of the first status that told of the failsafe.
	fell uint64
}

func (p *player) announce(id string, n int, c events.Capabilities, follows, healthy, modelled bool) error {
	r := p.rigs[id]
	if r == nil {
		r = &rig{id: id, sent: make(map[uint64]time.Duration), boots: 1}
		p.rigs[id] = r
		p.order = append(p.order, r)
	}
	again := r.follows
	r.follows, r.gone = follows, false
	r.units, r.byID = r.units[:0], make(map[string]*rigUnit, n)
	for i := range n {
		u := &rigUnit{id: id, caps: c, state: events.PermitBoot, set: c.FailsafeWatts, power: c.FailsafeWatts, healthy: healthy, modelled: modelled}
		if n > 1 {
			u.id = fmt.Sprintf("%s-%d", id, i+1)
		}
		r.units = append(r.units, u)
		r.byID[u.id] = u
	}
	if err := r.say(p, true); err != nil {
		return err
	}
	if follows && !again {
		p.later(events.StatusPeriod, r.beat)
	}
	return nil
}

// beat says something every StatusPeriod.
func (r *rig) beat(p *player) error {
	if !r.follows {
		return nil
	}
	p.later(events.StatusPeriod, r.beat)
	if r.gone {
		return nil
	}
	return r.say(p, false)
}

// soon says what has changed.
func (r *rig) soon(p *player) {
	if r.saying || !r.follows {
		return
	}
	r.saying = true
	p.later(travel, func(p *player) error {
		r.saying = false
		return r.say(p, false)
	})
}

// say publishes the condition of all units.
func (r *rig) say(p *player, announce bool) error {
	if r.silent || r.gone {
		return nil
	}
	for from := 0; from < len(r.units); from += batch {
		r.counter++
		r.sent[r.counter] = p.now
		st := &events.WorkerStatus{BootID: r.boot(), Counter: r.counter, Announce: announce}
		for _, u := range r.units[from:min(from+batch, len(r.units))] {
			if u.state == events.PermitFailsafe && u.fell == 0 {
				u.fell = r.counter
			}
			us := events.UnitStatus{Unit: u.id, State: u.state, SetpointWatts: u.setpoint(), PowerWatts: u.power,
				Healthy: u.healthy, Modelled: u.modelled, LocalLimitWatts: u.local, Reason: u.reason, SignalID: u.signal}
			if u.hasApplied {
				k := u.applied
				us.Applied = &k
			}
			if r.deaf {
				us.PowerWatts = us.SetpointWatts
			}
			if announce {
				c := u.caps
				us.Capabilities = &c
			}
			st.Units = append(st.Units, us)
		}
		if err := p.publish(r.id, st); err != nil {
			return err
		}
	}
	return nil
}

func (r *rig) boot() string { return fmt.Sprintf("%s-boot-%d", r.id, r.boots) }

func (u *rigUnit) setpoint() int64 {
	if u.local != nil {
		return min(u.set, *u.local)
	}
	return u.set
}

func (r *rig) power() int64 {
	w := int64(0)
	for _, u := range r.units {
		w += u.power
	}
	return w
}

func (r *rig) leave(p *player) error {
	r.counter++
	err := p.publish(r.id, &events.WorkerStatus{BootID: r.boot(), Counter: r.counter, Leaving: true})
	r.gone = true
	for _, u := range r.units {
		u.power = 0
	}
	return err
}

func (r *rig) restart(p *player) error {
	r.boots++
	r.counter, r.gone = 0, false
	clear(r.sent)
	for _, u := range r.units {
		*u = rigUnit{id: u.id, caps: u.caps, state: events.PermitBoot, set: u.caps.FailsafeWatts, power: u.caps.FailsafeWatts, healthy: u.healthy, modelled: u.modelled, local: u.local}
	}
	return r.say(p, true)
}

func (r *rig) comeBack(p *player) error {
	r.silent = false
	return r.say(p, false)
}

// deliver carries an output to the agents that hear it.
func (p *player) deliver(source string, data events.Payload) {
	switch c := data.(type) {
	case *events.CommandOutlet:
		p.switchOutlet(c)
	case *events.CommandCurtail:
		for _, r := range p.order {
			if source == r.id || source == events.BroadcastSource {
				r.newest = c.Key
				r.hear(p, func(p *player) {
					if c.AllUnitsWatts != nil {
						for _, u := range r.units {
							r.obey(p, u, c.Key, min(*c.AllUnitsWatts, u.set))
						}
					}
					for _, s := range c.Units {
						if u := r.byID[s.Unit]; u != nil {
							r.obey(p, u, c.Key, min(s.SetpointWatts, u.set))
						}
					}
				})
			}
		}
	case *events.CommandRamp:
		if r := p.rigs[source]; r != nil {
			r.newest = c.Key
			r.hear(p, func(p *player) {
				for _, s := range c.Units {
					u := r.byID[s.Unit]
					if u == nil || c.BootID != r.boot() {
						continue
					}
					if u.state == events.PermitFailsafe && (u.fell == 0 || c.Counter < u.fell) {
						continue
					}
					if r.lease(p, u, c.Counter, c.LeaseMilliseconds) {
						r.obey(p, u, c.Key, s.SetpointWatts)
					}
				}
			})
		}
	case *events.PermitRenewed:
		if r := p.rigs[source]; r != nil {
			r.hear(p, func(p *player) {
				for _, s := range c.Units {
					u := r.byID[s.Unit]
					if u == nil || c.BootID != r.boot() {
						continue
					}
					if u.leased {
						r.lease(p, u, c.Counter, c.LeaseMilliseconds)
					}
					if s.SetpointWatts < u.set {
						r.obey(p, u, c.Key, s.SetpointWatts)
					}
				}
			})
		}
	}
}

func (r *rig) hear(p *player, do func(*player)) {
	if !r.follows || r.gone {
		return
	}
	p.later(travel, func(p *player) error { do(p); return nil })
}

// lease lets the unit draw until the lease from that status is over.
func (r *rig) lease(p *player, u *rigUnit, counter uint64, milliseconds int64) bool {
	sent, ok := r.sent[counter]
	end := sent + time.Duration(milliseconds)*time.Millisecond
	if !ok || end <= p.now {
		return false
	}
	if u.leased && end <= u.leaseEnd {
		return true
	}
	u.leased, u.leaseEnd = true, end
	p.later(end-p.now, func(p *player) error {
		if u.leased && u.leaseEnd <= p.now {
			u.leased, u.state, u.fell = false, events.PermitFailsafe, 0
			r.move(p, u, min(u.set, u.caps.FailsafeWatts))
			r.soon(p)
		}
		return nil
	})
	return true
}

// obey sets the unit by a command.
func (r *rig) obey(p *player, u *rigUnit, k events.OrderKey, w int64) {
	u.applied, u.hasApplied = k, true
	if u.leased {
		u.state = events.PermitLimited
		if w >= u.caps.NameplateWatts {
			u.state = events.PermitRunning
		}
	}
	r.move(p, u, w)
	r.soon(p)
}

// move changes the setpoint; the draw follows: up at once, down when the time
// to fall is over.
func (r *rig) move(p *player, u *rigUnit, w int64) {
	u.set = w
	if r.deaf {
		return
	}
	w = u.setpoint()
	if u.dark {
		return
	}
	if w >= u.power {
		u.power = w
		p.observe()
		return
	}
	p.later(time.Duration(u.caps.FallMilliseconds)*time.Millisecond, func(p *player) error {
		if now := u.setpoint(); now < u.power && !r.deaf {
			u.power = now
			p.observe()
			r.soon(p)
		}
		return nil
	})
}
