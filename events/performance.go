// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Bounds on programme.performed.
const (
	// MaxPerformanceLines of one event: a day of five minutes. What is longer
	// comes in parts.
	MaxPerformanceLines = 288
	// MaxPerformanceChanges of the limit that are told one by one.
	MaxPerformanceChanges = 64
	// MaxPerformanceSamples of the response.
	MaxPerformanceSamples = 256
	// MaxPerformanceBaselines side by side, and MaxPerformanceDays whose loads
	// they rest on.
	MaxPerformanceBaselines = 16
	MaxPerformanceDays      = 64
)

// PerformanceOutcome is whether a load did what an event asked for.
type PerformanceOutcome string

// Outcomes of an event.
const (
	// PerformanceMet: at the level by the deadline, and there to the end.
	PerformanceMet PerformanceOutcome = "met"
	// PerformanceLate: at the level after the deadline, and there to the end.
	PerformanceLate PerformanceOutcome = "late"
	// PerformanceShort: never at the level, or above it for more than the tolerance.
	PerformanceShort PerformanceOutcome = "short"
	// PerformanceNotMeasurable: too little was measured to tell.
	PerformanceNotMeasurable PerformanceOutcome = "not-measurable"
	// PerformanceNotCalled: nothing was asked for: a test that moves no power, or an
	// event that was over before its deadline.
	PerformanceNotCalled PerformanceOutcome = "not-called"
	// PerformanceVoid: the journal has lost what the event that is reversed rests
	// on; there are no figures.
	PerformanceVoid PerformanceOutcome = "void"
)

// Ending is how an event ended.
type Ending string

// Endings.
const (
	// EndingElapsed: its window was over.
	EndingElapsed Ending = "elapsed"
	// EndingCancelled: a restore ended it.
	EndingCancelled Ending = "cancelled"
	// EndingSuperseded: another signal took its place.
	EndingSuperseded Ending = "superseded"
	// EndingRunning: it goes on; this is a part of it.
	EndingRunning Ending = "running"
)

// ProgrammePerformed (programme.performed) is what a site did in answer to one
// grid event: what was asked, when and how far the meters followed, and what
// several baselines say it would have drawn. It is published once shortly after
// the window, and once more when the load has had time to return and counters
// have proven what was estimated: each names the one that it takes the place
// of. All times are arrival times at the bus except IssuedAt and the window.
type ProgrammePerformed struct {
	// SignalID of the event, unique per SignalSource, its issuer's token.
	SignalID     string `json:"signal_id"`
	SignalSource string `json:"signal_source"`
	// Programme under which it was called, with product and market where the
	// site's configuration lists it.
	Programme string `json:"programme,omitempty"`
	Product   string `json:"product,omitempty"`
	Market    string `json:"market,omitempty"`
	// Kind and Reason of the signal; Test marks a drill, Obeyed that it moved
	// power all the same or was none.
	Kind   SignalKind `json:"kind"`
	Reason string     `json:"reason,omitempty"`
	Test   bool       `json:"test,omitempty"`
	Obeyed bool       `json:"obeyed"`
	// Node at which it counts, RootNode for the point of connection, and what
	// of it the limit is about: total or mining.
	Node     string   `json:"node"`
	Measures Measures `json:"measures"`
	// Part of an event that is longer than MaxPerformanceLines, from 1.
	Part int64 `json:"part"`
	// Final: nothing but a correction follows for this part.
	Final bool `json:"final"`
	// Outcome, and how the event ended; EndedBy is the id of the signal that
	// ended it early.
	Outcome PerformanceOutcome `json:"outcome"`
	Ending  Ending             `json:"ending"`
	EndedBy string             `json:"ended_by,omitempty"`

	// IssuedAt is the issuer's instruction, ArrivedAt its arrival at the bus,
	// BeganAt when the load might first react: the arrival, or the beginning of
	// the window less the ramp.
	IssuedAt  time.Time `json:"issued_at"`
	ArrivedAt time.Time `json:"arrived_at"`
	BeganAt   time.Time `json:"began_at"`
	// WindowStart and WindowEnd bound the lines, UTC, end exclusive.
	WindowStart time.Time `json:"window_start"`
	WindowEnd   time.Time `json:"window_end"`
	// DeadlineAt is when the full reduction was due.
	DeadlineAt time.Time `json:"deadline_at"`
	// FellAt is when the load first fell by a twentieth of what was asked,
	// ReachedAt when it was at the level, RestoredAt when, after the event, it
	// was back at nine tenths of what it was before. nil where that was not seen.
	FellAt     *time.Time `json:"fell_at,omitempty"`
	ReachedAt  *time.Time `json:"reached_at,omitempty"`
	RestoredAt *time.Time `json:"restored_at,omitempty"`
	// ResponseMilliseconds from the issuer's instruction, and
	// ArrivalResponseMilliseconds from the arrival, until ReachedAt. ms.
	ResponseMilliseconds        *int64 `json:"response_milliseconds,omitempty"`
	ArrivalResponseMilliseconds *int64 `json:"arrival_response_milliseconds,omitempty"`

	// LimitWatts is the lowest limit asked for in the window, as a cap.
	// ToleranceWatts above it still count as at the level. W.
	LimitWatts     int64 `json:"limit_watts"`
	ToleranceWatts int64 `json:"tolerance_watts"`
	// BeforeWatts is the mean load of the five minutes before BeganAt,
	// AfterWatts that of the five before this event. W; nil where not measured.
	BeforeWatts *int64 `json:"before_watts,omitempty"`
	AfterWatts  *int64 `json:"after_watts,omitempty"`
	// RequestedReductionWatts = before − limit, at least 0;
	// AchievedReductionWatts = before − mean from the deadline on.
	RequestedReductionWatts *int64 `json:"requested_reduction_watts,omitempty"`
	AchievedReductionWatts  *int64 `json:"achieved_reduction_watts,omitempty"`
	// MeanWatts, LeastWatts and MostWatts of the load from the deadline to the
	// end of the window. W.
	MeanWatts  *int64 `json:"mean_watts,omitempty"`
	LeastWatts *int64 `json:"least_watts,omitempty"`
	MostWatts  *int64 `json:"most_watts,omitempty"`
	// ShortfallMilliwattHours is energy above the limit, and
	// OverDeliveryMilliwattHours below it, from the deadline on, by the meter's
	// readings. mWh.
	ShortfallMilliwattHours    int64 `json:"shortfall_milliwatt_hours"`
	OverDeliveryMilliwattHours int64 `json:"over_delivery_milliwatt_hours"`
	// HoldMilliseconds from the deadline to the end, HeldMilliseconds of them at
	// the level. ms.
	HoldMilliseconds int64 `json:"hold_milliseconds"`
	HeldMilliseconds int64 `json:"held_milliseconds"`
	// EstimatedMilliseconds of the window rest on no believed reading: the last
	// value was held, unless a counter has proven the energy since. ms.
	EstimatedMilliseconds int64 `json:"estimated_milliseconds"`
	// Modelled: a plant model, not a meter, made some of the readings.
	Modelled bool `json:"modelled,omitempty"`
	// Overlapped: another event was in force at the same node, or above or
	// below it, during the window.
	Overlapped bool `json:"overlapped,omitempty"`

	// IntervalSeconds of the lines, which are cut at the window. s.
	IntervalSeconds int64             `json:"interval_seconds"`
	Lines           []PerformanceLine `json:"lines,omitempty"`
	// Changes of the limit after the first.
	Changes []PerformanceChange `json:"changes,omitempty"`
	// Baselines side by side.
	Baselines []PerformanceBaseline `json:"baselines,omitempty"`
	// LikeDays that baselines rest on, the newest first.
	LikeDays []PerformanceDay `json:"like_days,omitempty"`
	// Response of the load measured, at the meter's own readings, thinned out
	// where there are too many.
	Response []PerformanceSample `json:"response,omitempty"`

	// UTCOffsetSeconds of the local days that baselines compare. s.
	UTCOffsetSeconds int64 `json:"utc_offset_seconds"`
	// Version and ConfigHash of the decider that worked this out, SiteHash of
	// the site's configuration in force, 16 hex digits.
	Version    string `json:"version"`
	ConfigHash string `json:"config_hash"`
	SiteHash   string `json:"site_hash"`
	// SignalSequence is where the signal stands in JOURNAL.
	SignalSequence uint64 `json:"signal_sequence"`
	// Reverses is the id of the event that this one takes the place of.
	Reverses string `json:"reverses,omitempty"`
	// Key of the decision.
	Key OrderKey `json:"key"`
}

// PerformanceLine is one interval, or the part of one, within the window.
type PerformanceLine struct {
	// Start and End, UTC, end exclusive.
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	// Energy metered at the node, mWh; nil where no meter tells.
	TotalMilliwattHours  *int64 `json:"total_milliwatt_hours,omitempty"`
	MiningMilliwattHours *int64 `json:"mining_milliwatt_hours,omitempty"`
	AIMilliwattHours     *int64 `json:"ai_milliwatt_hours,omitempty"`
	// LimitWatts at the end of the interval. W.
	LimitWatts int64 `json:"limit_watts"`
	// MostWatts of the load measured. W.
	MostWatts int64 `json:"most_watts"`
	// EstimatedMilliseconds of the load measured rest on no reading. ms.
	EstimatedMilliseconds int64 `json:"estimated_milliseconds"`
}

// PerformanceChange is a limit that another one followed.
type PerformanceChange struct {
	// At which it counts, and DeadlineAt by which it is due.
	At         time.Time `json:"at"`
	DeadlineAt time.Time `json:"deadline_at"`
	// LimitWatts as a cap. W.
	LimitWatts int64 `json:"limit_watts"`
}

// PerformanceBaseline is what one method says.
type PerformanceBaseline struct {
	// Method and Version of the arithmetic, Parameters that it was given.
	Method     BaselineMethod `json:"method"`
	Version    string         `json:"version"`
	Parameters string         `json:"parameters"`
	// Contract: the programme settles by it.
	Contract bool `json:"contract,omitempty"`
	// InputHash over parameters and all that was read, SHA-256, hex.
	InputHash string `json:"input_hash"`
	// Unavailable says why there are no figures, as a code; empty where there
	// are.
	Unavailable string `json:"unavailable,omitempty"`
	// Watts per line, rounded down. W.
	Watts []int64 `json:"watts,omitempty"`
	// MilliwattHours of the whole window, rounded down, and
	// DeliveredMilliwattHours = these − the energy measured. mWh.
	MilliwattHours          int64 `json:"milliwatt_hours"`
	DeliveredMilliwattHours int64 `json:"delivered_milliwatt_hours"`
	// PriceLoweredWatts by which mining that price kept off had lowered the
	// baseline, on average. W.
	PriceLoweredWatts int64 `json:"price_lowered_watts"`
	// AdjustmentPPM by which like days were multiplied, parts per million; 0
	// for none.
	AdjustmentPPM int64 `json:"adjustment_ppm,omitempty"`
	// Days that count, as 2006-01-02, the newest first.
	Days []string `json:"days,omitempty"`
}

// PerformanceDay is the load of a like day at the times of the lines.
type PerformanceDay struct {
	// Date of the local day, as 2006-01-02.
	Date string `json:"date"`
	// Watts per line: the mean of the whole interval. W.
	Watts []int64 `json:"watts"`
}

// PerformanceSample is the load at one moment.
type PerformanceSample struct {
	// AtMilliseconds after ArrivedAt. ms.
	AtMilliseconds int64 `json:"at_milliseconds"`
	// Watts from then on. W.
	Watts int64 `json:"watts"`
}
