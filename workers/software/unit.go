// SPDX-License-Identifier: Apache-2.0

package software

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"strconv"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/agent"
)

const (
	// minDuty is the lowest duty cycle used, permille: below, starting and
	// stopping threads costs more than it hashes.
	minDuty = 50
	// rateWindow is the least time over which hash rate and power are
	// averaged.
	rateWindow = 500 * time.Millisecond
	// learnAfter is how long the unit must have run at one duty cycle for its
	// rate to say something about its class; learnBeyond is the difference
	// that is announced, percent.
	learnAfter  = 10 * time.Second
	learnBeyond = 25
)

// unit is the agent.Driver of the processors.
type unit struct {
	cfg    Config
	outbox *agent.Outbox
	kernel hashengine.Kernel
	miner  *hashengine.Miner
	meter  *energyMeter // nil when nothing is measured
	log    *slog.Logger
	// changed asks for a status, relearned for an announcement.
	changed, relearned func()

	// calibrated is the rate of all threads at full power, hashes per second,
	// before anything was learned.
	calibrated float64

	// Of the agent's goroutine.
	caps     events.Capabilities
	duty     int // permille, 0 when stopped
	dutyFrom time.Time
	window   sample
	rate     float64 // hashes per second
	watts    int64

	mu     sync.Mutex
	work   *assignment
	workAt time.Time
}

// sample is a moment of the counters.
type sample struct {
	at     time.Time
	hashes uint64
}

var (
	_ agent.Driver  = (*unit)(nil)
	_ agent.Worker  = (*unit)(nil)
	_ agent.Drainer = (*unit)(nil)
)

func newUnit(cfg Config, outbox *agent.Outbox) (*unit, error) {
	u := &unit{cfg: cfg, outbox: outbox, log: cfg.Logger.With("agent", cfg.Agent), changed: func() {}, relearned: func() {}}
	var err error
	if u.kernel, err = hashengine.KernelByName(cfg.Kernel); err != nil {
		return nil, err
	}
	perThread, err := calibrate(u.kernel)
	if err != nil {
		return nil, err
	}
	u.calibrated = perThread * float64(cfg.Threads)
	if cfg.EnergyCounters != "none" {
		if u.meter, err = openEnergyMeter(cfg.EnergyCounters); err != nil {
			u.log.Info("power is modelled, not measured", "reason", err)
		}
	}
	full := int64(cfg.Threads) * cfg.WattsPerThread
	u.caps = events.Capabilities{
		Class: "cpu", NameplateWatts: full, MinWatts: max(full*minDuty/1000, 1), FailsafeWatts: cfg.FailsafeWatts,
		MillijoulesPerTerahash: millijoules(full, u.calibrated),
		FallMilliseconds:       10, Meter: cfg.Meter, Node: cfg.Node,
	}
	u.miner, err = hashengine.NewMiner(hashengine.MinerConfig{
		Threads: cfg.Threads, CPUs: cfg.CPUs, Pin: cfg.Pin, NewEngine: u.kernel.New,
		OnHit: u.hit, Next: u.next, Nice: cfg.Nice, NormalPriority: cfg.NormalPriority,
	})
	if err != nil {
		return nil, err
	}
	u.logStart()
	u.window = sample{at: time.Now()}
	return u, nil
}

// logStart says how this unit hashes, and what could not be had.
func (u *unit) logStart() {
	stats := u.miner.Stats()
	args := []any{"kernel", u.kernel.Name, "threads", u.miner.Threads(), "nice", stats.Nice, "megahashes_per_second", int64(u.calibrated / 1e6)}
	if stats.Bound > 0 {
		places := make([]string, 0, stats.Bound)
		for _, cpus := range u.miner.CPUs() {
			places = append(places, hashengine.FormatCPUs(cpus))
		}
		args = append(args, "processors", places)
	}
	u.log.Info("ready to hash", args...)
	if err := stats.LowerErr; errors.Is(err, errors.ErrUnsupported) {
		u.log.Info("hashing at normal priority", "reason", err)
	} else if err != nil {
		u.log.Warn("hashing at normal priority", "reason", err)
	}
}

// calibrate measures one thread's hash rate for a tenth of a second.
func calibrate(kernel hashengine.Kernel) (perSecond float64, err error) {
	engine, err := kernel.New()
	if err != nil {
		return 0, fmt.Errorf("calibrate: %w", err)
	}
	search := hashengine.NewWork(hashengine.Header{}, hashengine.VersionRollingMask, hashengine.Target{31: 1})
	if err := engine.Load(&search); err != nil {
		return 0, fmt.Errorf("calibrate: %w", err)
	}
	var hits [1]hashengine.Hit
	var hashes uint64
	begin := time.Now()
	for time.Since(begin) < 100*time.Millisecond {
		hashes += engine.Scan(hits[:]).Hashes
	}
	return float64(hashes) / time.Since(begin).Seconds(), nil
}

// millijoules per terahash of a unit that draws watts at that rate.
func millijoules(watts int64, perSecond float64) int64 {
	hi, lo := bits.Mul64(uint64(watts), 1e15)
	d := max(uint64(perSecond), 1)
	if hi >= d {
		return events.MaxInteger
	}
	q, _ := bits.Div64(hi, lo, d)
	return int64(min(max(q, 1), events.MaxInteger))
}

// Units implements agent.Driver.
func (u *unit) Units() []agent.Unit {
	return []agent.Unit{{ID: u.cfg.Agent, Capabilities: u.caps}}
}

// Drive implements agent.Driver.
func (u *unit) Drive(orders []agent.Order) {
	for _, o := range orders {
		u.set(o.Watts)
	}
}

func (u *unit) set(watts int64) {
	duty := 0
	if watts >= u.caps.MinWatts {
		duty = int(min(watts*hashengine.FullDuty/u.caps.NameplateWatts, hashengine.FullDuty))
	}
	if duty == u.duty {
		return
	}
	was := u.duty
	if duty == 0 {
		u.miner.Stop()
	} else if err := u.miner.SetDuty(duty); err != nil {
		// Cannot be, as the duty is within its bounds; off is always safe.
		u.miner.Stop()
		duty = 0
		u.log.Error("duty cycle refused: stopped", "error", err)
	} else if was == 0 {
		u.miner.Resume()
	}
	u.duty, u.dutyFrom = duty, time.Now()
	u.window = sample{at: u.dutyFrom, hashes: u.miner.Stats().Hashes}
	// What the model says until there is something to measure.
	u.watts = u.modelled()
	u.rate = u.fullRate() * float64(duty) / hashengine.FullDuty
	if u.meter != nil {
		u.meter.restart(u.dutyFrom)
	}
}

// modelled power at the present duty cycle.
func (u *unit) modelled() int64 { return u.caps.NameplateWatts * int64(u.duty) / hashengine.FullDuty }

// fullRate is the announced hash rate at full power, hashes per second.
func (u *unit) fullRate() float64 {
	return float64(u.caps.NameplateWatts) * 1e15 / float64(u.caps.MillijoulesPerTerahash)
}

// Measure implements agent.Driver.
func (u *unit) Measure(_ int, s *events.UnitStatus) {
	now, stats := time.Now(), u.miner.Stats()
	if span := now.Sub(u.window.at); span >= rateWindow {
		u.rate = float64(stats.Hashes-u.window.hashes) / span.Seconds()
		u.window = sample{now, stats.Hashes}
		u.learn(now, stats)
	}
	if u.meter != nil {
		u.watts = u.meter.read(now, u.duty > 0, u.watts)
	}
	s.PowerWatts, s.HashrateMHs, s.Hashes = u.watts, int64(u.rate/1e6), strconv.FormatUint(stats.Hashes, 10)
	s.PowerModelled = u.meter == nil || !u.meter.measured
	u.mu.Lock()
	s.Healthy = u.work != nil && now.Sub(u.workAt) <= u.cfg.WorkTimeout && stats.Faults == 0
	u.mu.Unlock()
	switch {
	case u.duty == 0:
		s.HashrateMHs = 0
	case stats.Active == 0 && u.meter == nil:
		s.PowerWatts = 0 // permitted, but without work
	}
}

// learn announces another efficiency when the unit turns out to be of one.
func (u *unit) learn(now time.Time, stats hashengine.Stats) {
	if u.duty == 0 || now.Sub(u.dutyFrom) < learnAfter || stats.Active < u.cfg.Threads {
		return
	}
	full := u.rate * hashengine.FullDuty / float64(u.duty)
	if known := u.fullRate(); full < 1 || full*100 < known*(100+learnBeyond) && known*100 < full*(100+learnBeyond) {
		return
	}
	u.caps.MillijoulesPerTerahash = millijoules(u.caps.NameplateWatts, full)
	u.relearned()
}

// Drain implements agent.Drainer.
func (u *unit) Drain(ctx context.Context) error {
	_ = u.miner.Close() // hands out the last hits; returns nil
	return u.outbox.Drain(ctx)
}
