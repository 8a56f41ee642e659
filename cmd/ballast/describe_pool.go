// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/tui"
	"github.com/ballast-energy/ballast/events"
)

// describePool says an event of pools and blocks in words.
func describePool(data events.Payload) (string, bool) {
	switch d := data.(type) {
	case *events.ShareSubmitted:
		return fmt.Sprintf("by %s for job %s to %s, session %s", d.Unit, d.JobID, d.Pool, d.Session), true
	case *events.ShareUnknown:
		return fmt.Sprintf("difficulty %s by %s: %s", d.Difficulty, d.Unit, d.Detail), true
	case *events.GatewayStatus:
		s := fmt.Sprintf("%s at %s (%s), %s, %s", d.State, d.Pool, d.Upstream, figures.Count(d.Agents, "agent"), tui.Hashrate(d.HashrateMHs))
		if d.Detail != "" {
			s += ": " + d.Detail
		}
		return s, true
	case *events.BlockFound:
		return describeBlock((*events.Block)(d)), true
	case *events.BlockMatured:
		return describeBlock((*events.Block)(d)), true
	case *events.BlockOrphaned:
		return describeBlock((*events.Block)(d)), true
	case *events.PoolStatement:
		s := fmt.Sprintf("%s of %s: %s, difficulty %s", d.StatementID, d.Pool, figures.Count(d.SharesAccepted, "share"), d.DifficultySum)
		if d.ValueMillisats != nil {
			s += ", " + sats(*d.ValueMillisats)
		}
		return s, true
	case *events.RevenueReconciled:
		s := fmt.Sprintf("%s of %s: %+d shares, difficulty %s", d.StatementID, d.Pool, d.SharesDifference, d.DifficultyDifference)
		if d.MoneyStated {
			s += ", " + sats(d.DifferenceMillisats)
		}
		return s + " against our books", true
	}
	return "", false
}

func describeBlock(d *events.Block) string {
	s := fmt.Sprintf("%d at %s by %s, %s, %s: %s", d.Height, d.Pool, d.Unit, sats(d.RewardSats*1000), figures.Count(d.Confirmations, "confirmation"), d.BlockHash)
	if d.Detail != "" {
		s += " (" + d.Detail + ")"
	}
	return s
}
