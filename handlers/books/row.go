// SPDX-License-Identifier: Apache-2.0

package books

import (
	"strconv"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Streams that are written, those that are never trimmed.
var Streams = []string{events.StreamInputs, events.StreamRevenue, events.StreamShares}

// table is one table of events: the first column is the id.
type table struct {
	name    string
	columns []string
}

// Tables in the order in which they are written.
var (
	energyTable = &table{"energy", []string{"event_id", "site", "sequence", "arrived_at", "interval_start", "interval_end",
		"contracted_milliwatt_hours", "overdrawn_milliwatt_hours", "ai_milliwatt_hours", "house_milliwatt_hours", "mining_milliwatt_hours",
		"resold_milliwatt_hours", "unused_milliwatt_hours", "estimated_milliwatt_hours", "modelled_milliwatt_hours", "witness_milliwatt_hours",
		"over_limit_milliseconds", "over_limit_by_mining_milliseconds", "reverses", "withdrawal"}}
	settlementTable = &table{"settlements", []string{"event_id", "site", "sequence", "arrived_at", "interval_start", "interval_end",
		"energy_cost_microusd", "resale_microusd", "margin_microusd", "price_microusd_per_mwh", "energy_event_id", "reverses", "withdrawal"}}
	lineTable = &table{"settlement_lines", []string{"event_id", "basis", "shares_accepted", "shares_rejected", "shares_unknown",
		"revenue_millisats", "revenue_microusd"}}
	curtailmentTable = &table{"curtailments", []string{"event_id", "site", "sequence", "arrived_at", "interval_start", "interval_end",
		"nameplate_milliwatt_hours", "energy_event_id", "reverses", "withdrawal"}}
	forgoneTable = &table{"curtailment_lines", []string{"event_id", "basis", "reason", "signal_id", "milliwatt_hours", "modelled_milliwatt_hours", "hashes",
		"forgone_millisats", "forgone_microusd", "avoided_cost_microusd", "net_microusd", "pool", "nbits", "reward_sats", "fee_ppm",
		"share_difficulty", "btc_price_microusd"}}
	accrualTable = &table{"accruals", []string{"event_id", "site", "sequence", "arrived_at", "from_time", "until_time", "pool", "nbits",
		"reward_sats", "fee_ppm", "scheme", "basis", "shares_accepted", "difficulty_sum", "value_millisats", "carry_numerator",
		"carry_denominator", "btc_price_microusd", "value_microusd", "reverses", "block_hash", "statement_id", "variance"}}
	reconciliationTable = &table{"reconciliations", []string{"event_id", "site", "sequence", "arrived_at", "statement_id", "pool", "from_time",
		"until_time", "shares_accepted", "shares_stated", "shares_difference", "difficulty_sum", "difficulty_stated", "difficulty_difference",
		"value_millisats", "stated_millisats", "difference_millisats", "money_stated", "unknown_accepted", "unknown_rejected", "unknown_left", "basis"}}
	statementTable = &table{"statements", []string{"event_id", "site", "sequence", "arrived_at", "statement_id", "pool", "from_time", "until_time",
		"shares_accepted", "difficulty_sum", "value_millisats", "basis", "stated_at"}}
	statedShareTable = &table{"statement_shares", []string{"event_id", "ordinal", "share_id", "credited"}}
	blockTable       = &table{"blocks", []string{"event_id", "site", "sequence", "arrived_at", "gateway", "state", "block_hash", "height", "pool",
		"job_id", "agent", "unit", "reward_sats", "scheme", "basis", "confirmations", "detail", "seen_at"}}
	shareTable = &table{"shares", []string{"event_id", "site", "sequence", "arrived_at", "gateway", "share_id", "job_id", "agent", "unit",
		"difficulty", "verdict", "reason", "detail", "basis", "pool", "nbits", "reward_sats", "fee_ppm", "scheme", "block", "local", "judged_at", "counted"}}
	hourTable = &table{"unit_hours", []string{"id", "site", "hour", "unit", "pool", "basis", "verdict", "local", "shares", "difficulty_sum",
		"value_numerator", "value_millisats"}}
	positionTable = &table{"positions", []string{"stream", "sequence", "arrived_nanos"}}
)

// tables are all of them.
var tables = []*table{energyTable, settlementTable, lineTable, curtailmentTable, forgoneTable, accrualTable, reconciliationTable, statementTable, statedShareTable,
	blockTable, shareTable, hourTable, positionTable}

// row is one event as it will be stored, with the rows that hang on it.
type row struct {
	table  *table
	id     string
	values []any
	// children are stored if and only if the row itself is new.
	children []row
	// share is the verdict of the row, of a row of shares.
	share *verdict
}

// wanted reports whether events of a type are written.
func wanted(t events.Type) bool {
	switch t {
	case events.TypeEnergySettled, events.TypeRevenueSettled, events.TypeRevenueAccrued, events.TypeRevenueReconciled, events.TypePoolStatement,
		events.TypeCurtailmentSettled,
		events.TypeBlockFound, events.TypeBlockMatured, events.TypeBlockOrphaned,
		events.TypeShareAccepted, events.TypeShareRejected, events.TypeShareUnknown:
		return true
	}
	return false
}

// idOf is the event's own id, or its place where whoever published it gave none.
func idOf(e *events.Event) string {
	if e.ID != "" {
		return e.ID
	}
	return e.Stream + ":" + strconv.FormatUint(e.Sequence, 10)
}

// orNull is NULL for an absent text.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// rowOf turns an event into its row; false when the type is not written.
func rowOf(e *events.Event) (row, bool) {
	id := idOf(e)
	head := []any{id, e.Site, int64(e.Sequence), e.Arrived}
	r := row{id: id}
	put := func(t *table, v ...any) { r.table, r.values = t, append(head, v...) }
	switch p := e.Data.(type) {
	case *events.EnergySettled:
		put(energyTable, p.IntervalStart, p.IntervalEnd, p.ContractedMilliwattHours, p.OverdrawnMilliwattHours, p.AIMilliwattHours,
			p.HouseMilliwattHours, p.MiningMilliwattHours, p.ResoldMilliwattHours, p.UnusedMilliwattHours, p.EstimatedMilliwattHours,
			p.ModelledMilliwattHours, p.WitnessMilliwattHours, p.OverLimitMilliseconds, p.OverLimitByMiningMilliseconds,
			orNull(p.Reverses), decider.IsReversalID(id))
	case *events.RevenueSettled:
		put(settlementTable, p.IntervalStart, p.IntervalEnd, p.EnergyCostMicrousd, p.ResaleMicrousd, p.MarginMicrousd, p.PriceMicrousdPerMWh,
			p.EnergyEventID, orNull(p.Reverses), decider.IsReversalID(id))
		for _, t := range p.Totals {
			r.children = append(r.children, row{table: lineTable, values: []any{id, string(t.Basis), t.SharesAccepted, t.SharesRejected,
				t.SharesUnknown, t.RevenueMillisats, t.RevenueMicrousd}})
		}
	case *events.CurtailmentSettled:
		put(curtailmentTable, p.IntervalStart, p.IntervalEnd, p.NameplateMilliwattHours, p.EnergyEventID, orNull(p.Reverses), decider.IsReversalID(id))
		for i := range p.Lines {
			r.children = append(r.children, row{table: forgoneTable, values: append([]any{id}, forgoneValues(p, &p.Lines[i])...)})
		}
	case *events.RevenueAccrued:
		put(accrualTable, p.From, p.Until, p.Payout.Pool, p.Payout.NBits, p.Payout.RewardSats, p.Payout.FeePPM, string(p.Payout.Scheme),
			string(p.Payout.Basis), p.SharesAccepted, p.DifficultySum, p.ValueMillisats, p.CarryNumerator, p.CarryDenominator,
			p.BTCPriceMicrousd, p.ValueMicrousd, orNull(p.Reverses), orNull(p.BlockHash), orNull(p.StatementID), orNull(string(p.Variance)))
	case *events.RevenueReconciled:
		put(reconciliationTable, p.StatementID, p.Pool, p.From, p.Until, p.SharesAccepted, p.SharesStated, p.SharesDifference, p.DifficultySum,
			p.DifficultyStated, p.DifficultyDifference, p.ValueMillisats, p.StatedMillisats, p.DifferenceMillisats, p.MoneyStated,
			p.UnknownAccepted, p.UnknownRejected, p.UnknownLeft, string(p.Basis))
	case *events.PoolStatement:
		var value any
		if p.ValueMillisats != nil {
			value = *p.ValueMillisats
		}
		put(statementTable, p.StatementID, p.Pool, p.From, p.Until, p.SharesAccepted, p.DifficultySum, value, string(p.Basis), p.StatedAt)
		stated := func(ids []string, credited bool) {
			for _, share := range ids {
				r.children = append(r.children, row{table: statedShareTable, values: []any{id, int64(len(r.children)), share, credited}})
			}
		}
		stated(p.Credited, true)
		stated(p.Refused, false)
	case *events.BlockFound:
		put(blockTable, blockValues(e, "found", (*events.Block)(p))...)
	case *events.BlockMatured:
		put(blockTable, blockValues(e, "matured", (*events.Block)(p))...)
	case *events.BlockOrphaned:
		put(blockTable, blockValues(e, "orphaned", (*events.Block)(p))...)
	default:
		v, ok := verdictOf(e)
		if !ok {
			return row{}, false
		}
		r.share = v
		put(shareTable, v.values(e)...)
	}
	return r, true
}

// forgoneValues are a line and the rate at which it is valued.
func forgoneValues(c *events.CurtailmentSettled, l *events.CurtailmentLine) []any {
	v := []any{string(l.Basis), string(l.Reason), l.SignalID, l.MilliwattHours, l.ModelledMilliwattHours, l.Hashes,
		l.ForgoneMillisats, l.ForgoneMicrousd, l.AvoidedCostMicrousd, l.NetMicrousd}
	for i := range c.Rates {
		if p := &c.Rates[i].Payout; p.Basis == l.Basis {
			return append(v, p.Pool, p.NBits, p.RewardSats, p.FeePPM, orNull(c.Rates[i].ShareDifficulty), c.Rates[i].BTCPriceMicrousd)
		}
	}
	return append(v, nil, nil, nil, nil, nil, nil)
}

func blockValues(e *events.Event, state string, b *events.Block) []any {
	return []any{e.Source, state, b.BlockHash, b.Height, b.Pool, b.JobID, b.Agent, b.Unit, b.RewardSats, string(b.Scheme), string(b.Basis),
		b.Confirmations, b.Detail, b.SeenAt}
}
