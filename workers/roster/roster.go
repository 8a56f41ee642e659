// SPDX-License-Identifier: Apache-2.0

package roster

import (
	"maps"
	"math/bits"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Silence after which an agent is forgotten: it gets no work until it speaks
// again.
const Silence = time.Minute

// Miner is what is known of one agent.
type Miner struct {
	// Agent named, and Boot, the id of its present start.
	Agent, Boot string
	// Number of the agent in the order of appearance, from 0.
	Number uint32
	// Capacity in hashes per second at full power.
	Capacity float64
	// Modelled: all of its units are. Announced: capabilities were heard;
	// before, what runs just now says little about what will.
	Modelled, Announced bool
	// Healthy: the newest status has no unit that runs and is not.
	Healthy bool
	// Seen is when it spoke last.
	Seen time.Time
	// Difficulty of its newest job, as text; the roster's user keeps it.
	Difficulty string

	units map[string]float64 // capacity of each
}

// Roster is who mines here.
type Roster struct {
	agents map[string]*Miner
	next   uint32 // number of the next new agent
}

// New returns an empty roster.
func New() *Roster { return &Roster{agents: make(map[string]*Miner)} }

// Get is the miner of an agent, nil when it is not known.
func (r *Roster) Get(agent string) *Miner { return r.agents[agent] }

// Len is the number of agents known.
func (r *Roster) Len() int { return len(r.agents) }

// All lists the miners in the order of their agents' names.
func (r *Roster) All() []*Miner {
	out := make([]*Miner, 0, len(r.agents))
	for _, id := range slices.Sorted(maps.Keys(r.agents)) {
		out = append(out, r.agents[id])
	}
	return out
}

// Heard books a status and reports whether the agent needs work now: it is
// new, announced itself, or can do other work than it was known for. The miner
// is nil when the agent leaves.
func (r *Roster) Heard(agent string, s *events.WorkerStatus, now time.Time) (m *Miner, needs bool) {
	if s.Leaving {
		delete(r.agents, agent)
		return nil, false
	}
	m = r.agents[agent]
	if m == nil {
		m = &Miner{Agent: agent, Number: r.next}
		r.next++
		r.agents[agent] = m
		needs = true
	}
	if m.Boot != s.BootID {
		m.Boot, m.units, m.Modelled, m.Announced, needs = s.BootID, make(map[string]float64), true, false, true
	}
	m.Seen, m.Healthy = now, true
	for i := range s.Units {
		u := &s.Units[i]
		if !u.Healthy {
			m.Healthy = false
		}
		if u.Capabilities == nil && m.units[u.Unit] > 0 {
			continue
		}
		m.Announced = m.Announced || u.Capabilities != nil
		m.units[u.Unit] = capacity(u)
		m.Modelled = m.Modelled && u.Modelled
	}
	m.Capacity = 0
	for _, c := range m.units {
		m.Capacity += c
	}
	return m, needs || s.Announce
}

// Forget drops who has been silent.
func (r *Roster) Forget(now time.Time) {
	for id, m := range r.agents {
		if now.Sub(m.Seen) > Silence {
			delete(r.agents, id)
		}
	}
}

// capacity of a unit at full power, as announced, else as it hashes now; in
// hashes per second.
func capacity(u *events.UnitStatus) float64 {
	if c := u.Capabilities; c != nil && c.NameplateWatts > 0 && c.MillijoulesPerTerahash > 0 {
		hi, lo := bits.Mul64(uint64(c.NameplateWatts), 1e15)
		if d := uint64(c.MillijoulesPerTerahash); hi < d {
			q, _ := bits.Div64(hi, lo, d)
			return float64(q)
		}
	}
	return float64(u.HashrateMHs) * 1e6
}
