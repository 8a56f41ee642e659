// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// SignalKind is what a grid signal asks for.
type SignalKind string

// Signal kinds.
const (
	// SignalCurtail: mining at or below PowerWatts for the window.
	SignalCurtail SignalKind = "curtail"
	// SignalRestore: ends what Cancels names or, without Cancels, every
	// curtail, setpoint, import limit and emergency of the same source and
	// programme. Never raises anything by itself, never ends a stop that it
	// does not name.
	SignalRestore SignalKind = "restore"
	// SignalSetpoint: mining at PowerWatts if headroom allows, whatever
	// economics says; also a ceiling.
	SignalSetpoint SignalKind = "setpoint"
	// SignalImportLimit: the whole site (AI, house, mining) at or below
	// PowerWatts.
	SignalImportLimit SignalKind = "import-limit"
	// SignalEmergency: mining to 0 W for the window.
	SignalEmergency SignalKind = "emergency"
	// SignalPrice: the marginal price of energy from the start of the window.
	SignalPrice SignalKind = "price"
	// SignalStop: mining to 0 W until a restore from the operator source
	// names it (`ballast stop --all`).
	SignalStop SignalKind = "stop"
)

// Precedence is the class of a decision, most important first.
type Precedence string

// Precedence classes (DESIGN.md, Safety 6).
const (
	PrecedenceSafety         Precedence = "safety"
	PrecedenceGridEmergency  Precedence = "grid-emergency"
	PrecedenceAIContract     Precedence = "ai-contract"
	PrecedenceDemandResponse Precedence = "demand-response"
	PrecedenceEconomics      Precedence = "economics"
)

// Rank orders precedence classes: 0 is the most important. An unknown class
// ranks as economics: it can only lose.
func (p Precedence) Rank() int {
	switch p {
	case PrecedenceSafety:
		return 0
	case PrecedenceGridEmergency:
		return 1
	case PrecedenceAIContract:
		return 2
	case PrecedenceDemandResponse:
		return 3
	}
	return 4
}

// GridSignal (grid.signal) is an instruction or a price from outside the site:
// the grid, a market, a contract, an operator. The source token of the subject
// is the issuer whose credentials published it; that token, not the Issuer
// field, decides what a signal may cancel.
type GridSignal struct {
	// SignalID names the instruction for supersedes and cancels, unique per
	// source: [A-Za-z0-9._:-]{1,128}. Empty: the id of the event is used.
	SignalID string `json:"signal_id,omitempty"`
	// Kind of the instruction.
	Kind SignalKind `json:"kind"`
	// Programme under which it is given: SiteConfig.Programmes says what it
	// means; also for reports and restore.
	Programme string `json:"programme,omitempty"`
	// Issuer as a person would name it; informative.
	Issuer string `json:"issuer,omitempty"`
	// Precedence class; empty means: grid-emergency for emergency, safety for
	// stop, economics for price, demand-response otherwise.
	Precedence Precedence `json:"precedence,omitempty"`
	// Priority within the class: 0 is the most important, at most 255.
	Priority int `json:"priority,omitempty"`
	// Node of the power tree at which it counts; empty for that of the
	// programme, without one the point of connection. A node that the site does
	// not know counts as the point of connection: the reduction is the larger
	// one, and an alert says so.
	Node string `json:"node,omitempty"`
	// PowerWatts is the ceiling or setpoint, W; required for curtail,
	// setpoint and import-limit. In a programme whose limit is a shed, the
	// reduction.
	PowerWatts *int64 `json:"power_watts,omitempty"`
	// PriceMicrousdPerMWh is the energy price in micro-dollars per megawatt
	// hour, may be negative; required for price.
	PriceMicrousdPerMWh *int64 `json:"price_microusd_per_mwh,omitempty"`
	// IssuedAt is when the issuer gave the instruction, by its own clock: the
	// response time of the programme counts from it. nil, or later than its
	// arrival: the arrival.
	IssuedAt *time.Time `json:"issued_at,omitempty"`
	// StartsAt opens the window; nil means at once.
	StartsAt *time.Time `json:"starts_at,omitempty"`
	// DurationSeconds is the length of the window; 0 means until restored,
	// cancelled or superseded. A reduction ends only when both the wall clock
	// and elapsed time agree that the window is over.
	DurationSeconds int64 `json:"duration_seconds,omitempty"`
	// RampSeconds, MinDurationSeconds and RecoverySeconds take the place of
	// those of the programme where they are given, 0 included. s.
	RampSeconds        *int64 `json:"ramp_seconds,omitempty"`
	MinDurationSeconds *int64 `json:"min_duration_seconds,omitempty"`
	RecoverySeconds    *int64 `json:"recovery_seconds,omitempty"`
	// RampWattsPerMinute of a setpoint that replaces a lower one of the same
	// issuer and programme: how fast the ceiling rises from one to the other;
	// 0 for at once. A lower one always counts at once. W/min.
	RampWattsPerMinute int64 `json:"ramp_watts_per_minute,omitempty"`
	// Test marks a drill: recorded and reported, and obeyed only where the
	// programme says that its tests are carried out.
	Test bool `json:"test,omitempty"`
	// Supersedes names an earlier signal of the same source that this one
	// replaces.
	Supersedes string `json:"supersedes,omitempty"`
	// Cancels names an earlier signal that a restore ends.
	Cancels string `json:"cancels,omitempty"`
	// Reason for people: "EEA2".
	Reason string `json:"reason,omitempty"`
}

// EffectivePrecedence is Precedence or, when empty, the default of the kind.
func (s *GridSignal) EffectivePrecedence() Precedence {
	if s.Precedence != "" {
		return s.Precedence
	}
	switch s.Kind {
	case SignalEmergency:
		return PrecedenceGridEmergency
	case SignalStop:
		return PrecedenceSafety
	case SignalPrice:
		return PrecedenceEconomics
	}
	return PrecedenceDemandResponse
}
