// SPDX-License-Identifier: Apache-2.0

package enginebench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
)

const (
	// windowTime of one side of a comparison on all threads.
	windowTime = 100 * time.Millisecond
	// settleTime lets a miner's threads get going before a window.
	settleTime = 5 * time.Millisecond
	// jobTime after which a miner gets the next job while it is measured:
	// some hundred times as often as from a pool.
	jobTime = 20 * time.Millisecond
)

// shares is the target while a miner is measured: one hash in 2^20, some dozens
// of hits per second and core, hundreds of times as many as a pool asks for.
var shares = hashengine.Target{2: 0x0f, 3: 0xff}

// engine is a miner and a crew on the same number of threads; at most one of
// them hashes at a time.
type engine struct {
	*run
	miner *hashengine.Miner
	crew  *crew
	bare  []hashengine.Engine // the crew's, with the miner's kernel
	work  hashengine.Work     // theirs
	hits  atomic.Uint64       // handed out by the miner
}

// newEngine makes them, stopped. The caller must close it.
func (r *run) newEngine() (*engine, error) {
	e := &engine{run: r, work: endless(true)}
	var err error
	e.miner, err = hashengine.NewMiner(hashengine.MinerConfig{
		Threads: r.Threads, NewEngine: r.Engine.New, OnHit: func(hashengine.Hit) { e.hits.Add(1) },
	})
	if err != nil {
		return nil, err
	}
	if e.bare, err = e.engines(r.Engine, &e.work); err == nil {
		err = e.miner.SetWork(e.work)
	}
	if err != nil {
		_ = e.miner.Close() // returns nil
		return nil, err
	}
	e.crew = newCrew(e.miner.Threads())
	return e, nil
}

func (e *engine) close() {
	e.crew.end()
	_ = e.miner.Close() // returns nil
}

// engines makes one per thread.
func (e *engine) engines(k hashengine.Kernel, work *hashengine.Work) ([]hashengine.Engine, error) {
	all := make([]hashengine.Engine, e.miner.Threads())
	for i := range all {
		var err error
		if all[i], err = trusted(k); err == nil {
			err = all[i].Load(work)
		}
		if err != nil {
			return nil, fmt.Errorf("engine of thread %d: %w", i, err)
		}
	}
	return all, nil
}

// cores times all lanes in turn on all threads.
func (e *engine) cores(ctx context.Context, share time.Duration, lanes []*lane) error {
	engines := make([][]hashengine.Engine, len(lanes))
	for i, l := range lanes {
		var err error
		if engines[i], err = e.engines(l.kernel, &l.work); err != nil {
			return err
		}
	}
	// Three windows each at least; short ones if there are many lanes.
	length := min(windowTime, share/time.Duration(3*len(lanes)))
	begin := time.Now()
	for round := 0; round < 3 || time.Since(begin) < share; round++ {
		for i, l := range lanes {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			l.windows = append(l.windows, e.crew.run(engines[i], &l.work, length))
		}
		e.step("kernels on all cores", shareCores, float64(time.Since(begin))/float64(share))
	}
	return nil
}

// overBare compares the miner with the crew, window by window.
func (e *engine) overBare(ctx context.Context, share time.Duration) (EngineResult, error) {
	res := EngineResult{Kernel: e.Engine.Name, Threads: e.miner.Threads(), Target: TargetOverBare}
	var bare, mined, ratios []float64
	before := e.miner.Stats()
	begin := time.Now()
	last := e.crew.run(e.bare, &e.work, windowTime)
	for res.Windows = 0; res.Windows < 3 || time.Since(begin) < share; res.Windows++ {
		rate, jobs, err := e.window(ctx)
		if err != nil {
			return res, err
		}
		next := e.crew.run(e.bare, &e.work, windowTime)
		bare, mined = append(bare, next), append(mined, rate)
		ratios = append(ratios, rate/((last+next)/2))
		last = next
		res.Jobs += jobs
		e.step("engine over bare kernel", shareEngine, float64(time.Since(begin))/float64(share))
	}
	if err := e.miner.SetWork(e.work); err != nil {
		return res, err
	}
	after := e.miner.Stats()
	res.BareRate, res.EngineRate, res.OverBare = median(bare)/1e6, median(mined)/1e6, median(ratios)
	res.Met = res.OverBare >= res.Target
	res.Hits, res.Faults = after.Hits-before.Hits, after.Faults-before.Faults
	return res, nil
}

// window lets the miner work at jobs with hits and returns its hashes per
// second and the number of jobs.
func (e *engine) window(ctx context.Context) (rate float64, jobs int, err error) {
	job := e.work
	job.Target = shares
	next := func() error {
		jobs++
		job.Header.SetTime(job.Header.Time() + 1)
		return e.miner.SetWork(job)
	}
	if err := next(); err != nil {
		return 0, jobs, err
	}
	e.miner.Resume()
	defer e.miner.Stop()
	if err := sleep(ctx, settleTime); err != nil {
		return 0, jobs, err
	}
	from, begin := e.miner.Stats().Hashes, time.Now()
	for time.Since(begin) < windowTime {
		if err := sleep(ctx, min(jobTime, max(windowTime-time.Since(begin), 1))); err != nil {
			return 0, jobs, err
		}
		if err := next(); err != nil {
			return 0, jobs, err
		}
	}
	return float64(e.miner.Stats().Hashes-from) / time.Since(begin).Seconds(), jobs, nil
}
