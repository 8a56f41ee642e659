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
	done   []outcome // of the newest window
	window sync.WaitGroup
	ended  sync.WaitGroup
}

// task is one window of one thread.
type task struct {
	loop   *loop
	length time.Duration
}

// newCrew starts n threads. The caller must end it.
func newCrew(n int) *crew {
	c := &crew{done: make([]outcome, n)}
	for i := range n {
		tasks := make(chan task)
		c.tasks = append(c.tasks, tasks)
		c.ended.Go(func() {
			// Never unlocked: the thread ends with the goroutine, and with it
			// its priority, which the system would not let be raised again.
			runtime.LockOSThread()
			yieldTo(hashengine.DefaultNice)
			for t := range tasks {
				c.done[i] = t.do()
				c.window.Done()
			}
		})
	}
	return c
}

// outcome of a window, of one thread or of all together.
type outcome struct {
	rate   float64 // hashes per second of wall clock
	hashes uint64
	cpu    time.Duration // processor time of the hashes; 0 where not known
}

// perCPU returns hashes per second of processor time, 0 where not known.
func (o *outcome) perCPU() float64 {
	if o.cpu <= 0 {
		return 0
	}
	return float64(o.hashes) / o.cpu.Seconds()
}

// do scans for the window's length.
func (t *task) do() outcome {
	// As a miner before its window.
	for begin := time.Now(); time.Since(begin) < settleTime; {
		t.loop.scan()
	}
	var o outcome
	cpu, begin := threadTime(), time.Now()
	for {
		o.hashes += t.loop.scan()
		if took := time.Since(begin); took >= t.length {
			o.cpu = threadTime() - cpu
			o.rate = float64(o.hashes) / took.Seconds()
			return o
		}
	}
}

// run has every thread scan with its loop, all at a time, and returns what
// they did together.
func (c *crew) run(loops []*loop, length time.Duration) outcome {
	c.window.Add(len(c.tasks))
	for i, tasks := range c.tasks {
		tasks <- task{loops[i], length}
	}
	c.window.Wait()
	var sum outcome
	for _, o := range c.done {
		sum.rate += o.rate
		sum.hashes += o.hashes
		sum.cpu += o.cpu
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
