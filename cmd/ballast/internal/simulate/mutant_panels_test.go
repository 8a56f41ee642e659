// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/permit"
)

// receipt counts leases from when the grant came.
type receipt struct{ *permit.Panel }

func (p *receipt) Renew(now permit.Instant, r *events.PermitRenewed) permit.Outcome {
	c := *r
	c.Counter = p.Panel.Send(now, nil)
	return p.Panel.Renew(now, &c)
}

// endless grants an hour.
type endless struct{ *permit.Panel }

func (p *endless) Ramp(now permit.Instant, wall time.Time, stored bool, r *events.CommandRamp) permit.Outcome {
	c := *r
	c.LeaseMilliseconds = 3_600_000
	return p.Panel.Ramp(now, wall, stored, &c)
}

// Describe says of it what may be said of a lease.
func (p *endless) Describe(now permit.Instant, i int, s *events.UnitStatus) {
	p.Panel.Describe(now, i, s)
	s.LeaseMilliseconds = min(s.LeaseMilliseconds, events.MaxLeaseMilliseconds)
}

// sleepy does nothing by time alone.
type sleepy struct{ *permit.Panel }

func (p *sleepy) Next() (permit.Instant, bool)           { return 0, false }
func (p *sleepy) Tick(now permit.Instant) permit.Outcome { return permit.Outcome{} }

// eager draws what it can until it is told otherwise.
type eager struct {
	*permit.Panel
	told bool
}

func (p *eager) Setpoint(i int) int64 {
	if !p.told {
		return 1 << 30
	}
	return p.Panel.Setpoint(i)
}

func (p *eager) Ramp(now permit.Instant, wall time.Time, stored bool, r *events.CommandRamp) permit.Outcome {
	p.told = true
	return p.Panel.Ramp(now, wall, stored, r)
}

// raising takes a renewal for a ramp.
type raising struct{ *permit.Panel }

func (p *raising) Renew(now permit.Instant, r *events.PermitRenewed) permit.Outcome {
	return p.Panel.Ramp(now, time.Time{}, true, &events.CommandRamp{
		Decider: r.Decider, Key: r.Key, Agent: agentOf(r.BootID), BootID: r.BootID, Counter: r.Counter,
		LeaseMilliseconds: r.LeaseMilliseconds, Units: r.Units,
	})
}

// agentOf a boot id of the simulation.
func agentOf(boot string) string {
	for i := range boot {
		if len(boot[i:]) > 6 && boot[i:i+6] == "-boot-" {
			return boot[:i]
		}
	}
	return boot
}

// reviving lets a renewal lift the failsafe.
type reviving struct {
	*permit.Panel
	boot string
}

func (p *reviving) Renew(now permit.Instant, r *events.PermitRenewed) permit.Outcome {
	c := *r
	all := make([]int, p.Panel.Len())
	for i := range all {
		all[i] = i
	}
	if p.Panel.Machine(0).State() == events.PermitFailsafe {
		counter := p.Panel.Send(now, all)
		return p.Panel.Ramp(now, time.Time{}, true, &events.CommandRamp{
			Decider: c.Decider, Key: c.Key, Agent: agentOf(p.boot), BootID: p.boot, Counter: counter,
			LeaseMilliseconds: c.LeaseMilliseconds, Units: c.Units,
		})
	}
	return p.Panel.Renew(now, r)
}

// forgetful takes every command for the newest.
type forgetful struct {
	*permit.Panel
	n uint64
}

func (p *forgetful) key() events.OrderKey {
	p.n++
	return events.OrderKey{Epoch: 1 << 40, Sequence: p.n}
}

func (p *forgetful) Curtail(now permit.Instant, c *events.CommandCurtail) permit.Outcome {
	o := *c
	o.Key = p.key()
	return p.Panel.Curtail(now, &o)
}

func (p *forgetful) Ramp(now permit.Instant, wall time.Time, stored bool, r *events.CommandRamp) permit.Outcome {
	o := *r
	o.Key = p.key()
	return p.Panel.Ramp(now, wall, stored, &o)
}

func (p *forgetful) Renew(now permit.Instant, r *events.PermitRenewed) permit.Outcome {
	o := *r
	o.Key = p.key()
	return p.Panel.Renew(now, &o)
}

// timeless never looks at valid_until.
type timeless struct{ *permit.Panel }

func (p *timeless) Ramp(now permit.Instant, _ time.Time, stored bool, r *events.CommandRamp) permit.Outcome {
	return p.Panel.Ramp(now, time.Time{}, stored, r)
}

// anyBoot takes whatever names an earlier start for its own.
type anyBoot struct {
	*permit.Panel
	boot string
}

func (p *anyBoot) Ramp(now permit.Instant, wall time.Time, stored bool, r *events.CommandRamp) permit.Outcome {
	o := *r
	if o.BootID != p.boot {
		o.BootID, o.Counter = p.boot, p.Panel.Send(now, nil)
	}
	return p.Panel.Ramp(now, wall, stored, &o)
}

// waiting lets a reduction wait.
type waiting struct {
	*permit.Panel
	held []*events.CommandCurtail
}

func (p *waiting) Curtail(_ permit.Instant, c *events.CommandCurtail) permit.Outcome {
	o := *c
	o.Units = append([]events.UnitSetpoint(nil), c.Units...)
	p.held = append(p.held, &o)
	return permit.Outcome{}
}

func (p *waiting) Renew(now permit.Instant, r *events.PermitRenewed) permit.Outcome {
	for _, c := range p.held {
		p.Panel.Curtail(now, c)
	}
	p.held = nil
	return p.Panel.Renew(now, r)
}
