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
	// settleTime lets threads get going before a window.
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
	bare  []*loop         // the crew's, with the miner's kernel
	work  hashengine.Work // theirs
	hits  atomic.Uint64   // handed out by the miner
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
	if e.bare, err = e.loops(r.Engine, e.work); err == nil {
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

// loops makes one per thread.
func (e *engine) loops(k hashengine.Kernel, work hashengine.Work) ([]*loop, error) {
	all := make([]*loop, e.miner.Threads())
	for i := range all {
		var err error
		if all[i], err = newLoop(k, work); err != nil {
			return nil, fmt.Errorf("engine of thread %d: %w", i, err)
		}
	}
	return all, nil
}

// cores times all lanes in turn on all threads.
func (e *engine) cores(ctx context.Context, share time.Duration, lanes []*lane) error {
	loops := make([][]*loop, len(lanes))
	for i, l := range lanes {
		var err error
		if loops[i], err = e.loops(l.kernel, l.loop.work); err != nil {
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
			l.windows = append(l.windows, e.crew.run(loops[i], length).rate)
		}
		e.step("kernels on all cores", shareCores, float64(time.Since(begin))/float64(share))
	}
	return nil
}

// overBare compares the miner with the crew, window by window.
func (e *engine) overBare(ctx context.Context, share time.Duration) (EngineResult, error) {
	res := EngineResult{Kernel: e.Engine.Name, Threads: e.miner.Threads(), Target: TargetOverBare}
	var bare, mined, ratios, byCPU []float64
	before := e.miner.Stats()
	begin := time.Now()
	for res.Windows = 0; res.Windows < 4 || time.Since(begin) < share; res.Windows++ {
		// Which of the two goes first alternates, so that a clock that falls
		// through the pair favours neither.
		bareFirst := res.Windows%2 == 0
		var b outcome
		if bareFirst {
			b = e.crew.run(e.bare, windowTime)
		}
		m, jobs, err := e.window(ctx)
		if err != nil {
			return res, err
		}
		if !bareFirst {
			b = e.crew.run(e.bare, windowTime)
		}
		bare, mined, ratios = append(bare, b.rate), append(mined, m.rate), append(ratios, m.rate/b.rate)
		if m.perCPU() > 0 && b.perCPU() > 0 {
			byCPU = append(byCPU, m.perCPU()/b.perCPU())
		}
		res.Jobs += jobs
		e.step("engine over bare kernel", shareEngine, float64(time.Since(begin))/float64(share))
	}
	if err := e.miner.SetWork(e.work); err != nil {
		return res, err
	}
	after := e.miner.Stats()
	res.BareRate, res.EngineRate, res.OverBare = median(bare)/1e6, median(mined)/1e6, median(ratios)
	res.OverBareCPU = median(byCPU)
	res.Met = res.OverBare >= res.Target
	res.Hits, res.Faults = after.Hits-before.Hits, after.Faults-before.Faults
	return res, nil
}

// window lets the miner work at jobs with hits.
func (e *engine) window(ctx context.Context) (o outcome, jobs int, err error) {
	job := e.work
	job.Target = shares
	next := func() error {
		jobs++
		job.Header.SetTime(job.Header.Time() + 1)
		return e.miner.SetWork(job)
	}
	if err := next(); err != nil {
		return o, jobs, err
	}
	e.miner.Resume()
	defer e.miner.Stop()
	if err := sleep(ctx, settleTime); err != nil {
		return o, jobs, err
	}
	from, cpu, begin := e.miner.Stats().Hashes, ownTime(), time.Now()
	for time.Since(begin) < windowTime {
		if err := sleep(ctx, min(jobTime, max(windowTime-time.Since(begin), 1))); err != nil {
			return o, jobs, err
		}
		if err := next(); err != nil {
			return o, jobs, err
		}
	}
	o.hashes, o.cpu = e.miner.Stats().Hashes-from, ownTime()-cpu
	o.rate = float64(o.hashes) / time.Since(begin).Seconds()
	return o, jobs, nil
}
