// SPDX-License-Identifier: Apache-2.0

package modelled

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/agent"
)

// MaxTrimPPM is how far below the nameplate a machine may be.
const MaxTrimPPM = 200_000

// FleetConfig describes the machines behind one agent.
type FleetConfig struct {
	// Agent is the id of the agent that will drive them; units are called
	// <agent>-0001 and on, a single one like the agent.
	Agent string
	// Count of machines, from 1.
	Count int
	// Class of machine.
	Class Class
	// Meter that sees them, made by the plant if it is new; empty when none
	// does.
	Meter string
	// FailsafeWatts that a machine may draw without a permit; default 0. W.
	FailsafeWatts int64
	// StandbyWatts that it draws when off; default 0, as with its outlet
	// switched. W.
	StandbyWatts int64
	// TrimPPM is the most that a machine is below its nameplate in draw and
	// hash rate, parts per million; its times vary by as much either way. 0
	// makes all machines alike.
	TrimPPM int64
}

// Fleet is the machines behind one agent: an agent.Driver that takes work.
type Fleet struct {
	cfg   FleetConfig
	plant *Plant
	meter *meter // nil when none
	units []agent.Unit

	mu       sync.Mutex
	machines []machine
	random   *rand.Rand
	job      *events.WorkAssigned
	perShare float64 // hashes per share of the job
	expected float64 // shares done, in expectation, of those due
	due      float64 // the next share is found when expected gets there
	ordinal  uint64
}

var (
	_ agent.Driver  = (*Fleet)(nil)
	_ agent.Worker  = (*Fleet)(nil)
	_ agent.Drainer = (*Fleet)(nil)
)

// NewFleet adds machines to the plant, all off.
func (p *Plant) NewFleet(cfg FleetConfig) (*Fleet, error) {
	if err := events.CheckToken("agent", cfg.Agent); err != nil {
		return nil, fmt.Errorf("modelled fleet: %w", err)
	}
	if cfg.Count < 1 {
		return nil, fmt.Errorf("modelled fleet %s: count %d: at least 1 machine", cfg.Agent, cfg.Count)
	}
	if err := cfg.Class.Validate(); err != nil {
		return nil, fmt.Errorf("modelled fleet %s: %w", cfg.Agent, err)
	}
	full := cfg.Class.full().Watts
	if cfg.FailsafeWatts < 0 || cfg.FailsafeWatts > full || cfg.StandbyWatts < 0 || cfg.StandbyWatts >= cfg.Class.Levels[0].Watts {
		return nil, fmt.Errorf("modelled fleet %s: failsafe %d W must be 0 to %d, standby %d W 0 to %d", cfg.Agent, cfg.FailsafeWatts, full, cfg.StandbyWatts, cfg.Class.Levels[0].Watts-1)
	}
	if cfg.TrimPPM < 0 || cfg.TrimPPM > MaxTrimPPM {
		return nil, fmt.Errorf("modelled fleet %s: trim %d ppm: 0 to %d", cfg.Agent, cfg.TrimPPM, MaxTrimPPM)
	}
	if cfg.Meter != "" {
		if err := events.CheckToken("meter", cfg.Meter); err != nil {
			return nil, fmt.Errorf("modelled fleet %s: %w", cfg.Agent, err)
		}
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(cfg.Agent))
	f := &Fleet{cfg: cfg, plant: p, random: rand.New(rand.NewPCG(p.cfg.Seed, h.Sum64())), machines: make([]machine, cfg.Count)}
	f.due = f.random.ExpFloat64()
	levels, hashing := cfg.Class.announced()
	now := p.now()
	for i := range f.machines {
		id := cfg.Agent
		if cfg.Count > 1 {
			id = fmt.Sprintf("%s-%04d", cfg.Agent, i+1)
		}
		f.units = append(f.units, agent.Unit{ID: id, Capabilities: events.Capabilities{
			Class: cfg.Class.Name, NameplateWatts: full, LevelsWatts: hashing, Levels: levels, MinWatts: hashing[0],
			FailsafeWatts: cfg.FailsafeWatts, MillijoulesPerTerahash: cfg.Class.MillijoulesPerTerahash(),
			FallMilliseconds: cfg.Class.Fall.Milliseconds(), BootMilliseconds: cfg.Class.Boot.Milliseconds(),
			Meter: cfg.Meter,
		}})
		f.machines[i] = machine{
			class: &f.cfg.Class, standby: cfg.StandbyWatts, at: now,
			fromWatts: cfg.StandbyWatts, toWatts: cfg.StandbyWatts,
			fallsAt: now, fallenAt: now, bootedAt: now,
			fall: cfg.Class.Fall, boot: cfg.Class.Boot, wake: cfg.Class.Wake,
		}
		if cfg.TrimPPM > 0 {
			m := &f.machines[i]
			m.trim = f.random.Int64N(cfg.TrimPPM + 1)
			// Announced times are promises: it is never slower than those.
			m.fall -= m.fall * time.Duration(f.random.Int64N(cfg.TrimPPM+1)) / 1_000_000
			m.boot -= m.boot * time.Duration(f.random.Int64N(cfg.TrimPPM+1)) / 1_000_000
			m.wake = min(m.wake, m.boot)
		}
	}
	if err := p.add(f); err != nil {
		return nil, err
	}
	return f, nil
}

// Units implements agent.Driver.
func (f *Fleet) Units() []agent.Unit { return f.units }

// Drive implements agent.Driver.
func (f *Fleet) Drive(orders []agent.Order) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.plant.now()
	var energy int64
	for _, o := range orders {
		m := &f.machines[o.Unit]
		energy += m.advance(now)
		m.set(now, o.Watts)
	}
	f.meter.add(energy)
}

// Measure implements agent.Driver.
func (f *Fleet) Measure(unit int, s *events.UnitStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, now := &f.machines[unit], f.plant.now()
	f.meter.add(m.advance(now))
	s.PowerWatts, s.HashrateMHs = m.watts(now), m.hashrate(now)*megahashes
	s.Hashes, s.Modelled, s.PowerModelled, s.Healthy = m.hashes(), true, true, m.fault != FaultBroken
	if m.fault == FaultIgnores {
		// It says what it was told.
		l := m.class.at(m.order)
		s.PowerWatts, s.HashrateMHs = m.target(l), m.trimmed(l.HashrateGHs)*megahashes
	}
}

// Work implements agent.Worker.
func (f *Fleet) Work(w *events.WorkAssigned) {
	d, err := hashengine.ParseDifficulty(w.ShareDifficulty)
	if err != nil {
		f.plant.log.Warn("work ignored", "agent", f.cfg.Agent, "job", w.JobID, "error", err)
		return
	}
	difficulty, _ := d.Float64()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.step(f.plant.now()) // what was done so far is for the old job
	f.job, f.perShare = w, difficulty*hashesPerDifficulty1
}

// hashesPerDifficulty1 is the expected number of hashes per share of
// difficulty 1.
const hashesPerDifficulty1 = 4295032833

// Drain implements agent.Drainer: it waits until all shares are stored.
func (f *Fleet) Drain(ctx context.Context) error { return f.plant.outbox.Drain(ctx) }

// SetFault makes machine unit, counted from 0, misbehave.
func (f *Fleet) SetFault(unit int, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, now := &f.machines[unit], f.plant.now()
	f.meter.add(m.advance(now))
	m.setFault(now, fault)
}

// Watts drawn by all machines now.
func (f *Fleet) Watts() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watts(f.plant.now())
}

func (f *Fleet) watts(now int64) int64 {
	var sum int64
	for i := range f.machines {
		sum += f.machines[i].watts(now)
	}
	return sum
}

// step accounts all machines until now, finds the shares of that time, and
// returns the draw. f.mu is held.
func (f *Fleet) step(now int64) (watts int64) {
	var energy int64
	var hashes uint64
	for i := range f.machines {
		m := &f.machines[i]
		energy += m.advance(now)
		watts += m.watts(now)
		hashes += m.fresh
	}
	f.meter.add(energy)
	if f.job != nil && hashes > 0 {
		f.expected += float64(hashes) / f.perShare
		for found := 0; f.expected >= f.due && found < maxSharesPerStep; found++ {
			f.due += f.random.ExpFloat64()
			f.find(f.random.Uint64N(hashes))
		}
		// Only the difference matters; kept small it stays exact.
		f.expected, f.due = 0, max(f.due-f.expected, 0)
	}
	for i := range f.machines {
		f.machines[i].fresh = 0
	}
	return watts
}

// maxSharesPerStep bounds what one step of one fleet can flood the bus with
// when a job is far too easy for it.
const maxSharesPerStep = 500

// find publishes a share of the machine that did the nth of the step's hashes.
func (f *Fleet) find(nth uint64) {
	unit := 0
	for i := range f.machines {
		if n := f.machines[i].fresh; nth >= n {
			nth -= n
			continue
		}
		unit = i
		break
	}
	f.ordinal++
	id := f.units[unit].ID
	digest := sha256.Sum256([]byte(f.plant.instance + "\n" + id + "\n" + f.job.JobID + "\n" + strconv.FormatUint(f.ordinal, 10)))
	share := &events.ShareFound{
		ShareID: hex.EncodeToString(digest[:]), JobID: f.job.JobID, Gateway: f.job.Gateway, Unit: id,
		Difficulty: f.job.ShareDifficulty, FoundAt: f.plant.cfg.Wall().UTC(), Modelled: true,
	}
	if err := f.plant.outbox.Add(events.New(f.plant.cfg.Site, f.cfg.Agent, share).WithID(share.ShareID)); err != nil {
		f.plant.complain(err)
	}
}
