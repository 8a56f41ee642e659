// SPDX-License-Identifier: Apache-2.0

package eventreport

import (
	"fmt"
	"math"
	"time"

	"github.com/ballast-energy/ballast/events"
)

func unix(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// timeline is the load around the event.
func (r *Report) timeline() *plot {
	first, last := &r.Parts[0], r.Last()
	pad := margin(last.WindowEnd.Sub(first.WindowStart)).Seconds()
	p := &plot{id: "timeline", title: "Power around the event", xTicks: clockTicks, xUnit: "UTC",
		x0: unix(first.WindowStart) - pad, x1: unix(last.WindowEnd) + pad,
		desc: fmt.Sprintf("Power at %s from before to after the window, by kind, with the limit.", nodeText(first.Node))}
	if a := unix(first.ArrivedAt); a < p.x0 && unix(first.WindowStart)-a < 6*3600 {
		p.x0 = a - 60
	}
	total, mining, ai := r.traces()
	for _, l := range []plotted{{"total", "all load", total}, {"ai", "AI load", ai}, {"mining", "mining", mining}} {
		if len(l.points) > 0 {
			p.curves = append(p.curves, l)
		}
	}
	p.curves = append(p.curves, plotted{"limit", "limit on " + measureText(first.Measures), r.limits()})
	for _, c := range p.curves {
		for _, q := range c.points {
			if !math.IsNaN(q.y) && q.x >= p.x0 && q.x <= p.x1 {
				p.top = max(p.top, q.y)
			}
		}
	}
	p.top *= 1.04
	p.bands = []plottedBand{{"window", unix(first.WindowStart), unix(last.WindowEnd), 0, math.Inf(1)}}
	p.moments = r.moments()
	return p
}

// moments of the timeline.
func (r *Report) moments() []moment {
	first, last := &r.Parts[0], r.Last()
	out := []moment{{unix(first.IssuedAt), "instruction"}}
	if first.WindowStart.Sub(first.ArrivedAt) > time.Second {
		out = append(out, moment{unix(first.WindowStart), "window opens"})
	}
	if first.DeadlineAt.Before(last.WindowEnd) {
		out = append(out, moment{unix(first.DeadlineAt), "deadline"})
	}
	if first.ReachedAt != nil {
		out = append(out, moment{unix(*first.ReachedAt), "at the level"})
	}
	end := "end"
	if last.Ending != events.EndingElapsed && last.Ending != events.EndingRunning {
		end = string(last.Ending)
	}
	out = append(out, moment{unix(last.WindowEnd), end})
	if last.RestoredAt != nil {
		out = append(out, moment{unix(*last.RestoredAt), "restored"})
	}
	return out
}

// limits in force over the window.
func (r *Report) limits() []xy {
	var out []xy
	for i := range r.Parts {
		p := &r.Parts[i]
		if len(p.Changes) == 0 || len(p.Lines) == 0 {
			out = append(out, xy{unix(p.WindowStart), float64(p.LimitWatts)})
			continue
		}
		for _, l := range p.Lines {
			out = append(out, xy{unix(l.Start), float64(l.LimitWatts)})
		}
	}
	return append(out, xy{unix(r.Last().WindowEnd), math.NaN()})
}

// traces by the readings or, where the journal holds none, by the lines.
func (r *Report) traces() (total, mining, ai []xy) {
	put := func(to *[]xy, at time.Time, v *int64) {
		y := math.NaN()
		if v != nil {
			y = float64(*v)
		}
		if n := len(*to); n == 0 && v == nil || n > 0 && (*to)[n-1].y == y {
			return
		}
		*to = append(*to, xy{unix(at), y})
	}
	until := func(end time.Time) {
		for _, to := range []*[]xy{&total, &mining, &ai} {
			if len(*to) > 0 {
				*to = append(*to, xy{unix(end), math.NaN()})
			}
		}
	}
	if len(r.Trace) > 0 {
		for _, s := range r.Trace {
			put(&total, s.At, s.Total)
			put(&mining, s.At, s.Mining)
			put(&ai, s.At, s.AI)
		}
		// Behind the last reading nothing is known: a report may be made before
		// the load has returned.
		until(r.Trace[len(r.Trace)-1].At)
		return total, mining, ai
	}
	for i := range r.Parts {
		for n := range r.Parts[i].Lines {
			l := &r.Parts[i].Lines[n]
			mean := func(mwh *int64) *int64 {
				if mwh == nil {
					return nil
				}
				w := meanWatts(*mwh, l.End.Sub(l.Start))
				return &w
			}
			put(&total, l.Start, mean(l.TotalMilliwattHours))
			put(&mining, l.Start, mean(l.MiningMilliwattHours))
			put(&ai, l.Start, mean(l.AIMilliwattHours))
		}
	}
	until(r.Last().WindowEnd)
	return total, mining, ai
}

// response is the load measured in the first seconds.
func (r *Report) response() *plot {
	w := &r.Parts[0]
	p := &plot{id: "response", title: "Response", xTicks: secondTicks, xUnit: "seconds after the instruction",
		desc: "The load that the limit is about, at the meter's own readings, from the instruction on."}
	zero := w.IssuedAt
	at := func(t time.Time) float64 { return t.Sub(zero).Seconds() }
	var points []xy
	if w.BeforeWatts != nil {
		points = append(points, xy{at(w.ArrivedAt) - 3600, float64(*w.BeforeWatts)})
	}
	for _, s := range w.Response {
		points = append(points, xy{at(w.ArrivedAt) + float64(s.AtMilliseconds)/1000, float64(s.Watts)})
	}
	if len(w.Response) == 0 {
		return nil
	}
	end := at(w.ArrivedAt) + float64(w.Response[len(w.Response)-1].AtMilliseconds)/1000
	if w.ReachedAt != nil {
		end = min(end, max(at(*w.ReachedAt)*1.8, at(*w.ReachedAt)+10))
	}
	begin := at(w.BeganAt)
	if begin > 600 { // long announced: the reaction is what counts
		p.xUnit = "seconds after the reduction was to begin"
		zero = w.BeganAt
		for i := range points {
			points[i].x -= begin
		}
		end -= begin
		begin = 0
	} else {
		begin = min(begin, 0)
	}
	p.x0 = begin - max((end-begin)/12, 1)
	p.x1 = max(end, begin+5)
	if d := at(w.DeadlineAt); d > p.x1 && d < p.x1*1.6 {
		p.x1 = d * 1.03
	}
	p.curves = []plotted{{string(w.Measures), measureText(w.Measures), points},
		{"limit", "limit", []xy{{p.x0, float64(w.LimitWatts)}}}}
	if w.ToleranceWatts > 0 {
		p.curves = append(p.curves, plotted{"tolerance", "limit with tolerance", []xy{{p.x0, float64(w.LimitWatts + w.ToleranceWatts)}}})
	}
	for _, q := range points {
		p.top = max(p.top, q.y)
	}
	p.top = max(p.top, float64(w.LimitWatts+w.ToleranceWatts)) * 1.04
	mark := func(t time.Time, text string) {
		if !t.IsZero() {
			p.moments = append(p.moments, moment{at(t), text})
		}
	}
	mark(w.IssuedAt, "instruction")
	mark(w.ArrivedAt, "arrival")
	mark(r.FirstCommand, "first command")
	mark(r.FirstUnit, "first unit reports")
	if w.FellAt != nil {
		mark(*w.FellAt, "begins to fall")
	}
	if w.ReachedAt != nil {
		mark(*w.ReachedAt, "at the level")
	}
	mark(w.DeadlineAt, "deadline")
	return p
}

// baselines side by side over the window.
func (r *Report) baselines() *plot {
	first, last := &r.Parts[0], r.Last()
	p := &plot{id: "baselines", title: "Baselines", xTicks: clockTicks, xUnit: "UTC", x0: unix(first.WindowStart), x1: unix(last.WindowEnd),
		desc: "What each method says the load would have been, per interval, and what was metered."}
	var actual []xy
	names := map[string]int{}
	var curves []plotted
	for i := range r.Parts {
		w := &r.Parts[i]
		for n := range w.Lines {
			l := &w.Lines[n]
			if e := energyOf(w.Measures, l); e != nil {
				v := float64(meanWatts(*e, l.End.Sub(l.Start)))
				actual = append(actual, xy{unix(l.Start), v})
				p.bands = append(p.bands, plottedBand{"actual", unix(l.Start), unix(l.End), 0, v})
				p.top = max(p.top, v)
			}
		}
		for b := range w.Baselines {
			base := &w.Baselines[b]
			if base.Unavailable != "" {
				continue
			}
			name := methodName(base)
			at, ok := names[name]
			if !ok {
				at = len(curves)
				names[name] = at
				class := methodClass(base)
				if base.Contract {
					class += " contract"
					name += " (contract)"
				}
				curves = append(curves, plotted{class: class, name: name})
			}
			for n, v := range base.Watts {
				curves[at].points = append(curves[at].points, xy{unix(w.Lines[n].Start), float64(v)})
				p.top = max(p.top, float64(v))
			}
		}
	}
	if len(actual) == 0 {
		return nil
	}
	p.curves = append(curves, plotted{"metered", "metered", append(actual, xy{unix(last.WindowEnd), math.NaN()})})
	p.top *= 1.05
	return p
}
