// SPDX-License-Identifier: Apache-2.0

package enginebench

import (
	"context"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pauseTime of one window of collections, without and with hashing.
	pauseTime = 100 * time.Millisecond
	// neighbourSleep is what the neighbour sleeps at a time.
	neighbourSleep = time.Millisecond
	// betweenCollections others run undisturbed.
	betweenCollections = time.Millisecond
)

// gcPauses is the runtime's own account of its stops of the world for garbage
// collection.
const gcPauses = "/sched/pauses/total/gc:seconds"

// pauses forces collections, in turn without and with hashing.
func (e *engine) pauses(ctx context.Context, share time.Duration) (PauseResult, error) {
	res := PauseResult{Kernel: e.Engine.Name, Threads: e.miner.Threads()}
	var world [2]histogram
	var late [2][]time.Duration
	begin := time.Now()
	for i := 0; i < 2 || time.Since(begin) < share; i++ {
		condition := i % 2
		if condition == 1 {
			if err := e.hashing(ctx); err != nil {
				return res, err
			}
		}
		before := readPauses()
		samples, err := collect(ctx, pauseTime)
		e.miner.Stop()
		if err != nil {
			return res, err
		}
		world[condition].add(before, readPauses())
		late[condition] = append(late[condition], samples...)
		e.step("garbage collector", sharePauses, float64(time.Since(begin))/float64(share))
	}
	res.World = compare(world[0].spread(), world[1].spread())
	res.Neighbour = compare(spread(late[0]), spread(late[1]))
	return res, nil
}

func compare(idle, hashing Spread) Conditions {
	return Conditions{Idle: idle, Hashing: hashing, Difference: hashing.P99 - idle.P99}
}

func readPauses() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: gcPauses}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindFloat64Histogram {
		return &metrics.Float64Histogram{} // a later Go release without it: no samples
	}
	return s[0].Value.Float64Histogram()
}

// collect forces collection after collection for the time d and returns how
// late a neighbour woke meanwhile.
func collect(ctx context.Context, d time.Duration) (late []time.Duration, err error) {
	var over atomic.Bool
	var neighbour sync.WaitGroup
	neighbour.Go(func() {
		for !over.Load() {
			begin := time.Now()
			time.Sleep(neighbourSleep)
			late = append(late, max(time.Since(begin)-neighbourSleep, 0))
		}
	})
	for begin := time.Now(); err == nil && time.Since(begin) < d; {
		runtime.GC()
		err = sleep(ctx, betweenCollections)
	}
	over.Store(true)
	neighbour.Wait()
	return late, err
}
