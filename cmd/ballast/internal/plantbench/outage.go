// SPDX-License-Identifier: Apache-2.0

package plantbench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// An outage of the bus: for so long no reading, status or command gets through.
const (
	outageSeconds = 900
	// Between two outages the site learns, ramps up again, and runs.
	settleSeconds = 3 * 3600
	againSeconds  = 1200
	spreadSeconds = 600
	// watchSeconds after its end an outage may still be the cause.
	watchSeconds = 120
)

// Response is how long after its lease a machine may draw: its time to fall,
// and a second each for the agent and for counting.
const Response = fallTime + 2*time.Second

// LeaseResult tells what outages did with one length of the lease.
type LeaseResult struct {
	Control string `json:"control"`
	// LeaseSeconds of permits, 0 for none: what was permitted last is drawn on.
	LeaseSeconds int64 `json:"lease_seconds"`
	// Outages played, and Hurt of them, in which the site was longer above its
	// limit than without an outage.
	Outages int `json:"outages"`
	Hurt    int `json:"hurt"`
	// WorstExtra is by how much longer at most, MostWatts the highest excess
	// in an outage.
	WorstExtra int64 `json:"worst_extra_seconds"`
	MostWatts  int64 `json:"most_watts"`
	// Bound is lease + Response, and Met that no outage cost more.
	Bound int64 `json:"bound_seconds,omitempty"`
	Met   bool  `json:"met"`
	// Use of free power over all hours, outages included.
	Use float64 `json:"use"`
}

// Leases that are compared, seconds; 0 for none. Those above 15 s are modelled:
// no worker honours a longer one.
var Leases = []int64{0, 300, 120, 60, 30, 15, 10}

// outageStarts are the seconds at which outages begin.
func outageStarts(count int, seed uint64) []int64 {
	rng := rand.New(rand.NewPCG(seed, 777))
	at := int64(settleSeconds)
	starts := make([]int64, count)
	for i := range starts {
		starts[i] = at + rng.Int64N(spreadSeconds)
		at = starts[i] + outageSeconds + againSeconds
	}
	return starts
}

// Outages plays so many outages at random moments, under one control and lease.
// base is the same run without them, made by OutageBase; load and chance are the
// same.
func Outages(ctx context.Context, t *Traces, c Control, lease int64, count int, seed uint64, base []int64) (*LeaseResult, error) {
	over, r, most, err := outageRun(ctx, t, c, lease, count, seed, true)
	if err != nil {
		return nil, err
	}
	out := &LeaseResult{Control: c.Name, LeaseSeconds: lease, Outages: count, MostWatts: most, Use: r.Use(), Met: true}
	if len(base) != count {
		return nil, fmt.Errorf("plant bench: a base of %d outages for %d", len(base), count)
	}
	for i := range over {
		extra := over[i] - base[i]
		if extra > 0 {
			out.Hurt++
		}
		out.WorstExtra = max(out.WorstExtra, extra)
	}
	if lease > 0 {
		out.Bound = lease + int64(Response/time.Second)
		out.Met = out.WorstExtra <= out.Bound
	}
	return out, nil
}

// OutageBase is for how many seconds the site is above its limit in the spans of
// the outages when there are none.
func OutageBase(ctx context.Context, t *Traces, c Control, count int, seed uint64) ([]int64, error) {
	over, _, _, err := outageRun(ctx, t, c, 12, count, seed, false)
	return over, err
}

func outageRun(ctx context.Context, t *Traces, c Control, lease int64, count int, seed uint64, cut bool) ([]int64, *Result, int64, error) {
	const longest = 15
	cfg := Config{Seed: seed, Control: c, LeaseMilliseconds: lease * 1000}
	deaf := time.Duration(0)
	switch {
	case lease == 0:
		cfg.LeaseMilliseconds, deaf = longest*1000, 24*time.Hour
	case lease > longest:
		cfg.LeaseMilliseconds, deaf = longest*1000, time.Duration(lease-longest)*time.Second
	}
	w, err := newWorld(t, cfg)
	if err != nil {
		return nil, nil, 0, err
	}
	for _, f := range w.farms {
		f.deaf = deaf
	}
	starts := outageStarts(count, seed)
	over, most := make([]int64, count), int64(0)
	last := starts[count-1] + outageSeconds + againSeconds
	next := 0
	for s := range last {
		if s%600 == 0 && ctx.Err() != nil {
			return nil, nil, 0, ctx.Err()
		}
		if next < count && s >= starts[next]+outageSeconds+watchSeconds {
			next++
		}
		within := next < count && s >= starts[next]
		if cut && within {
			w.part(s < starts[next]+outageSeconds)
		}
		before := w.r.OverSeconds
		if w.second(s); w.err != nil {
			return nil, nil, 0, w.err
		}
		if within && w.r.OverSeconds > before {
			over[next]++
			most = max(most, w.load.watts()+w.mining()-limit)
		}
	}
	return over, w.r, most, nil
}

// part cuts the bus off or puts it together again.
func (w *world) part(cut bool) {
	if cut && !w.cut {
		w.wire, w.readings = w.wire[:0], w.readings[:0]
	}
	again := w.cut && !cut
	if w.cut = cut; again {
		w.load.again = true
		for _, f := range w.farms {
			f.told = false // agents announce themselves when the bus is back
		}
	}
}
