// SPDX-License-Identifier: Apache-2.0

package events

import (
	"slices"
	"time"
)

// Validate implements Payload. Every baseline needs a figure for every line.
func (p *ProgrammePerformed) Validate() error {
	var c checker
	c.eventID("signal_id", p.SignalID)
	c.token("signal_source", p.SignalSource)
	c.optionalText("programme", p.Programme, maxLabel)
	c.optionalText("product", p.Product, maxLabel)
	c.optionalText("market", p.Market, maxLabel)
	switch p.Kind {
	case SignalCurtail, SignalSetpoint, SignalImportLimit, SignalEmergency:
	default:
		c.fail("kind", "%s is none of curtail, setpoint, import-limit, emergency", quote(string(p.Kind)))
	}
	c.optionalText("reason", p.Reason, MaxText)
	c.token("node", p.Node)
	if p.Measures != MeasuresTotal && p.Measures != MeasuresMining {
		c.fail("measures", "%s is none of total, mining", quote(string(p.Measures)))
	}
	c.between("part", p.Part, 1, MaxInteger)
	c.performanceOutcome(p.Outcome)
	switch p.Ending {
	case EndingElapsed, EndingCancelled, EndingSuperseded, EndingRunning:
	default:
		c.fail("ending", "%s is none of elapsed, cancelled, superseded, running", quote(string(p.Ending)))
	}
	c.optionalEventID("ended_by", p.EndedBy)
	c.performanceTimes(p)
	c.performanceFigures(p)
	c.between("interval_seconds", p.IntervalSeconds, 1, daySeconds)
	c.performanceLines(p)
	c.performanceBaselines(p)
	c.performanceResponse(p)
	c.between("utc_offset_seconds", p.UTCOffsetSeconds, -daySeconds, daySeconds)
	c.version(p.Version)
	c.hex("config_hash", p.ConfigHash, 16)
	c.hex("site_hash", p.SiteHash, 16)
	c.position("signal_sequence", p.SignalSequence, 0)
	c.optionalEventID("reverses", p.Reverses)
	c.key(&p.Key, "key.epoch", "key.sequence")
	return c.err
}

func (c *checker) performanceOutcome(o PerformanceOutcome) {
	switch o {
	case PerformanceMet, PerformanceLate, PerformanceShort, PerformanceNotMeasurable, PerformanceNotCalled, PerformanceVoid:
	default:
		c.fail("outcome", "%s is none of met, late, short, not-measurable, not-called, void", quote(string(o)))
	}
}

func (c *checker) performanceTimes(p *ProgrammePerformed) {
	c.when("issued_at", p.IssuedAt)
	c.when("arrived_at", p.ArrivedAt)
	c.when("began_at", p.BeganAt)
	c.when("window_start", p.WindowStart)
	c.when("window_end", p.WindowEnd)
	if p.WindowEnd.Before(p.WindowStart) {
		c.fail("window_end", "is before window_start")
	}
	c.when("deadline_at", p.DeadlineAt)
	c.optionalWhen("fell_at", p.FellAt)
	c.optionalWhen("reached_at", p.ReachedAt)
	c.optionalWhen("restored_at", p.RestoredAt)
}

// optionalWhen is like when for a field that may be absent.
func (c *checker) optionalWhen(field string, t *time.Time) {
	if t != nil {
		c.when(field, *t)
	}
}

func (c *checker) performanceFigures(p *ProgrammePerformed) {
	c.optionalBetween("response_milliseconds", p.ResponseMilliseconds, -MaxInteger, MaxInteger)
	c.optionalBetween("arrival_response_milliseconds", p.ArrivalResponseMilliseconds, -MaxInteger, MaxInteger)
	c.watts("limit_watts", p.LimitWatts)
	c.watts("tolerance_watts", p.ToleranceWatts)
	c.optionalWatts("before_watts", p.BeforeWatts)
	c.optionalWatts("after_watts", p.AfterWatts)
	c.optionalWatts("requested_reduction_watts", p.RequestedReductionWatts)
	c.optionalBetween("achieved_reduction_watts", p.AchievedReductionWatts, -MaxWatts, MaxWatts)
	c.optionalWatts("mean_watts", p.MeanWatts)
	c.optionalWatts("least_watts", p.LeastWatts)
	c.optionalWatts("most_watts", p.MostWatts)
	c.count("shortfall_milliwatt_hours", p.ShortfallMilliwattHours)
	c.count("over_delivery_milliwatt_hours", p.OverDeliveryMilliwattHours)
	c.count("hold_milliseconds", p.HoldMilliseconds)
	c.count("held_milliseconds", p.HeldMilliseconds)
	c.count("estimated_milliseconds", p.EstimatedMilliseconds)
}

func (c *checker) performanceLines(p *ProgrammePerformed) {
	if len(p.Lines) > MaxPerformanceLines {
		c.fail("lines", "%d given; at most %d", len(p.Lines), MaxPerformanceLines)
		return
	}
	c.in = "lines"
	for i := range p.Lines {
		l := &p.Lines[i]
		c.at = i
		c.span("start", l.Start, "end", l.End)
		c.optionalBetween("total_milliwatt_hours", l.TotalMilliwattHours, 0, MaxInteger)
		c.optionalBetween("mining_milliwatt_hours", l.MiningMilliwattHours, 0, MaxInteger)
		c.optionalBetween("ai_milliwatt_hours", l.AIMilliwattHours, 0, MaxInteger)
		c.watts("limit_watts", l.LimitWatts)
		c.watts("most_watts", l.MostWatts)
		c.count("estimated_milliseconds", l.EstimatedMilliseconds)
		if i > 0 && !l.Start.Equal(p.Lines[i-1].End) {
			c.fail("start", "is not the end of the line before")
		}
	}
	if len(p.Changes) > MaxPerformanceChanges {
		c.in = ""
		c.fail("changes", "%d given; at most %d", len(p.Changes), MaxPerformanceChanges)
	}
	c.in = "changes"
	for i := range p.Changes {
		ch := &p.Changes[i]
		c.at = i
		c.when("at", ch.At)
		c.when("deadline_at", ch.DeadlineAt)
		c.watts("limit_watts", ch.LimitWatts)
	}
	c.in = ""
}

func (c *checker) performanceBaselines(p *ProgrammePerformed) {
	if len(p.Baselines) > MaxPerformanceBaselines {
		c.fail("baselines", "%d given; at most %d", len(p.Baselines), MaxPerformanceBaselines)
		return
	}
	c.in = "baselines"
	for i := range p.Baselines {
		b := &p.Baselines[i]
		c.at = i
		if !slices.Contains(BaselineMethods(), b.Method) {
			c.fail("method", "%s is none of %v", quote(string(b.Method)), BaselineMethods())
		}
		c.version(b.Version)
		c.text("parameters", b.Parameters, MaxText)
		c.hex("input_hash", b.InputHash, 64)
		if b.Unavailable != "" {
			c.token("unavailable", b.Unavailable)
		}
		c.figures("watts", b.Watts, len(p.Lines), b.Unavailable == "")
		c.count("milliwatt_hours", b.MilliwattHours)
		c.signed("delivered_milliwatt_hours", b.DeliveredMilliwattHours)
		c.watts("price_lowered_watts", b.PriceLoweredWatts)
		c.between("adjustment_ppm", b.AdjustmentPPM, 0, 100*million)
		if len(b.Days) > MaxPerformanceDays {
			c.fail("days", "%d given; at most %d", len(b.Days), MaxPerformanceDays)
		}
		for _, d := range b.Days {
			c.date("days", d)
		}
	}
	c.in = ""
	if len(p.LikeDays) > MaxPerformanceDays {
		c.fail("like_days", "%d given; at most %d", len(p.LikeDays), MaxPerformanceDays)
	}
	c.in = "like_days"
	for i := range p.LikeDays {
		c.at = i
		c.date("date", p.LikeDays[i].Date)
		c.figures("watts", p.LikeDays[i].Watts, len(p.Lines), true)
	}
	c.in = ""
}

// figures are one per line, or none.
func (c *checker) figures(field string, watts []int64, lines int, needed bool) {
	if len(watts) > MaxPerformanceLines {
		c.fail(field, "%d given; at most %d", len(watts), MaxPerformanceLines)
	}
	if needed && len(watts) != lines || !needed && len(watts) != 0 {
		c.fail(field, "%d figures for %d lines; one for each, or none where unavailable says why", len(watts), lines)
	}
	for _, w := range watts {
		c.watts(field, w)
	}
}

// date is a day as 2006-01-02.
func (c *checker) date(field, s string) {
	ok := len(s) == 10 && s[4] == '-' && s[7] == '-'
	for i := 0; ok && i < len(s); i++ {
		ok = i == 4 || i == 7 || s[i] >= '0' && s[i] <= '9'
	}
	if !ok {
		c.fail(field, "%s is no date; write it like 2006-01-02", quote(s))
	}
}

func (c *checker) performanceResponse(p *ProgrammePerformed) {
	if len(p.Response) > MaxPerformanceSamples {
		c.fail("response", "%d given; at most %d", len(p.Response), MaxPerformanceSamples)
		return
	}
	c.in = "response"
	for i := range p.Response {
		c.at = i
		c.signed("at_milliseconds", p.Response[i].AtMilliseconds)
		c.watts("watts", p.Response[i].Watts)
	}
	c.in = ""
}
