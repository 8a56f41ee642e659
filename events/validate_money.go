// SPDX-License-Identifier: Apache-2.0

package events

import "strings"

// Validate implements Payload. The balance must come out exactly.
func (e *EnergySettled) Validate() error {
	var c checker
	c.span("interval_start", e.IntervalStart, "interval_end", e.IntervalEnd)
	c.count("contracted_milliwatt_hours", e.ContractedMilliwattHours)
	c.count("overdrawn_milliwatt_hours", e.OverdrawnMilliwattHours)
	c.count("ai_milliwatt_hours", e.AIMilliwattHours)
	c.count("house_milliwatt_hours", e.HouseMilliwattHours)
	c.count("mining_milliwatt_hours", e.MiningMilliwattHours)
	c.count("resold_milliwatt_hours", e.ResoldMilliwattHours)
	c.count("unused_milliwatt_hours", e.UnusedMilliwattHours)
	c.count("estimated_milliwatt_hours", e.EstimatedMilliwattHours)
	c.count("modelled_milliwatt_hours", e.ModelledMilliwattHours)
	c.count("witness_milliwatt_hours", e.WitnessMilliwattHours)
	c.between("over_limit_milliseconds", e.OverLimitMilliseconds, 0, maxDay)
	c.between("over_limit_by_mining_milliseconds", e.OverLimitByMiningMilliseconds, 0, maxDay)
	c.optionalEventID("reverses", e.Reverses)
	c.key(&e.Key, "key.epoch", "key.sequence")
	if c.err != nil {
		return c.err
	}
	have := e.ContractedMilliwattHours + e.OverdrawnMilliwattHours
	used := e.AIMilliwattHours + e.HouseMilliwattHours + e.MiningMilliwattHours +
		e.ResoldMilliwattHours + e.UnusedMilliwattHours
	if have != used {
		c.fail("unused_milliwatt_hours", "the balance is off by %d: contracted + overdrawn = %d, ai + house + mining + resold + unused = %d",
			have-used, have, used)
	}
	if e.ModelledMilliwattHours > e.MiningMilliwattHours {
		c.fail("modelled_milliwatt_hours", "%d is above mining_milliwatt_hours %d", e.ModelledMilliwattHours, e.MiningMilliwattHours)
	}
	if e.OverLimitByMiningMilliseconds > e.OverLimitMilliseconds {
		c.fail("over_limit_by_mining_milliseconds", "%d is above over_limit_milliseconds %d",
			e.OverLimitByMiningMilliseconds, e.OverLimitMilliseconds)
	}
	return c.err
}

// Validate implements Payload.
func (r *RevenueAccrued) Validate() error {
	var c checker
	c.span("from", r.From, "until", r.Until)
	c.payout(&r.Payout)
	amount := c.count
	if r.Reverses != "" {
		amount = c.signed
	}
	amount("shares_accepted", r.SharesAccepted)
	c.decimalSum("difficulty_sum", r.DifficultySum, r.Reverses != "")
	amount("value_millisats", r.ValueMillisats)
	c.carry(r.CarryNumerator, r.CarryDenominator, r.Reverses != "")
	c.count("btc_price_microusd", r.BTCPriceMicrousd)
	amount("value_microusd", r.ValueMicrousd)
	c.optionalEventID("reverses", r.Reverses)
	c.cause(r)
	c.key(&r.Key, "key.epoch", "key.sequence")
	return c.err
}

// cause of an accrual that does not come from shares.
func (c *checker) cause(r *RevenueAccrued) {
	if r.BlockHash != "" {
		c.hex("block_hash", r.BlockHash, 64)
	}
	if r.StatementID != "" {
		c.name("statement_id", r.StatementID)
	}
	switch r.Variance {
	case "", VarianceValuation, VarianceShares, VarianceDifficulty, VarianceRounding, VarianceTerms:
	default:
		c.fail("variance", "%s is none of valuation, shares, difficulty, rounding, terms", quote(string(r.Variance)))
	}
}

func (c *checker) decimalSum(field, s string, reversal bool) {
	if reversal {
		s = strings.TrimPrefix(s, "-")
	}
	if !isDecimal(s, 60, 30) {
		c.fail(field, "%s must be a decimal without exponent, at most 60 digits before and 30 after the point, negative only in a reversal", quote(s))
	}
}

// carry is a fraction of a millisatoshi: magnitude below 1.
func (c *checker) carry(num, den string, reversal bool) {
	if reversal {
		num = strings.TrimPrefix(num, "-")
	}
	if !isWhole(num, 200) {
		c.fail("carry_numerator", "%s must be a whole number of at most 200 digits, negative only in a reversal", quote(num))
	}
	if !isWhole(den, 200) || den == "0" {
		c.fail("carry_denominator", "%s must be a whole number above 0 of at most 200 digits", quote(den))
	}
	if len(num) > len(den) || len(num) == len(den) && num >= den {
		c.fail("carry_numerator", "is not below carry_denominator: book the whole millisatoshi")
	}
}

// Validate implements Payload. The margin must come out exactly.
func (r *RevenueSettled) Validate() error {
	var c checker
	c.span("interval_start", r.IntervalStart, "interval_end", r.IntervalEnd)
	if len(r.Totals) > 3 {
		c.fail("totals", "%d lines given; at most one each for live, practice, modelled", len(r.Totals))
	}
	c.in = "totals"
	margin := r.ResaleMicrousd - r.EnergyCostMicrousd
	last := -1
	for i := range r.Totals {
		t := &r.Totals[i]
		c.at = i
		c.basis("basis", t.Basis)
		if place := basisOrder(t.Basis); place <= last {
			c.fail("basis", "%s is twice or out of order; list live, practice, modelled", quote(string(t.Basis)))
		} else {
			last = place
		}
		c.count("shares_accepted", t.SharesAccepted)
		c.count("shares_rejected", t.SharesRejected)
		c.signed("shares_unknown", t.SharesUnknown)
		c.signed("revenue_millisats", t.RevenueMillisats)
		c.signed("revenue_microusd", t.RevenueMicrousd)
		margin += t.RevenueMicrousd
	}
	c.in = ""
	c.signed("energy_cost_microusd", r.EnergyCostMicrousd)
	c.signed("resale_microusd", r.ResaleMicrousd)
	c.signed("margin_microusd", r.MarginMicrousd)
	c.price("price_microusd_per_mwh", r.PriceMicrousdPerMWh)
	c.eventID("energy_event_id", r.EnergyEventID)
	c.optionalEventID("reverses", r.Reverses)
	c.key(&r.Key, "key.epoch", "key.sequence")
	if margin != r.MarginMicrousd {
		c.fail("margin_microusd", "%d is not revenue of all totals + resale − energy cost = %d", r.MarginMicrousd, margin)
	}
	return c.err
}

// basisOrder is the place of a line among the totals.
func basisOrder(b Basis) int {
	switch b {
	case BasisLive:
		return 0
	case BasisPractice:
		return 1
	}
	return 2
}
