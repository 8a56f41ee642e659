// SPDX-License-Identifier: Apache-2.0

package enginebench

import (
	"runtime"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
)

// crew is threads that run engines in bare loops, at the priority of a miner's
// threads, so that what other processes take is taken from both.
type crew struct {
	tasks  []chan task
	rates  []float64 // of the newest window, hashes per second
	window sync.WaitGroup
	ended  sync.WaitGroup
}

// task is one window of one thread.
type task struct {
	engine hashengine.Engine
	work   *hashengine.Work
	length time.Duration
}

// newCrew starts n threads. The caller must end it.
func newCrew(n int) *crew {
	c := &crew{rates: make([]float64, n)}
	for i := range n {
		tasks := make(chan task)
		c.tasks = append(c.tasks, tasks)
		c.ended.Go(func() {
			// Never unlocked: the thread ends with the goroutine, and with it
			// its priority, which the system would not let be raised again.
			runtime.LockOSThread()
			yieldTo(hashengine.DefaultNice)
			for t := range tasks {
				c.rates[i] = t.rate()
				c.window.Done()
			}
		})
	}
	return c
}

// rate scans for the window's length and returns hashes per second.
func (t *task) rate() float64 {
	// The first call takes the place of the start-up that a miner's window
	// does not contain either.
	scan(t.engine, t.work)
	var hashes uint64
	begin := time.Now()
	for {
		hashes += scan(t.engine, t.work)
		if took := time.Since(begin); took >= t.length {
			return float64(hashes) / took.Seconds()
		}
	}
}

// run has every thread scan with its engine, all at a time, and returns the
// hashes per second of all together.
func (c *crew) run(engines []hashengine.Engine, work *hashengine.Work, length time.Duration) float64 {
	c.window.Add(len(c.tasks))
	for i, tasks := range c.tasks {
		tasks <- task{engines[i], work, length}
	}
	c.window.Wait()
	sum := 0.0
	for _, r := range c.rates {
		sum += r
	}
	return sum
}

// end the threads and wait for it.
func (c *crew) end() {
	for _, tasks := range c.tasks {
		close(tasks)
	}
	c.ended.Wait()
}
