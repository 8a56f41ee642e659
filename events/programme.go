// SPDX-License-Identifier: Apache-2.0

package events

// MaxProgrammes is the most grid programmes of one site.
const MaxProgrammes = 64

// LimitIs says what the power in a signal of a programme means. Contracts
// differ, so every programme says it.
type LimitIs string

// What the power of a signal can be.
const (
	// LimitIsCap: the most that may be drawn.
	LimitIsCap LimitIs = "cap"
	// LimitIsShed: how much less than at the beginning of the reduction.
	LimitIsShed LimitIs = "shed"
)

// TestPolicy is what is done with test events of a programme.
type TestPolicy string

// Test policies.
const (
	// TestRecord: a test event is recorded and moves no power.
	TestRecord TestPolicy = "record"
	// TestObey: a test event is carried out like a real one, as programmes ask
	// whose tests are measured curtailments.
	TestObey TestPolicy = "obey"
)

// OnSilence is what holds while the issuer of a programme is silent.
type OnSilence string

// What can hold during silence. None of them raises anything.
const (
	// SilenceHold: what the programme had in force stays in force beyond its
	// end.
	SilenceHold OnSilence = "hold"
	// SilenceLimit: at or below SilenceConfig.LimitWatts, and what else is in
	// force.
	SilenceLimit OnSilence = "limit"
)

// BaselineMethod says how the power that a site would have drawn without an
// event is worked out.
type BaselineMethod string

// Baseline methods.
const (
	// BaselineTenInTen: mean of ten like days.
	BaselineTenInTen BaselineMethod = "ten-in-ten"
	// BaselineTenInTenAdjusted: the same, scaled to the hours before the event.
	BaselineTenInTenAdjusted BaselineMethod = "ten-in-ten-adjusted"
	// BaselineMiddleEightOfTen: ten like days without the highest and lowest.
	BaselineMiddleEightOfTen BaselineMethod = "middle-eight-of-ten"
	// BaselineNearestDay: the like day nearest to the hours before the event.
	BaselineNearestDay BaselineMethod = "nearest-day"
	// BaselineRegression: least squares on the hour of the day and the type of
	// day, over all days without an event.
	BaselineRegression BaselineMethod = "regression"
	// BaselineMaximumBaseLoad: the level that the load must stay below.
	BaselineMaximumBaseLoad BaselineMethod = "maximum-base-load"
	// BaselineMeterBeforeAfter: the meter before the event against the meter
	// during it.
	BaselineMeterBeforeAfter BaselineMethod = "meter-before-after"
)

// BaselineMethods are all methods, in the order of reports.
func BaselineMethods() []BaselineMethod {
	return []BaselineMethod{
		BaselineTenInTen, BaselineTenInTenAdjusted, BaselineMiddleEightOfTen, BaselineNearestDay,
		BaselineRegression, BaselineMaximumBaseLoad, BaselineMeterBeforeAfter,
	}
}

// ProgrammeConfig describes one grid programme that a site takes part in: what
// its signals mean and how they are carried out. It only shapes reductions that
// signals ask for; it never makes one weaker at its deadline.
//
// The deadline of a signal is the start of its window, or the issuer's
// instruction time plus ResponseSeconds where that is later.
type ProgrammeConfig struct {
	// Programme is the id, as in GridSignal.Programme; unique in the site, 1 to
	// 128 characters without control characters.
	Programme string `json:"programme"`
	// Name for people.
	Name string `json:"name,omitempty"`
	// Product and Market of the contract, for reports: "ECRS", "ERCOT".
	Product string `json:"product,omitempty"`
	Market  string `json:"market,omitempty"`
	// Node at which it counts, of the power tree; empty for the point of
	// connection. A signal may name another one.
	Node string `json:"node,omitempty"`
	// Measures is what its power is about: total (all at the node: AI, house
	// and mining) or mining.
	Measures Measures `json:"measures"`
	// LimitIs says what the power in its signals means.
	LimitIs LimitIs `json:"limit_is"`
	// NoticeSeconds that the issuer owes before a window begins. A shorter
	// notice is obeyed all the same. s, at most 366 days.
	NoticeSeconds int64 `json:"notice_seconds,omitempty"`
	// ResponseSeconds from the issuer's instruction (GridSignal.IssuedAt) to
	// the full reduction. s, at most a day.
	ResponseSeconds int64 `json:"response_seconds,omitempty"`
	// RampSeconds over which a reduction is spread in a straight line. It begins
	// so long before the deadline, but never after the window has begun, and is
	// done when it has lasted so long or the slowest machine must begin to fall
	// for the deadline. 0: no spreading, all at once when the window begins.
	// Emergencies and stops know no ramp. s, at most a day.
	RampSeconds int64 `json:"ramp_seconds,omitempty"`
	// MinDurationSeconds that a reduction lasts from the beginning of its
	// window, whatever its issuer says; the operator may end it earlier. s, at
	// most 366 days.
	MinDurationSeconds int64 `json:"min_duration_seconds,omitempty"`
	// ReturnDelaySeconds after a reduction during which its limit still holds.
	// s, at most a day.
	ReturnDelaySeconds int64 `json:"return_delay_seconds,omitempty"`
	// RecoverySeconds after that over which the limit rises in a straight line
	// to all that can be drawn there. s, at most a day.
	RecoverySeconds int64 `json:"recovery_seconds,omitempty"`
	// Tests says what is done with test events; empty means record.
	Tests TestPolicy `json:"tests,omitempty"`
	// Precedence of its signals that carry none; a more important default of
	// their kind stays.
	Precedence Precedence `json:"precedence,omitempty"`
	// Silence of its issuer; nil where signals are rare and silence means
	// nothing.
	Silence *SilenceConfig `json:"silence,omitempty"`
	// TolerancePPM of the requested reduction that may be missing and still
	// count as delivered, parts per million.
	TolerancePPM int64 `json:"tolerance_ppm,omitempty"`
	// Baselines that reports of its events show side by side, the contract's
	// own first.
	Baselines []BaselineMethod `json:"baselines,omitempty"`
}

// SilenceConfig is for programmes whose issuer repeats itself: what holds when
// it does not.
type SilenceConfig struct {
	// Source of the signals that are the sign of life: the issuer's token in
	// the subject.
	Source string `json:"source"`
	// AfterSeconds without a new sign of life the issuer is silent. One that it
	// dated (GridSignal.IssuedAt) as far back, or not after the last, is none.
	// Before the first sign of life it is silent, too. s, 1 to 86400.
	AfterSeconds int64 `json:"after_seconds"`
	// OnSilence says what holds then.
	OnSilence OnSilence `json:"on_silence"`
	// LimitWatts for limit, of what the programme measures at its node, W; 0
	// with hold.
	LimitWatts int64 `json:"limit_watts,omitempty"`
}

// FindProgramme is the programme with this id, or nil.
func (s *SiteConfig) FindProgramme(id string) *ProgrammeConfig {
	if id == "" {
		return nil
	}
	for i := range s.Programmes {
		if s.Programmes[i].Programme == id {
			return &s.Programmes[i]
		}
	}
	return nil
}

// PrecedenceOf is the precedence of a signal of the programme: its own or, when
// it carries none, the more important of the programme's and its kind's. The
// programme may be nil.
func (p *ProgrammeConfig) PrecedenceOf(s *GridSignal) Precedence {
	own := s.EffectivePrecedence()
	if s.Precedence == "" && s.Kind != SignalPrice && p != nil && p.Precedence != "" && p.Precedence.Rank() < own.Rank() {
		return p.Precedence
	}
	return own
}

// Obeys reports whether a signal moves power: it is no test, or one of a
// programme whose tests are carried out. The programme may be nil.
func (p *ProgrammeConfig) Obeys(s *GridSignal) bool {
	return !s.Test || p != nil && p.Tests == TestObey
}
