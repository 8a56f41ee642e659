// SPDX-License-Identifier: Apache-2.0

package software

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/agent"
)

// Defaults of Config.
const (
	DefaultWattsPerThread = 10
	DefaultWorkTimeout    = 3 * time.Minute
)

// MaxWattsPerThread bounds the power model.
const MaxWattsPerThread = 1000

// Bus is what a worker needs of the bus; *bus.Bus is one.
type Bus interface {
	Conn() *nats.Conn
	Prefix() string
	Publish(ctx context.Context, evs ...*events.Event) error
}

// Config of a Worker.
type Config struct {
	// Site it belongs to, and Agent, its id and that of its unit.
	Site, Agent string
	// Kernel that computes the hashes, by its name; empty or
	// hashengine.AutoKernel is the fastest here.
	Kernel string
	// Threads that hash; 0 means hashengine.DefaultThreads: one per physical
	// core, less under a container's limit.
	Threads int
	// CPUs are the processors to hash on, by the system's numbers; empty means
	// all that the process may use. Linux only.
	CPUs []int
	// Pin binds each thread to a core of its own. Linux only.
	Pin bool
	// Nice value of the threads, 1 to 19; 0 means hashengine.DefaultNice.
	Nice int
	// WattsPerThread that a thread adds to the machine's draw when it hashes
	// all the time; default DefaultWattsPerThread. W.
	WattsPerThread int64
	// FailsafeWatts that it may draw without a permit; default 0. W.
	FailsafeWatts int64
	// Meter that sees this machine, or empty.
	Meter string
	// Node of the site's power tree on which this machine hangs, or empty.
	Node string
	// WorkTimeout after which work counts as gone; default
	// DefaultWorkTimeout.
	WorkTimeout time.Duration
	// EnergyCounters is the directory of the processor's energy counters;
	// default /sys/class/powercap. "none" measures nothing.
	EnergyCounters string
	// NormalPriority leaves the hashing threads at the process's priority.
	NormalPriority bool
	// StatusPeriod and DrainTimeout as in agent.Config.
	StatusPeriod, DrainTimeout time.Duration
	// Logger; nil discards. Metrics; nil counts for nobody.
	Logger  *slog.Logger
	Metrics *agent.Metrics
}

func (c Config) withDefaults() (Config, error) {
	if c.Kernel == "" {
		c.Kernel = hashengine.AutoKernel
	}
	if c.Threads == 0 {
		n, err := hashengine.DefaultThreads(c.CPUs)
		if err != nil {
			return c, err
		}
		c.Threads = n
	}
	if c.WattsPerThread == 0 {
		c.WattsPerThread = DefaultWattsPerThread
	}
	if c.WorkTimeout == 0 {
		c.WorkTimeout = DefaultWorkTimeout
	}
	if c.EnergyCounters == "" {
		c.EnergyCounters = "/sys/class/powercap"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func (c Config) validate() error {
	var errs []error
	if c.Threads < 1 || c.Threads > hashengine.MaxThreads {
		errs = append(errs, fmt.Errorf("threads %d: 1 to %d", c.Threads, hashengine.MaxThreads))
	}
	if c.WattsPerThread < 1 || c.WattsPerThread > MaxWattsPerThread {
		errs = append(errs, fmt.Errorf("watts per thread %d: 1 to %d", c.WattsPerThread, MaxWattsPerThread))
	}
	if full := int64(c.Threads) * c.WattsPerThread; c.FailsafeWatts < 0 || c.FailsafeWatts > full {
		errs = append(errs, fmt.Errorf("failsafe %d W: 0 to %d", c.FailsafeWatts, full))
	}
	if c.Nice < 0 || c.Nice > hashengine.DefaultNice {
		errs = append(errs, fmt.Errorf("nice %d: 1 to %d", c.Nice, hashengine.DefaultNice))
	}
	if c.WorkTimeout < 0 {
		errs = append(errs, fmt.Errorf("work timeout %s is negative", c.WorkTimeout))
	}
	return errors.Join(errs...)
}

// Worker hashes on this machine as one unit.
type Worker struct {
	cfg    Config
	agent  *agent.Agent
	unit   *unit
	outbox *agent.Outbox
	close  sync.Once
}

// New measures the hash rate for some tenths of a second and starts the hashing
// threads, stopped. The caller must Run or Close it.
func New(cfg Config, bus Bus) (*Worker, error) {
	cfg, err := cfg.withDefaults()
	if err == nil {
		err = cfg.validate()
	}
	if err != nil {
		return nil, fmt.Errorf("software worker %q: %w", cfg.Agent, err)
	}
	w := &Worker{cfg: cfg, outbox: agent.NewOutbox(bus, 0, cfg.Logger)}
	if w.unit, err = newUnit(cfg, w.outbox); err != nil {
		return nil, fmt.Errorf("software worker %q: %w", cfg.Agent, err)
	}
	w.agent, err = agent.New(agent.Config{
		Site: cfg.Site, Agent: cfg.Agent, StatusPeriod: cfg.StatusPeriod, DrainTimeout: cfg.DrainTimeout,
		Logger: cfg.Logger, Metrics: cfg.Metrics,
	}, bus, w.unit)
	if err != nil {
		w.Close()
		return nil, err
	}
	w.unit.changed = w.agent.Report
	w.unit.relearned = w.agent.Announce
	return w, nil
}

// Ready is closed once the bus has stored the worker's announcement.
func (w *Worker) Ready() <-chan struct{} { return w.agent.Ready() }

// Agent speaks for the worker; see there for a limit set on site.
func (w *Worker) Agent() *agent.Agent { return w.agent }

// Kernel that computes the hashes.
func (w *Worker) Kernel() hashengine.Kernel { return w.unit.kernel }

// Threads that hash.
func (w *Worker) Threads() int { return w.unit.miner.Threads() }

// HashesPerSecond of all threads at full power, as measured on one of them when
// the worker was made.
func (w *Worker) HashesPerSecond() float64 { return w.unit.calibrated }

// Stats of the hashing threads.
func (w *Worker) Stats() hashengine.Stats { return w.unit.miner.Stats() }

// Run works until ctx ends, then stops hashing, publishes what shares are left,
// and says goodbye, within DrainTimeout. It may be called once.
func (w *Worker) Run(ctx context.Context) error {
	octx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var outbox sync.WaitGroup
	outbox.Go(func() { _ = w.outbox.Run(octx) }) // returns nil
	err := w.agent.Run(ctx)
	stop()
	outbox.Wait()
	w.Close()
	return err
}

// Close ends the hashing threads. Run does it at its end.
func (w *Worker) Close() { w.close.Do(func() { _ = w.unit.miner.Close() }) } // returns nil
