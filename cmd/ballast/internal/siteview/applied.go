// SPDX-License-Identifier: Apache-2.0

package siteview

import (
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// pending is a command whose application has not been seen.
type pending struct {
	key   events.OrderKey
	units map[string]bool // still to come
	at    time.Time       // arrival of the cause
	last  time.Time       // arrival of the latest first status that shows it
}

// watch remembers a command until every unit of it reports to have applied it.
// Statuses and commands are read from two streams: a unit may have shown the
// command before it is read.
func (v *View) watch(key events.OrderKey, units []events.UnitSetpoint, cause time.Time) {
	p := pending{key: key, at: cause, units: map[string]bool{}}
	for _, u := range units {
		p.units[u.Unit] = true
	}
	if len(units) == 0 { // a broadcast is for everybody
		for id := range v.units {
			p.units[id] = true
		}
	}
	if len(p.units) == 0 {
		return
	}
	for id := range p.units {
		if u := v.units[id]; u.applied != nil && u.applied.Compare(key) >= 0 {
			p.done(id, u.appliedAt)
		}
	}
	if len(p.units) == 0 {
		v.p.Applied.add(p.last.Sub(p.at))
		return
	}
	v.pending = append(v.pending, p)
	if n := len(v.pending) - maxPending; n > 0 {
		v.pending = slices.Delete(v.pending, 0, n)
	}
}

// done books that a unit showed the command in a status that arrived at a time.
func (p *pending) done(unit string, at time.Time) {
	delete(p.units, unit)
	if at.After(p.last) {
		p.last = at
	}
}

func (v *View) applied(unit string, key events.OrderKey, at time.Time) {
	done := false
	for i := range v.pending {
		p := &v.pending[i]
		if p.units[unit] && key.Compare(p.key) >= 0 {
			p.done(unit, at)
			if len(p.units) == 0 {
				v.p.Applied.add(p.last.Sub(p.at))
				done = true
			}
		}
	}
	if done {
		v.pending = slices.DeleteFunc(v.pending, func(p pending) bool { return len(p.units) == 0 })
	}
}
