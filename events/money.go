// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// EnergySettled (energy.settled) is the energy balance of one interval, mWh:
//
//	contracted + overdrawn = ai + house + mining + resold + unused
//
// It always balances. A correction is a new event that names the one it
// reverses and carries the new figures.
type EnergySettled struct {
	// IntervalStart and IntervalEnd, UTC, end exclusive.
	IntervalStart time.Time `json:"interval_start"`
	IntervalEnd   time.Time `json:"interval_end"`
	// The terms of the balance, milliwatt-hours.
	ContractedMilliwattHours int64 `json:"contracted_milliwatt_hours"`
	OverdrawnMilliwattHours  int64 `json:"overdrawn_milliwatt_hours"`
	AIMilliwattHours         int64 `json:"ai_milliwatt_hours"`
	HouseMilliwattHours      int64 `json:"house_milliwatt_hours"`
	MiningMilliwattHours     int64 `json:"mining_milliwatt_hours"`
	ResoldMilliwattHours     int64 `json:"resold_milliwatt_hours"`
	UnusedMilliwattHours     int64 `json:"unused_milliwatt_hours"`
	// EstimatedMilliwattHours of the above rest on no valid reading.
	EstimatedMilliwattHours int64 `json:"estimated_milliwatt_hours"`
	// ModelledMilliwattHours of mining come from a model of the machines or
	// of their power, not from a measurement.
	ModelledMilliwattHours int64 `json:"modelled_milliwatt_hours"`
	// WitnessMilliwattHours is mining energy as the accepted shares prove it
	// (difficulty × hashes × J/TH), the second witness.
	WitnessMilliwattHours int64 `json:"witness_milliwatt_hours"`
	// OverLimitMilliseconds during which AI + house + mining exceeded the
	// limit, and how many of them mining caused.
	OverLimitMilliseconds         int64 `json:"over_limit_milliseconds"`
	OverLimitByMiningMilliseconds int64 `json:"over_limit_by_mining_milliseconds"`
	// Reverses is the id of the event that this one corrects, or empty.
	Reverses string `json:"reverses,omitempty"`
	// Key of the decision.
	Key OrderKey `json:"key"`
}

// RevenueAccrued (revenue.accrued) is the expected value of the accepted
// shares of one payout epoch since the previous accrual.
type RevenueAccrued struct {
	// From and Until bound the acceptance times, UTC, until exclusive.
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Payout epoch; never two in one event.
	Payout Payout `json:"payout"`
	// SharesAccepted in it and the exact sum of their difficulties, decimal.
	SharesAccepted int64  `json:"shares_accepted"`
	DifficultySum  string `json:"difficulty_sum"`
	// ValueMillisats booked, rounded down; the remainder CarryNumerator /
	// CarryDenominator millisatoshi goes into the next accrual.
	ValueMillisats   int64  `json:"value_millisats"`
	CarryNumerator   string `json:"carry_numerator"`
	CarryDenominator string `json:"carry_denominator"`
	// BTCPriceMicrousd used and ValueMicrousd = value at that price, rounded
	// down; both 0 when no quote is known.
	BTCPriceMicrousd int64 `json:"btc_price_microusd"`
	ValueMicrousd    int64 `json:"value_microusd"`
	// Reverses is the id of the event that this one corrects, or empty; a
	// reversal repeats the figures with the sign turned. A variance that takes
	// something off names the newest accrual that it takes it from.
	Reverses string `json:"reverses,omitempty"`
	// BlockHash of the block of ours whose whole coinbase this books, under
	// solo: no shares, From is when it matured and Until a nanosecond later.
	BlockHash string `json:"block_hash,omitempty"`
	// StatementID of the pool's statement that this makes the books follow:
	// no shares, From and Until are the span stated, Variance says why.
	StatementID string   `json:"statement_id,omitempty"`
	Variance    Variance `json:"variance,omitempty"`
	// Key of the decision.
	Key OrderKey `json:"key"`
}

// Variance is why the books follow a pool's statement, as a code.
type Variance string

// Variances.
const (
	// VarianceValuation: shares of a scheme that only the pool can value
	// (pplns) get their value.
	VarianceValuation Variance = "valuation"
	// VarianceShares: the pool counted other shares than we did.
	VarianceShares Variance = "shares"
	// VarianceDifficulty: the same number of shares at another difficulty.
	VarianceDifficulty Variance = "difficulty"
	// VarianceRounding: the same shares, less than a satoshi apart.
	VarianceRounding Variance = "rounding"
	// VarianceTerms: the same shares at another reward or fee, such as the
	// pool's own average of the fees in the blocks.
	VarianceTerms Variance = "terms"
)

// BasisTotal is one line of a settlement: everything of one basis.
type BasisTotal struct {
	// Basis of the line.
	Basis Basis `json:"basis"`
	// Shares by verdict, and the accepted ones' value. Unknown is below 0
	// where a statement of the pool has judged shares that were counted as
	// unknown in an interval which is final.
	SharesAccepted   int64 `json:"shares_accepted"`
	SharesRejected   int64 `json:"shares_rejected"`
	SharesUnknown    int64 `json:"shares_unknown"`
	RevenueMillisats int64 `json:"revenue_millisats"`
	RevenueMicrousd  int64 `json:"revenue_microusd"`
}

// RevenueSettled (revenue.settled) closes one interval in money.
type RevenueSettled struct {
	// IntervalStart and IntervalEnd, UTC, end exclusive.
	IntervalStart time.Time `json:"interval_start"`
	IntervalEnd   time.Time `json:"interval_end"`
	// Totals per basis, in the order live, practice, modelled; absent lines
	// are zero.
	Totals []BasisTotal `json:"totals,omitempty"`
	// EnergyCostMicrousd of mining at the price in force, rounded up;
	// ResaleMicrousd earned by energy resold, rounded down.
	EnergyCostMicrousd int64 `json:"energy_cost_microusd"`
	ResaleMicrousd     int64 `json:"resale_microusd"`
	// MarginMicrousd = revenue of all totals + resale − energy cost.
	MarginMicrousd int64 `json:"margin_microusd"`
	// PriceMicrousdPerMWh is the time-weighted mean price used.
	PriceMicrousdPerMWh int64 `json:"price_microusd_per_mwh"`
	// EnergyEventID is the energy.settled event it rests on.
	EnergyEventID string `json:"energy_event_id"`
	// Reverses is the id of the event that this one corrects, or empty.
	Reverses string `json:"reverses,omitempty"`
	// Key of the decision.
	Key OrderKey `json:"key"`
}
