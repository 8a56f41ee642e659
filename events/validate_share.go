// SPDX-License-Identifier: Apache-2.0

package events

import (
	"strings"
	"time"
)

const (
	maxCoinbase = 100000 // hex digits
	maxBranches = 32
)

// Validate implements Payload.
func (w *WorkAssigned) Validate() error {
	var c checker
	c.name("job_id", w.JobID)
	c.token("gateway", w.Gateway)
	c.hex("version", w.Version, 8)
	c.hex("version_mask", w.VersionMask, 8)
	c.hex("prev_hash", w.PrevHash, 64)
	c.hexText("coinbase1", w.Coinbase1, 2, maxCoinbase)
	c.hexText("coinbase2", w.Coinbase2, 0, maxCoinbase)
	c.hexText("extranonce_prefix", w.ExtranoncePrefix, 0, 64)
	c.between("extranonce_bytes", int64(w.ExtranonceBytes), 0, 32)
	if len(w.MerkleBranches) > maxBranches {
		c.fail("merkle_branches", "%d given; at most %d", len(w.MerkleBranches), maxBranches)
	}
	c.in = "merkle_branches"
	for i, b := range w.MerkleBranches {
		c.at = i
		c.hex("", b, 64)
	}
	c.in = ""
	c.between("ntime", w.NTime, 0, maxUint32)
	c.nbits("nbits", w.NBits)
	c.count("height", w.Height)
	c.difficulty("share_difficulty", w.ShareDifficulty)
	c.payout(&w.Payout)
	return c.err
}

// Validate implements Payload.
func (s *ShareFound) Validate() error {
	var c checker
	c.hex("share_id", s.ShareID, 64)
	c.name("job_id", s.JobID)
	c.token("gateway", s.Gateway)
	c.token("unit", s.Unit)
	if s.Modelled {
		if s.Version != "" || s.NTime != 0 || s.Nonce != "" || s.Extranonce != "" {
			c.fail("modelled", "a modelled share has no version, ntime, nonce or extranonce")
		}
	} else {
		c.hex("version", s.Version, 8)
		c.between("ntime", s.NTime, 1, maxUint32)
		c.hex("nonce", s.Nonce, 8)
		c.hexText("extranonce", s.Extranonce, 0, 64)
	}
	c.difficulty("difficulty", s.Difficulty)
	c.when("found_at", s.FoundAt)
	return c.err
}

// Validate implements Payload.
func (s *ShareAccepted) Validate() error {
	var c checker
	c.judged(s.ShareID, s.JobID, s.Agent, s.Unit, s.Difficulty, s.JudgedAt)
	if s.WorkDifficulty != "" {
		c.difficulty("work_difficulty", s.WorkDifficulty)
	}
	c.payout(&s.Payout)
	return c.err
}

// Validate implements Payload.
func (s *ShareRejected) Validate() error {
	var c checker
	c.judged(s.ShareID, s.JobID, s.Agent, s.Unit, s.Difficulty, s.JudgedAt)
	switch s.Reason {
	case RejectStale, RejectDuplicate, RejectLow, RejectInvalid, RejectUnknown:
	default:
		c.fail("reason", "%s is none of stale, duplicate, low-difficulty, invalid, unknown-job", quote(string(s.Reason)))
	}
	c.optionalText("detail", s.Detail, MaxText)
	c.basis("basis", s.Basis)
	return c.err
}

// Validate implements Payload.
func (s *ShareUnknown) Validate() error {
	var c checker
	c.judged(s.ShareID, s.JobID, s.Agent, s.Unit, s.Difficulty, s.JudgedAt)
	c.text("detail", s.Detail, MaxText)
	c.basis("basis", s.Basis)
	return c.err
}

// judged checks what every verdict says.
func (c *checker) judged(id, job, agent, unit, difficulty string, at time.Time) {
	c.hex("share_id", id, 64)
	c.name("job_id", job)
	c.token("agent", agent)
	c.token("unit", unit)
	c.difficulty("difficulty", difficulty)
	c.when("judged_at", at)
}

func (c *checker) payout(p *Payout) {
	c.name("payout.pool", p.Pool)
	c.nbits("payout.nbits", p.NBits)
	c.between("payout.reward_sats", p.RewardSats, 0, MaxSatoshi)
	c.between("payout.fee_ppm", p.FeePPM, 0, million)
	c.scheme("payout.scheme", p.Scheme)
	c.basis("payout.basis", p.Basis)
}

func (c *checker) scheme(field string, s Scheme) {
	switch s {
	case SchemeFPPS, SchemePPS, SchemePPLNS, SchemeSolo:
	default:
		c.fail(field, "%s is none of fpps, pps, pplns, solo", quote(string(s)))
	}
}

func (c *checker) basis(field string, b Basis) {
	switch b {
	case BasisLive, BasisPractice, BasisModelled:
	default:
		c.fail(field, "%s is none of live, practice, modelled", quote(string(b)))
	}
}

// difficulty is exact decimal text above 0.
func (c *checker) difficulty(field, s string) {
	if !isDecimal(s, 30, 30) || strings.Trim(s, "0.") == "" {
		c.fail(field, "%s must be a decimal above 0 without exponent, at most 30 digits on each side of the point", quote(s))
	}
}

// isDecimal reports digits with an optional fraction: no sign, no exponent, no
// leading zeros.
func isDecimal(s string, whole, fraction int) bool {
	w, f, point := strings.Cut(s, ".")
	if point && (f == "" || len(f) > fraction || !madeOf(f, &digitBytes)) {
		return false
	}
	return isWhole(w, whole)
}
