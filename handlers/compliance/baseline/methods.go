// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"fmt"
	"math/big"

	"github.com/ballast-energy/ballast/events"
)

// version of the arithmetic; it changes with any figure that it gives.
const version = "1"

// million is one, in parts per million.
const million = 1_000_000

// maxIntervals of one call; what is asked beyond is the caller's mistake.
const maxIntervals = 10_000

// All methods over one input, in the order of
// events.BaselineMethods, the adjusted one with either cap. It panics on a step
// that does not divide a day, and on a count outside 1 to 10,000.
func All(in Input) []Result {
	if in.StepSeconds <= 0 || daySeconds%in.StepSeconds != 0 || in.Count < 1 || in.Count > maxIntervals || int64(len(in.LimitWatts)) != in.Count {
		panic(fmt.Sprintf("baseline: %d intervals of %d s with %d limits", in.Count, in.StepSeconds, len(in.LimitWatts)))
	}
	if in.Parameters == (Parameters{}) {
		in.Parameters = DefaultParameters()
	}
	return []Result{
		likeDaysMethod(&in),
		adjusted(&in, 200_000),
		adjusted(&in, 400_000),
		middleMethod(&in),
		nearest(&in),
		regression(&in),
		baseLoad(&in),
		meterBefore(&in),
	}
}

func begin(in *Input, method events.BaselineMethod, parameters string) (Result, *trace) {
	return Result{Method: method, Version: version, Parameters: parameters}, newTrace(in, string(method), version, parameters)
}

// likeText tells how days are chosen.
func likeText(p *Parameters) string {
	return fmt.Sprintf("days=%d least=%d back=%dd", p.LikeDays, p.LeastDays, p.HistoryDays)
}

// windowText tells where the day is compared with its like.
func windowText(p *Parameters) string {
	return fmt.Sprintf("window=%ds gap=%ds", p.AdjustSeconds, p.AdjustGapSeconds)
}

func likeDaysMethod(in *Input) Result {
	r, t := begin(in, events.BaselineTenInTen, likeText(&in.Parameters))
	like := t.likeDays(in.Parameters.LikeDays)
	r.InputHash = t.hash()
	if len(like) < in.Parameters.LeastDays {
		r.Unavailable = TooFewDays
		return r
	}
	r.Watts, r.PriceLoweredWatts = means(like, in.Count)
	r.Days = daysOf(like)
	return r
}

func middleMethod(in *Input) Result {
	r, t := begin(in, events.BaselineMiddleEightOfTen, likeText(&in.Parameters))
	like := t.likeDays(in.Parameters.LikeDays)
	r.InputHash = t.hash()
	if len(like) < max(in.Parameters.LeastDays, 3) {
		r.Unavailable = TooFewDays
		return r
	}
	like = middle(like)
	r.Watts, r.PriceLoweredWatts = means(like, in.Count)
	r.Days = daysOf(like)
	return r
}

// adjusted multiplies the mean of like days by what the day was before the
// instruction ÷ what they were, within 1 ± cap.
func adjusted(in *Input, capPPM int64) Result {
	r, t := begin(in, events.BaselineTenInTenAdjusted, fmt.Sprintf("%s %s cap=%dppm", likeText(&in.Parameters), windowText(&in.Parameters), capPPM))
	like := t.likeDays(in.Parameters.LikeDays)
	if len(like) < in.Parameters.LeastDays {
		r.Unavailable = TooFewDays
		return done(&r, t)
	}
	_, places, load, ok := t.before()
	if !ok {
		r.Unavailable = NothingBefore
		return done(&r, t)
	}
	var actual, theirs, n int64
	for _, v := range load {
		actual += v.Watts
	}
	for _, l := range like {
		if was, known := t.load(l.day, places); known {
			n++
			for _, v := range was {
				theirs += v.Watts
			}
		}
	}
	if n == 0 {
		r.Unavailable = NothingBefore
		return done(&r, t)
	}
	r.AdjustmentPPM = ratioPPM(actual, theirs, n, capPPM)
	watts, price := means(like, in.Count)
	for i, w := range watts {
		watts[i] = scale(w, r.AdjustmentPPM)
	}
	r.Watts, r.PriceLoweredWatts, r.Days = watts, scale(price, r.AdjustmentPPM), daysOf(like)
	return done(&r, t)
}

func done(r *Result, t *trace) Result {
	r.InputHash = t.hash()
	return *r
}

// ratioPPM is actual ÷ (theirs ÷ n) in parts per million, rounded down, within
// 1 ± cap. Where both are nothing it is 1.
func ratioPPM(actual, theirs, n, capPPM int64) int64 {
	low, high := int64(million)-capPPM, int64(million)+capPPM
	switch {
	case theirs <= 0 && actual <= 0:
		return million
	case theirs <= 0:
		return high
	}
	q := new(big.Int).Mul(big.NewInt(actual), big.NewInt(n*million))
	q.Quo(q, big.NewInt(theirs))
	if !q.IsInt64() {
		return high
	}
	return min(max(q.Int64(), low), high)
}

func scale(watts, ppm int64) int64 {
	v := new(big.Int).Mul(big.NewInt(watts), big.NewInt(ppm))
	return v.Quo(v, big.NewInt(million)).Int64()
}

// nearest takes the like day whose load before the instruction differs least;
// of equal ones the newest.
func nearest(in *Input) Result {
	r, t := begin(in, events.BaselineNearestDay, fmt.Sprintf("back=%dd %s", in.Parameters.HistoryDays, windowText(&in.Parameters)))
	_, places, load, ok := t.before()
	if !ok {
		r.Unavailable = NothingBefore
		return done(&r, t)
	}
	best, least := likeDay{}, int64(-1)
	for _, l := range t.likeDays(0) {
		was, known := t.load(l.day, places)
		if !known {
			continue
		}
		var apart int64
		for i, v := range was {
			apart += max(v.Watts-load[i].Watts, load[i].Watts-v.Watts)
		}
		if least < 0 || apart < least {
			best, least = l, apart
		}
	}
	if least < 0 {
		r.Unavailable = TooFewDays
		return done(&r, t)
	}
	like := []likeDay{best}
	r.Watts, r.PriceLoweredWatts = means(like, in.Count)
	r.Days = daysOf(like)
	return done(&r, t)
}

// baseLoad is the level to stay below.
func baseLoad(in *Input) Result {
	r, t := begin(in, events.BaselineMaximumBaseLoad, "level=limit")
	t.ints(in.LimitWatts...)
	r.Watts = append([]int64(nil), in.LimitWatts...)
	return done(&r, t)
}

// meterBefore is what the meter showed before.
func meterBefore(in *Input) Result {
	r, t := begin(in, events.BaselineMeterBeforeAfter, "minutes=5")
	if !in.BeforeKnown {
		r.Unavailable = NothingBefore
		return done(&r, t)
	}
	t.ints(in.BeforeWatts, in.BeforePriceWatts)
	r.Watts = make([]int64, in.Count)
	for i := range r.Watts {
		r.Watts[i] = in.BeforeWatts
	}
	r.PriceLoweredWatts = in.BeforePriceWatts
	return done(&r, t)
}
