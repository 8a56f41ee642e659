// SPDX-License-Identifier: Apache-2.0

package baseline

import "slices"

// place is an interval of the event as seen from its first day.
type place struct {
	shift  int64 // days after the first day
	second int64 // of the local day
}

// places of count intervals from first on, relative to the local day.
func (t *trace) places(first, count, day int64) []place {
	out := make([]place, count)
	for i := range out {
		d, s := t.in.Calendar.Day((first + int64(i)) * t.in.StepSeconds)
		out[i] = place{d - day, s}
	}
	return out
}

// index of the interval at the place of another day.
func (t *trace) index(day int64, p place) int64 {
	return floorDiv(t.in.Calendar.Unix(day+p.shift, p.second), t.in.StepSeconds)
}

// load at all places of a day; ok is false if one was not measured or fell
// into an event.
func (t *trace) load(day int64, places []place) (out []Interval, ok bool) {
	out = make([]Interval, len(places))
	for i, p := range places {
		v, known := t.at(t.index(day, p))
		if !known || v.Event {
			return nil, false
		}
		out[i] = v
	}
	return out, true
}

// quiet reports whether no event was in force on a day.
func (t *trace) quiet(day int64) bool {
	first := floorDiv(t.in.Calendar.Unix(day, 0), t.in.StepSeconds)
	end := floorDiv(t.in.Calendar.Unix(day+1, 0), t.in.StepSeconds)
	for i := first; i < end; i++ {
		if v, ok := t.at(i); ok && v.Event {
			return false
		}
	}
	return true
}

// likeDay is a day that the event's may be compared with.
type likeDay struct {
	day  int64
	load []Interval // at the places of the event
}

// likeDays are at most n days like that of the event, the newest first; n 0
// means all.
func (t *trace) likeDays(n int) []likeDay {
	c := &t.in.Calendar
	today, _ := c.Day(t.in.First * t.in.StepSeconds)
	places := t.places(t.in.First, t.in.Count, today)
	var out []likeDay
	for day := today - 1; day >= today-t.in.Parameters.HistoryDays && (n == 0 || len(out) < n); day-- {
		if c.Weekend(day) != c.Weekend(today) || !t.quiet(day) {
			continue
		}
		if load, ok := t.load(day, places); ok {
			out = append(out, likeDay{day, load})
		}
	}
	return out
}

// before is the load of the day and the places of the window that ends some
// time before the instruction.
func (t *trace) before() (today int64, places []place, load []Interval, ok bool) {
	p, step := &t.in.Parameters, t.in.StepSeconds
	today, _ = t.in.Calendar.Day(t.in.First * step)
	count := max(p.AdjustSeconds/step, 1)
	first := t.in.Known - p.AdjustGapSeconds/step - count
	places = t.places(first, count, today)
	load = make([]Interval, count)
	for i := range load {
		v, known := t.at(first + int64(i))
		if !known || v.Event {
			return today, places, nil, false
		}
		load[i] = v
	}
	return today, places, load, true
}

func daysOf(like []likeDay) []int64 {
	out := make([]int64, len(like))
	for i, l := range like {
		out[i] = l.day
	}
	return out
}

// means of like days at every place, and what price had lowered.
func means(like []likeDay, count int64) (watts []int64, price int64) {
	watts = make([]int64, count)
	n := int64(len(like))
	for i := range watts {
		var sum int64
		for _, l := range like {
			sum += l.load[i].Watts
			price += l.load[i].PriceWatts
		}
		watts[i] = sum / n
	}
	return watts, price / (n * count)
}

// middle leaves out the days with the highest and the lowest energy; of equal
// ones the newest.
func middle(like []likeDay) []likeDay {
	total := func(l likeDay) (sum int64) {
		for _, v := range l.load {
			sum += v.Watts
		}
		return sum
	}
	high, low := 0, 0
	for i, l := range like {
		if total(l) > total(like[high]) {
			high = i
		}
		if total(l) < total(like[low]) {
			low = i
		}
	}
	if high == low { // all alike
		low = len(like) - 1
	}
	out := slices.Clone(like)
	return slices.DeleteFunc(out, func(l likeDay) bool { return l.day == like[high].day || l.day == like[low].day })
}

// Loads are the loads of a day at the places of the event, W per interval, as a
// Result that names the day has used them; nil where they are not known.
func Loads(in Input, day int64) []int64 {
	t := newTrace(&in, "", "", "")
	today, _ := in.Calendar.Day(in.First * in.StepSeconds)
	load, ok := t.load(day, t.places(in.First, in.Count, today))
	if !ok {
		return nil
	}
	out := make([]int64, len(load))
	for i, v := range load {
		out[i] = v.Watts
	}
	return out
}
