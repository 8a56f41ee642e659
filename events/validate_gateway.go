// SPDX-License-Identifier: Apache-2.0

package events

import "math"

// maxStated is the most shares that one statement names; a longer one is given
// in parts.
const maxStated = 10_000

// Validate implements Payload.
func (s *ShareSubmitted) Validate() error {
	var c checker
	c.hex("share_id", s.ShareID, 64)
	c.name("job_id", s.JobID)
	c.token("agent", s.Agent)
	c.token("unit", s.Unit)
	c.name("pool", s.Pool)
	c.name("session", s.Session)
	c.when("submitted_at", s.SubmittedAt)
	return c.err
}

// Validate implements Payload.
func (s *GatewayStatus) Validate() error {
	var c checker
	c.name("instance", s.Instance)
	c.position("counter", s.Counter, 1)
	c.name("pool", s.Pool)
	c.text("upstream", s.Upstream, MaxText)
	switch s.State {
	case UpstreamConnecting, UpstreamReady, UpstreamFailing, UpstreamDraining:
	default:
		c.fail("state", "%s is none of connecting, ready, failing, draining", quote(string(s.State)))
	}
	c.optionalText("detail", s.Detail, MaxText)
	if s.Session != "" {
		c.name("session", s.Session)
	}
	c.count("sessions", s.Sessions)
	if s.Difficulty != "" {
		c.difficulty("difficulty", s.Difficulty)
	}
	c.count("height", s.Height)
	c.count("agents", s.Agents)
	c.count("connections", s.Connections)
	c.count("shares_found", s.SharesFound)
	c.count("shares_accepted", s.SharesAccepted)
	c.count("shares_rejected", s.SharesRejected)
	c.count("shares_unknown", s.SharesUnknown)
	c.count("blocks_found", s.BlocksFound)
	c.count("hashrate_mhs", s.HashrateMHs)
	c.when("seen_at", s.SeenAt)
	if c.err == nil && s.SharesAccepted+s.SharesRejected+s.SharesUnknown > s.SharesFound {
		c.fail("shares_found", "%d is below accepted + rejected + unknown", s.SharesFound)
	}
	return c.err
}

// Validate implements Payload.
func (b *BlockFound) Validate() error { return (*Block)(b).validate() }

// Validate implements Payload.
func (b *BlockMatured) Validate() error { return (*Block)(b).validate() }

// Validate implements Payload.
func (b *BlockOrphaned) Validate() error { return (*Block)(b).validate() }

func (b *Block) validate() error {
	var c checker
	c.hex("block_hash", b.BlockHash, 64)
	c.between("height", b.Height, 0, math.MaxUint32)
	if b.NBits != "" {
		c.nbits("nbits", b.NBits)
	}
	c.name("pool", b.Pool)
	c.name("job_id", b.JobID)
	c.token("agent", b.Agent)
	c.token("unit", b.Unit)
	c.between("reward_sats", b.RewardSats, 0, MaxSatoshi)
	c.scheme("scheme", b.Scheme)
	c.basis("basis", b.Basis)
	c.count("confirmations", b.Confirmations)
	c.optionalText("detail", b.Detail, MaxText)
	c.when("seen_at", b.SeenAt)
	return c.err
}

// Validate implements Payload.
func (s *PoolStatement) Validate() error {
	var c checker
	c.name("statement_id", s.StatementID)
	c.name("pool", s.Pool)
	c.span("from", s.From, "until", s.Until)
	c.count("shares_accepted", s.SharesAccepted)
	c.decimalSum("difficulty_sum", s.DifficultySum, false)
	if s.ValueMillisats != nil {
		c.count("value_millisats", *s.ValueMillisats)
	}
	c.shareIDs("credited", s.Credited)
	c.shareIDs("refused", s.Refused)
	c.basis("basis", s.Basis)
	c.when("stated_at", s.StatedAt)
	return c.err
}

func (c *checker) shareIDs(field string, ids []string) {
	if len(ids) > maxStated {
		c.fail(field, "%d given; at most %d, give the rest in another statement", len(ids), maxStated)
		return
	}
	c.in = field
	for i, id := range ids {
		c.at = i
		c.hex("", id, 64)
	}
	c.in = ""
}

// Validate implements Payload. The differences must come out exactly.
func (r *RevenueReconciled) Validate() error {
	var c checker
	c.name("statement_id", r.StatementID)
	c.name("pool", r.Pool)
	c.span("from", r.From, "until", r.Until)
	c.count("shares_accepted", r.SharesAccepted)
	c.count("shares_stated", r.SharesStated)
	c.signed("shares_difference", r.SharesDifference)
	c.decimalSum("difficulty_sum", r.DifficultySum, false)
	c.decimalSum("difficulty_stated", r.DifficultyStated, false)
	c.decimalSum("difficulty_difference", r.DifficultyDifference, true)
	c.count("value_millisats", r.ValueMillisats)
	c.count("stated_millisats", r.StatedMillisats)
	c.signed("difference_millisats", r.DifferenceMillisats)
	c.count("unknown_accepted", r.UnknownAccepted)
	c.count("unknown_rejected", r.UnknownRejected)
	c.count("unknown_left", r.UnknownLeft)
	c.basis("basis", r.Basis)
	c.key(&r.Key, "key.epoch", "key.sequence")
	if c.err != nil {
		return c.err
	}
	if r.SharesDifference != r.SharesStated-r.SharesAccepted {
		c.fail("shares_difference", "must be shares_stated − shares_accepted = %d", r.SharesStated-r.SharesAccepted)
	}
	if r.MoneyStated && r.DifferenceMillisats != r.StatedMillisats-r.ValueMillisats {
		c.fail("difference_millisats", "must be stated_millisats − value_millisats = %d", r.StatedMillisats-r.ValueMillisats)
	}
	return c.err
}
