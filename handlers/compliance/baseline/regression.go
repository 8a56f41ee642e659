// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"fmt"
	"math/big"

	"github.com/ballast-energy/ballast/events"
)

// hourFit are the observations of one hour of the day.
type hourFit struct {
	n, weekend int64 // observations, and how many of them on weekends
	// Sums over all and over weekends.
	watts, weekendWatts big.Int
	price, weekendPrice big.Int
}

// regression fits watts = mean of the hour + what a weekend adds, by least
// squares over all quiet days, and reads off the hours of the event. With one
// yes-or-no factor beside the hours the solution is closed:
//
//	δ = Σ (S₁ − k·S/n) ÷ Σ k·(n−k)/n        watts = S/n + δ·(w − k/n)
//
// over hours with n observations of sum S, k of them on weekends with sum S₁;
// w is 1 if the event is on a weekend.
func regression(in *Input) Result {
	p := &in.Parameters
	r, t := begin(in, events.BaselineRegression, fmt.Sprintf("back=%dd least=%d", p.HistoryDays, p.LeastObservations))
	c := &in.Calendar
	today, _ := c.Day(in.First * in.StepSeconds)
	hours := make([]int64, in.Count)
	fits := make(map[int64]*hourFit, 24)
	var order []int64 // of the keys of fits
	for i := range hours {
		_, s := c.Day((in.First + int64(i)) * in.StepSeconds)
		h := s / 3600
		if hours[i] = h; fits[h] == nil {
			fits[h] = new(hourFit)
			order = append(order, h)
		}
	}
	for day := today - 1; day >= today-p.HistoryDays; day-- {
		if !t.quiet(day) {
			continue
		}
		weekend := c.Weekend(day)
		for _, h := range order {
			for s := h * 3600; s < (h+1)*3600; s += in.StepSeconds {
				v, ok := t.at(t.index(day, place{second: s}))
				if !ok || v.Event {
					continue
				}
				fits[h].add(v, weekend)
			}
		}
	}
	r.InputHash = t.hash()
	for _, h := range order {
		if fits[h].n < p.LeastObservations {
			r.Unavailable = TooFewDays
			return r
		}
	}
	list := make([]*hourFit, len(order))
	for i, h := range order {
		list[i] = fits[h]
	}
	weekend := c.Weekend(today)
	watts := slope(list, func(f *hourFit) (all, weekend *big.Int) { return &f.watts, &f.weekendWatts })
	price := slope(list, func(f *hourFit) (all, weekend *big.Int) { return &f.price, &f.weekendPrice })
	r.Watts = make([]int64, in.Count)
	var lowered big.Rat
	for i, h := range hours {
		f := fits[h]
		r.Watts[i] = floorRat(f.read(&f.watts, watts, weekend))
		lowered.Add(&lowered, f.read(&f.price, price, weekend))
	}
	r.PriceLoweredWatts = floorRat(lowered.Quo(&lowered, new(big.Rat).SetInt64(in.Count)))
	return r
}

func (f *hourFit) add(v Interval, weekend bool) {
	w, p := big.NewInt(v.Watts), big.NewInt(v.PriceWatts)
	f.n++
	f.watts.Add(&f.watts, w)
	f.price.Add(&f.price, p)
	if weekend {
		f.weekend++
		f.weekendWatts.Add(&f.weekendWatts, w)
		f.weekendPrice.Add(&f.weekendPrice, p)
	}
}

// slope is δ; 0 where the history holds one type of day only.
func slope(fits []*hourFit, sums func(*hourFit) (all, weekend *big.Int)) *big.Rat {
	var over, under big.Rat
	for _, f := range fits {
		all, weekend := sums(f)
		share := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(f.weekend), all), big.NewInt(f.n))
		over.Add(&over, share.Sub(new(big.Rat).SetInt(weekend), share))
		under.Add(&under, big.NewRat(f.weekend*(f.n-f.weekend), f.n))
	}
	if under.Sign() == 0 {
		return new(big.Rat)
	}
	return over.Quo(&over, &under)
}

// read is what the fit says of an hour.
func (f *hourFit) read(sum *big.Int, delta *big.Rat, weekend bool) *big.Rat {
	w := big.NewRat(-f.weekend, f.n)
	if weekend {
		w.Add(w, big.NewRat(1, 1))
	}
	v := new(big.Rat).SetFrac(sum, big.NewInt(f.n))
	return v.Add(v, w.Mul(w, delta))
}

// floorRat rounds down; a load is never below nothing.
func floorRat(v *big.Rat) int64 {
	if v.Sign() <= 0 {
		return 0
	}
	q := new(big.Int).Quo(v.Num(), v.Denom())
	if !q.IsInt64() {
		return 0
	}
	return q.Int64()
}
