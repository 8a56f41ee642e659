// SPDX-License-Identifier: Apache-2.0

package enginebench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/klauspost/cpuid/v2"

	"github.com/ballast-energy/ballast/hashengine"
)

const (
	// DefaultDuration of a Run.
	DefaultDuration = 25 * time.Second
	// MinDuration of a Run: below, not even the best chunk is one.
	MinDuration = 2 * time.Second
	// MaxDuration of a Run.
	MaxDuration = 10 * time.Minute
	// DefaultStops are timed if the time allows it.
	DefaultStops = 1000
)

// ErrDuration is wrapped when a duration is out of bounds.
var ErrDuration = errors.New("bad duration")

// Config of a Run. The zero value is usable.
type Config struct {
	// Kernels to measure; nil means all of the build. The standard library's
	// is measured in any case, as the peer that the others are compared with.
	Kernels []hashengine.Kernel
	// Engine is what the miner's figures are taken with; the zero Kernel means
	// [hashengine.Fastest].
	Engine hashengine.Kernel
	// Threads that hash at a time; 0 means as many as a miner takes.
	Threads int
	// Duration of the whole, approximately; 0 means DefaultDuration. Slow
	// machines take longer by what the last windows and stops need.
	Duration time.Duration
	// Stops to time; 0 means DefaultStops. Fewer are done when a machine that
	// others keep busy does not get there in three times its share of Duration.
	Stops int
}

// peer is the kernel that the others are compared with.
const peer = "stdlib"

// Shares of the duration, in permille.
const (
	shareKernels = 450
	shareCores   = 170
	shareEngine  = 170
	shareStops   = 100
	sharePauses  = 110
)

// Progress hears how far a Run is: what it is at and permille done. Nil hears
// nothing. It is called on Run's goroutine, some times a second.
type Progress func(what string, permille int)

// run is one Run.
type run struct {
	Config
	progress Progress
	choice   hashengine.Choice
	before   int // permille of the steps that are done
}

// Run measures everything. If ctx ends, it returns its error.
func Run(ctx context.Context, cfg Config, progress Progress) (*Report, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return measure(ctx, cfg, progress)
}

// Kernels measures the kernels on one core only; the rest of the Report is
// left zero. It takes a little less than half of the duration.
func Kernels(ctx context.Context, cfg Config, progress Progress) (*Report, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r, err := newRun(cfg, progress)
	if err != nil {
		return nil, err
	}
	return r.oneCore(ctx)
}

// check the duration.
func (c *Config) check() error {
	if c.Duration == 0 {
		c.Duration = DefaultDuration
	}
	if c.Duration < MinDuration || c.Duration > MaxDuration {
		return fmt.Errorf("engine bench: %w: %s, want %s to %s", ErrDuration, c.Duration, MinDuration, MaxDuration)
	}
	return nil
}

// newRun fills in what was left open.
func newRun(cfg Config, progress Progress) (*run, error) {
	if cfg.Stops <= 0 {
		cfg.Stops = DefaultStops
	}
	if cfg.Kernels == nil {
		cfg.Kernels = hashengine.Kernels()
	}
	if progress == nil {
		progress = func(string, int) {}
	}
	r := &run{Config: cfg, progress: progress}
	var err error
	if r.choice, err = hashengine.Choose(); err != nil {
		return nil, fmt.Errorf("engine bench: %w", err)
	}
	if cfg.Engine.Name == "" {
		if r.Engine, err = hashengine.Fastest(); err != nil {
			return nil, fmt.Errorf("engine bench: %w", err)
		}
	}
	return r, nil
}

// oneCore is the part of Kernels.
func (r *run) oneCore(ctx context.Context) (*Report, error) {
	lanes, unable := r.lanes()
	alone := watchOthers()
	m, err := r.kernels(ctx, lanes)
	if err != nil {
		return nil, fmt.Errorf("engine bench: %w", err)
	}
	m.Others = alone()
	return &Report{Machine: m, Kernels: append(r.results(lanes, &m), unable...)}, nil
}

// measure is Run for any duration.
func measure(ctx context.Context, cfg Config, progress Progress) (*Report, error) {
	r, err := newRun(cfg, progress)
	if err != nil {
		return nil, err
	}
	lanes, unable := r.lanes()
	report := &Report{}
	alone := watchOthers()
	if report.Machine, err = r.kernels(ctx, lanes); err != nil {
		return nil, fmt.Errorf("engine bench: %w", err)
	}
	e, err := r.newEngine()
	if err != nil {
		return nil, fmt.Errorf("engine bench: %w", err)
	}
	defer e.close()
	report.Machine.Threads = e.miner.Threads()
	for _, step := range []struct {
		share int
		do    func(context.Context, time.Duration) error
	}{
		{shareCores, func(ctx context.Context, d time.Duration) error { return e.cores(ctx, d, lanes) }},
		{shareEngine, func(ctx context.Context, d time.Duration) (err error) {
			report.Engine, err = e.overBare(ctx, d)
			return err
		}},
		{shareStops, func(ctx context.Context, d time.Duration) (err error) {
			report.Stop, err = e.stops(ctx, d)
			return err
		}},
		{sharePauses, func(ctx context.Context, d time.Duration) (err error) {
			report.Pauses, err = e.pauses(ctx, d)
			return err
		}},
	} {
		if err := step.do(ctx, r.share(step.share)); err != nil {
			return nil, fmt.Errorf("engine bench: %w", err)
		}
		r.before += step.share
	}
	report.Machine.Others = alone()
	report.Kernels = append(r.results(lanes, &report.Machine), unable...)
	r.progress("done", 1000)
	return report, nil
}

// share is a part of the duration.
func (r *run) share(permille int) time.Duration {
	return r.Duration * time.Duration(permille) / 1000
}

// step tells how far a step is that takes share of the duration.
func (r *run) step(what string, share int, done float64) {
	r.progress(what, r.before+int(float64(share)*min(done, 1)))
}

// machine says where this is.
func machine() Machine {
	return Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Processor: cpuid.CPU.BrandName,
		Processors: runtime.NumCPU(), GoVersion: runtime.Version(),
	}
}

// watchOthers returns what tells how many processors others have kept busy
// since, or -1.
func watchOthers() func() float64 {
	before, _ := others()
	begin := time.Now()
	return func() float64 {
		after, ok := others()
		if !ok {
			return -1
		}
		// Accounts of the system are coarse: a little below zero is zero.
		return max(float64(after-before)/float64(time.Since(begin)), 0)
	}
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
