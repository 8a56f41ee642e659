// SPDX-License-Identifier: Apache-2.0

package events

// Bounds on an Explanation: a decision about a whole site must not outgrow a
// message. What is left out is counted.
const (
	// MaxExplainedNodes are the binding node and all that feed it.
	MaxExplainedNodes = MaxNodeDepth + 1
	// MaxExplainedReadings and MaxExplainedSignals, the most telling first.
	MaxExplainedReadings = 16
	MaxExplainedSignals  = 8
	// MaxExplainedGroups of units lowered, and of units held back.
	MaxExplainedGroups = 12
)

// Explanation is why dispatch decided as it did: what it knew, which constraint
// won, and which alternatives it turned down. All figures are those after the
// decision.
type Explanation struct {
	// Precedence class of the constraint that won.
	Precedence Precedence `json:"precedence"`
	// Nodes: the binding node (the point of connection where none binds), then
	// what feeds it, up to the point of connection.
	Nodes []NodeBalance `json:"nodes"`
	// Readings that the load of the binding node rests on: the cause first,
	// then those not believed, then the rest; ReadingsOmitted are not listed.
	Readings        []ReadingUsed `json:"readings,omitempty"`
	ReadingsOmitted int64         `json:"readings_omitted,omitempty"`
	// Signals in force: the one that binds first, the lowest limit before the
	// higher ones, last the price; SignalsOmitted are not listed.
	Signals        []SignalInForce `json:"signals,omitempty"`
	SignalsOmitted int64           `json:"signals_omitted,omitempty"`
	// Config and Quote are the site.config and the market.quote in force.
	Config *JournalPlace `json:"config,omitempty"`
	Quote  *JournalPlace `json:"quote,omitempty"`
	// Lowered are the units lowered, by why and for the sake of which node;
	// LoweredOmitted units are in groups not listed.
	Lowered        []LoweredFor `json:"lowered,omitempty"`
	LoweredOmitted int64        `json:"lowered_omitted,omitempty"`
	// Held says of a decision that raised what keeps the rest down, the most
	// power first; HeldOmittedWatts are in entries not listed. W.
	Held             []HeldBack `json:"held,omitempty"`
	HeldOmittedWatts int64      `json:"held_omitted_watts,omitempty"`
}

// JournalPlace is the place of an event in the journal.
type JournalPlace struct {
	// Epoch and Sequence.
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
}

// NodeBalance is what mining beneath a node may have, and why. All W:
//
//	headroom = usable − AI − house − reserve
type NodeBalance struct {
	// Node id, RootNode for the point of connection.
	Node string `json:"node"`
	// LimitWatts as configured; UsableWatts is what continuous factor,
	// redundancy, cooling and import limits leave of it.
	LimitWatts  int64 `json:"limit_watts"`
	UsableWatts int64 `json:"usable_watts"`
	// AIWatts and HouseWatts are believed, with stand-ins.
	AIWatts    int64 `json:"ai_watts"`
	HouseWatts int64 `json:"house_watts"`
	// ReserveWatts kept free, and the terms it is made of.
	ReserveWatts int64         `json:"reserve_watts"`
	Reserve      *ReserveTerms `json:"reserve,omitempty"`
	// HeadroomWatts may be negative.
	HeadroomWatts int64 `json:"headroom_watts"`
	// CapWatts is the most that mining beneath may be permitted, Reason what
	// set it.
	CapWatts int64  `json:"cap_watts"`
	Reason   Reason `json:"reason"`
	// PermittedWatts is the sum of the setpoints beneath.
	PermittedWatts int64 `json:"permitted_watts"`
	// StrayWatts is draw that mining meters see and no unit explains: it takes
	// room like any other load.
	StrayWatts int64 `json:"stray_watts,omitempty"`
	// Belief in the worst quantity that the load rests on, and, unless it is
	// fresh, StandInWatts that stand in for the AI load at least.
	Belief       Belief `json:"belief"`
	StandInWatts int64  `json:"stand_in_watts,omitempty"`
}

// Belief is how far a measured quantity is believed: the rung of the ladder down
// which a silent meter falls.
type Belief string

// Beliefs.
const (
	BeliefFresh    Belief = "fresh"    // believed
	BeliefEnvelope Belief = "envelope" // silent for two periods: the recent peak stands in
	BeliefStale    Belief = "stale"    // not believed: the AI nameplate stands in
	BeliefDead     Belief = "dead"     // gone or never heard: only what is guaranteed to mining
)

// ReadingUsed is the newest believed reading of a meter, as far as it is
// believed still.
type ReadingUsed struct {
	// Meter, what it Measures, and the Node it hangs on (RootNode for the point
	// of connection).
	Meter    string   `json:"meter"`
	Measures Measures `json:"measures"`
	Node     string   `json:"node"`
	// PowerWatts it read, Epoch and Sequence of that reading in the journal (no
	// sequence: none was ever believed), Quality by its source.
	PowerWatts int64   `json:"power_watts"`
	Epoch      uint64  `json:"epoch,omitempty"`
	Sequence   uint64  `json:"sequence,omitempty"`
	Quality    Quality `json:"quality,omitempty"`
	// AgeMilliseconds of it. ms
	AgeMilliseconds int64 `json:"age_milliseconds"`
	// Belief in it now. Stuck: it reports still, but one and the same value
	// for too long.
	Belief Belief `json:"belief"`
	Stuck  bool   `json:"stuck,omitempty"`
}

// SignalInForce is a grid signal that sets a limit or the price.
type SignalInForce struct {
	// SignalID, and the Source that published it; no source where several
	// floods were merged.
	SignalID string `json:"signal_id"`
	Source   string `json:"source,omitempty"`
	// Kind, Precedence and Priority (0 is the most important).
	Kind       SignalKind `json:"kind"`
	Precedence Precedence `json:"precedence"`
	Priority   int        `json:"priority,omitempty"`
	// Node at which it counts; none for the point of connection.
	Node string `json:"node,omitempty"`
	// Recovering: it is over, and its limit rises step by step.
	Recovering bool `json:"recovering,omitempty"`
	// PowerWatts that it limits to; PriceMicrousdPerMWh of a price.
	PowerWatts          *int64 `json:"power_watts,omitempty"`
	PriceMicrousdPerMWh *int64 `json:"price_microusd_per_mwh,omitempty"`
	// Epoch and Sequence of it in the journal.
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	// Binds: of all signals of its sort at its node this one rules: the lowest
	// limit, and among equals precedence, priority and age.
	Binds bool `json:"binds,omitempty"`
}

// LoweredFor are the units that one constraint lowered.
type LoweredFor struct {
	// Reason, and the Node for whose sake; none where it was a reason of the
	// units' own.
	Reason Reason `json:"reason"`
	Node   string `json:"node,omitempty"`
	// Units lowered, by so many Watts.
	Units int64 `json:"units"`
	Watts int64 `json:"watts"`
	// CapWatts of the node that they had to get under.
	CapWatts *int64 `json:"cap_watts,omitempty"`
	// Best is the best of them in merit order: had it kept its setpoint, the
	// node would be OverWatts above its cap. That is why not less was lowered.
	Best      UnitInOrder `json:"best"`
	OverWatts int64       `json:"over_watts,omitempty"`
	// Kept is the worst unit beneath the node that kept its power: units are
	// lowered from the worst end of the merit order. That is why it was these.
	Kept *UnitInOrder `json:"kept,omitempty"`
	// InFavourOf is the better unit that takes the place of these.
	InFavourOf *UnitInOrder `json:"in_favour_of,omitempty"`
}

// UnitInOrder is a unit with its place in the merit order: efficiency, then id.
type UnitInOrder struct {
	// Agent and Unit.
	Agent string `json:"agent"`
	Unit  string `json:"unit"`
	// MillijoulesPerTerahash; 0 is unknown and comes last.
	MillijoulesPerTerahash int64 `json:"millijoules_per_terahash"`
	// BeforeWatts and AfterWatts are its setpoints around the decision. W.
	BeforeWatts int64 `json:"before_watts"`
	AfterWatts  int64 `json:"after_watts"`
}

// HeldBack is power that units could draw and may not.
type HeldBack struct {
	// By what: a Reason or a Hold; further ones may come.
	By string `json:"by"`
	// Node where, RootNode for the point of connection; none where it is a
	// matter of the units themselves.
	Node string `json:"node,omitempty"`
	// Units that it touches, and Watts that it holds back.
	Units int64 `json:"units"`
	Watts int64 `json:"watts"`
}

// What holds units back, besides the reasons of commands.
const (
	HoldLocal      = "local"        // a limit set on site
	HoldUnhealthy  = "unhealthy"    // the agent says so
	HoldSilent     = "agent-silent" // no status for a lease
	HoldLeft       = "agent-left"   // goodbye, or silent beyond its lease
	HoldNode       = "no-node"      // nobody knows where in the tree it hangs
	HoldLowering   = "lowering"     // a reduction is not confirmed yet
	HoldRaising    = "raising"      // a raise is not confirmed yet
	HoldOverdraw   = "overdraw"     // it draws more than it may
	HoldOutlet     = "outlet-off"   // its outlet is off until a person restores it
	HoldPause      = "pause"        // restart delay, or it did not follow ramps
	HoldMinOff     = "min-off"      // its minimum time off
	HoldAnnounced  = "announced"    // a reduction that is near would stop it again
	HoldStarts     = "starts"       // its starts of the day, those of others at the moment, or what a start costs
	HoldLevel      = "level"        // none of its levels lies in between
	HoldClock      = "no-clock"     // no fresh tick
	HoldRestart    = "restart"      // restart delay of a node after its meter came back
	HoldHysteresis = "hysteresis"   // too little room to begin with
	HoldRamp       = "ramp-budget"  // increases per second
	HoldNext       = "next-tick"    // nothing: it may rise with the next tick
	HoldStray      = "stray"        // draw that no unit explains takes the room
	HoldSag        = "load-dip"     // AI load that fell a moment ago may come back at once
	HoldFalling    = "falling"      // units on their way down still take the room
	HoldReserve    = "reserve"      // begins the name of a reserve's term: reserve-margin
)
