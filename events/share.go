// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Scheme is how a pool pays.
type Scheme string

// Payout schemes.
const (
	SchemeFPPS  Scheme = "fpps"
	SchemePPS   Scheme = "pps"
	SchemePPLNS Scheme = "pplns"
	SchemeSolo  Scheme = "solo"
)

// Basis says what stands behind shares and money.
type Basis string

// Bases, never mixed in one sum.
const (
	// BasisLive: a real network and real machines.
	BasisLive Basis = "live"
	// BasisPractice: real hashing for the private practice chain; no money.
	BasisPractice Basis = "practice"
	// BasisModelled: no hashing at all; the plant model's expectation.
	BasisModelled Basis = "modelled"
)

// Payout is the epoch by which a share is paid: as long as none of these
// change, shares may be summed.
type Payout struct {
	// Pool id, the gateway's name for its upstream.
	Pool string `json:"pool"`
	// NBits of the network target of the job, 8 hex digits.
	NBits string `json:"nbits"`
	// RewardSats of the block under the scheme, satoshi.
	RewardSats int64 `json:"reward_sats"`
	// FeePPM of the pool.
	FeePPM int64 `json:"fee_ppm"`
	// Scheme of the pool.
	Scheme Scheme `json:"scheme"`
	// Basis of the value.
	Basis Basis `json:"basis"`
}

// WorkAssigned (work.assigned) is a job with a search space of its own for one
// agent. The source token of the subject is the agent's id.
type WorkAssigned struct {
	// JobID unique per gateway.
	JobID string `json:"job_id"`
	// Gateway that will take the shares; its id is the source token of the
	// verdicts.
	Gateway string `json:"gateway"`
	// Version of the block header and VersionMask of the bits that may be
	// rolled (BIP 320); 8 hex digits each.
	Version     string `json:"version"`
	VersionMask string `json:"version_mask"`
	// PrevHash in internal byte order, 64 hex digits.
	PrevHash string `json:"prev_hash"`
	// Coinbase1 + ExtranoncePrefix + extranonce of ExtranonceBytes chosen by
	// the agent + Coinbase2 is the coinbase transaction, hex.
	Coinbase1        string `json:"coinbase1"`
	Coinbase2        string `json:"coinbase2"`
	ExtranoncePrefix string `json:"extranonce_prefix"`
	ExtranonceBytes  int    `json:"extranonce_bytes"`
	// MerkleBranches to the root, internal byte order, 64 hex digits each;
	// none when the coinbase is the only transaction.
	MerkleBranches []string `json:"merkle_branches,omitempty"`
	// NTime of the header, Unix seconds.
	NTime int64 `json:"ntime"`
	// NBits of the header, 8 hex digits.
	NBits string `json:"nbits"`
	// Height of the block.
	Height int64 `json:"height"`
	// ShareDifficulty a share must meet, decimal text, exact.
	ShareDifficulty string `json:"share_difficulty"`
	// Clean: drop older work of this gateway at once.
	Clean bool `json:"clean,omitempty"`
	// Payout of shares of this job.
	Payout Payout `json:"payout"`
}

// ShareFound (share.found) is a solution: proof of work, and so of energy. The
// source token of the subject is the agent's id.
type ShareFound struct {
	// ShareID is the header hash in display order, 64 hex digits; for a
	// modelled share a digest of (unit, job, ordinal).
	ShareID string `json:"share_id"`
	// JobID and Gateway of the work.
	JobID   string `json:"job_id"`
	Gateway string `json:"gateway"`
	// Unit that found it.
	Unit string `json:"unit"`
	// Version, NTime, Nonce and Extranonce complete the header; hex, hex
	// without prefix, except NTime in Unix seconds. Empty when modelled.
	Version    string `json:"version,omitempty"`
	NTime      int64  `json:"ntime,omitempty"`
	Nonce      string `json:"nonce,omitempty"`
	Extranonce string `json:"extranonce,omitempty"`
	// Difficulty of the job, decimal text.
	Difficulty string `json:"difficulty"`
	// FoundAt by the agent's clock.
	FoundAt time.Time `json:"found_at"`
	// Modelled: no hash stands behind it.
	Modelled bool `json:"modelled,omitempty"`
}

// ShareAccepted (share.accepted) is the pool's yes. The source token is the
// gateway's id.
type ShareAccepted struct {
	// ShareID, JobID, Agent and Unit of the share.
	ShareID string `json:"share_id"`
	JobID   string `json:"job_id"`
	Agent   string `json:"agent"`
	Unit    string `json:"unit"`
	// Difficulty credited: that of the job, decimal text.
	Difficulty string `json:"difficulty"`
	// WorkDifficulty is what the miner was asked for, decimal text, where the
	// pool asks for more and credits that: the work that the share proves, as
	// those below the pool's difficulty are counted beside it. Empty means
	// Difficulty.
	WorkDifficulty string `json:"work_difficulty,omitempty"`
	// Payout epoch of the job.
	Payout Payout `json:"payout"`
	// Block: the share also solved a block.
	Block bool `json:"block,omitempty"`
	// Local: it met the difficulty of its job, which is below the upstream's,
	// and was not sent there. It proves work, and so energy, and earns
	// nothing.
	Local bool `json:"local,omitempty"`
	// JudgedAt by the gateway's clock.
	JudgedAt time.Time `json:"judged_at"`
}

// RejectReason is why a share was refused, as a code.
type RejectReason string

// Reject reasons.
const (
	RejectStale     RejectReason = "stale"
	RejectDuplicate RejectReason = "duplicate"
	RejectLow       RejectReason = "low-difficulty"
	RejectInvalid   RejectReason = "invalid"
	RejectUnknown   RejectReason = "unknown-job"
)

// ShareRejected (share.rejected) is the pool's no: worth 0, energy spent.
type ShareRejected struct {
	// ShareID, JobID, Agent and Unit of the share.
	ShareID string `json:"share_id"`
	JobID   string `json:"job_id"`
	Agent   string `json:"agent"`
	Unit    string `json:"unit"`
	// Difficulty claimed, decimal text.
	Difficulty string `json:"difficulty"`
	// Reason code and the pool's own words.
	Reason RejectReason `json:"reason"`
	Detail string       `json:"detail,omitempty"`
	// Basis of the share.
	Basis Basis `json:"basis"`
	// JudgedAt by the gateway's clock.
	JudgedAt time.Time `json:"judged_at"`
}

// ShareUnknown (share.unknown) is a share without a verdict: the connection
// died between write and reply. Worth 0 until the pool's statement moves it.
type ShareUnknown struct {
	// ShareID, JobID, Agent and Unit of the share.
	ShareID string `json:"share_id"`
	JobID   string `json:"job_id"`
	Agent   string `json:"agent"`
	Unit    string `json:"unit"`
	// Difficulty of the job, decimal text.
	Difficulty string `json:"difficulty"`
	// Detail says what happened.
	Detail string `json:"detail"`
	// Basis of the share.
	Basis Basis `json:"basis"`
	// JudgedAt by the gateway's clock.
	JudgedAt time.Time `json:"judged_at"`
}
