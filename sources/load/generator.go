// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Config of a load.
type Config struct {
	// PeakWatts is the load with every job at its peak. W, at least 1000.
	PeakWatts int64
	// Jobs is the number of training slots sharing 80 % of the peak; default
	// 3. Inference has the rest.
	Jobs int
	// Pace shortens jobs, pauses and the inference day by this factor, so
	// that a demo shows in minutes what takes hours; steps keep their speed.
	// 1 to 600, default 1.
	Pace int
	// Seed of the random source.
	Seed uint64
}

// Shares of a job's peak, and mean durations at pace 1; see doc.go.
const (
	trainingShare  = 0.80
	busyLevel      = 0.955
	busyNoise      = 0.02
	dipLevel       = 0.67
	interruptLevel = 0.25
	idleLevel      = 0.22
	dipsPerHour    = 20.0
	dipMean        = 8 * time.Second
	runMean        = 40 * time.Minute
	interruptMean  = 6 * time.Minute
	idleMean       = 20 * time.Minute
	riseTime       = 5 * time.Second // back to 90 % within it
	inferenceMean  = 0.60
	inferenceSwing = 0.25
	inferenceDay   = 24 * time.Hour
)

type phase int

const (
	phaseBusy phase = iota
	phaseDip
	phaseInterrupted
	phaseIdle
)

type job struct {
	phase phase
	left  time.Duration
	level float64 // present share of peak
}

// Generator makes one load.
type Generator struct {
	cfg     Config
	rnd     *rand.Rand
	jobs    []job
	elapsed time.Duration
	noise   float64
	watts   atomic.Int64
}

// New returns a generator at its first value.
func New(cfg Config) (*Generator, error) {
	if cfg.Jobs == 0 {
		cfg.Jobs = 3
	}
	if cfg.Pace == 0 {
		cfg.Pace = 1
	}
	switch {
	case cfg.PeakWatts < 1000:
		return nil, fmt.Errorf("load: peak of %d W: use at least 1000", cfg.PeakWatts)
	case cfg.Jobs < 1 || cfg.Jobs > 1000:
		return nil, fmt.Errorf("load: %d jobs: use 1 to 1000", cfg.Jobs)
	case cfg.Pace < 1 || cfg.Pace > 600:
		return nil, fmt.Errorf("load: pace %d: use 1 to 600", cfg.Pace)
	}
	g := &Generator{cfg: cfg, rnd: rand.New(rand.NewPCG(cfg.Seed, 0x62616c6c617374)), jobs: make([]job, cfg.Jobs)}
	for i := range g.jobs {
		g.jobs[i] = job{phase: phaseBusy, left: g.exp(runMean), level: busyLevel}
	}
	g.Next(0)
	return g, nil
}

// exp draws a duration with the given mean, shortened by the pace.
func (g *Generator) exp(mean time.Duration) time.Duration {
	return time.Duration(g.rnd.ExpFloat64()*float64(mean)) / time.Duration(g.cfg.Pace)
}

// Watts is the present load. Safe for concurrent use.
func (g *Generator) Watts() int64 { return g.watts.Load() }

// Next moves on by step and returns the load then, W.
func (g *Generator) Next(step time.Duration) int64 {
	g.elapsed += step
	per := trainingShare / float64(len(g.jobs))
	share := 0.0
	for i := range g.jobs {
		share += per * g.step(&g.jobs[i], step)
	}
	day := float64(inferenceDay) / float64(g.cfg.Pace)
	g.noise = 0.95*g.noise + 0.01*g.rnd.NormFloat64()
	inference := inferenceMean + inferenceSwing*math.Sin(2*math.Pi*float64(g.elapsed)/day) + g.noise
	share += (1 - trainingShare) * min(max(inference, 0.1), 1)
	w := int64(math.Round(min(max(share, 0), 1) * float64(g.cfg.PeakWatts)))
	g.watts.Store(w)
	return w
}

// step moves one job on and returns its share of its peak.
func (g *Generator) step(j *job, step time.Duration) float64 {
	j.left -= step
	if j.left <= 0 {
		g.change(j)
	} else if j.phase == phaseBusy && g.rnd.Float64() < dipsPerHour*step.Hours() {
		j.phase, j.left = phaseDip, time.Duration(g.rnd.ExpFloat64()*float64(dipMean))
	}
	target := busyLevel + busyNoise*g.rnd.NormFloat64()
	switch j.phase {
	case phaseDip:
		target = dipLevel
	case phaseInterrupted:
		target = interruptLevel
	case phaseIdle:
		target = idleLevel
	}
	// Falls are immediate, rises take seconds.
	if target > j.level {
		j.level = min(target, j.level+0.9*float64(step)/float64(riseTime))
	} else {
		j.level = target
	}
	return min(j.level, 1)
}

func (g *Generator) change(j *job) {
	switch j.phase {
	case phaseBusy:
		if g.rnd.Float64() < 0.5 {
			j.phase, j.left = phaseInterrupted, 30*time.Second/time.Duration(min(g.cfg.Pace, 3))+g.exp(interruptMean)
		} else {
			j.phase, j.left = phaseIdle, g.exp(idleMean)
		}
	default:
		j.phase, j.left = phaseBusy, g.exp(runMean)
	}
}

// Publisher is what Run needs of the bus.
type Publisher interface {
	Publish(ctx context.Context, evs ...*events.Event) error
}

// Run publishes a reading of meter at site every period until the context
// ends, whose error it returns. A publish that fails is logged and the next
// period tries the value then in force.
func (g *Generator) Run(ctx context.Context, pub Publisher, site, meter string, period time.Duration, log *slog.Logger) error {
	if period < 50*time.Millisecond {
		return fmt.Errorf("load: period %v: at least 50ms", period)
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		now := time.Now()
		ev := events.New(site, meter, &events.MeterReading{PowerWatts: g.Watts(), SampledAt: now.UTC(), Quality: events.QualityGood, Modelled: true}).At(now)
		pctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := pub.Publish(pctx, ev)
		cancel()
		if err != nil && ctx.Err() == nil {
			log.Warn("load: publish failed, the next period tries again", "site", site, "meter", meter, "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			g.Next(period)
		}
	}
}
