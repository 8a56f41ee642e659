// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"context"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Result of one run.
type Result struct {
	// Seed of the story.
	Seed uint64 `json:"seed"`
	// Simulated time, up to the violation if there is one.
	Simulated time.Duration `json:"simulated_nanos"`
	// Events folded by all replicas, and Commands stored.
	Events   int64 `json:"events"`
	Commands int64 `json:"commands"`
	// MinedMilliwattHours on the floor: a run in which nothing mines proves
	// little.
	MinedMilliwattHours int64 `json:"mined_milliwatt_hours"`
	// Faults injected, and what they did.
	Faults  int    `json:"faults"`
	Effects Counts `json:"effects"`
	// Violation of a rule, nil when all held.
	Violation *Violation `json:"violation,omitempty"`
}

// Run plays a story. It writes what happens to trace, unless that is nil. Equal
// stories give equal results. It returns an error for a story that makes no
// sense, and none for a rule that broke: see Result.Violation.
func Run(st *Story, trace io.Writer) (Result, error) {
	return play(st, rig{}, trace)
}

func play(st *Story, g rig, trace io.Writer) (Result, error) {
	if err := st.Check(); err != nil {
		return Result{}, err
	}
	w := newWorld(st, g, trace)
	w.run()
	return Result{
		Seed: st.Seed, Simulated: w.now, Events: w.folded, Commands: int64(len(w.bus.streams["COMMANDS"].msgs)),
		MinedMilliwattHours: w.plant.mined.milliwattHours, Violation: w.violation,
		Faults: w.injected, Effects: w.effects,
	}, nil
}

// Campaign is many seeds.
type Campaign struct {
	// First seed and how many follow, itself included.
	First, Seeds uint64
	// Parallel runs at once; 0 means one per processor.
	Parallel int
	// Budget of real time after which no new seed is begun; 0 for none.
	Budget time.Duration
	// Except are seeds to leave out, such as those of open findings.
	Except []uint64
	// Done is called after every seed, by one goroutine at a time.
	Done func(Result)
}

// Summary of a campaign.
type Summary struct {
	// Seeds played, in how much real time, and how much was simulated.
	Seeds     uint64        `json:"seeds"`
	Took      time.Duration `json:"took_nanos"`
	Simulated time.Duration `json:"simulated_nanos"`
	Events    int64         `json:"events"`
	Commands  int64         `json:"commands"`
	// MinedMilliwattHours in all, and Idle, the seeds in which nothing mined.
	MinedMilliwattHours int64  `json:"mined_milliwatt_hours"`
	Idle                uint64 `json:"idle_seeds"`
	// Faults injected, and what they did.
	Faults  int    `json:"faults"`
	Effects Counts `json:"effects"`
	// Failed seeds, in no order.
	Failed []Result `json:"failed,omitempty"`
}

// HoursPerMinute is how many hours were simulated per real minute.
func (s *Summary) HoursPerMinute() float64 {
	if s.Took <= 0 {
		return 0
	}
	return s.Simulated.Hours() / s.Took.Minutes()
}

// maxFailed seeds end a campaign: more say nothing new.
const maxFailed = 20

// Run plays the seeds until they are all played, the budget is used up, too
// many have failed, or ctx ends; the summary says how many it were.
func (c *Campaign) Run(ctx context.Context) (Summary, error) {
	began := time.Now()
	if c.Budget > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Budget)
		defer cancel()
	}
	parallel := c.Parallel
	if parallel <= 0 {
		parallel = runtime.GOMAXPROCS(0)
	}
	var (
		next atomic.Uint64
		mu   sync.Mutex
		sum  = Summary{Effects: make(Counts)}
		bad  error
		wg   sync.WaitGroup
	)
	for range parallel {
		wg.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				if n >= c.Seeds {
					return
				}
				if slices.Contains(c.Except, c.First+n) {
					continue
				}
				r, err := Run(NewStory(c.First+n), nil)
				mu.Lock()
				if err != nil {
					bad = err
				}
				sum.take(&r)
				if c.Done != nil {
					c.Done(r)
				}
				enough := bad != nil || len(sum.Failed) >= maxFailed
				mu.Unlock()
				if enough {
					return
				}
			}
		})
	}
	wg.Wait()
	sum.Took = time.Since(began)
	return sum, bad
}

func (s *Summary) take(r *Result) {
	s.Seeds++
	s.Simulated += r.Simulated
	s.Events += r.Events
	s.Commands += r.Commands
	s.Faults += r.Faults
	s.Effects.add(r.Effects)
	s.MinedMilliwattHours += r.MinedMilliwattHours
	if r.MinedMilliwattHours == 0 {
		s.Idle++
	}
	if r.Violation != nil {
		s.Failed = append(s.Failed, *r)
	}
}
