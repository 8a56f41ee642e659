// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// MaxCurtailmentLines is the most lines of one curtailment.settled. Where more
// signals asked for something within one interval, what is above is booked
// under its reason without a signal.
const MaxCurtailmentLines = 256

// CurtailmentSettled (curtailment.settled) is what units could have hashed in
// one interval and did not, by the reason that they gave. It stands beside
// energy.settled and revenue.settled and is no term of either: what was not
// earned is in no margin.
//
// It rests on what the units said while time passed, so nothing that comes
// later changes it. Only when the journal has lost what it rests on is it taken
// back, by an event without lines that names it.
type CurtailmentSettled struct {
	// IntervalStart and IntervalEnd, UTC, end exclusive.
	IntervalStart time.Time `json:"interval_start"`
	IntervalEnd   time.Time `json:"interval_end"`
	// NameplateMilliwattHours is the energy that all units in view would have
	// used at full power; what they used of it is this less all lines. mWh.
	NameplateMilliwattHours int64 `json:"nameplate_milliwatt_hours"`
	// Lines in the order of basis (live, practice, modelled), reason and
	// signal; at most MaxCurtailmentLines. None where all ran at full power.
	Lines []CurtailmentLine `json:"lines,omitempty"`
	// Rates at which the lines are valued, at most one per basis, in that
	// order. A basis without one has not been paid yet: its lines are worth 0.
	Rates []CurtailmentRate `json:"rates,omitempty"`
	// EnergyEventID is the energy.settled event of the same interval, as first
	// settled.
	EnergyEventID string `json:"energy_event_id"`
	// Reverses is the id of the event that this one takes back, or empty.
	Reverses string `json:"reverses,omitempty"`
	// Key of the decision.
	Key OrderKey `json:"key"`
}

// CurtailmentLine is what was forgone for one reason.
type CurtailmentLine struct {
	// Basis of the units, never mixed: that of the shares accepted of them.
	Basis Basis `json:"basis"`
	// Reason, and SignalID of the grid signal behind it, if there is one.
	Reason   Reason `json:"reason"`
	SignalID string `json:"signal_id,omitempty"`
	// MilliwattHours not drawn: nameplate less power, over time. mWh.
	MilliwattHours int64 `json:"milliwatt_hours"`
	// ModelledMilliwattHours of them belong to units whose power comes from a
	// model of the machine or of its draw. mWh.
	ModelledMilliwattHours int64 `json:"modelled_milliwatt_hours"`
	// Hashes that this energy would have made at the efficiency which each
	// unit announced, decimal, rounded down.
	Hashes string `json:"hashes"`
	// ForgoneMillisats is what these hashes were worth at the rate of the
	// basis, and ForgoneMicrousd the same in dollars; rounded down.
	ForgoneMillisats int64 `json:"forgone_millisats"`
	ForgoneMicrousd  int64 `json:"forgone_microusd"`
	// AvoidedCostMicrousd is what the energy would have cost at the price in
	// force, rounded up; negative where the price was.
	AvoidedCostMicrousd int64 `json:"avoided_cost_microusd"`
	// NetMicrousd = forgone − avoided cost: the net cost of the opportunity,
	// negative where not mining was the better business.
	NetMicrousd int64 `json:"net_microusd"`
}

// CurtailmentRate is what hashes of one basis were worth at the end of the
// interval.
type CurtailmentRate struct {
	// Payout of the newest accepted share of the basis. Hashes are worth
	// reward / work of the network target, less the fee, under any scheme.
	Payout Payout `json:"payout"`
	// ShareDifficulty of that share, decimal, where it is above that of the
	// network, as on chains for tests: a share is never worth more than the
	// reward, so hashes are worth reward / work of such a share.
	ShareDifficulty string `json:"share_difficulty,omitempty"`
	// BTCPriceMicrousd in force, 0 when none was known.
	BTCPriceMicrousd int64 `json:"btc_price_microusd"`
}
