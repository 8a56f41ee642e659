// SPDX-License-Identifier: Apache-2.0

package dispatchbench

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
)

// Targets in events per second on one core.
const (
	TargetDecoded = 1_500_000
	TargetJSON    = 400_000
)

// Result of one case.
type Result struct {
	// Name of the case, for people.
	Name string
	// Rate is the median over the runs, events per second on one core.
	Rate float64
	// Target that Rate should reach.
	Target float64
	// Runs in the order they were made, events per second.
	Runs []float64
	// Events folded in each run, and Outputs that came out of them.
	Events, Outputs int
}

// Ratio to the target.
func (r Result) Ratio() float64 { return r.Rate / r.Target }

// String is one line for people.
func (r Result) String() string {
	return fmt.Sprintf("%-28s %9.0f events/s/core, %.2f × the target of %.0f (median of %d runs of %d events, %d outputs)",
		r.Name, r.Rate, r.Ratio(), r.Target, len(r.Runs), r.Events, r.Outputs)
}

// Run folds the journal runs times from events and from bytes, in turns, and
// yields one result per case. It ends early with the context's error.
func Run(ctx context.Context, j *Journal, runs int) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		cases := []struct {
			name   string
			target float64
			fold   func(*Journal) error
		}{
			{"fold of decoded events", TargetDecoded, FoldDecoded},
			{"fold of JSON with headers", TargetJSON, FoldJSON},
		}
		results := make([]Result, len(cases))
		for range max(runs, 1) {
			for i, c := range cases {
				if err := ctx.Err(); err != nil {
					yield(Result{}, err)
					return
				}
				start := time.Now()
				if err := c.fold(j); err != nil {
					yield(Result{}, fmt.Errorf("%s: %w", c.name, err))
					return
				}
				r := &results[i]
				r.Name, r.Target, r.Events, r.Outputs = c.name, c.target, len(j.Events), j.Outputs
				r.Runs = append(r.Runs, float64(len(j.Events))/time.Since(start).Seconds())
			}
		}
		for _, r := range results {
			sorted := slices.Sorted(slices.Values(r.Runs))
			r.Rate = sorted[len(sorted)/2]
			if !yield(r, nil) {
				return
			}
		}
	}
}

// FoldDecoded folds the events of the journal into a new decider, with the
// state hash after each, and fails when the outcome is not the recorded one.
func FoldDecoded(j *Journal) error {
	d := dispatch.New(dispatch.Config{})
	var out decider.Outbox
	outputs, hash := 0, uint64(0)
	for i := range j.Events {
		e := &j.Events[i]
		out.Begin(e)
		d.Fold(e, &out)
		hash = d.StateHash()
		outputs += len(out.Outputs())
	}
	return j.same(outputs, hash)
}

// FoldJSON does the same from subject, header block and JSON.
func FoldJSON(j *Journal) error {
	d := dispatch.New(dispatch.Config{})
	dec := events.Decoder{Reuse: true}
	var out decider.Outbox
	outputs, hash := 0, uint64(0)
	for i := range j.Raw {
		m := &j.Raw[i]
		e, err := dec.DecodeRaw(m.Subject, m.Header, m.Data)
		if err != nil {
			return err
		}
		e.Stream, e.Sequence, e.Epoch, e.Arrived = events.StreamJournal, m.Sequence, 1, m.Arrived
		out.Begin(e)
		d.Fold(e, &out)
		hash = d.StateHash()
		outputs += len(out.Outputs())
	}
	return j.same(outputs, hash)
}

func (j *Journal) same(outputs int, hash uint64) error {
	if outputs != j.Outputs || hash != j.Hash {
		return fmt.Errorf("%d outputs and state %016x, not the recorded %d and %016x: the fold is not deterministic", outputs, hash, j.Outputs, j.Hash)
	}
	return nil
}
