// SPDX-License-Identifier: Apache-2.0

package busbench

import (
	"fmt"
	"slices"
	"time"
)

// Result compares one case with the raw client.
type Result struct {
	// Name of the case, for people.
	Name string
	// Ours and Raw are medians over the runs, messages per second.
	Ours, Raw float64
	// Ratio is the median of ours/raw within each run.
	Ratio float64
	// Target that Ratio should reach; 0 when there is none.
	Target float64
	// Runs in the order they were made.
	Runs []Pair
}

// Pair is one run: ours and raw, one right after the other.
type Pair struct {
	Ours, Raw Measure
}

// Measure of one side.
type Measure struct {
	// Messages moved in Took.
	Messages int
	Took     time.Duration
	// CPU time of the process meanwhile, client and server together; 0 where
	// the system does not tell.
	CPU time.Duration
}

// Rate in messages per second.
func (m Measure) Rate() float64 {
	if m.Took <= 0 {
		return 0
	}
	return float64(m.Messages) / m.Took.Seconds()
}

// CPUPerMessage is the CPU time per message.
func (m Measure) CPUPerMessage() time.Duration {
	if m.Messages == 0 {
		return 0
	}
	return m.CPU / time.Duration(m.Messages)
}

// Met reports whether the target is reached; true without one.
func (r Result) Met() bool { return r.Ratio >= r.Target }

// CPU returns the medians of the CPU time per message, ours and raw.
func (r Result) CPU() (ours, raw time.Duration) {
	return time.Duration(median(r.Runs, func(p Pair) float64 { return float64(p.Ours.CPUPerMessage()) })),
		time.Duration(median(r.Runs, func(p Pair) float64 { return float64(p.Raw.CPUPerMessage()) }))
}

// String is one line for people.
func (r Result) String() string {
	s := fmt.Sprintf("%-52s ours %8.0f/s  raw %8.0f/s  ratio %.2f", r.Name, r.Ours, r.Raw, r.Ratio)
	if r.Target > 0 {
		s += fmt.Sprintf("  target %.2f", r.Target)
		if !r.Met() {
			s += " MISSED"
		}
	}
	if ours, raw := r.CPU(); ours > 0 {
		s += fmt.Sprintf("  CPU %.1f / %.1f µs", ours.Seconds()*1e6, raw.Seconds()*1e6)
	}
	return s
}

func summarise(name string, target float64, runs []Pair) Result {
	return Result{
		Name: name, Target: target, Runs: runs,
		Ours: median(runs, func(p Pair) float64 { return p.Ours.Rate() }),
		Raw:  median(runs, func(p Pair) float64 { return p.Raw.Rate() }),
		Ratio: median(runs, func(p Pair) float64 {
			if raw := p.Raw.Rate(); raw > 0 {
				return p.Ours.Rate() / raw
			}
			return 0
		}),
	}
}

func median(runs []Pair, of func(Pair) float64) float64 {
	if len(runs) == 0 {
		return 0
	}
	v := make([]float64, len(runs))
	for i, p := range runs {
		v[i] = of(p)
	}
	slices.Sort(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
