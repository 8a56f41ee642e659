// SPDX-License-Identifier: Apache-2.0

package practice

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// silence after which an agent is forgotten: it gets no work until it speaks
// again.
const silence = time.Minute

// hashesPerDifficulty1 is the expected number of hashes per share of
// difficulty 1.
const hashesPerDifficulty1 = 4295032833

// miner is what the pool knows of one agent.
type miner struct {
	agent  string
	boot   string
	prefix uint32
	// capacity in hashes per second of each unit.
	units    map[string]float64
	capacity float64
	// modelled: all of its units are. announced: capabilities were heard;
	// before, what runs just now says little about what will.
	modelled, announced bool
	seen                time.Time
	// difficulty of its newest job, as text.
	difficulty string
}

// roster is who mines here.
type roster struct {
	agents map[string]*miner
	next   uint32 // prefix of the next new agent
}

// heard books a status and reports whether the agent needs work now: it is
// new, announced itself, or can do other work than it was known for.
func (r *roster) heard(agent string, s *events.WorkerStatus, now time.Time) (m *miner, needs bool) {
	if s.Leaving {
		delete(r.agents, agent)
		return nil, false
	}
	m = r.agents[agent]
	if m == nil {
		m = &miner{agent: agent, prefix: r.next}
		r.next++
		r.agents[agent] = m
		needs = true
	}
	if m.boot != s.BootID {
		m.boot, m.units, m.modelled, m.announced, needs = s.BootID, make(map[string]float64), true, false, true
	}
	m.seen = now
	for i := range s.Units {
		u := &s.Units[i]
		if u.Capabilities == nil && m.units[u.Unit] > 0 {
			continue
		}
		m.announced = m.announced || u.Capabilities != nil
		m.units[u.Unit] = capacity(u)
		m.modelled = m.modelled && u.Modelled
	}
	m.capacity = 0
	for _, c := range m.units {
		m.capacity += c
	}
	return m, needs || s.Announce
}

// forget drops who has been silent.
func (r *roster) forget(now time.Time) {
	for id, m := range r.agents {
		if now.Sub(m.seen) > silence {
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

// rates says how many shares per second are wanted.
type rates struct {
	// perAgent of a real agent; allReal and allModelled together at most.
	perAgent, allReal, allModelled float64
}

// difficulty of an agent's next job. Modelled agents share one difficulty, so
// that together they find allModelled shares per second at full power, however
// many they are.
func (r *roster) difficulty(m *miner, want rates) string {
	var modelled float64
	real, announced := 0, true
	for _, o := range r.agents {
		if o.modelled {
			modelled += o.capacity
			announced = announced && o.announced
		} else {
			real++
		}
	}
	if m.modelled {
		d := modelled / want.allModelled / hashesPerDifficulty1
		if !announced {
			// A pool that starts after a fleet has announced itself hears it
			// again within half a minute. Until then too hard costs nothing,
			// too easy costs a flood of shares.
			d = max(d, unannouncedDifficulty)
		}
		return difficultyText(d)
	}
	perSecond := min(want.perAgent, want.allReal/float64(max(real, 1)))
	return difficultyText(m.capacity / perSecond / hashesPerDifficulty1)
}

// Bounds of share difficulties.
const (
	minDifficulty = 1e-6
	maxDifficulty = 1e15
	// defaultDifficulty while nothing is known of an agent: a fast core finds a
	// share a second, a server with a hundred of them no flood.
	defaultDifficulty = 0.01

	// unannouncedDifficulty of modelled work while some fleet's size is not
	// known: a petahash per second finds a share in four seconds.
	unannouncedDifficulty = 1e6
)

// difficultyText is d in three significant digits, as exact decimal text.
func difficultyText(d float64) string {
	if !(d > 0) {
		d = defaultDifficulty
	}
	d = min(max(d, minDifficulty), maxDifficulty)
	if d >= 1000 {
		// Whole numbers with three digits that count.
		unit := math.Pow(10, math.Floor(math.Log10(d))-2)
		return strconv.FormatFloat(math.Round(d/unit)*unit, 'f', 0, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(d)))
	text := strconv.FormatFloat(d, 'f', max(digits, 0), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
