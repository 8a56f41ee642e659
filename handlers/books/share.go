// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

// verdict is one share as a pool judged it.
type verdict struct {
	site, shareID, jobID, agent, unit, difficulty string
	verdict, reason, detail                       string
	basis                                         events.Basis
	payout                                        *events.Payout // of an accepted share
	block, local                                  bool
	judged, arrived                               time.Time
}

// Verdicts.
const (
	verdictAccepted = "accepted"
	verdictRejected = "rejected"
	verdictUnknown  = "unknown"
)

func verdictOf(e *events.Event) (*verdict, bool) {
	v := &verdict{site: e.Site, arrived: e.Arrived}
	switch p := e.Data.(type) {
	case *events.ShareAccepted:
		v.shareID, v.jobID, v.agent, v.unit, v.difficulty = p.ShareID, p.JobID, p.Agent, p.Unit, p.Difficulty
		v.verdict, v.basis, v.payout, v.block, v.local, v.judged = verdictAccepted, p.Payout.Basis, &p.Payout, p.Block, p.Local, p.JudgedAt
	case *events.ShareRejected:
		v.shareID, v.jobID, v.agent, v.unit, v.difficulty = p.ShareID, p.JobID, p.Agent, p.Unit, p.Difficulty
		v.verdict, v.basis, v.reason, v.detail, v.judged = verdictRejected, p.Basis, string(p.Reason), p.Detail, p.JudgedAt
	case *events.ShareUnknown:
		v.shareID, v.jobID, v.agent, v.unit, v.difficulty = p.ShareID, p.JobID, p.Agent, p.Unit, p.Difficulty
		v.verdict, v.basis, v.detail, v.judged = verdictUnknown, p.Basis, p.Detail, p.JudgedAt
	default:
		return nil, false
	}
	return v, true
}

// values behind the id, site, sequence and arrival; counted comes last and is
// known only when the row is stored.
func (v *verdict) values(e *events.Event) []any {
	var pool, nbits, reward, fee, scheme any
	if p := v.payout; p != nil {
		pool, nbits, reward, fee, scheme = p.Pool, p.NBits, p.RewardSats, p.FeePPM, string(p.Scheme)
	}
	return []any{e.Source, v.shareID, v.jobID, v.agent, v.unit, v.difficulty, v.verdict, orNull(v.reason), v.detail, string(v.basis),
		pool, nbits, reward, fee, scheme, v.block, v.local, v.judged, false}
}

// hourKey is one line of unit_hours.
type hourKey struct {
	site, unit, pool, basis, verdict string
	hour                             time.Time
	local                            bool
}

func (k *hourKey) id() string {
	local := ""
	if k.local {
		local = "local"
	}
	return strings.Join([]string{k.site, k.hour.Format("2006-01-02T15"), k.unit, k.basis, k.verdict, local, k.pool}, "|")
}

// hourSum is what a batch adds to a line: difficulty times 10^30, and value.
type hourSum struct {
	shares                int64
	difficulty, numerator big.Int
}

// valuer keeps what shares of the same terms share.
type valuer struct {
	epochs map[events.Payout]*work.Epoch
	text   string
	parsed *big.Int
}

func (v *valuer) difficulty(text string) (*big.Int, error) {
	if v.parsed != nil && v.text == text {
		return v.parsed, nil
	}
	d, err := work.ParseDifficulty(text)
	if err != nil {
		return nil, err
	}
	v.text, v.parsed = text, d
	return d, nil
}

// epoch is nil for terms under which a share by itself earns nothing, or that
// cannot be valued: settlement raises an alert about those.
func (v *valuer) epoch(p *events.Payout) *work.Epoch {
	if p.Scheme != events.SchemeFPPS && p.Scheme != events.SchemePPS {
		return nil
	}
	if e, ok := v.epochs[*p]; ok {
		return e
	}
	e, err := work.NewEpoch(p.NBits, p.RewardSats, p.FeePPM)
	if err != nil {
		e = nil
	}
	if v.epochs == nil || len(v.epochs) >= 1024 {
		v.epochs = map[events.Payout]*work.Epoch{}
	}
	v.epochs[*p] = e
	return e
}

// add puts counted verdicts into sums.
func (v *valuer) add(sums map[hourKey]*hourSum, s *verdict) error {
	d, err := v.difficulty(s.difficulty)
	if err != nil {
		return fmt.Errorf("share %s: %w", s.shareID, err)
	}
	k := hourKey{site: s.site, unit: s.unit, basis: string(s.basis), verdict: s.verdict, hour: s.arrived.UTC().Truncate(time.Hour), local: s.local}
	if s.payout != nil {
		k.pool = s.payout.Pool
	}
	sum := sums[k]
	if sum == nil {
		sum = new(hourSum)
		sums[k] = sum
	}
	sum.shares++
	sum.difficulty.Add(&sum.difficulty, d)
	if s.payout == nil || s.local {
		return nil
	}
	if e := v.epoch(s.payout); e != nil {
		var one work.Sum
		e.Add(&one, d)
		sum.numerator.Add(&sum.numerator, e.Numerator(&one))
	}
	return nil
}

// grow adds the sums to the stored lines.
func (s *Store) grow(ctx context.Context, tx *sql.Tx, sums map[hourKey]*hourSum) error {
	byID := make(map[string]*hourSum, len(sums))
	rows := make([]row, 0, len(sums))
	keys := make(map[string]hourKey, len(sums))
	for k, sum := range sums {
		byID[k.id()], keys[k.id()] = sum, k
	}
	ids := slices.Sorted(maps.Keys(byID))
	err := s.each(ctx, tx, "SELECT id, shares, difficulty_sum, value_numerator FROM unit_hours WHERE id IN ", ids, func(r *sql.Rows) error {
		var id, difficulty, numerator string
		var shares int64
		if err := r.Scan(&id, &shares, &difficulty, &numerator); err != nil {
			return err
		}
		sum := byID[id]
		d, err := work.ParseSum(difficulty)
		if err != nil {
			return fmt.Errorf("unit_hours %s: %w", id, err)
		}
		n, ok := new(big.Int).SetString(numerator, 10)
		if !ok {
			return fmt.Errorf("unit_hours %s: value_numerator %q is no whole number", id, clip(numerator))
		}
		sum.shares += shares
		sum.difficulty.Add(&sum.difficulty, d)
		sum.numerator.Add(&sum.numerator, n)
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		k, sum := keys[id], byID[id]
		millisats, _ := work.Split(&sum.numerator, math.MaxInt64)
		rows = append(rows, row{values: []any{id, k.site, k.hour, k.unit, k.pool, k.basis, k.verdict, k.local, sum.shares,
			work.FormatDifficulty(&sum.difficulty), sum.numerator.String(), millisats}})
	}
	return s.insert(ctx, tx, hourTable, rows, ` ON CONFLICT (id) DO UPDATE SET shares = excluded.shares, difficulty_sum = excluded.difficulty_sum,
		value_numerator = excluded.value_numerator, value_millisats = excluded.value_millisats`)
}
