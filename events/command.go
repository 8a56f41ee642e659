// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// UnitSetpoint is an absolute order for one unit.
type UnitSetpoint struct {
	// Unit id.
	Unit string `json:"unit"`
	// SetpointWatts is the most the unit may draw. W.
	SetpointWatts int64 `json:"setpoint_watts"`
}

// CommandCurtail (command.curtail) lowers. It may be obeyed straight from the
// wire. Addressed to one agent, or to a whole site as a broadcast.
type CommandCurtail struct {
	// Decider that speaks.
	Decider string `json:"decider"`
	// Key orders the command.
	Key OrderKey `json:"key"`
	// Agent addressed; empty on a broadcast.
	Agent string `json:"agent,omitempty"`
	// AllUnitsWatts is the ceiling for every unit that hears it, on a
	// broadcast (then Units is empty). W per unit.
	AllUnitsWatts *int64 `json:"all_units_watts,omitempty"`
	// Units and their new setpoints.
	Units []UnitSetpoint `json:"units,omitempty"`
	// Reason code, see Reason*.
	Reason Reason `json:"reason"`
	// SignalID of the grid signal that asked for it, if one did.
	SignalID string `json:"signal_id,omitempty"`
	// IssuedAt is the arrival of the cause in the journal.
	IssuedAt time.Time `json:"issued_at"`
	// ValidUntil bounds the command for the record; a reduction is obeyed
	// even later.
	ValidUntil time.Time `json:"valid_until"`
}

// CommandRamp (command.ramp) raises, within a lease. It is obeyed only as
// stored in COMMANDS, only by the boot it names, and never after ValidUntil.
type CommandRamp struct {
	// Decider that speaks.
	Decider string `json:"decider"`
	// Key orders the command.
	Key OrderKey `json:"key"`
	// Agent addressed.
	Agent string `json:"agent"`
	// BootID and Counter of the newest worker.status folded: the lease runs
	// from the instant at which that status was sent.
	BootID  string `json:"boot_id"`
	Counter uint64 `json:"counter"`
	// LeaseMilliseconds granted from that instant.
	LeaseMilliseconds int64 `json:"lease_milliseconds"`
	// Units and their new setpoints.
	Units []UnitSetpoint `json:"units"`
	// Reason code: available, or what keeps the units listed from rising
	// further.
	Reason Reason `json:"reason"`
	// SignalID of the grid signal behind Reason, if there is one.
	SignalID string `json:"signal_id,omitempty"`
	// IssuedAt is the arrival of the cause in the journal.
	IssuedAt time.Time `json:"issued_at"`
	// ValidUntil: no raise is obeyed later.
	ValidUntil time.Time `json:"valid_until"`
}

// PermitRenewed (permit.renewed) prolongs the lease of one agent's units. It
// is not stored, carries every unit's absolute setpoint, and never raises.
type PermitRenewed struct {
	// Decider that speaks.
	Decider string `json:"decider"`
	// Key of the tick that renewed.
	Key OrderKey `json:"key"`
	// BootID and Counter of the newest worker.status folded.
	BootID  string `json:"boot_id"`
	Counter uint64 `json:"counter"`
	// LeaseMilliseconds from the instant at which that status was sent.
	LeaseMilliseconds int64 `json:"lease_milliseconds"`
	// Units: every unit of the agent.
	Units []UnitSetpoint `json:"units"`
}

// Reason is why power changed, as a code.
type Reason string

// Reasons, from the most to the least binding.
const (
	ReasonStop         Reason = "stop"          // operator stop
	ReasonEmergency    Reason = "emergency"     // grid emergency
	ReasonNoMeter      Reason = "no-meter"      // meters missing, stale, dead
	ReasonNoConfig     Reason = "no-config"     // no site.config folded yet
	ReasonHeadroom     Reason = "headroom"      // AI load took the power back
	ReasonImportLimit  Reason = "import-limit"  // ceiling on the whole site
	ReasonGridCurtail  Reason = "grid-curtail"  // ceiling on mining
	ReasonGridSetpoint Reason = "grid-setpoint" // base point
	ReasonEconomics    Reason = "economics"     // energy costs more than it earns
	ReasonWorker       Reason = "worker"        // a unit left, is unhealthy or local
	ReasonAvailable    Reason = "available"     // headroom is free: ramp
)

// Reasons for which a unit draws less than it could and no command says so.
const (
	ReasonLease Reason = "lease" // the permit ran out
	ReasonLocal Reason = "local" // a person on site
	ReasonBoot  Reason = "boot"  // no permit since its start
)

// Reasons that only the accounts know (curtailment.settled).
const (
	ReasonMachine Reason = "machine" // at full power as permitted, and yet below its nameplate
	ReasonUnsaid  Reason = "unsaid"  // the agent does not say
)

// DispatchDecided (dispatch.decided) says why: one per cause that changed any
// setpoint, stored in the same atomic batch as the commands it explains.
type DispatchDecided struct {
	// Key of this event: the last ordinal of its cause.
	Key OrderKey `json:"key"`
	// CauseID and CauseType of the event that led here.
	CauseID   string `json:"cause_id"`
	CauseType Type   `json:"cause_type"`
	// Version and ConfigHash of the decider.
	Version    string `json:"version"`
	ConfigHash string `json:"config_hash"`
	// Binding is the constraint that set the total, BindingNode the node of the
	// power tree where it binds (RootNode for the point of connection); empty
	// in a site without nodes, and where nothing was lowered for the sake of a
	// node.
	Binding     Reason `json:"binding"`
	BindingNode string `json:"binding_node,omitempty"`
	// Inputs of the headroom sum, W, at the binding node, else at the point of
	// connection: headroom = usable − AI − house − reserve.
	LimitWatts    int64 `json:"limit_watts"`
	UsableWatts   int64 `json:"usable_watts"`
	AIWatts       int64 `json:"ai_watts"`
	HouseWatts    int64 `json:"house_watts"`
	ReserveWatts  int64 `json:"reserve_watts"`
	HeadroomWatts int64 `json:"headroom_watts"`
	// Reserve by term.
	Reserve *ReserveTerms `json:"reserve,omitempty"`
	// CeilingWatts on mining from signals; nil when none is in force.
	CeilingWatts *int64 `json:"ceiling_watts,omitempty"`
	// SignalID of the signal that set the ceiling.
	SignalID string `json:"signal_id,omitempty"`
	// MeterFresh is false when some term above is a stand-in for a meter that
	// is not believed.
	MeterFresh bool `json:"meter_fresh"`
	// PriceMicrousdPerMWh in force and StrikeMicrousdPerMWh of the best unit,
	// when economics is on and both are known.
	PriceMicrousdPerMWh  *int64 `json:"price_microusd_per_mwh,omitempty"`
	StrikeMicrousdPerMWh *int64 `json:"strike_microusd_per_mwh,omitempty"`
	// PermittedBeforeWatts and PermittedAfterWatts are the sums of all
	// setpoints around this decision.
	PermittedBeforeWatts int64 `json:"permitted_before_watts"`
	PermittedAfterWatts  int64 `json:"permitted_after_watts"`
	// UnitsLowered and UnitsRaised by it; UnitsKnown in the site.
	UnitsLowered int64 `json:"units_lowered"`
	UnitsRaised  int64 `json:"units_raised"`
	UnitsKnown   int64 `json:"units_known"`
	// TokensWatts left in the up-ramp bucket.
	TokensWatts int64 `json:"tokens_watts"`
	// Why it was decided so, for `ballast explain`; nil in decisions of
	// versions before 3.
	Why *Explanation `json:"why,omitempty"`
}
